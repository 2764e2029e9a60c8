"""Likelihoods of values between 0 and 1.

    bernoulli              x | z ~ Bernoulli(1 / (1 + exp(-eta)))
    continuous_bernoulli   p(x | z) = exp(x eta) eta / (exp(eta) - 1)   on [0, 1]

Both are ``log p = x eta - A(eta)`` with the mean ``A'(eta)``. The second is that of
Loaiza-Ganem & Cunningham (2019): a Bernoulli's, divided by what it integrates to.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn import functional

from .base import Likelihood, LikelihoodModule, linked_start

__all__ = ["SERIES_BELOW", "Bernoulli", "ContinuousBernoulli"]

# So far below 0 or above 1 is rounding, as a MinMaxScaler's. Rows are learned in
# float32, and what it adds to a log-probability, x eta - A(eta), is as small.
ROUNDING = 4 * float(np.finfo(np.float32).eps)

# Column means are kept this far from 0 and 1 before the link is taken.
MEAN_MARGIN = 1e-4
DENSITY_MARGIN = 5e-3

# Where the functions of a continuous Bernoulli are taken from their series about 0, and
# where a draw is uniform to the precision of float64.
SERIES_BELOW = 0.1
UNIFORM_BELOW = 1e-9

# Halvings of an interval of 1 / DENSITY_MARGIN that invert the mean.
BISECTIONS = 60


class Bernoulli(Likelihood):
    """Columns that are 0 or 1, or probabilities of a 1.

    For values between 0 and 1, as grey pixels, the score of a row is minus a cross
    entropy and not the logarithm of a density.

    Parameters
    ----------
    binarize : bool, default=False
        Whether values between 0 and 1 are probabilities of a 1, to be drawn anew each
        epoch: what is learned is then a distribution of binary rows, and what a fit
        says of its rows is of a draw of them. Rows that are scored are taken as they
        are.

    Examples
    --------
    >>> from skae import AutoencoderTransformer
    >>> from skae.likelihoods import Bernoulli
    >>> AutoencoderTransformer(likelihood=Bernoulli(binarize=True))
    AutoencoderTransformer(likelihood=Bernoulli(binarize=True))
    """

    def __init__(self, binarize=False):
        self.binarize = binarize

    def check(self, X, numbers, called):
        """Refuse values that are no probabilities."""
        if not isinstance(self.binarize, bool | np.bool_):
            raise ValueError(
                f"likelihood: binarize={self.binarize!r} of Bernoulli is neither True "
                "nor False."
            )
        refuse_outside_unit_interval(X, "bernoulli")

    def build(self, n_features):
        """Make the module."""
        return _DrawnBernoulliModule() if self.binarize else _BernoulliModule()


class ContinuousBernoulli(Likelihood):
    """Values between 0 and 1, as pixels of ink, with a density that integrates to 1.

    It has no noise of its own: a value whose mean is 0.5 is uniform. Photographs, whose
    pixels are near what they are expected to be, ask for a Gaussian likelihood.

    Examples
    --------
    >>> import torch
    >>> from skae.likelihoods import ContinuousBernoulli
    >>> module = ContinuousBernoulli().build(1)
    >>> module.log_prob(torch.tensor([[0.3]]), torch.zeros(1, 1))
    tensor([0.])
    """

    def check(self, X, numbers, called):
        """Refuse values outside of the unit interval."""
        refuse_outside_unit_interval(X, "continuous_bernoulli")

    def build(self, n_features):
        """Make the module."""
        return _ContinuousBernoulliModule()


def refuse_outside_unit_interval(X, name):
    """Refuse rows with values below 0 or above 1 by more than rounding."""
    values = X.data if sp.issparse(X) else X
    if not values.size:
        return
    lowest, highest = float(values.min()), float(values.max())
    if lowest < -ROUNDING or highest > 1 + ROUNDING:
        farthest = lowest if -lowest > highest - 1 else highest
        raise ValueError(
            f"likelihood={name!r} needs values between 0 and 1, but X has the value "
            f"{farthest:.8g}; divide by the largest value possible (255 of pixels), "
            "put MinMaxScaler(clip=True) before it, or use likelihood='gaussian'."
        )


class _ExponentialFamilyModule(LikelihoodModule):
    """``log p(x | z) = sum x eta - A(eta)``, with the mean ``A'(eta)``."""

    is_recordable = True

    link: Callable[..., tuple[np.ndarray, np.ndarray]]
    log_partition: Callable[..., torch.Tensor]
    mean: Callable[..., torch.Tensor]

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        intercept, in_mean = self.link(maps.mean)
        slopes = loadings * in_mean[:, None]
        return linked_start(intercept, slopes, code_scale, shrinkage)

    def predictor(self, mean):
        return self.link(mean)[0]

    def log_prob(self, x, eta):
        return (x * eta - self.log_partition(eta)).sum(-1)

    def log_prob_slope(self, x, eta, row_factor):
        return self.log_prob(x, eta), (x - self.mean(eta)) * row_factor[:, None]


