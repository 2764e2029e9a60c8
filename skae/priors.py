"""Priors: how codes are distributed before a row is seen.

Every prior begins as the standard normal and is written as what it makes of it,

    log p(z) = log N(z; 0, I) + tilt(z),

so the closed form of the divergence from the standard normal, and all that cancels in
it, stays. A prior is a spec; ``build(n_components)`` makes a module that offers

    tilt(z, infer)                log p(z) - log N(z; 0, I) of codes
    log_prob(z, infer)            log p(z), in nats
    sample(n, generator, infer)   codes, in float64 on the CPU
    is_standard                   whether the tilt is zero
    observe(seen)                 a look at training rows, as the encoder sees them

``infer``, from rows as the encoder sees them to their posterior, is there for priors
that are made of posteriors.
"""

import math
from collections.abc import Callable

import torch
from sklearn.base import BaseEstimator
from torch import nn

__all__ = ["PRIORS", "Normal", "Prior", "PriorModule"]

LOG_2PI = math.log(2 * math.pi)


class Prior(BaseEstimator):
    """Base of the specs: parameters only; ``build`` makes the module."""

    def check(self, name):
        """Refuse wrong settings, naming the parameter they came by."""


class PriorModule(nn.Module):
    """Base of the modules; a subclass has ``tilt`` and ``sample``."""

    tilt: Callable[..., torch.Tensor]
    sample: Callable[..., torch.Tensor]

    is_standard = False

    def __init__(self, n_components):
        super().__init__()
        self.n_components = n_components

    def observe(self, seen):
        """Look at some training rows, before the start."""

    def log_prob(self, z, infer):
        """Log-density of codes."""
        normal = -(z.square() + LOG_2PI).sum(-1) / 2
        return normal + self.tilt(z, infer)

    def _standard(self, n, generator):
        """Draw from the standard normal."""
        shape = n, self.n_components
        return torch.randn(shape, generator=generator, dtype=torch.float64)


class Normal(Prior):
    """The standard normal.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.priors import Normal
    >>> VAETransformer(prior=Normal())
    VAETransformer(prior=Normal())
    """

    def build(self, n_components):
        """Make the module."""
        return _NormalModule(n_components)


class _NormalModule(PriorModule):
    """``tilt(z) = 0``."""

    is_standard = True

    def tilt(self, z, infer):
        return torch.zeros_like(z[..., 0])

    def sample(self, n, generator, infer):
        return self._standard(n, generator)


PRIORS = {"normal": Normal}
