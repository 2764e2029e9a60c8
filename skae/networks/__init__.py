"""Networks: specs that hold parameters and build an ``nn.Module``.

A spec says what a network looks like; ``build(n_inputs, n_outputs)`` makes it. The
same spec makes the encoder and, mirrored, the decoder:

    encoder   n_features -> h_1 -> ... -> h_m -> n_components
    decoder   n_components -> h_m -> ... -> h_1 -> n_features

Where a network corrects a linear map (PCA) its last layer starts at zero, so that the
map alone is what the model computes before it is trained.
"""

from .convolution import ChannelsFirst, ChannelsLast, Conv
from .layers import ACTIVATIONS, FixedLinear, Gated, Linear
from .perceptron import MLP, Perceptron

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
