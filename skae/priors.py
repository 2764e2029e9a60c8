"""Priors: how codes are distributed before a row is seen.

Every prior begins as the standard normal and is written as what it makes of it,

    log p(z) = log N(z; 0, I) + tilt(z),

so the closed form of the divergence from the standard normal, and all that cancels in
it, stays. A prior is a spec; ``build(n_components, n_features)`` makes a module with

    tilt(z, infer)                log p(z) - log N(z; 0, I) of codes
    log_prob(z, infer)            log p(z), in nats
    sample(n, generator, infer)   codes, in float64 on the CPU
    is_standard                   whether the tilt is zero, and nothing is learned
    observe(seen)                 a look at training rows, as the encoder sees them

``infer``, from rows as the encoder sees them to their posterior, is there for priors
that are made of posteriors.
"""

import copy
import math
from collections.abc import Callable
from functools import reduce
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from .densities import MAX_KERNELS, Gaussians, most_parts
from .flows import Coupling
from .mixtures import Alike, Apart
from .posteriors import DiagonalGaussian

__all__ = [
    "PRIORS",
    "AggregatePosterior",
    "Flow",
    "Mixture",
    "Normal",
    "Prior",
    "PriorModule",
    "Vamp",
]

# Of a sum of shares, which are of float32 weights, at most.
ROUNDING = 1e-6

LOG_2PI = math.log(2 * math.pi)

# Codes whose densities under all parts of a mixture are found together.
CODES_AT_ONCE = 1024

# Share of the standard normal in a mixture that is to be learned, at the start: the
# density is lower by at most minus the logarithm of it.
NORMAL_SHARE = 0.999

# Logarithms of a mixture's weights are learned in units of this: solvers move every
# parameter by about the learning rate, and they have several units to go.
WEIGHT_RATE = 10.0

# Variance of each part of a learned mixture, at the start.
PART_VARIANCE = 0.5


class Prior(BaseEstimator):
    """Base of the specs: parameters only; ``build`` makes the module."""

    is_learned = True

    def check(self, name):
        """Refuse wrong settings, naming the parameter they came by."""
        for setting, value in self.get_params(deep=False).items():
            is_whole = isinstance(value, Integral) and not isinstance(value, bool)
            if not (is_whole and value >= 1):
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

    def observe(self, seen, weight):
        """Look at some training rows, before the start."""

    def log_prob(self, z, infer):
        """Log-density of codes."""
        return _log_normal(z) + self.tilt(z, infer)

    def _noise(self, n, generator):
        """Draw from the standard normal."""
        shape = n, self.n_components
        return torch.randn(shape, generator=generator, dtype=torch.float64)


# -------------------------------------------------------------------- standard normal


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


# -------------------------------------------------------------------- learned mixtures


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
            ratios = parts.log_prob(some[:, None]) - _log_normal(some)[:, None]
            learned = (ratios + log_shares[1:]).logsumexp(1)
            return torch.logaddexp(log_shares[0], learned)

        return _in_pieces(tilt, z)

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

    def observe(self, seen, weight):
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


# ------------------------------------------------------------------------------- flow


class Flow(Prior):
    """The standard normal, bent by a coupling flow of monotone splines.

    Half of the components at a time are bent, each by a rational quadratic spline on
    [-5, 5] whose knots follow from the other half (Durkan et al., 2019). It starts at
    the identity.

    Parameters
    ----------
    n_couplings : int, default=4
        Number of times that half of the components are bent.

    n_hidden : int, default=32
        Width of the hidden layer from which the knots follow.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.priors import Flow
    >>> VAETransformer(prior=Flow(6))
    VAETransformer(prior=Flow(n_couplings=6))
    """

    def __init__(self, n_couplings=4, n_hidden=32):
        self.n_couplings = n_couplings
        self.n_hidden = n_hidden

    def build(self, n_components, n_features):
        """Make the module."""
        return _FlowModule(n_components, self.n_couplings, self.n_hidden)


class _FlowModule(PriorModule):
    """``u = T(z)`` is standard normal, so ``tilt = (z^2 - u^2) / 2 + log |T'|``."""

    couplings: Any

    def __init__(self, n_components, n_couplings, n_hidden):
        super().__init__(n_components)
        self.couplings = nn.ModuleList(
            Coupling(n_components, n_hidden, parity=number % 2)
            for number in range(n_couplings)
        )

    def tilt(self, z, infer):
        return _in_pieces(self._tilt, z)

    def _tilt(self, z):
        u, total = z, torch.zeros_like(z[:, 0])
        for coupling in self.couplings:
            u, log_slope = coupling(u)
            total = total + log_slope
        return (z.square() - u.square()).sum(-1) / 2 + total

    def sample(self, n, generator, infer):
        z = self._noise(n, generator).to(next(self.parameters()).device)
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)
        return z.cpu()


# ------------------------------------------------------------ fitted after the training


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
        return _in_pieces(self._tilt, z)

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


PRIORS = {
    "normal": Normal,
    "gmm": Mixture,
    "vamp": Vamp,
    "flow": Flow,
    "posterior": AggregatePosterior,
}


def _log_normal(z):
    """Log-density of the standard normal."""
    return -(z.square() + LOG_2PI).sum(-1) / 2


def _in_pieces(function, z):
    """Apply a function of codes to some at a time, so that memory is bounded."""
    flat = z.reshape(-1, z.shape[-1])
    values = torch.cat([function(some) for some in flat.split(CODES_AT_ONCE)])
    return values.reshape(z.shape[:-1])
