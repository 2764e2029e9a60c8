"""The noise of an autoencoder is what it leaves."""

import pickle

import numpy as np
import pytest
import torch

from skae import AutoencoderTransformer

PARTS = [("gaussian", [0, 1, 2]), ("gaussian_diag", [3, 4, 5]), ("bernoulli", [6])]


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


def bent_with_truths(n_rows, seed):
    """The same with a column of 0 and 1 that follows the number, too."""
    columns = bent(n_rows, seed)
    noise = np.random.default_rng(seed + 100).logistic(size=n_rows)
    return np.column_stack([columns, 2 * columns[:, 0] + noise > 0])


def drawn_noise(model):
    """Variance of what samples have beside what their codes decode to."""
    noisy, plain = (
        model.sample(20_000, noise=noise, random_state=0) for noise in (True, False)
    )
    return (noisy - plain).var(axis=0)[:6]


def assert_drawn_noise_is_what_is_left(model):
    test = bent_with_truths(2000, seed=9)
    errors = np.square(test - model.reconstruct(test)).mean(axis=0)[:6]
    errors[:3] = errors[:3].mean()  # one noise for all three
    ratio = drawn_noise(model) / errors
    assert (ratio > 0.6).all()
    assert (ratio < 1.7).all()


def test_each_part_of_a_table_draws_the_noise_that_its_columns_are_rebuilt_with():
    X = bent_with_truths(500, seed=0)
    model = AutoencoderTransformer(
        1, likelihood=PARTS, hidden_layer_sizes=(32,), random_state=0
    ).fit(X)
    assert_drawn_noise_is_what_is_left(model)
    assert model.sample(5000, random_state=0).var(axis=0) == pytest.approx(
        X.var(axis=0), rel=0.15
    )
    opened = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(drawn_noise(opened), drawn_noise(model))


def test_each_part_of_a_stream_draws_what_its_last_rows_leave():
    model = AutoencoderTransformer(
        1, likelihood=PARTS, hidden_layer_sizes=(16,), random_state=0
    )
    for seed in range(20):
        model.partial_fit(bent_with_truths(200, seed))
    for row in bent_with_truths(100, seed=20):
        model.partial_fit(row[None])  # which by itself tells no mean of errors
    assert_drawn_noise_is_what_is_left(model)


def test_errors_of_the_parts_of_a_table_weigh_after_a_training_as_in_it():
    X, X_val = bent_with_truths(500, seed=0), bent_with_truths(200, seed=1)
    model = AutoencoderTransformer(
        1, likelihood=PARTS, hidden_layer_sizes=(32,), random_state=0
    ).fit(X, X_val=X_val)
    origin = model.likelihood_.origin(model.mean_)
    x = torch.from_numpy(X_val - origin).float()
    with torch.no_grad():
        losses = model.module_.row_losses(x)
    assert losses.mean().item() == pytest.approx(model.best_loss_, rel=1e-5)
