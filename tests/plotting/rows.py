"""Rows to be shown."""

import numpy as np

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


def make_spectra(n_rows=60, n_points=40):
    rng = np.random.default_rng(0)
    positions = np.linspace(400, 700, n_points)
    centres = rng.uniform(480, 620, (n_rows, 1))
    noise = rng.normal(scale=0.01, size=(n_rows, n_points))
    return np.exp(-(((positions - centres) / 40) ** 2)) + noise, positions


def make_colours(n_rows=40, shape=(5, 4, 3)):
    rng = np.random.default_rng(0)
    shades = rng.uniform(size=(n_rows, 1, 1, 3))
    return np.broadcast_to(shades, (n_rows, *shape)).reshape(n_rows, -1).copy()
