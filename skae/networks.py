"""Networks: specs that hold parameters and build an ``nn.Module``.

A spec says what a network looks like; ``build(n_inputs, n_outputs)`` makes it. The
same spec makes the encoder and, mirrored, the decoder:

    encoder   n_features -> h_1 -> ... -> h_m -> n_components
    decoder   n_components -> h_m -> ... -> h_1 -> n_features

Where a network corrects a linear map (PCA) its last layer starts at zero, so that the
map alone is what the model computes before it is trained.
"""

import math
from itertools import pairwise
from numbers import Integral
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn import functional

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "ChannelsFirst",
    "ChannelsLast",
    "Conv",
    "FixedLinear",
    "Gated",
    "Linear",
    "Perceptron",
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

# Widths that matrix kernels treat alike wherever a row stands in its block.
_LANES = 16

# Float32 products of so many multiplications are oneDNN's where torch has it: the
# default library leaves half of the arithmetic of some processors unused. Below, what
# it takes to call oneDNN is more than it saves.
_LARGE_PRODUCT = 2**22
_onednn_linear: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def _is_onednn_faster(n_multiplications, dtype, device):
    """Whether products of a size are oneDNN's, where nobody differentiates them."""
    return (
        n_multiplications >= _LARGE_PRODUCT
        and dtype == torch.float32
        and device.type == "cpu"
        and _onednn_linear is not None
    )


def _linear_by_onednn(x, weight, bias=None):
    return _onednn_linear(x, weight, bias, "none", [], "")


def _product_by_onednn(a, b, out):
    return out.copy_(_onednn_linear(a, b.t(), None, "none", [], ""))


def _linear(x, weight):
    """Compute ``x W'``."""
    is_faster = _is_onednn_faster(x.numel() * len(weight), x.dtype, x.device)
    if is_faster and not torch.is_grad_enabled():
        return _linear_by_onednn(x, weight)
    return functional.linear(x, weight)


def _rowwise_linear(x, weight, bias):
    """Compute ``x W' + b`` so that a row's result does not depend on its position.

    Matrix kernels handle the remainder of a width that is no multiple of their lanes
    by other code, and sum a row in another order at the edge of a block. With both
    widths padded by zeros every row of a block takes the same path, bit for bit.
    """
    n_outputs, n_inputs = weight.shape
    pad_in, pad_out = -n_inputs % _LANES, -n_outputs % _LANES
    if pad_in or pad_out:
        weight = functional.pad(weight, (0, pad_in, 0, pad_out))
    if pad_in:
        x = functional.pad(x, (0, pad_in))
    y = _linear(x, weight)[..., :n_outputs]
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

    def forward(self, x):
        """Map rows."""
        weight = self.weight.to(x.dtype)
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


class Perceptron(nn.Sequential):
    """Affine maps with activations between them, and its derivative written out.

    Autograd would give the same gradient; for small layers its bookkeeping takes
    longer than their arithmetic.
    """

    @property
    def readout(self):
        """The last layer."""
        return self[-1]

    def hidden(self, x):
        """Map rows to the last hidden layer."""
        for layer in list(self)[:-1]:
            x = layer(x)
        return x

    def traced(self, x, working):
        """Map rows, and keep what :meth:`backward` needs.

        Parameters
        ----------
        x : torch.Tensor of shape (n_rows, n_inputs)

        working : Working
            Values and gradients of the weights, in the type of the products.

        Returns
        -------
        y : torch.Tensor of shape (n_rows, n_outputs)
            In float32.

        trace : list
        """
        trace = [x.to(working.dtype)]
        for layer in working.of(self, self._written_out):
            trace.append(layer.forward(trace[-1]))
        return trace[-1].to(torch.float32), trace

    def backward(self, trace, slope, working, *, needs_input):
        """Set the gradient of every layer, from the slope of the loss in the outputs.

        Returns
        -------
        torch.Tensor or None
            The slope in the inputs, where it is needed.
        """
        layers = working.of(self, self._written_out)
        slope = slope.to(working.dtype)
        for i in range(len(layers) - 1, 0, -1):
            slope = layers[i].backward(slope, trace[i], trace[i + 1])
        layers[0].set_gradient(slope, trace[0])
        return layers[0].slope_in(slope).to(torch.float32) if needs_input else None

    def _written_out(self, working):
        return [
            _Affine(layer, working) if isinstance(layer, Linear) else _Curve(layer)
            for layer in self
        ]


