"""Posteriors: how the code of a row is distributed given the row.

The encoder gives statistics of each row, from which a posterior is made: the mean, the
logarithms of k variances and whatever else it takes. A posterior offers

    at(noise)              the codes that standard normal noise becomes
    log_prob(z)            of codes, in nats
    log_prob_at(noise)     the same of ``at(noise)``, with no linear system to solve
    divergences()          KL from the standard normal, per component; they add up
    std                    deviation of each component

Draws of a row have an axis of their own after :meth:`each_draw`.
"""

import math
from typing import NamedTuple

import torch

__all__ = ["LOG_VARIANCES", "POSTERIORS", "DiagonalGaussian", "noise_like"]

# Bounds of the logarithm of a posterior variance, whatever a row far from all others
# makes of it.
LOG_VARIANCES = (-40.0, 4.0)

LOG_2PI = math.log(2 * math.pi)


class DiagonalGaussian(NamedTuple):
    """``z = mean + exp(log_variance / 2) * noise``, component by component.

    Examples
    --------
    >>> import torch
    >>> from skae.posteriors import DiagonalGaussian
    >>> DiagonalGaussian(torch.ones(1, 2), torch.zeros(1, 2)).divergences()
    tensor([[0.5000, 0.5000]])
    """

    mean: torch.Tensor
    log_variance: torch.Tensor

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

    def detached(self):
        """Give the same posterior to whom no gradient flows back."""
        return type(self)(*(field.detach() for field in self))

    def each_draw(self):
        """Give the posterior an axis for the draws of a row."""
        return type(self)(*(field.unsqueeze(1) for field in self))

    def at(self, noise):
        """Codes that standard normal noise becomes."""
        return self.mean + self.std * noise

    def log_prob(self, z):
        """Log-density of codes."""
        return self.log_prob_at((z - self.mean) / self.std)

    def log_prob_at(self, noise):
        """Log-density of ``at(noise)``."""
        return -(noise.square() + self.log_variance + LOG_2PI).sum(-1) / 2

    def divergences(self):
        """KL(N(m, v) || N(0, 1)) = 1/2 (m^2 + v - log v - 1) of each component."""
        terms = self.mean.square() + self.log_variance.exp() - self.log_variance - 1
        return terms / 2

    def divergence_slopes(self, row_factor):
        """Give the derivatives of the divergences' sum, rows times factors."""
        factor = row_factor[:, None]
        return self.mean * factor, (self.log_variance.exp() - 1) / 2 * factor


POSTERIORS = {"diagonal": DiagonalGaussian}


def noise_like(tensor, generator):
    """Draw from the standard normal in the shape of a tensor."""
    return torch.randn(
        tensor.shape, generator=generator, dtype=tensor.dtype, device=tensor.device
    )
