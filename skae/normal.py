"""The standard normal: its density, and draws from it."""

import math

import torch

__all__ = ["LOG_2PI", "log_density", "noise_like"]

LOG_2PI = math.log(2 * math.pi)


def log_density(z):
    """Log-density of codes, as tensors or as arrays."""
    return -(z**2 + LOG_2PI).sum(-1) / 2


def noise_like(tensor, generator):
    """Draw in the shape of a tensor."""
    return torch.randn(
        tensor.shape, generator=generator, dtype=tensor.dtype, device=tensor.device
    )
