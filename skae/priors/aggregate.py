"""Gaussians that are fitted to codes after a training, as a prior."""

import copy
import math
from functools import reduce

import numpy as np
import torch
from torch import nn

from skae.densities.gaussians import Gaussians
from skae.densities.limits import MAX_KERNELS, most_parts

from .base import Prior, PriorModule, in_pieces
from .gaussians import FullGaussians, TiedGaussians

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
    full: FullGaussians
    tied: TiedGaussians

    def __init__(self, n_components):
        super().__init__(n_components)
        self.is_fitted = nn.Buffer(torch.zeros((), dtype=torch.bool))
        # The same in Python, since each question to a GPU waits for it.
        self._is_standard = True
        self.register_load_state_dict_post_hook(_note_whether_fitted)
        self.full = FullGaussians(n_components, 1 + most_parts(n_components))
        self.tied = TiedGaussians(n_components, MAX_KERNELS)

    @property
    def is_standard(self):
        return self._is_standard

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
        full, tied = copy.deepcopy(self.full), copy.deepcopy(self.tied)
        full.clear()
        tied.clear()
        log_share = math.log(n_codes / (n_codes + 1))
        standard = Gaussians(
            np.full(1, 1 / n_codes),
            np.zeros((1, self.n_components)),
            np.eye(self.n_components)[None],
        )
        for some in gaussians:
            if len(some.covariances) == len(some.shares):
                some = Gaussians(*map(np.concatenate, zip(standard, some, strict=True)))
                full.set(log_share, some)
            else:
                tied.set(log_share, some)
        self.full, self.tied = full, tied
        self.is_fitted.fill_(len(gaussians) > 0)
        self._is_standard = not gaussians

    def tilt(self, z, infer):
        if self.is_standard:
            return torch.zeros_like(z[..., 0])
        return in_pieces(self._tilt, z)

    def _tilt(self, z):
        used = (some for some in (self.full, self.tied) if some.n_used)
        logs = [some.log_prob_less_2pi(z) for some in used]
        return reduce(torch.logaddexp, logs) + z.square().sum(-1) / 2

    def sample(self, n, generator, infer):
        noise = self._noise(n, generator)
        if self.is_standard:
            return noise
        log_shares = torch.cat([self.full.log_shares, self.tied.log_shares])
        shares = log_shares.exp().cpu().double()
        chosen = shares.multinomial(n, replacement=True, generator=generator)
        n_full = len(self.full.log_shares)
        is_full = chosen < n_full
        noise[is_full] = self.full.at(noise[is_full], chosen[is_full])
        noise[~is_full] = self.tied.at(noise[~is_full], chosen[~is_full] - n_full)
        return noise


def _note_whether_fitted(module, incompatible):
    """Note in Python what a module has been loaded with."""
    module._is_standard = not module.is_fitted.item()
