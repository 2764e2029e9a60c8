"""What every prior is: a spec, and a module that begins as the standard normal."""

from collections.abc import Callable

import torch
from sklearn.base import BaseEstimator
from torch import nn

from skae.integers import is_integer
from skae.normal import log_density

__all__ = ["Normal", "Prior", "PriorModule", "in_pieces"]


# Codes whose densities under all parts of a mixture are found together.
CODES_AT_ONCE = 1024


class Prior(BaseEstimator):
    """Base of the specs: parameters only; ``build`` makes the module."""

    is_learned = True

    def check(self, name):
        """Refuse wrong settings, naming the parameter they came by."""
        for setting, value in self.get_params(deep=False).items():
            if not is_integer(value, 1):
                raise ValueError(
                    f"{name}{setting}={value!r} must be an integer of 1 or more."
                )


class PriorModule(nn.Module):
    """Base of the modules; a subclass has ``tilt`` and ``sample``."""

    tilt: Callable[..., torch.Tensor]
    sample: Callable[..., torch.Tensor]

    def __init__(self, n_components):
        super().__init__()
        self.n_components = n_components

    @property
    def is_standard(self):
        """Whether this is the standard normal, and nothing of it is learned."""
        return False

    def initialize_from(self, seen, weight):
        """Begin as some training rows, as the encoder sees them, suggest."""

    def log_prob(self, z, infer):
        """Log-density of codes."""
        return log_density(z) + self.tilt(z, infer)

    def _noise(self, n, generator):
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

    is_learned = False

    def build(self, n_components, n_features):
        """Make the module."""
        return _NormalModule(n_components)


class _NormalModule(PriorModule):
    """``tilt(z) = 0``."""

    @property
    def is_standard(self):
        return True

    def tilt(self, z, infer):
        return torch.zeros_like(z[..., 0])

    def sample(self, n, generator, infer):
        return self._noise(n, generator)


def in_pieces(function, z):
    """Apply a function of codes to some at a time, so that memory is bounded."""
    flat = z.reshape(-1, z.shape[-1])
    values = torch.cat([function(some) for some in flat.split(CODES_AT_ONCE)])
    return values.reshape(z.shape[:-1])
