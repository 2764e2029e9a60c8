"""Gaussians that are fitted to codes after a training, as a prior."""

import copy
import math
from functools import reduce

import numpy as np
import torch
from torch import nn

from skae.densities.codes import Gaussians
from skae.densities.limits import MAX_KERNELS, most_parts

from .base import Prior, PriorModule, in_pieces
from .gaussians import Alike, Apart

__all__ = ["AggregatePosterior"]


class AggregatePosterior(Prior):
    """Gaussians fitted, after a training, to draws of the training rows' posteriors.

    They are as many as draws held out ask for, up to 160; one about the draw of each of
    up to 1,000 rows, all of one covariance, is beside them where that makes draws held
    out likelier. Until then, and where these are likelier under it, it is the standard
    normal; that stays one of the parts, with the share of one row.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.priors import AggregatePosterior
    >>> VAETransformer(prior=AggregatePosterior())
    VAETransformer(prior=AggregatePosterior())
    """

    is_learned = False

    def build(self, n_components, n_features):
        """Make the module."""
        return _AggregateModule(n_components)


class _AggregateModule(PriorModule):
    """The standard normal with Gaussians of maps of their own, or of one map."""

    is_fitted: torch.Tensor
    apart: Apart
    alike: Alike

    def __init__(self, n_components):
        super().__init__(n_components)
        self.is_fitted = nn.Buffer(torch.zeros((), dtype=torch.bool))
        self.apart = Apart(n_components, 1 + most_parts(n_components))
        self.alike = Alike(n_components, MAX_KERNELS)

    @property
    def is_standard(self):
        return not self.is_fitted.item()

    def fit(self, gaussians, n_codes):
        """Take over Gaussians that were fitted to codes.

        As if one code more had been seen, the standard normal's: none, however far from
        all others, is less likely than under it by more than ``log(n_codes + 1)``.

        Parameters
        ----------
        gaussians : list of Gaussians
            Some of a covariance each, and some of one covariance, whose shares add up
            to 1; an empty list leaves the standard normal by itself.

        n_codes : int
        """
        # In copies, that whoever reads the old ones meanwhile has them whole.
        apart, alike = copy.deepcopy(self.apart), copy.deepcopy(self.alike)
        apart.clear()
        alike.clear()
        log_share = math.log(n_codes / (n_codes + 1))
        standard = Gaussians(
            np.full(1, 1 / n_codes),
            np.zeros((1, self.n_components)),
            np.eye(self.n_components)[None],
        )
        for some in gaussians:
            if len(some.covariances) == len(some.shares):
                some = Gaussians(*map(np.concatenate, zip(standard, some, strict=True)))
                apart.set(log_share, some)
            else:
                alike.set(log_share, some)
        self.apart, self.alike = apart, alike
        self.is_fitted.fill_(len(gaussians) > 0)

    def tilt(self, z, infer):
        if self.is_standard:
            return torch.zeros_like(z[..., 0])
        return in_pieces(self._tilt, z)

    def _tilt(self, z):
        heights = [some.height(z) for some in (self.apart, self.alike) if some.n_used]
        return reduce(torch.logaddexp, heights) + z.square().sum(-1) / 2

    def sample(self, n, generator, infer):
        noise = self._noise(n, generator)
        if self.is_standard:
            return noise
        log_shares = torch.cat([self.apart.log_shares, self.alike.log_shares])
        shares = log_shares.exp().cpu().double()
        chosen = shares.multinomial(n, replacement=True, generator=generator)
        n_apart = len(self.apart.log_shares)
        is_apart = chosen < n_apart
        noise[is_apart] = self.apart.at(noise[is_apart], chosen[is_apart])
        noise[~is_apart] = self.alike.at(noise[~is_apart], chosen[~is_apart] - n_apart)
        return noise