class _Affine:
    """A layer ``y = x W' + b`` of a training, its kernels chosen."""

    def __init__(self, layer, working):
        self.weight, self.gradient = working[layer.weight]
        self.bias, self.bias_gradient = working[layer.bias]
        size = working.batch_size * self.weight.numel()
        is_faster = _is_onednn_faster(size, working.dtype, self.weight.device)
        self.linear = _linear_by_onednn if is_faster else functional.linear
        self.product = _product_by_onednn if is_faster else torch.mm
        self.transposed = self.weight.t()

    def forward(self, x):
        return self.linear(x, self.weight, self.bias)

    def backward(self, slope, x, y):
        """Set the gradient; return the slope in what went in."""
        self.set_gradient(slope, x)
        return self.slope_in(slope)

    def set_gradient(self, slope, x):
        self.product(slope.t(), x, out=self.gradient)
        torch.sum(slope, 0, dtype=torch.float32, out=self.bias_gradient)

    def slope_in(self, slope):
        return self.linear(slope, self.transposed)


class _Curve:
    """An activation of a training, and its derivative."""

    def __init__(self, layer):
        self.forward = layer.forward
        self.backward = DERIVATIVES[type(layer)]


class MLP(BaseEstimator):
    """A multilayer perceptron.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(256, 128)
        Widths from the input on; the decoder built from the same spec mirrors them.
        ``()`` is one linear layer.

    activation : {"silu", "relu", "leaky_relu", "elu", "gelu", "tanh", "logistic", \
            "identity"}, default="silu"
        Activation of the hidden layers.

    Examples
    --------
    >>> from skae.networks import MLP
    >>> MLP((32,)).build(10, 2)
    Perceptron(
      (0): Linear(in_features=10, out_features=32, bias=True)
      (1): SiLU()
      (2): Linear(in_features=32, out_features=2, bias=True)
    )
    """

    def __init__(self, hidden_layer_sizes=(256, 128), activation="silu"):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation

    def check(self, name):
        """Refuse wrong settings, naming the parameter they came by."""
        widths = self.hidden_layer_sizes
        if not all(_is_positive_integer(width) for width in _as_tuple(widths)):
            raise ValueError(
                f"{name}hidden_layer_sizes={widths!r}: give the widths of the hidden "
                "layers as integers of 1 or more, as in (256, 128)."
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"{name}activation={self.activation!r}: choose one of "
                f"{sorted(ACTIVATIONS)}."
            )

    def build(self, n_inputs, n_outputs, *, mirror=False, zero_last=True):
        """Make the network.

        Parameters
        ----------
        n_inputs, n_outputs : int
            Widths of what goes in and what comes out.

        mirror : bool, default=False
            Whether the hidden layers come in reverse order, as in a decoder.

        zero_last : bool, default=True
            Whether the last layer starts at zero.

        Returns
        -------
        Perceptron
        """
        hidden = _as_tuple(self.hidden_layer_sizes)
        widths = (n_inputs, *(hidden[::-1] if mirror else hidden), n_outputs)
        layers = []
        for width_in, width_out in pairwise(widths):
            layers += [
                Linear(width_in, width_out, dtype=torch.float32),
                ACTIVATIONS[self.activation](),
            ]
        if zero_last:
            _set_to_zero(layers[-2])
        return Perceptron(*layers[:-1])


