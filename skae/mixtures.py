"""Mixtures of Gaussians that are not trained, as modules: densities, and draws.

Each Gaussian is kept as the map to the standard normal that makes it one.
"""

import math

import numpy as np
import torch
from torch import nn

from .networks import FixedLinear

__all__ = ["Alike", "Apart"]

# Codes that are drawn at a time, each by a map of its own.
CODES_AT_ONCE = 1024


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


class Apart(_Gaussians):
    """Gaussians, each kept as the map ``y = A z + b`` to the standard normal."""

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

    def height(self, z):
        """Log-density of codes, but for the terms in log(2 pi)."""
        offset = self.offset[: self.n_used]
        y = self.whiten(z, offset.numel()).unflatten(-1, offset.shape)
        logs = (self.log_shares + self.log_volume)[: len(offset)].to(z.dtype)
        return (logs - (y + offset.to(z.dtype)).square().sum(-1) / 2).logsumexp(1)

    def at(self, noise, chosen):
        """Codes that standard normal noise becomes."""
        maps = self.whiten.weight.cpu().double().unflatten(0, self.offset.shape)
        # A solution for each code would cost a hundred times as much.
        roots = torch.from_numpy(np.linalg.inv(maps[: self.n_used].numpy()))
        y = noise - self.offset.cpu().double()[chosen]
        pieces = zip(y.split(CODES_AT_ONCE), chosen.split(CODES_AT_ONCE), strict=True)
        return torch.cat([(roots[c] * own[:, None]).sum(-1) for own, c in pieces])


class Alike(_Gaussians):
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

    def height(self, z):
        """Log-density of codes, but for the terms in log(2 pi)."""
        n, whiten = self.n_used, self.whiten.weight
        y = self.whiten(z.to(whiten.dtype))
        logs = self.log_shares[:n] - self.places.weight[:n].square().sum(1) / 2
        height = (self.places(y, n) + logs).logsumexp(1) - y.square().sum(1) / 2
        return (height + whiten.diagonal().log().sum()).to(z.dtype)

    def at(self, noise, chosen):
        """Codes that standard normal noise becomes."""
        y = noise + self.places.weight.cpu().double()[chosen]
        return torch.linalg.solve(self.whiten.weight.cpu().double(), y.T).T
