"""Mixtures of Gaussians that are not trained, as modules: densities, and draws.

Each Gaussian is kept as the map to the standard normal that makes it one. In features
of a code its logarithm is linear, so one product finds those of all:

    log sum_i exp(w_i'f + c_i)
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from skae.networks import FixedLinear
from skae.networks.products import padded

__all__ = ["FullGaussians", "TiedGaussians"]

# Codes that are drawn at a time, each by a map of its own.
CODES_AT_ONCE = 1024

# From so many components on, products of all pairs of them cost more than the map of
# each Gaussian.
MANY_COMPONENTS = 33


class _LogSumExp(torch.autograd.Function):
    """``log sum_i exp(w_i'f + c_i)`` of some features f.

    Its slope is the mean of the w by the shares of the terms in the sum. Autograd would
    go through the terms again, which are many more than the features.
    """

    @staticmethod
    def forward(ctx, features, weight, constants):
        # Widths that products treat alike wherever a row stands; of no share.
        wide = padded(weight, rows_too=True)
        n_more = len(wide) - len(weight)
        offset = functional.pad(constants, (0, n_more), value=-math.inf)
        logs = functional.linear(padded(features), wide)
        largest = logs.add_(offset).amax(1, keepdim=True)
        terms = logs.sub_(largest).exp_()
        total = terms.sum(1, keepdim=True)
        if ctx.needs_input_grad[0]:
            mean = functional.linear(terms, wide.T) / total
            mean = mean[:, : features.shape[1]]
            ctx.save_for_backward(features, weight, constants, mean)
        return (largest + total.log())[:, 0]

    @staticmethod
    def backward(ctx, slope):
        features, weight, constants, mean = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again
            mean = (features @ weight.T + constants).softmax(1) @ weight
        return slope[:, None] * mean, None, None


class _Gaussians(nn.Module):
    """Room for some Gaussians, of which the first places are taken."""

    log_shares: torch.Tensor

    def __init__(self, n_parts):
        super().__init__()
        empty = torch.full((n_parts,), -math.inf, dtype=torch.float64)
        self.log_shares = nn.Buffer(empty)

    @property
    def n_used(self):
        """How many there are."""
        return int(self.log_shares.isfinite().sum())

    def clear(self):
        """Leave all places empty."""
        self.log_shares.fill_(-math.inf)


class FullGaussians(_Gaussians):
    """Gaussians of a covariance each, kept as the map ``y = A z + b`` to N(0, I)."""

    def __init__(self, k, n_parts):
        super().__init__(n_parts)
        self.whiten = FixedLinear(k, n_parts * k)
        self.offset = nn.Buffer(torch.zeros(n_parts, k, dtype=torch.float64))
        self.log_volume = nn.Buffer(torch.zeros(n_parts, dtype=torch.float64))

    def set(self, log_share, gaussians):
        """Take over Gaussians, whose shares are of a share of all."""
        shares, means, covariances = gaussians
        m = len(shares)
        inverses = np.linalg.inv(np.linalg.cholesky(covariances))
        diagonals = np.diagonal(inverses, axis1=1, axis2=2)
        offset = -(inverses @ means[..., None])[..., 0]
        self.log_shares[:m] = torch.from_numpy(np.log(shares) + log_share)
        self.whiten.weight.unflatten(0, self.offset.shape)[:m] = torch.from_numpy(
            inverses
        )
        self.offset[:m] = torch.from_numpy(offset)
        self.log_volume[:m] = torch.from_numpy(np.log(diagonals).sum(1))

    def log_prob_less_2pi(self, z):
        """Log-density of codes, without the term in log(2 pi)."""
        offset = self.offset[: self.n_used]
        logs = (self.log_shares + self.log_volume)[: len(offset)]
        if z.shape[1] < MANY_COMPONENTS:
            return self._by_products(z, offset, logs)
        y = self.whiten(z, offset.numel()).unflatten(-1, offset.shape)
        squares = (y + offset.to(z.dtype)).square().sum(-1)
        return (logs.to(z.dtype) - squares / 2).logsumexp(1)

    def _by_products(self, z, offset, logs):
        """Find the same from the products of the components.

        With P = A'A it is that of ``-z'P z / 2 - b'A z``, whose features are z and
        those products; in the type of the maps, since squares lose digits.
        """
        maps = self.whiten.weight.unflatten(0, self.offset.shape)[: len(offset)]
        quadratic, linear = maps.mT @ maps / -2, -maps.mT @ offset[..., None]
        weight = torch.cat([quadratic.flatten(1), linear.flatten(1)], dim=1)
        wide = z.to(maps.dtype)
        products = wide[:, :, None] * wide[:, None]
        features = torch.cat([products.flatten(1), wide], dim=1)
        constants = logs - offset.square().sum(1) / 2
        return _LogSumExp.apply(features, weight, constants).to(z.dtype)

    def at(self, noise, chosen):
        """Codes that standard normal noise becomes."""
        maps = self.whiten.weight.cpu().double().unflatten(0, self.offset.shape)
        # A solution for each code would cost a hundred times as much.
        roots = torch.from_numpy(np.linalg.inv(maps[: self.n_used].numpy()))
        y = noise - self.offset.cpu().double()[chosen]
        pieces = zip(y.split(CODES_AT_ONCE), chosen.split(CODES_AT_ONCE), strict=True)
        return torch.cat([(roots[c] * own[:, None]).sum(-1) for own, c in pieces])


class TiedGaussians(_Gaussians):
    """Gaussians of one covariance, each kept as its place c in ``y = A z - c``.

    Narrow ones are far apart there, so all is done in the type of the places.
    """

    def __init__(self, k, n_parts):
        super().__init__(n_parts)
        self.whiten = FixedLinear(k, k)
        self.whiten.weight.fill_diagonal_(1.0)
        self.places = FixedLinear(k, n_parts)

    def set(self, log_share, gaussians):
        """Take over Gaussians, whose shares are of a share of all."""
        shares, means, covariances = gaussians
        m = len(shares)
        inverse = np.linalg.inv(np.linalg.cholesky(covariances[0]))
        self.log_shares[:m] = torch.from_numpy(np.log(shares) + log_share)
        self.whiten.weight.copy_(torch.from_numpy(inverse))
        self.places.weight[:m] = torch.from_numpy(means @ inverse.T)

    def log_prob_less_2pi(self, z):
        """Log-density of codes, without the term in log(2 pi)."""
        whiten, places = self.whiten.weight, self.places.weight[: self.n_used]
        y = self.whiten(z.to(whiten.dtype))
        logs = self.log_shares[: len(places)] - places.square().sum(1) / 2
        log_prob = _LogSumExp.apply(y, places, logs) - y.square().sum(1) / 2
        return (log_prob + whiten.diagonal().log().sum()).to(z.dtype)

    def at(self, noise, chosen):
        """Codes that standard normal noise becomes."""
        y = noise + self.places.weight.cpu().double()[chosen]
        return torch.linalg.solve(self.whiten.weight.cpu().double(), y.T).T
