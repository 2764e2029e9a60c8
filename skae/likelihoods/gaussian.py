"""Likelihoods of real numbers: Gaussian noise, shared or per column, and Student's.

    gaussian        x | z ~ N(eta, sigma2 I)               starts at probabilistic PCA
    gaussian_diag   x | z ~ N(eta, diag(sigma2))           starts at factor analysis
    student_t       x_j | z ~ eta_j + s_j t_nu             one nu; tails are forgiven

Rows and ``eta`` are measured from the column means. Errors are divided by a column's
deviation before they are squared: float32 holds the square of no small unit.
"""

import math

import numpy as np
import torch
from torch import nn

from skae.normal import LOG_2PI

from .base import (
    LearnedLog,
    Likelihood,
    LikelihoodModule,
    PredictorStart,
    remaining_variance,
    widest,
)

__all__ = ["Coordinates", "Gaussian", "GaussianDiag", "StudentT"]

# Share of the mean residual variance below which no column's correction is scaled.
GAIN_FLOOR = 0.01

# Share of its variance that is noise in any real column.
LEAST_NOISE = 1e-6

# The same of the scale of Student's noise, at the start.
NOISE_SHARE = 1e-4

# Noise of an autoencoder, or of classes, by that of the start, at least.
SMALLEST_RATIO = 1e-7

# What counts as 1 to a network of coordinates, as a share of their root mean square:
# the leading ones stand out, as they should, and the others are not lost.
COORDINATE_SPREAD = 0.5

# Steps that find the scale of Student's noise; each takes off five eighths of what
# the last has left.
SCALE_STEPS = 12

# Degrees of freedom at the start, above the 1 that a mean takes.
FREEDOM = 4.0


class Gaussian(Likelihood):
    """Gaussian columns with one shared noise variance, which a VAE learns.

    Errors count in the units of the rows, and so the networks see all columns in one
    unit, the root mean square of their deviations. (In a table of several likelihoods
    they see each column in units of its own.)

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.likelihoods import Gaussian
    >>> VAETransformer(likelihood=Gaussian())
    VAETransformer(likelihood=Gaussian())
    """

    centred = True
    starts_exact = True
    has_squared_errors = True
    least_noise = LEAST_NOISE

    def build(self, n_features):
        """Make the module."""
        return _GaussianModule(n_features)


class _NormalModule(LikelihoodModule):
    """Normal noise about eta, of one variance or of several."""

    is_squared_error = True
    is_recordable = True

    def __init__(self, *shape):
        super().__init__()
        self.log_noise = LearnedLog(*shape)
        # Share of the noise's variance that is drawn.
        self.drawn_share = nn.Buffer(torch.ones(shape, dtype=torch.float64))

    def leave_to_codes(self, n_components, n_features):
        self.drawn_share.fill_(max(n_features - n_components, 1) / n_features)

    def draw_errors(self, remainder):
        errors = self._together(remainder.average(remainder.squared_errors))
        drawn = errors.to(self.drawn_share) / torch.exp(self.log_noise())
        self.drawn_share.lerp_(drawn, remainder.share)

    def _together(self, squared_errors):
        """Give what columns of one noise have in common."""
        return squared_errors

    def sample(self, eta, generator):
        noise = torch.randn(eta.shape, generator=generator, dtype=torch.float64)
        deviation = torch.exp(self.log_noise() / 2).to(eta)
        return eta + self.drawn_share.sqrt().to(eta) * deviation * noise.to(eta)

    def _approach(self, noise, share):
        """Go a share of the way to another noise."""
        before = torch.exp(self.log_noise())
        self.log_noise.set(share * noise + (1 - share) * before)

    def _root_precision(self, dtype):
        return torch.exp(self.log_noise() / -2).to(dtype)


