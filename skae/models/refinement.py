"""Refinement: codes moved from where the encoder puts them to where they are better.

PCA's code of a row is that by which its decoder, being linear, rebuilds the row best. A
trained encoder's is only near that, the less so for rows that it has not seen. Some
steps go on from there, each row by itself, downhill in the row's loss L:

    z <- z - t M dL/dz        M: the inverse of L's mean curvature in the code

A step that does not help is not taken, and the next one is shorter; after one that does
the next is longer. Where rows are alike a step of t = 1 is Newton's.
"""

import torch
from torch import nn

from skae.networks import FixedLinear

from .slopes import value_and_slope

__all__ = ["LEAST_GAIN", "LONGER", "MOST_REFINEMENTS", "SHORTER", "Refinement"]

# Steps at most.
MOST_REFINEMENTS = 1000

# Factors on a step after one that helped, and after one that did not.
LONGER, SHORTER = 1.6, 0.3

# Share of the loss that a step has to gain, and the type's rounding at least.
LEAST_GAIN = 1e-12

# The curvature is that between the slopes to both sides of a code, so far from it in
# shares of the codes' deviations.
SIDE = 0.1

# Rows from which the curvature is taken, at most; of many components fewer, but so
# many at least.
MEASURED_ROWS, MEASURED_SLOPES, FEWEST_MEASURED = 64, 2048, 8

# Rows whose slopes are taken together, and their numbers, at most.
ROWS_TOGETHER, NUMBERS_TOGETHER = 1024, 2**20

# Codes vary in a component where their deviation is this share of the largest code, or
# rounding would be taken for curvature.
LEAST_SPREAD = 1e-4

# In directions of less than this share of the largest curvature codes stay.
LEAST_CURVATURE = 1e-6


class Refinement(nn.Module):
    """Steps from a code to one by which the row is rebuilt better.

    As long as no curvature has been measured, codes stay where they are.

    Parameters
    ----------
    n_components : int

    n_steps : int
    """

    def __init__(self, n_components, n_steps):
        super().__init__()
        self.n_steps = n_steps
        self.metric = FixedLinear(n_components, n_components)

    @property
    def is_active(self):
        """Whether codes are moved."""
        return self.n_steps > 0 and bool(self.metric.weight.any())

    def clear(self):
        """Leave codes where they are."""
        self.metric.weight.zero_()

    @torch.no_grad()
    def measure(self, loss, encode, rows):
        """Take the metric from the curvature of some rows' losses.

        Components in which their codes do not vary stay as they are, and so does the
        metric, where an earlier one of a stream knows more.

        Parameters
        ----------
        loss : callable
            From rows and codes to the loss of each row.

        encode : callable
            From rows to codes.

        rows : Rows
        """
        if not self.n_steps:
            return
        enough = MEASURED_SLOPES // len(self.metric.weight)
        x, weight = rows.some(max(FEWEST_MEASURED, min(MEASURED_ROWS, enough)))
        x = x.to(self.metric.weight.dtype)
        z = encode(x)
        share = (weight / weight.sum()).to(z.dtype)
        spread = (share @ (z - share @ z).square()).sqrt()
        varies = spread > LEAST_SPREAD * z.abs().amax(0)
        if self.is_active and not varies.all():
            return
        sides = torch.diag(SIDE * spread)[varies]
        slopes = _mean_slopes(loss, x, share, z, torch.cat([sides, -sides]))
        above, below = slopes.chunk(2)
        curvature = torch.zeros_like(self.metric.weight)
        change = (above - below) / (2 * SIDE * spread[varies, None])
        curvature[varies] = change.to(curvature.dtype)
        both = varies[:, None] & varies
        curvature = torch.where(both, curvature + curvature.T, 0.0).cpu().double() / 2
        # Where a loss is beyond its type nothing is known, and codes stay.
        values, axes = torch.linalg.eigh(torch.nan_to_num(curvature, 0.0, 0.0, 0.0))
        values = values.abs()
        is_known = values > LEAST_CURVATURE * values.amax()
        inverse = torch.where(is_known, 1 / values, 0.0)
        self.metric.weight.copy_((axes * inverse) @ axes.T)

    def forward(self, loss, x, z):
        """Move the codes of rows; see :meth:`measure`."""
        if not self.is_active:
            return z
        best, slope = value_and_slope(loss, x, z)
        least_gain = max(LEAST_GAIN, torch.finfo(best.dtype).eps)
        length = torch.ones_like(best)
        for n_left in reversed(range(self.n_steps)):
            tried = z - length[:, None] * self.metric(slope)
            losses, slopes = (
                value_and_slope(loss, x, tried) if n_left else (loss(x, tried), slope)
            )
            is_better = losses < best - least_gain * best.abs()
            best = torch.where(is_better, losses, best)
            z = torch.where(is_better[:, None], tried, z)
            slope = torch.where(is_better[:, None], slopes, slope)
            length = torch.where(is_better, LONGER * length, SHORTER * length)
        # Autograd would take the steps for constants.
        return z.detach()


def _mean_slopes(loss, x, share, z, moves):
    """Mean slope in the codes of some rows, moved all alike, for each of the moves."""
    n_rows, n_features = x.shape
    n_together = max(1, min(ROWS_TOGETHER, NUMBERS_TOGETHER // n_features) // n_rows)
    means = []
    for some in moves.split(n_together):
        moved = (z + some[:, None]).flatten(0, 1)
        slopes = value_and_slope(loss, x.repeat(len(some), 1), moved)[1]
        means.append(share @ slopes.unflatten(0, (len(some), n_rows)))
    return torch.cat(means)
