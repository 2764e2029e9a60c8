"""Perceptrons: affine maps with activations between them."""

from itertools import pairwise

import torch
from sklearn.base import BaseEstimator
from torch import nn

from skae.integers import is_integer

from .derivatives import WrittenAffine, WrittenChain, WrittenCurve
from .layers import (
    ACTIVATIONS,
    Linear,
    as_tuple,
    check_activation,
    set_to_zero,
)

__all__ = ["MLP", "Perceptron"]


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
        if not all(is_integer(width, 1) for width in as_tuple(widths)):
            raise ValueError(
                f"{name}hidden_layer_sizes={widths!r}: give the widths of the hidden "
                "layers as integers of 1 or more, as in (256, 128)."
            )
        check_activation(name, self.activation)

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
        hidden = as_tuple(self.hidden_layer_sizes)
        widths = (n_inputs, *(hidden[::-1] if mirror else hidden), n_outputs)
        layers = []
        for width_in, width_out in pairwise(widths):
            layers += [
                Linear(width_in, width_out, dtype=torch.float32),
                ACTIVATIONS[self.activation](),
            ]
        if zero_last:
            set_to_zero(layers[-2])
        return Perceptron(*layers[:-1])