class _GaussianModule(_NormalModule):
    """``log p(x | z) = -1/2 (|x - eta|^2 / sigma2 + p log(2 pi sigma2))``."""

    def __init__(self, n_columns):
        super().__init__()
        self.n_columns = n_columns

    def spread(self, maps):
        varied = maps.variance > 0
        mean = maps.variance.sum() / max(np.count_nonzero(varied), 1)
        return np.where(varied, np.sqrt(mean), 0.0)

    def set_noise_variance(self, noise_variance):
        self.log_noise.set(float(noise_variance))

    def calibrate(self, remainder):
        """Take the mean deviance per degree of freedom for the noise."""
        noise = max(remainder.deviance, remainder.noise_floor)
        self._approach(noise, remainder.share)

    def _together(self, squared_errors):
        return squared_errors.mean()

    def explain(self, variance, explained):
        if variance.sum() > 0:
            share = 1 - explained.sum() / variance.sum()
            self.set_noise_variance(self.noise_variance * max(share, SMALLEST_RATIO))

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        explained = (maps.variance - maps.residual_variance).mean()
        noise = maps.column_noise.mean() + (1 - shrinkage) ** 2 * explained
        self.set_noise_variance(noise)
        residual = maps.residual_variance
        least = max(noise, maps.learnable_variance * np.square(maps.scale).mean())
        floor = GAIN_FLOOR * max(residual.mean(), least)
        gain = np.where(maps.variance > 0, np.sqrt(np.maximum(residual, floor)), 0.0)
        unit = max(maps.discarded_variance, least)
        return PredictorStart(np.zeros(len(gain)), loadings * shrinkage, gain, unit)

    def deviance(self, x, eta):
        return (x - eta).square().sum(-1)

    def deviance_slope(self, x, eta, row_factor):
        error = eta - x
        return error.square().sum(-1), error * (2 * row_factor)[:, None]

    def log_prob(self, x, eta):
        error = (x - eta) * self._root_precision(x.dtype)
        return self._log_prob(error.square().sum(-1))

    def _log_prob(self, squares):
        log_noise = self.log_noise().to(squares.dtype)
        return -0.5 * (squares + self.n_columns * (LOG_2PI + log_noise))

    def log_prob_slope(self, x, eta, row_factor):
        root = self._root_precision(x.dtype)
        error = (x - eta).mul_(root)
        squares = error.square().sum(-1)
        self.log_noise.set_gradient((squares - self.n_columns) @ row_factor / 2)
        return self._log_prob(squares), error.mul_((row_factor * root)[:, None])

    @property
    def noise_variance(self):
        return math.exp(self.log_noise().item())


class Coordinates(Gaussian):
    """Gaussian rows given by their coordinates in the space that they span.

    Squared errors and the noise are those of all columns. The coordinates are principal
    components, and the networks correct each by as much as PCA might leave in it; see
    :mod:`skae.fitting.coordinates`.

    Parameters
    ----------
    n_columns : int
        Columns that the rows have.
    """

    def __init__(self, n_columns):
        self.n_columns = n_columns

    def build(self, n_features):
        """Make the module."""
        return _CoordinatesModule(self.n_columns)


class _CoordinatesModule(_GaussianModule):
    """The same log-probability, of more columns than there are coordinates."""

    def spread(self, maps):
        return COORDINATE_SPREAD * super().spread(maps)

    def leave_to_codes(self, n_components, n_features):
        super().leave_to_codes(n_components, self.n_columns)

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        start = super().start(maps, loadings, code_scale, shrinkage)
        largest = np.sort(maps.variance)[::-1][maps.n_components :][:1].sum()
        return start._replace(gain=np.sqrt(np.minimum(maps.variance, largest)))


class GaussianDiag(Likelihood):
    """Gaussian columns, each with a noise variance of its own, which a VAE learns.

    A VAE starts at the maximum-likelihood solution of factor analysis, an autoencoder
    at PCA of the standardised columns, whose squared errors it then weighs alike. So
    neither depends on the units of the columns.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skae import VAETransformer
    >>> X, _ = load_wine(return_X_y=True)
    >>> vae = VAETransformer(3, likelihood="gaussian_diag", max_iter=0).fit(X)
    >>> vae.noise_variance_.shape
    (13,)
    """

    centred = True
    starts_exact = True
    has_squared_errors = True
    has_column_noise = True
    least_noise = LEAST_NOISE

    def build(self, n_features):
        """Make the module."""
        return _GaussianDiagModule(n_features)


