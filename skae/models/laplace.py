"""Laplace's approximation: a Gaussian where the posterior of a row is highest.

An encoder says in one pass where the code of a row is, and of a row that it has not
been trained on it says so only roughly. So the posterior of each row is looked for,
from what the encoder says, by a few steps of Gauss and Newton; the Gaussian has the
curvature found there. For a linear decoder with Gaussian noise, as at the start of
training, that is the posterior.

Slopes of the decoder are differences over a deviation of the code to either side, so
any network will do; those of the likelihood in its predictor are autograd's.
"""

import math
from typing import NamedTuple

import torch
from torch.nn import functional

from skae.networks.products import padded

from .draws import draw_table, most_draws, most_rows
from .slopes import value_and_slope

__all__ = ["log_joint", "propose", "rows_together"]

# Steps from the encoder's mean to where the posterior is highest, and shares of a step
# of which the best is taken.
N_STEPS = 3
STEP_SHARES = (1.0, 0.5, 0.2)

# Codes among which a second place to set out from is found, where the code has so few
# components that they cover its space.
N_PLACES = 256
MOST_COVERED = 4

# A side of a matrix that is decomposed is a multiple of this.
SIDE = 4


class Proposal(NamedTuple):
    """A Gaussian for the code of each row, ``z = mean + factor @ noise``.

    Attributes
    ----------
    mean : torch.Tensor of shape (n_rows, n_components)

    factor : torch.Tensor of shape (n_rows, n_components, n_components)

    log_volume : torch.Tensor of shape (n_rows,)
        Logarithm of the determinant of the factor.
    """

    mean: torch.Tensor
    factor: torch.Tensor
    log_volume: torch.Tensor


def propose(model, x):
    """Find a Gaussian near the posterior of each row.

    Where a posterior has several peaks the encoder may be at the foot of a small one,
    so there is a second place to set out from, and the higher peak is taken.
    """
    posterior = model.posterior(x)
    places = [posterior.mean]
    if posterior.mean.shape[1] <= MOST_COVERED:
        places.append(_best_place(model, x))
    n = len(places)
    rows, spread = x.repeat(n, 1), posterior.std.repeat(n, 1)
    peaks, found = _climb(model, rows, torch.cat(places), spread)
    highest = peaks.unflatten(0, (n, -1)).argmax(dim=0)
    own = torch.arange(len(x), device=x.device)
    return Proposal(*(part.unflatten(0, (n, -1))[highest, own] for part in found))


def rows_together(model, x):
    """Rows whose posteriors are looked for together, each by 2 k + 1 codes.

    They are its place, and one to either side of that in each component.
    """
    return most_rows((2 * model.prior.n_components + 1) * x.shape[1])


def log_joint(model, x, z):
    """``log p(x, z)``, without the terms in log(2 pi) of the prior.

    Where rows are so far that their squares are beyond their type it is minus infinity.
    """
    log_prior = model.tilt(z) - z.square().sum(-1) / 2
    total = model.log_prob_given(x, z) + log_prior
    return torch.nan_to_num(total, nan=-math.inf, neginf=-math.inf)


def _best_place(model, x):
    """Find which of some codes, the same for all rows, suits each row best."""
    places = draw_table(N_PLACES, model.prior.n_components, seed=0).to(x)
    logs = []
    for some in places.split(most_draws(x)):
        given = model.likelihood.log_prob(x[:, None], model.decoder(some)[None])
        logs.append(given + model.tilt(some) - some.square().sum(-1) / 2)
    best = torch.nan_to_num(torch.cat(logs, dim=1), nan=-math.inf).argmax(dim=1)
    return places[best]


def _climb(model, x, mean, spread):
    """Go up to a peak of ``log p(x, z)``; give its value, and the Gaussian there."""
    highest = log_joint(model, x, mean[:, None])[:, 0]
    shares = torch.tensor(STEP_SHARES, dtype=torch.float64).to(x)[:, None]
    for _ in range(N_STEPS):
        slope, curvature = _shape(model, x, mean, spread)
        values, axes = _eigh(curvature)
        # No wider than the standard normal, whatever the curvature.
        values = values.clamp(min=1.0)
        step = axes @ ((axes.mT @ slope[..., None]) / values[..., None])
        tried = mean[:, None] + shares * step.mT
        best, which = log_joint(model, x, tried).max(dim=1)
        found = tried[torch.arange(len(x), device=x.device), which]
        mean = torch.where((best > highest)[:, None], found, mean)
        highest = torch.maximum(best, highest)
        factor = axes / values.sqrt()[:, None]
        spread = factor.square().sum(-1).sqrt()
    return highest, Proposal(mean, factor, -values.log().sum(-1) / 2)


def _eigh(matrices):
    """Eigenvalues and vectors of each matrix, wherever it stands among others.

    What is filled up so that each begins at a boundary has larger eigenvalues.
    """
    k = matrices.shape[-1]
    n_more = -k % SIDE
    if n_more:
        beyond = 1 + 2 * matrices.abs().sum((-1, -2))
        matrices = functional.pad(matrices, (0, n_more, 0, n_more))
        matrices.diagonal(dim1=-2, dim2=-1)[:, k:] = beyond[:, None]
    # Apple's GPUs have no eigenvectors.
    there = matrices.cpu() if matrices.device.type == "mps" else matrices
    values, axes = (found.to(matrices.device) for found in torch.linalg.eigh(there))
    return values[:, :k], axes[:, :k, :k].contiguous()


def _shape(model, x, mean, spread):
    """Slope of ``log p(x, z)`` in each code at a mean, and minus its curvature."""
    k = mean.shape[1]
    shift = torch.diag_embed(spread)
    sides = torch.cat([torch.zeros_like(shift[:, :1]), shift, -shift], dim=1)
    codes = mean[:, None] + sides
    predictor = model.decoder(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
    _, in_predictor = value_and_slope(model.likelihood.log_prob, x[:, None], predictor)
    decoder = padded(_difference(predictor, spread))
    bend = padded(_difference(in_predictor, spread))
    slope = (decoder @ padded(in_predictor[:, 0])[..., None])[..., 0] - mean
    curvature = -decoder @ bend.mT
    if not model.prior.is_standard:
        _, in_code = value_and_slope(lambda _, z: model.tilt(z), x, codes)
        slope = slope + in_code[:, 0]
        curvature = curvature - _difference(in_code, spread)
    curvature = (curvature + curvature.mT) / 2 + torch.eye(k).to(x)
    return torch.nan_to_num(slope), torch.nan_to_num(curvature)


def _difference(values, spread):
    """Slope in each code, of values at the mean and to its two sides in each."""
    k = spread.shape[1]
    return (values[:, 1 : k + 1] - values[:, k + 1 :]) / (2 * spread[..., None])
