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

from .networks import FixedLinear

__all__ = ["LEAST_GAIN", "LONGER", "SHORTER", "Refinement"]

# Factors on a step after one that helped, and after one that did not.
LONGER, SHORTER = 1.6, 0.3

# Share of the loss that a step has to gain: less is rounding.
LEAST_GAIN = 1e-12

# The curvature is that between the slopes to both sides of a code, so far from it in
# shares of the codes' deviations.
SIDE = 0.1

# A direction counts as curved by this share of the largest curvature at least.
LEAST_CURVATURE = 1e-6


class Refinement(nn.Module):
    """Steps from a code to one by which the row is rebuilt better.

    As long as no curvature has been measured, codes stay where they are.

    Parameters
    ----------
    n_components : int

    n_steps : int

    dtype : torch.dtype
        Of the metric.
    """

    def __init__(self, n_components, n_steps, dtype=torch.float64):
        super().__init__()
        self.n_steps = n_steps
        self.metric = FixedLinear(n_components, n_components, dtype)

    @property
    def is_active(self):
        """Whether codes are moved."""
        return self.n_steps > 0 and bool(self.metric.weight.any())

    def clear(self):
        """Leave codes where they are."""
        self.metric.weight.zero_()

    def measure(self, loss, x, z):
        """Take the metric from the curvature of some rows' losses.

        Parameters
        ----------
        loss : callable
            From rows and codes to the loss of each row.

        x : torch.Tensor of shape (n_rows, n_features)

        z : torch.Tensor of shape (n_rows, n_components)
            Codes of the rows.
        """
        self.clear()
        if not self.n_steps:
            return
        reach = SIDE * z.std(0, correction=0)
        sides = torch.cat([reach.diag(), -reach.diag()])
        beside = (z + sides[:, None]).flatten(0, 1)
        slopes = _slope(loss, x.repeat(len(sides), 1), beside)[1]
        above, below = slopes.unflatten(0, (len(sides), -1)).mean(1).chunk(2)
        tiny = torch.finfo(z.dtype).tiny
        curvature = (above - below) / (2 * reach + tiny)[:, None]
        # Where a loss is beyond its type nothing is known, and codes stay.
        curvature = torch.nan_to_num(curvature.cpu().double(), 0.0, 0.0, 0.0)
        values, axes = torch.linalg.eigh((curvature + curvature.T) / 2)
        least = LEAST_CURVATURE * values[-1]
        if least > 0:
            self.metric.weight.copy_((axes / values.clamp_min(least)) @ axes.T)

    def forward(self, loss, x, z):
        """Move the codes of rows; see :meth:`measure`."""
        if not self.is_active:
            return z
        best, slope = _slope(loss, x, z)
        length = torch.ones_like(best)
        for _ in range(self.n_steps):
            tried = z - length[:, None] * self.metric(slope)
            losses, slopes = _slope(loss, x, tried)
            is_better = losses < (1 - LEAST_GAIN) * best
            best = torch.where(is_better, losses, best)
            z = torch.where(is_better[:, None], tried, z)
            slope = torch.where(is_better[:, None], slopes, slope)
            length = torch.where(is_better, LONGER * length, SHORTER * length)
        return z


def _slope(loss, x, z):
    """Loss of each row, and its slope in the code."""
    with torch.inference_mode(False), torch.enable_grad():
        x, z = x.clone(), z.clone().requires_grad_()
        losses = loss(x, z)
        (slope,) = torch.autograd.grad(losses.sum(), z)
    return losses.detach(), slope
