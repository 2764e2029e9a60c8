"""Layers: what networks are made of, beside torch's own."""

from numbers import Integral

import torch
from torch import nn
from torch.nn import functional

from .derivatives import linear

__all__ = ["ACTIVATIONS", "LANES", "FixedLinear", "Gated", "Linear"]


ACTIVATIONS = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
}

# Widths that matrix kernels treat alike wherever a row stands in its block.
LANES = 16


def _rowwise_linear(x, weight, bias):
    """Compute ``x W' + b`` so that a row's result does not depend on its position.

    Matrix kernels handle the remainder of a width that is no multiple of their lanes
    by other code, and sum a row in another order at the edge of a block. With both
    widths padded by zeros every row of a block takes the same path, bit for bit.
    """
    n_outputs, n_inputs = weight.shape
    pad_in, pad_out = -n_inputs % LANES, -n_outputs % LANES
    if pad_in or pad_out:
        weight = functional.pad(weight, (0, pad_in, 0, pad_out))
    if pad_in:
        x = functional.pad(x, (0, pad_in))
    y = linear(x, weight)[..., :n_outputs]
    return y if bias is None else y + bias


class Linear(nn.Linear):
    """A trained affine map whose inference is the same for a row in any company."""

    def forward(self, x):
        """Map rows."""
        if self.training:
            return functional.linear(x, self.weight, self.bias)
        return _rowwise_linear(x, self.weight, self.bias)


class FixedLinear(nn.Module):
    """A linear map that is not trained, kept wide and applied in the rows' own type."""

    def __init__(self, n_inputs, n_outputs, dtype=torch.float64):
        super().__init__()
        self.weight = nn.Buffer(torch.zeros(n_outputs, n_inputs, dtype=dtype))

    def forward(self, x, n_outputs=None):
        """Map rows, to all outputs or to the first ones."""
        weight = self.weight[:n_outputs].to(x.dtype)
        if self.training:
            return functional.linear(x, weight)
        return _rowwise_linear(x, weight, None)


class Gated(nn.Module):
    """Any network behind a gain per output that starts at 0.

    It lets a module that knows nothing of PCA join the linear path.
    """

    def __init__(self, network, n_outputs):
        super().__init__()
        self.network = network
        self.gain = nn.Parameter(torch.zeros(n_outputs, dtype=torch.float32))

    def forward(self, x):
        """Map rows."""
        return self.network(x) * self.gain


def set_to_zero(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def check_activation(name, activation):
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{name}activation={activation!r}: choose one of {sorted(ACTIVATIONS)}."
        )


def is_positive_integer(size):
    return isinstance(size, Integral) and not isinstance(size, bool) and int(size) >= 1


def as_tuple(sizes):
    """Widths as a tuple; one number is a single layer."""
    is_one = not hasattr(sizes, "__iter__") or getattr(sizes, "ndim", 1) == 0
    return (sizes,) if is_one else tuple(sizes)
