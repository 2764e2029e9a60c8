"""Convolutions: networks for rows that are images."""

import math
from itertools import pairwise

import torch
from sklearn.base import BaseEstimator
from torch import nn

from skae.integers import is_integer

from .layers import (
    ACTIVATIONS,
    Linear,
    as_tuple,
    check_activation,
    set_to_zero,
)

__all__ = ["ChannelsFirst", "ChannelsLast", "Conv"]


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
        channels = as_tuple(self.channels)
        if not channels or not all(is_integer(n, 1) for n in channels):
            raise ValueError(
                f"{name}channels={self.channels!r}: give the number of feature maps of "
                "one or more layers as integers of 1 or more, as in (32, 64)."
            )
        check_activation(name, self.activation)
        shape = as_tuple(self.image_shape)
        if len(shape) not in (2, 3) or not all(is_integer(n, 1) for n in shape):
            raise ValueError(
                f"{name}image_shape={self.image_shape!r}: give (height, width) or "
                "(height, width, channels)."
            )

    def build(self, n_inputs, n_outputs, *, mirror=False, zero_last=True):
        """Make the network; see :meth:`MLP.build`."""
        shape = (*as_tuple(self.image_shape), 1)[:3]
        n_pixels = n_outputs if mirror else n_inputs
        if math.prod(shape) != n_pixels:
            raise ValueError(
                f"image_shape={self.image_shape!r} has {math.prod(shape)} values, but "
                f"the rows have {n_pixels} columns."
            )
        sides = [shape[:2]]
        depths = (shape[2], *as_tuple(self.channels))
        for _ in depths[1:]:
            sides.append(tuple((length + 1) // 2 for length in sides[-1]))
        flat = depths[-1] * math.prod(sides[-1])
        if mirror:
            layers, last = self._upwards(sides[::-1], depths[::-1], n_inputs, flat)
        else:
            layers, last = self._downwards(shape, depths, flat, n_outputs)
        if zero_last:
            set_to_zero(last)
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
        steps = zip(pairwise(depths), pairwise(sides), strict=True)
        for (depth_in, depth_out), (small, large) in steps:
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
