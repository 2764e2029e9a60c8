"""The standard normal: its density, draws from it, and codes brought to it."""

import math

import torch
from scipy.linalg import solve_triangular

__all__ = ["LOG_2PI", "log_density", "noise_like", "whitened"]

LOG_2PI = math.log(2 * math.pi)


def log_density(z):
    """Log-density of codes, as tensors or as arrays."""
    return -(z**2 + LOG_2PI).sum(-1) / 2


def noise_like(tensor, generator):
    """Draw in the shape of a tensor."""
    return torch.randn(
        tensor.shape, generator=generator, dtype=tensor.dtype, device=tensor.device
    )


def whitened(root, codes):
    """Give codes in units of a covariance, by its lower Cholesky root."""
    return solve_triangular(root, codes.T, lower=True, check_finite=False).T
