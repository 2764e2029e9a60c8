"""What tests are given: rows, draws and parts."""

import functools
import pickle

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 4, "random_state": 0}
# Enough to tell a trained network from its start on 400 images of digits.
LEARNS = {"hidden_layer_sizes": (64,), "max_iter": 15, "random_state": 0}


@functools.cache
def images(n_rows=400):
    """Images of digits."""
    return load_digits().data[:n_rows]


@functools.cache
def binary_images(n_rows=300):
    """Images of black and white, some of whose pixels never vary."""
    return (images(n_rows) > 7) * 1.0


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def tensors(*shapes, seed=0):
    """Draws one after another, of a shape each."""
    stream = generator(seed)
    return [torch.randn(s, generator=stream, dtype=torch.float64) for s in shapes]


def built(likelihood, n_features):
    """A module made of a spec, for all columns."""
    return likelihood.bind(np.arange(n_features), np.asarray).build(n_features)


def own_network(n_inputs, n_outputs):
    """A network of the user's."""
    return nn.Sequential(nn.Linear(n_inputs, 6), nn.Tanh(), nn.Linear(6, n_outputs))


def opened(model):
    """A model that was stored, as it is opened."""
    return pickle.loads(pickle.dumps(model))
