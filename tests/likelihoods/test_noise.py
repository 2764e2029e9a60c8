"""The noise of an autoencoder is what it leaves."""

import numpy as np

from skae import AutoencoderTransformer


def bent(n_rows, seed):
    """Six columns that follow one number, with noise from 0.05 to 1."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-2, 2, n_rows)
    columns = np.stack([t, t**2, np.sin(2 * t), np.cos(2 * t), t, -t], axis=1)
    return columns + np.geomspace(0.05, 1.0, 6) * rng.normal(size=columns.shape)


def test_each_column_has_the_noise_that_it_is_rebuilt_with():
    model = AutoencoderTransformer(
        1, likelihood="gaussian_diag", hidden_layer_sizes=(32,), random_state=0
    ).fit(bent(500, seed=0))
    test = bent(2000, seed=1)
    errors = np.square(test - model.reconstruct(test)).mean(axis=0)
    ratio = model.noise_variance_ / errors
    assert (ratio > 0.6).all()
    assert (ratio < 1.7).all()


def test_the_noise_of_a_stream_is_told_column_by_column():
    model = AutoencoderTransformer(
        1, likelihood="gaussian_diag", hidden_layer_sizes=(16,), random_state=0
    )
    for seed in range(6):
        model.partial_fit(bent(200, seed))
    test = bent(2000, seed=9)
    errors = np.square(test - model.reconstruct(test)).mean(axis=0)
    assert np.corrcoef(np.log(model.noise_variance_), np.log(errors))[0, 1] > 0.7
