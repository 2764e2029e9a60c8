"""Perceptrons and convolutions: their widths, shapes and mirrors."""

import numpy as np
import pytest
import torch
from given import generator
from torch import nn

from skae.networks import ACTIVATIONS, MLP, Conv

is_zero_last = pytest.mark.parametrize("zero_last", [True, False])


@is_zero_last
@pytest.mark.parametrize("widths", [(), (7,), (8, 5), [9, 4], 6, np.array([3, 2])])
def test_perceptrons_have_the_widths_asked_for_and_decoders_mirror_them(
    widths, zero_last
):
    spec = MLP(widths)
    hidden = list(np.atleast_1d(widths).astype(int))
    for mirror, order in ((False, hidden), (True, hidden[::-1])):
        network = spec.build(10, 3, mirror=mirror, zero_last=zero_last)
        layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
        assert [layer.in_features for layer in layers] == [10, *order]
        assert [layer.out_features for layer in layers] == [*order, 3]
        y = network(torch.ones(4, 10))
        assert y.shape == (4, 3)
        assert y.dtype == torch.float32
        assert (y == 0).all() == zero_last


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_between_all_layers(name):
    network = MLP((5, 4), name).build(3, 2)
    kinds = [type(layer) for layer in network]
    assert kinds[1::2] == [ACTIVATIONS[name]] * 2
    assert len(kinds) == 5


@is_zero_last
@pytest.mark.parametrize("channels", [3, (3,), (4, 5), (2, 3, 4)])
@pytest.mark.parametrize(
    "shape", [(8, 8), (7, 5), (1, 9), (9, 1), (6, 7, 3), (5, 5, 1), (1, 1)]
)
def test_convolutions_fit_images_of_any_size_and_decoders_mirror_them(
    shape, channels, zero_last
):
    n_pixels = int(np.prod(shape))
    spec = Conv(shape, channels)
    encode = spec.build(n_pixels, 2, zero_last=zero_last)
    decode = spec.build(2, n_pixels, mirror=True, zero_last=zero_last)
    images = torch.rand(3, n_pixels, generator=generator())
    codes, decoded = encode(images), decode(torch.ones(3, 2))
    assert codes.shape == (3, 2)
    assert decoded.shape == (3, n_pixels)
    assert (codes == 0).all() == zero_last
    assert (decoded == 0).all() == zero_last


def test_convolutions_read_pixels_in_the_order_of_numpy():
    # What one pixel and channel touches is around it, in all maps of that channel.
    spec = Conv((9, 9, 2), channels=(4,))
    decode = spec.build(3, 162, mirror=True, zero_last=False)
    encode = spec.build(162, 3, zero_last=False)
    conv = next(m for m in encode.modules() if isinstance(m, nn.Conv2d))
    seen = []
    conv.register_forward_hook(lambda m, x, y: seen.append((x[0], y)))
    image = np.zeros((9, 9, 2), np.float32)
    image[4, 6, 1] = 1.0
    with torch.no_grad():
        conv.bias.zero_()
        encode(torch.from_numpy(image.reshape(1, -1)))
    ((given, maps),) = seen
    assert given[0, 1, 4, 6] == 1.0
    assert given.sum() == 1.0
    assert {tuple(p) for p in maps[0].abs().sum(0).nonzero().tolist()} == {(2, 3)}
    assert decode(torch.ones(1, 3)).shape == (1, 162)