class _GaussianDiagModule(_NormalModule):
    """``log p(x | z) = -1/2 sum (x - eta)^2 / sigma2 + log(2 pi sigma2)``."""

    def __init__(self, n_features):
        super().__init__(n_features)
        # An autoencoder weighs its errors by the noise of the start, which stays.
        self.unit_noise = nn.Buffer(torch.ones(n_features, dtype=torch.float64))

    def calibrate(self, remainder):
        """Take the mean deviance per degree of freedom for the noise, on average."""
        errors = remainder.average(remainder.squared_errors)
        ratio = errors.to(self.unit_noise) / self.unit_noise
        mean = ratio.mean()
        ratio = ratio / mean if mean > 0 else torch.ones_like(ratio)
        ratio = (ratio * remainder.deviance).clamp(min=SMALLEST_RATIO)
        self._approach(self.unit_noise * ratio, remainder.share)

    def explain(self, variance, explained):
        varies = variance > 0
        share = np.divide(
            explained, variance, out=np.zeros_like(variance), where=varies
        )
        self.log_noise.set(self.noise_variance * np.maximum(1 - share, SMALLEST_RATIO))

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        explained = maps.variance - maps.residual_variance
        noise = maps.column_noise + (1 - shrinkage) ** 2 * explained
        self.log_noise.set(noise)
        self.unit_noise.copy_(torch.as_tensor(noise))
        residual = np.maximum(maps.residual_variance, GAIN_FLOOR * noise)
        gain = np.where(maps.variance > 0, np.sqrt(residual), 0.0)
        unit = max(maps.discarded_variance / maps.noise_variance, 1.0)
        return PredictorStart(np.zeros(len(gain)), loadings * shrinkage, gain, unit)

    def deviance(self, x, eta):
        return ((x - eta) / self.unit_noise.sqrt().to(x.dtype)).square().sum(-1)

    def deviance_slope(self, x, eta, row_factor):
        unit = self.unit_noise.sqrt().to(x.dtype)
        error = (eta - x).div_(unit)
        deviance = error.square().sum(-1)
        return deviance, error.div_(unit).mul_((2 * row_factor)[:, None])

    def log_prob(self, x, eta):
        return self._log_prob(((x - eta) * self._root_precision(x.dtype)).square())

    def _log_prob(self, squares):
        log_determinant = (LOG_2PI + self.log_noise()).sum().to(squares.dtype)
        return -0.5 * (squares.sum(-1) + log_determinant)

    def log_prob_slope(self, x, eta, row_factor):
        root = self._root_precision(x.dtype)
        error = (x - eta).mul_(root)
        squares = error.square()
        self.log_noise.set_gradient((row_factor @ squares - row_factor.sum()) / 2)
        return self._log_prob(squares), error.mul_(root).mul_(row_factor[:, None])

    @property
    def noise_variance(self):
        return torch.exp(self.log_noise()).detach().cpu().numpy()


class StudentT(Likelihood):
    """Columns with Student's noise: far values are forgiven, not chased.

    Each column has its scale and all share the degrees of freedom, which are above 1
    so that there is a mean. A VAE learns them; an autoencoder, whose loss is robust,
    leaves them as they are at the start: the residuals' scale, and 5 degrees. It draws
    with the scales at which its errors are likeliest.

    Examples
    --------
    >>> from skae import AutoencoderTransformer
    >>> AutoencoderTransformer(likelihood="student_t")
    AutoencoderTransformer(likelihood='student_t')
    """

    centred = True
    has_column_noise = True
    least_noise = NOISE_SHARE

    def build(self, n_features):
        """Make the module."""
        return _StudentTModule(n_features)