class _BernoulliModule(_ExponentialFamilyModule):
    """``A(eta) = log(1 + exp(eta))``."""

    def link(self, mean):
        """Predictor of a mean, and its derivative."""
        mean = np.clip(mean, MEAN_MARGIN, 1 - MEAN_MARGIN)
        return np.log(mean / (1 - mean)), 1 / (mean * (1 - mean))

    def log_partition(self, eta):
        return functional.softplus(eta)

    def mean(self, eta, x=None):
        return torch.sigmoid(eta)

    def sample(self, eta, generator):
        uniform = torch.rand(eta.shape, generator=generator, dtype=torch.float64)
        return (uniform.to(eta) < torch.sigmoid(eta)).to(eta)


class _DrawnBernoulliModule(_BernoulliModule):
    """A Bernoulli whose rows are drawn each time that they are learned from."""

    draws_rows = True

    def drawn(self, x, generator):
        uniform = torch.rand(
            x.shape, generator=generator, dtype=x.dtype, device=x.device
        )
        return (uniform < x).to(x.dtype)


class _ContinuousBernoulliModule(_ExponentialFamilyModule):
    """``A(eta) = log((exp(eta) - 1) / eta) = h + log(sinh(h) / h)``; h is eta / 2."""

    def link(self, mean):
        """Predictor of a mean, and its derivative."""
        mean = np.clip(mean, DENSITY_MARGIN, 1 - DENSITY_MARGIN)
        low = np.full_like(mean, -1 / DENSITY_MARGIN)
        high = -low
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            is_low = self.mean(torch.from_numpy(middle)).numpy() < mean
            low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
        half = np.maximum(np.abs(middle / 2), SERIES_BELOW)
        # A'': 1 / (4 h^2) - 1 / (4 sinh(h)^2), about 1/12 around 0.
        variance = (1 / half**2 - 1 / np.sinh(half) ** 2) / 4
        return middle, 1 / variance

    def log_partition(self, eta):
        half = eta.abs() / 2
        square = half.square()
        series = square / 6 * (1 - square / 30 * (1 - square * 4 / 63))
        safe = half.clamp(min=SERIES_BELOW)
        exact = safe + torch.log(-torch.expm1(-2 * safe) / (2 * safe))
        return eta / 2 + torch.where(half < SERIES_BELOW, series, exact)

    def mean(self, eta, x=None):
        half = eta / 2
        square = half.square()
        series = half / 3 * (1 - square / 15 * (1 - square * 2 / 21))
        is_small = half.abs() < SERIES_BELOW
        safe = torch.where(is_small, torch.ones_like(half), half)
        langevin = 1 / torch.tanh(safe) - 1 / safe
        return (1 + torch.where(is_small, series, langevin)) / 2

    def sample(self, eta, generator):
        uniform = torch.rand(eta.shape, generator=generator, dtype=torch.float64)
        # The inverse of the distribution function, for the side that decays; the
        # other is its mirror image.
        wide = eta.cpu().double()
        decay = -wide.abs().clamp(min=UNIFORM_BELOW)
        drawn = torch.log1p(uniform * torch.expm1(decay)) / decay
        drawn = torch.where(wide > 0, 1 - drawn, drawn)
        return drawn.clamp(0, 1).to(eta)
