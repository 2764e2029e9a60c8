"""Posteriors: how the code of a row is distributed given the row.

The encoder gives statistics of each row, from which a posterior is made: the mean, the
logarithms of k variances and whatever else it takes. A posterior offers

    at(noise)              the codes that standard normal noise becomes
    log_prob(z)            of codes, in nats
    log_marginals(z)       log-density of each component by itself
    divergences()          KL from the standard normal, per component; they add up
    std                    deviation of each component by itself

Codes may have more axes than the posterior; :meth:`each_draw` makes room for several
draws per row.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar

import torch

from skae.normal import LOG_2PI

__all__ = ["LOG_VARIANCES", "POSTERIORS", "DiagonalGaussian", "FullGaussian"]

# Bounds of the logarithm of a posterior variance, whatever a row far from all others
# makes of it.
LOG_VARIANCES = (-40.0, 4.0)


@dataclass(frozen=True)
class Posterior:
    """What Gaussian posteriors have in common.

    Attributes
    ----------
    mean : torch.Tensor of shape (..., n_components)

    log_variance : torch.Tensor of shape (..., n_components)
        Adds up to the logarithm of the covariance's determinant.
    """

    mean: torch.Tensor
    log_variance: torch.Tensor

    n_statistics: ClassVar[Callable]
    from_statistics: ClassVar[Callable]

    def map(self, function):
        """Apply a function to everything that the posterior is made of."""
        return type(self)(*(function(getattr(self, f.name)) for f in fields(self)))

    def each_draw(self):
        """Make room for the draws of a row, after the row's axis."""
        return self.map(lambda field: field.unsqueeze(1))


@dataclass(frozen=True)
class DiagonalGaussian(Posterior):
    """``z = mean + exp(log_variance / 2) * noise``, component by component.

    Examples
    --------
    >>> import torch
    >>> from skae.models.posteriors import DiagonalGaussian
    >>> DiagonalGaussian(torch.ones(1, 2), torch.zeros(1, 2)).divergences()
    tensor([[0.5000, 0.5000]])
    """

    @staticmethod
    def n_statistics(n_components):
        """How many numbers the encoder gives for a row."""
        return 2 * n_components

    @classmethod
    def from_statistics(cls, statistics, n_components):
        """Make the posterior from what the encoder gives."""
        mean, log_variance = statistics.split(n_components, dim=-1)
        return cls(mean, log_variance.clamp(*LOG_VARIANCES))

    @property
    def std(self):
        """Deviation of each component."""
        return torch.exp(self.log_variance / 2)

    def at(self, noise):
        """Codes that standard normal noise becomes."""
        return self.mean + self.std * noise

    def log_prob(self, z):
        """Log-density of codes."""
        return self.log_marginals(z).sum(-1)

    def log_marginals(self, z):
        """Log-density of each component by itself."""
        return _log_density((z - self.mean) / self.std, self.log_variance)

    def divergences(self):
        """KL(N(m, v) || N(0, 1)) = 1/2 (m^2 + v - log v - 1) of each component."""
        terms = self.mean.square() + self.log_variance.exp() - self.log_variance - 1
        return terms / 2

    def divergence_slopes(self, row_factor):
        """Give the derivatives of the divergences' sum, rows times factors."""
        factor = row_factor[:, None]
        return self.mean * factor, (self.log_variance.exp() - 1) / 2 * factor


@dataclass(frozen=True)
class FullGaussian(Posterior):
    """``z = mean + L noise`` with a lower triangular L, Cholesky's factor.

        L = diag(exp(log_variance / 2)) (I + N),    N strictly lower triangular

    The encoder gives the mean, ``log_variance`` (of each component given those before
    it) and N, row by row. With N = 0 this is :class:`DiagonalGaussian`.

    Examples
    --------
    >>> import torch
    >>> from skae.models.posteriors import FullGaussian
    >>> FullGaussian.from_statistics(torch.tensor([[0.0, 0, 0, 0, 0.5]]), 2).factor
    tensor([[[1.0000, 0.0000],
             [0.5000, 1.0000]]])
    """

    factor: torch.Tensor

    @staticmethod
    def n_statistics(n_components):
        """How many numbers the encoder gives for a row."""
        return 2 * n_components + n_components * (n_components - 1) // 2

    @classmethod
    def from_statistics(cls, statistics, n_components):
        """Make the posterior from what the encoder gives."""
        k = n_components
        mean, log_variance, below = statistics.tensor_split([k, 2 * k], dim=-1)
        log_variance = log_variance.clamp(*LOG_VARIANCES)
        i, j = torch.tril_indices(k, k, -1, device=below.device)
        unit = torch.diag_embed(torch.ones_like(mean))
        unit[..., i, j] = below
        return cls(mean, log_variance, torch.exp(log_variance / 2)[..., None] * unit)

    @property
    def std(self):
        """Deviation of each component by itself."""
        return self._variance.sqrt()

    @property
    def _variance(self):
        return self.factor.square().sum(-1)

    def at(self, noise):
        """Codes that standard normal noise becomes."""
        return self.mean + torch.einsum("...ij,...j->...i", self.factor, noise)

    def log_prob(self, z):
        """Log-density of codes."""
        unit = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        inverse = torch.linalg.solve_triangular(self.factor, unit, upper=False)
        noise = torch.einsum("...ij,...j->...i", inverse, z - self.mean)
        return _log_density(noise, self.log_variance).sum(-1)

    def log_marginals(self, z):
        """Log-density of each component by itself."""
        return DiagonalGaussian(self.mean, self._variance.log()).log_marginals(z)

    def divergences(self):
        """Share of each component in KL(N(m, L L') || N(0, I)).

        1/2 (m_i^2 + (L L')_ii - log L_ii^2 - 1), none of which is negative.
        """
        terms = self.mean.square() + self._variance - self.log_variance - 1
        return terms / 2


POSTERIORS: dict[str, type[Posterior]] = {
    "diagonal": DiagonalGaussian,
    "full": FullGaussian,
}


def _log_density(noise, log_variance):
    """Log-density of each component, from the noise that became it."""
    return -(noise.square() + log_variance + LOG_2PI) / 2
