"""Mixtures of Gaussians that are not trained, as modules: densities, and draws.

Each Gaussian is kept as the map to the standard normal that makes it one.
"""

import math

import numpy as np
import torch
from torch import nn

from .networks import FixedLinear

__all__ = ["Alike", "Apart"]


class Apart(nn.Module):
    """Gaussians, each kept as the map ``y = A z + b`` to the standard normal."""

    def __init__(self, k, n_parts):
        super().__init__()
        empty = torch.full((n_parts,), -math.inf, dtype=torch.float64)
        self.log_shares = nn.Buffer(empty)
        self.whiten = FixedLinear(k, n_parts * k)
        self.offset = nn.Buffer(torch.zeros(n_parts, k, dtype=torch.float64))
        self.log_volume = nn.Buffer(torch.zeros(n_parts, dtype=torch.float64))

    def clear(self):
        """Leave all places empty."""
        self.log_shares.fill_(-math.inf)

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
        y = self.whiten(z).unflatten(-1, self.offset.shape) + self.offset.to(z.dtype)
        logs = (self.log_shares + self.log_volume).to(z.dtype)
        return (logs - y.square().sum(-1) / 2).logsumexp(1)

    def at(self, noise, chosen):
        """Codes that standard normal noise becomes."""
        maps = self.whiten.weight.cpu().double().unflatten(0, self.offset.shape)
        y = noise - self.offset.cpu().double()[chosen]
        return torch.linalg.solve(maps[chosen], y)


class Alike(nn.Module):
    """Gaussians of one covariance, each kept as its place c in ``y = A z - c``.

    Narrow ones are far apart there, so all is done in the type of the places.
    """

    def __init__(self, k, n_parts):
        super().__init__()
        empty = torch.full((n_parts,), -math.inf, dtype=torch.float64)
        self.log_shares = nn.Buffer(empty)
        self.whiten = FixedLinear(k, k)
        self.whiten.weight.fill_diagonal_(1.0)
        self.places = FixedLinear(k, n_parts)

    @property
    def is_used(self):
        """Whether there are any."""
        return not self.log_shares[0].isinf().item()

    def clear(self):
        """Leave all places empty."""
        self.log_shares.fill_(-math.inf)

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
        places, whiten = self.places.weight, self.whiten.weight
        y = self.whiten(z.to(places.dtype))
        logs = self.log_shares - places.square().sum(1) / 2
        height = (self.places(y) + logs).logsumexp(1) - y.square().sum(1) / 2
        return (height + whiten.diagonal().log().sum()).to(z.dtype)

    def at(self, noise, chosen):
        """Codes that standard normal noise becomes."""
        y = noise + self.places.weight.cpu().double()[chosen]
        return torch.linalg.solve(self.whiten.weight.cpu().double(), y.T).T
