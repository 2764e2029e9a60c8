"""Mixtures that are learned: of Gaussians, and of the posteriors of pseudo-inputs."""

import math
from collections.abc import Callable

import torch
from torch import nn

from skae.models.posteriors import DiagonalGaussian
from skae.normal import log_density

from .base import Prior, PriorModule, in_pieces

__all__ = ["Mixture", "Vamp"]


# Of a sum of shares, which are of float32 weights, at most.
ROUNDING = 1e-6

# Share of the standard normal in a mixture that is to be learned, at the start: the
# density is lower by at most minus the logarithm of it.
NORMAL_SHARE = 0.999

# Logarithms of a mixture's weights are learned in units of this: solvers move every
# parameter by about the learning rate, and they have several units to go.
WEIGHT_RATE = 10.0

# Variance of each part of a learned mixture, at the start.
PART_VARIANCE = 0.5


class _MixtureModule(PriorModule):
    """``w_0 N(z; 0, I) + sum_j w_j q_j(z)``; a subclass gives the parts ``q_j``."""

    parts: Callable

    def __init__(self, n_components, n_parts):
        super().__init__(n_components)
        share = (1 - NORMAL_SHARE) / n_parts
        begin = torch.full((n_parts + 1,), share, dtype=torch.float32)
        begin[0] = NORMAL_SHARE
        self.begin = nn.Buffer(begin.log())
        self.shift = nn.Parameter(torch.zeros(n_parts + 1, dtype=torch.float32))

    def _log_shares(self):
        return (self.begin + WEIGHT_RATE * self.shift).log_softmax(0)

    def tilt(self, z, infer):
        parts = self.parts(infer).map(lambda field: field.to(z.dtype))
        log_shares = self._log_shares().to(z.dtype)

        def tilt(some):
            ratios = parts.log_prob(some[:, None]) - log_density(some)[:, None]
            learned = (ratios + log_shares[1:]).logsumexp(1)
            return torch.logaddexp(log_shares[0], learned)

        return in_pieces(tilt, z)

    def sample(self, n, generator, infer):
        shares = self._log_shares().exp().cpu().double()
        chosen = shares.multinomial(n, replacement=True, generator=generator)
        noise = self._noise(n, generator)
        parts = self.parts(infer).map(lambda field: field.cpu().double()[chosen - 1])
        return torch.where((chosen == 0)[:, None], noise, parts.at(noise))


class Mixture(Prior):
    """A learned mixture of Gaussians with diagonal covariances.

    The standard normal, nearly alone at the start, stays one of its parts.

    Parameters
    ----------
    n_parts : int, default=32
        Number of Gaussians beside the standard normal.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.priors import Mixture
    >>> VAETransformer(prior=Mixture(10))
    VAETransformer(prior=Mixture(n_parts=10))
    """

    def __init__(self, n_parts=32):
        self.n_parts = n_parts

    def build(self, n_components, n_features):
        """Make the module."""
        return _GaussiansModule(n_components, self.n_parts)


class _GaussiansModule(_MixtureModule):
    """Parts of a mean and variances each; together they begin near N(0, I)."""

    def __init__(self, n_components, n_parts):
        super().__init__(n_components, n_parts)
        shape = n_parts, n_components
        means = (1 - PART_VARIANCE) ** 0.5 * torch.randn(shape, dtype=torch.float32)
        log_variances = torch.full(shape, math.log(PART_VARIANCE), dtype=torch.float32)
        self.means = nn.Parameter(means)
        self.log_variances = nn.Parameter(log_variances)

    def parts(self, infer):
        return DiagonalGaussian(self.means, self.log_variances)


class Vamp(Prior):
    """A mixture of the posteriors of pseudo-inputs (Tomczak & Welling, 2018).

    The pseudo-inputs begin at training rows and are learned. The standard normal,
    nearly alone at the start, is one of the parts.

    Parameters
    ----------
    n_pseudo_inputs : int, default=64
        Number of posteriors beside the standard normal.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.priors import Vamp
    >>> VAETransformer(prior=Vamp(100))
    VAETransformer(prior=Vamp(n_pseudo_inputs=100))
    """

    def __init__(self, n_pseudo_inputs=64):
        self.n_pseudo_inputs = n_pseudo_inputs

    def build(self, n_components, n_features):
        """Make the module."""
        return _VampModule(n_components, n_features, self.n_pseudo_inputs)


class _VampModule(_MixtureModule):
    """Pseudo-inputs are learned in units of their columns' deviations."""

    def __init__(self, n_components, n_features, n_parts):
        super().__init__(n_components, n_parts)
        shape = n_parts, n_features
        self.rows = nn.Buffer(torch.zeros(shape, dtype=torch.float32))
        self.unit = nn.Buffer(torch.zeros(n_features, dtype=torch.float32))
        self.change = nn.Parameter(torch.zeros(shape, dtype=torch.float32))

    def initialize_from(self, seen, weight):
        """Begin at rows at equal steps of their weights' sum."""
        n_parts = len(self.rows)
        share = weight.cpu().double()
        share = share / share.sum()
        # Beyond what rounding leaves of a sum that ends at a step.
        steps = torch.arange(n_parts).double() / n_parts + ROUNDING
        chosen = torch.searchsorted(share.cumsum(0), steps).clamp(max=len(seen) - 1)
        self.rows.copy_(seen[chosen.to(seen.device)])
        share = share.to(seen.dtype).to(seen.device)
        self.unit.copy_((share @ (seen - share @ seen).square()).sqrt())

    def parts(self, infer):
        return infer(self.rows + self.unit * self.change)
