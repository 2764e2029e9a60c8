"""Likelihoods: how a row is distributed given what the decoder predicts from its code.

The decoder gives a predictor ``eta`` per column; a likelihood reads it:

    gaussian     x | z ~ N(eta, sigma2 I)                 one noise sigma2
    bernoulli    x | z ~ Bernoulli(1 / (1 + exp(-eta)))   per column

A likelihood is a spec with parameters only; ``build(n_features)`` makes the
``nn.Module`` that holds what is learned. The module offers

    log_prob(x, eta)   log p(x | z) of each row, in nats
    deviance(x, eta)   what an autoencoder minimises: minus log_prob, up to constants
                       and the noise
    log_prob_slope, deviance_slope (x, eta, row_factor)
                       the same, and the derivative in eta of their sum, each row
                       times its factor; sets the gradient of what is learned
    mean(eta)          E[x | z]
    sample(eta, generator)
    start(maps, loadings, code_scale)   where the predictor begins

Rows and ``eta`` are measured from an origin: the column means where
``centred`` is true, else zero.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn import functional

__all__ = ["LIKELIHOODS", "Bernoulli", "Gaussian", "PredictorStart"]

# Column means are kept this far from 0 and 1 before the logit is taken.
MEAN_MARGIN = 1e-4

# Largest change of a logit per unit of a code at the start.
LARGEST_SLOPE = 4.0

# Share of the mean residual variance below which no column's correction is scaled.
GAIN_FLOOR = 0.01


class PredictorStart(NamedTuple):
    """Where the predictor ``eta = intercept + slopes z + gain * network`` begins.

    Attributes
    ----------
    intercept : ndarray of shape (n_features,)

    slopes : ndarray of shape (n_features, n_components)

    gain : ndarray of shape (n_features,)
        Size of the correction that is to be learned, per column.

    unit : float
        Deviance of a row that counts as 1 in the optimisation of an autoencoder.
    """

    intercept: np.ndarray
    slopes: np.ndarray
    gain: np.ndarray
    unit: float


class Gaussian(BaseEstimator):
    """Gaussian columns with one shared noise variance, which a VAE learns.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.likelihoods import Gaussian
    >>> VAETransformer(likelihood=Gaussian())
    VAETransformer(likelihood=Gaussian())
    """

    centred = True

    def check(self, X):
        """Accept any finite number."""

    def build(self, n_features):
        """Make the module."""
        return _GaussianModule()


class _GaussianModule(nn.Module):
    """``log p(x | z) = -1/2 (|x - eta|^2 / sigma2 + p log(2 pi sigma2))``."""

    # Adam moves every parameter by about the learning rate, whatever its gradient;
    # the logarithm of the noise has several units to go.
    RATE = 10.0

    def __init__(self):
        super().__init__()
        self.log_noise_start = nn.Buffer(torch.zeros((), dtype=torch.float64))
        self.log_noise_shift = nn.Parameter(torch.zeros((), dtype=torch.float32))

    @property
    def log_noise(self):
        return self.log_noise_start + self.RATE * self.log_noise_shift

    def set_noise_variance(self, noise_variance):
        with torch.no_grad():
            self.log_noise_start.fill_(math.log(noise_variance))
            self.log_noise_shift.zero_()

    def start(self, maps, loadings, code_scale):
        self.set_noise_variance(maps.noise_variance)
        residual = maps.residual_variance
        floor = max(GAIN_FLOOR * residual.mean(), maps.noise_variance * GAIN_FLOOR)
        gain = np.where(maps.variance > 0, np.sqrt(np.maximum(residual, floor)), 0.0)
        unit = max(maps.discarded_variance, maps.noise_variance)
        return PredictorStart(np.zeros(len(gain)), loadings, gain, unit)

    def deviance(self, x, eta):
        return (x - eta).square().sum(-1)

    def deviance_slope(self, x, eta, row_factor):
        error = eta - x
        return error.square().sum(-1), error * (2 * row_factor)[:, None]

    def log_prob(self, x, eta):
        return self._log_prob(self.deviance(x, eta), x.shape[-1])

    def _log_prob(self, deviance, n_features):
        log_noise = self.log_noise.to(deviance.dtype)
        error = deviance * torch.exp(-log_noise)
        return -0.5 * (error + n_features * (math.log(2 * math.pi) + log_noise))

    def log_prob_slope(self, x, eta, row_factor):
        precision = torch.exp(-self.log_noise).to(x.dtype)
        deviance, slope = self.deviance_slope(x, eta, row_factor * precision / -2)
        in_log_noise = (precision * deviance - x.shape[-1]) / 2
        gradient = self.RATE * (in_log_noise @ row_factor)
        torch.add(gradient, 0, out=self.log_noise_shift.grad)
        return self._log_prob(deviance, x.shape[-1]), slope

    def mean(self, eta):
        return eta

    def sample(self, eta, generator):
        noise = torch.randn(eta.shape, generator=generator, dtype=torch.float64)
        scale = torch.exp(self.log_noise / 2).to(eta)
        return eta + scale * noise.to(eta)

    @property
    def noise_variance(self):
        return math.exp(self.log_noise.item())


class Bernoulli(BaseEstimator):
    """Columns that are 0 or 1, or probabilities of a 1.

    For values between 0 and 1, as grey pixels, the score of a row is minus a cross
    entropy and not the logarithm of a density.

    Examples
    --------
    >>> from skae import AutoencoderTransformer
    >>> from skae.likelihoods import Bernoulli
    >>> AutoencoderTransformer(likelihood=Bernoulli())
    AutoencoderTransformer(likelihood=Bernoulli())
    """

    centred = False

    def check(self, X):
        """Refuse values that are no probabilities."""
        values = X.data if hasattr(X, "indptr") else X
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(
                "likelihood='bernoulli' needs values between 0 and 1, but X has values "
                f"from {values.min():.6g} to {values.max():.6g}; scale X (divide by "
                "the largest value, or MinMaxScaler) or use likelihood='gaussian'."
            )

    def build(self, n_features):
        """Make the module."""
        return _BernoulliModule()


class _BernoulliModule(nn.Module):
    """``log p(x | z) = sum x eta - log(1 + exp(eta))``."""

    def start(self, maps, loadings, code_scale):
        mean = np.clip(maps.mean, MEAN_MARGIN, 1 - MEAN_MARGIN)
        # The derivative of the logit is 1 / (m (1 - m)).
        slopes = loadings / (mean * (1 - mean))[:, None]
        spread = np.where(code_scale > 0, code_scale, 1.0)
        return PredictorStart(
            np.log(mean / (1 - mean)),
            np.clip(slopes * spread, -LARGEST_SLOPE, LARGEST_SLOPE) / spread,
            np.ones(len(mean)),
            float(len(mean)),
        )

    def log_prob(self, x, eta):
        return (x * eta - functional.softplus(eta)).sum(-1)

    def log_prob_slope(self, x, eta, row_factor):
        slope = (x - torch.sigmoid(eta)) * row_factor[:, None]
        return self.log_prob(x, eta), slope

    def deviance(self, x, eta):
        return -self.log_prob(x, eta)

    def deviance_slope(self, x, eta, row_factor):
        slope = (torch.sigmoid(eta) - x) * row_factor[:, None]
        return self.deviance(x, eta), slope

    def mean(self, eta):
        return torch.sigmoid(eta)

    def sample(self, eta, generator):
        uniform = torch.rand(eta.shape, generator=generator, dtype=torch.float64)
        return (uniform.to(eta) < torch.sigmoid(eta)).to(eta)


LIKELIHOODS = {"gaussian": Gaussian, "bernoulli": Bernoulli}