class Conv(BaseEstimator):
    """A convolutional network for rows that are images.

    Each layer halves height and width and has a 3 x 3 kernel; the mirrored network
    doubles them again by transposed convolutions.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width)``, or ``(height, width, channels)`` with the channels last,
        as images are flattened by NumPy and matplotlib.

    channels : tuple of int, default=(32, 64)
        Number of feature maps of each layer, from the image on.

    activation : str, default="silu"
        As in :class:`MLP`.

    Examples
    --------
    >>> import torch
    >>> from skae.networks import Conv
    >>> network = Conv((8, 8), channels=(4,)).build(64, 2)
    >>> network(torch.zeros(3, 64)).shape
    torch.Size([3, 2])
    """

    def __init__(self, image_shape, channels=(32, 64), activation="silu"):
        self.image_shape = image_shape
        self.channels = channels
        self.activation = activation

    def check(self, name):
        """Refuse wrong settings, naming the parameter they came by."""
        MLP(self.channels, self.activation).check(f"{name}channels as ")
        shape = _as_tuple(self.image_shape)
        if len(shape) not in (2, 3) or not all(map(_is_positive_integer, shape)):
            raise ValueError(
                f"{name}image_shape={self.image_shape!r}: give (height, width) or "
                "(height, width, channels)."
            )

    def build(self, n_inputs, n_outputs, *, mirror=False, zero_last=True):
        """Make the network; see :meth:`MLP.build`."""
        shape = (*_as_tuple(self.image_shape), 1)[:3]
        n_pixels = n_outputs if mirror else n_inputs
        if math.prod(shape) != n_pixels:
            raise ValueError(
                f"image_shape={self.image_shape!r} has {math.prod(shape)} values, but "
                f"the rows have {n_pixels} columns."
            )
        sides = [shape[:2]]
        for _ in self.channels:
            sides.append(tuple((length + 1) // 2 for length in sides[-1]))
        depths = (shape[2], *self.channels)
        flat = depths[-1] * math.prod(sides[-1])
        if mirror:
            layers, last = self._upwards(sides[::-1], depths[::-1], n_inputs, flat)
        else:
            layers, last = self._downwards(shape, depths, flat, n_outputs)
        if zero_last:
            _set_to_zero(last)
        return nn.Sequential(*layers)

    def _downwards(self, shape, depths, flat, n_outputs):
        layers = [nn.Unflatten(1, shape), ChannelsFirst()]
        for depth_in, depth_out in pairwise(depths):
            layers += [
                nn.Conv2d(
                    depth_in, depth_out, 3, stride=2, padding=1, dtype=torch.float32
                ),
                ACTIVATIONS[self.activation](),
            ]
        last = Linear(flat, n_outputs, dtype=torch.float32)
        return [*layers, nn.Flatten(), last], last

    def _upwards(self, sides, depths, n_inputs, flat):
        layers = [
            Linear(n_inputs, flat, dtype=torch.float32),
            nn.Unflatten(1, (depths[0], *sides[0])),
        ]
        for depth_in, depth_out, small, large in zip(
            depths, depths[1:], sides, sides[1:], strict=False
        ):
            extra = tuple(b - (2 * a - 1) for a, b in zip(small, large, strict=True))
            layers += [
                ACTIVATIONS[self.activation](),
                nn.ConvTranspose2d(
                    depth_in,
                    depth_out,
                    3,
                    stride=2,
                    padding=1,
                    output_padding=extra,
                    dtype=torch.float32,
                ),
            ]
        return [*layers, ChannelsLast(), nn.Flatten()], layers[-1]


class ChannelsFirst(nn.Module):
    """From (height, width, channels), as rows are flattened, to torch's order."""

    def forward(self, images):
        """Reorder the axes."""
        return images.permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """Undo :class:`ChannelsFirst`."""

    def forward(self, images):
        """Reorder the axes."""
        return images.permute(0, 2, 3, 1)


def _set_to_zero(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def _is_positive_integer(size):
    return isinstance(size, Integral) and not isinstance(size, bool) and int(size) >= 1


def _as_tuple(sizes):
    """Widths as a tuple; one number is a single layer."""
    return tuple(sizes) if hasattr(sizes, "__iter__") else (sizes,)
