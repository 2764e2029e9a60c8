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

import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn import functional

from .derivatives import WrittenAffine, WrittenChain, WrittenCurve, linear

__all__ = [
    "ACTIVATIONS",
    "LANES",
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


class Perceptron(nn.Sequential):
    """Affine maps with activations between them."""

    @property
    def readout(self):
        """The last layer."""
        return self[-1]

    def hidden(self, x):
        """Map rows to the last hidden layer."""
        for layer in list(self)[:-1]:
            x = layer(x)
        return x

    def written_out(self, working):
        """Give the derivative, written out, with the weights of a training."""
        return WrittenChain(
            [
                WrittenAffine(layer, working)
                if isinstance(layer, Linear)
                else WrittenCurve(layer)
                for layer in self
            ],
            working.dtype,
        )


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
        _check_activation(name, self.activation)

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
        Number of feature maps of each layer, from the image on; one or more layers.

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
        channels = _as_tuple(self.channels)
        if not channels or not all(map(_is_positive_integer, channels)):
            raise ValueError(
                f"{name}channels={self.channels!r}: give the number of feature maps of "
                "one or more layers as integers of 1 or more, as in (32, 64)."
            )
        _check_activation(name, self.activation)
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
        depths = (shape[2], *_as_tuple(self.channels))
        for _ in depths[1:]:
            sides.append(tuple((length + 1) // 2 for length in sides[-1]))
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


def _check_activation(name, activation):
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{name}activation={activation!r}: choose one of {sorted(ACTIVATIONS)}."
        )


def _is_positive_integer(size):
    return isinstance(size, Integral) and not isinstance(size, bool) and int(size) >= 1


def _as_tuple(sizes):
    """Widths as a tuple; one number is a single layer."""
    is_one = not hasattr(sizes, "__iter__") or getattr(sizes, "ndim", 1) == 0
    return (sizes,) if is_one else tuple(sizes)
