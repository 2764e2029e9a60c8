"""Layers: what networks are made of, beside torch's own."""

import torch
from torch import nn
from torch.nn import functional

from .products import rowwise_linear

__all__ = [
    "ACTIVATIONS",
    "FixedLinear",
    "Gated",
    "Linear",
    "as_tuple",
    "check_activation",
    "set_to_zero",
]


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


class Linear(nn.Linear):
    """A trained affine map whose inference is the same for a row in any company."""

    def forward(self, x):
        """Map rows."""
        if self.training:
            return functional.linear(x, self.weight, self.bias)
        return rowwise_linear(x, self.weight, self.bias)


class FixedLinear(nn.Module):
    """A linear map that is not trained: in the widest type, applied in the rows'."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.weight = nn.Buffer(torch.zeros(n_outputs, n_inputs, dtype=torch.float64))

    def forward(self, x, n_outputs=None):
        """Map rows, to all outputs or to the first ones."""
        weight = self.weight[:n_outputs].to(x.dtype)
        if self.training:
            return functional.linear(x, weight)
        return rowwise_linear(x, weight, None)


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
    """Let a layer begin as what gives 0."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def check_activation(name, activation):
    """Refuse an activation that is not known, naming the parameter it came by."""
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{name}activation={activation!r}: choose one of {sorted(ACTIVATIONS)}."
        )


def as_tuple(sizes):
    """Give widths as a tuple; one number is a single layer."""
    is_one = not hasattr(sizes, "__iter__") or getattr(sizes, "ndim", 1) == 0
    return (sizes,) if is_one else tuple(sizes)
