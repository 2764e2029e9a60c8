"""The density of rows under the linear model at which a training began.

    p(x) = p(x | z) p(z) / p(z | x),    exactly, at the mean z of p(z | x)

of which the logarithm is a constant less half of the row's square, by the covariance C.
That may be a multiple of the start's, and its noise, where all columns share it, a
further multiple; with v the variance of z given x,

    x' C^-1 x = |x - W z|^2 / (excess noise) + sum c z^2

    c = (1 - v / excess) / (1 - v)      where  excess v < 1;  1 without excess
        (1 + v) / (excess v)            else, a direction having no less than noise
"""

import math

import numpy as np
import torch

from skae.normal import LOG_2PI

__all__ = ["StartDensity"]


class StartDensity:
    """Density of rows at the start, which bounds what a far row can cost.

        p(x) = (n p_model(x) + p_start(x)) / (n + 1)

    A network leaves less noise, by which a row far from all others is punished
    without bound; here no row is less likely than at the start, whose variances and
    noise are those of ``PCA.score``, by more than ``log(n + 1)``. Factor analysis
    may itself leave a column hardly any noise, if two columns vary in the same few
    rows; so with a noise per column independent columns have half of that share, and
    no row is less likely than by either half by more than ``log 2(n + 1)``.

    Parameters
    ----------
    model : VariationalAutoencoder

    maps : LinearMaps
        That it started from.

    has_column_noise : bool

    Attributes
    ----------
    factor : float
        Of all variances: divided by rows less one, as PCA's are.

    noise, variance : torch.Tensor of shape (n_features,)
        Of each column.

    excess : float
        Of the noise besides, 1 or more; with noise that all columns share.
    """

    def __init__(self, model, maps, *, has_column_noise):
        self.model, self.has_column_noise = model, has_column_noise
        noise, self.excess = maps.column_noise, 1.0
        if not has_column_noise:
            noise, self.excess = np.full_like(noise, noise.mean()), maps.noise_excess
        n_rows = max(maps.n_rows, 2.0)
        self.factor = n_rows / (n_rows - 1)
        variance = self.factor * np.maximum(maps.variance, noise)
        self.variance, self.noise = torch.from_numpy(variance), torch.from_numpy(noise)

    def mixed(self, log_likelihood, x, n_seen):
        """Give rows that the model has seen so many like the share of one by it."""
        learned = log_likelihood + math.log(n_seen)
        return torch.logaddexp(learned, self.log_prob(x)) - math.log1p(n_seen)

    def log_prob(self, x):
        """Log-likelihood of each row."""
        by_maps = self._by_maps(x)
        if not self.has_column_noise:
            return by_maps
        return torch.logaddexp(by_maps, self._by_column(x)) - math.log(2)

    def _by_maps(self, x):
        """Log-likelihood under probabilistic PCA, or factor analysis."""
        k, noise, excess = self.model.prior.n_components, self.noise.to(x), self.excess
        statistics = self.model.encoder.linear_part(x)
        z, log_variance = statistics[:, :k], statistics[:, k : 2 * k]
        errors = (x - self.model.decoder.linear_part(z)).square() / (excess * noise)
        variance = log_variance.exp()
        raised = excess * variance
        is_noise = raised >= 1
        beyond = (1 - variance / excess) / torch.where(is_noise, 1.0, 1 - variance)
        weight = torch.where(is_noise, (1 + variance) / raised, beyond)
        square = (errors.sum(-1) + (weight * z.square()).sum(-1)) / self.factor
        volume = (LOG_2PI + (self.factor * excess * noise).log()).sum()
        volume = volume - raised.clamp(max=1).log().sum(-1)
        return -(volume + square) / 2

    def _by_column(self, x):
        """Log-likelihood under independent Gaussian columns, about their means."""
        variance = self.variance.to(x)
        return -(x.square() / variance + LOG_2PI + variance.log()).sum(-1) / 2
