"""Derivatives: those of a perceptron, written out layer by layer.

Autograd would give the same gradient; for small layers its bookkeeping takes longer
than their arithmetic. What a training does not change (kernels, views of the weights)
is found once, and each layer keeps what went through it until the slope comes back:

    forward      x -> y = f(x)
    backward     the slope of the loss in y -> its slope in x
"""

import torch
from torch import nn
from torch.nn import functional

from .products import is_onednn_faster, linear_by_onednn, product_by_onednn

__all__ = ["WrittenAffine", "WrittenChain", "WrittenCurve"]

# Each activation's derivative: from the slope of what comes out, what went in and
# what came out to the slope of what went in.
_silu_slope = torch.ops.aten.silu_backward.default
_relu_slope = torch.ops.aten.threshold_backward.default
_leaky_relu_slope = torch.ops.aten.leaky_relu_backward.default
_elu_slope = torch.ops.aten.elu_backward.default
_gelu_slope = torch.ops.aten.gelu_backward.default
_tanh_slope = torch.ops.aten.tanh_backward.default
_sigmoid_slope = torch.ops.aten.sigmoid_backward.default
DERIVATIVES = {
    nn.SiLU: lambda slope, x, y: _silu_slope(slope, x),
    nn.ReLU: lambda slope, x, y: _relu_slope(slope, y, 0),
    nn.LeakyReLU: lambda slope, x, y: _leaky_relu_slope(slope, x, 0.01, False),
    nn.ELU: lambda slope, x, y: _elu_slope(slope, 1.0, 1.0, 1.0, False, x),
    nn.GELU: lambda slope, x, y: _gelu_slope(slope, x),
    nn.Tanh: lambda slope, x, y: _tanh_slope(slope, y),
    nn.Sigmoid: lambda slope, x, y: _sigmoid_slope(slope, y),
    nn.Identity: lambda slope, x, y: slope,
}


class WrittenChain:
    """Layers one after the other.

    Parameters
    ----------
    layers : list
        The first one affine.

    dtype : torch.dtype
        Of the products; rows and slopes come and go in float32.
    """

    def __init__(self, layers, dtype):
        self.layers, self.dtype = layers, dtype

    def forward(self, x):
        """Map rows to a tensor that is the caller's."""
        x = _as(self.dtype, x)
        for layer in self.layers:
            x = layer.forward(x)
        return _as(torch.float32, x)

    def backward(self, slope, *, needs_input):
        """Set the gradient of every layer, from the slope of the loss in the outputs.

        Returns
        -------
        torch.Tensor or None
            The slope in the inputs, where it is needed; it is the caller's.
        """
        slope = _as(self.dtype, slope)
        first, *others = self.layers
        for layer in reversed(others):
            slope = layer.backward(slope)
        first.set_gradient(slope)
        return _as(torch.float32, first.slope_in(slope)) if needs_input else None


def _as(dtype, tensor):
    """Convert a tensor; asking torch to change nothing takes as long as a small sum."""
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


class WrittenAffine:
    """A layer ``y = x W' + b``, its kernels chosen."""

    def __init__(self, layer, working):
        self.weight, self.gradient = working[layer.weight]
        self.bias, self.bias_gradient = working[layer.bias]
        size = working.batch_size * self.weight.numel()
        is_faster = is_onednn_faster(size, working.dtype, self.weight.device)
        self.linear = linear_by_onednn if is_faster else functional.linear
        self.product = product_by_onednn if is_faster else torch.mm

    def forward(self, x):
        """Map rows."""
        self.x = x
        return self.linear(x, self.weight, self.bias)

    def backward(self, slope):
        """Set the gradient; return the slope in what went in."""
        self.set_gradient(slope)
        return self.slope_in(slope)

    def set_gradient(self, slope):
        """Set the gradient from the slope in what came out."""
        self.product(slope.t(), self.x, out=self.gradient)
        torch.sum(slope, 0, dtype=torch.float32, out=self.bias_gradient)

    def slope_in(self, slope):
        """Give the slope in what went in."""
        return self.product(slope, self.weight)


class WrittenCurve:
    """An activation."""

    def __init__(self, layer):
        self.function = layer.forward
        self.derivative = DERIVATIVES[type(layer)]

    def forward(self, x):
        """Map rows."""
        self.x, self.y = x, self.function(x)
        return self.y

    def backward(self, slope):
        """Give the slope in what went in."""
        return self.derivative(slope, self.x, self.y)