class _StudentTModule(LikelihoodModule):
    """``log p = sum c(nu) - log s - (nu + 1)/2 log(1 + (x - eta)^2 / (nu s^2))``."""

    is_recordable = True

    def __init__(self, n_features):
        super().__init__()
        self.log_scale2 = LearnedLog(n_features)
        self.log_excess = LearnedLog()
        # Share of the square of each column's scale that is drawn.
        self.drawn_share = nn.Buffer(torch.ones(n_features, dtype=torch.float64))

    @property
    def freedom(self):
        """Degrees of freedom ``nu``."""
        return 1 + torch.exp(self.log_excess())

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        floor = np.maximum(NOISE_SHARE * maps.variance, maps.column_noise_floor)
        residual = np.maximum(remaining_variance(maps, shrinkage), floor)
        self.log_excess.set(FREEDOM)
        # The variance of t is nu / (nu - 2).
        self.log_scale2.set(residual * (FREEDOM - 1) / (FREEDOM + 1))
        gain = np.where(maps.variance > 0, np.sqrt(residual), 0.0)
        n_features = len(gain)
        return PredictorStart(
            np.zeros(n_features), loadings * shrinkage, gain, float(n_features)
        )

    def log_prob(self, x, eta):
        error = (x - eta) * self._root_precision(x.dtype)
        return self._log_prob(torch.log1p(error.square()))

    def _root_precision(self, dtype):
        """Give ``1 / (s sqrt(nu))``."""
        return torch.exp(self.log_scale2() / -2).div(self.freedom.sqrt()).to(dtype)

    def _log_prob(self, logs):
        nu, n_features = self.freedom, logs.shape[-1]
        constant = n_features * self._log_constant(nu) - self.log_scale2().sum() / 2
        tail = logs.sum(-1) * ((nu + 1) / 2).to(logs.dtype)
        return constant.to(logs.dtype) - tail

    @staticmethod
    def _log_constant(nu):
        log_ratio = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2)
        return log_ratio - torch.log(math.pi * nu) / 2

    def log_prob_slope(self, x, eta, row_factor):
        nu, root = self.freedom, self._root_precision(x.dtype)
        error = (x - eta).mul_(root)
        ratio = error.square()
        logs = torch.log1p(ratio)
        n_features, total = x.shape[-1], widest(row_factor.sum())
        pull = (nu + 1).to(x.dtype) / (1 + ratio)
        in_eta = error.mul_(pull).mul_(root)
        by_column = widest(row_factor @ (pull * ratio))
        self.log_scale2.set_gradient((by_column - total) / 2)
        digammas = torch.digamma((nu + 1) / 2) - torch.digamma(nu / 2) - 1 / nu
        in_nu = n_features * total * digammas - (row_factor @ logs).sum()
        in_nu = (in_nu + by_column.sum() / nu) / 2
        self.log_excess.set_gradient(in_nu * (nu - 1))
        return self._log_prob(logs), in_eta.mul_(row_factor[:, None])

    def sample(self, eta, generator):
        nu = self.freedom.detach().cpu()
        normal = torch.randn(eta.shape, generator=generator, dtype=torch.float64)
        gamma = torch._standard_gamma((nu / 2).expand(eta.shape), generator=generator)
        noise = normal / torch.sqrt(2 * gamma / nu)
        scale = torch.exp(self.log_scale2() / 2) * self.drawn_share.sqrt()
        return eta + scale.to(eta) * noise.to(eta)

    def draw_errors(self, remainder):
        """Draw errors of the scale at which those of the rows are likeliest.

        With r the squared errors in units of the scale, and u that of which we draw,
        the share u solves ``1 = E (nu + 1) r / (nu u + r)``, and is found step by step.
        """
        nu, scale2 = self.freedom.detach(), torch.exp(self.log_scale2().detach())
        r = remainder.squared_errors / scale2
        before = share = self.drawn_share.clone()
        for _ in range(SCALE_STEPS):
            found = share * remainder.average((nu + 1) * r / (nu * share + r))
            share = before.lerp(found, remainder.share).clamp(min=SMALLEST_RATIO)
        self.drawn_share.copy_(share)
