"""The noise of an autoencoder is what it leaves."""

import pickle

import numpy as np
import pytest
import torch

from skae import AutoencoderTransformer
from skae.likelihoods import NegativeBinomial
from skae.likelihoods.remainder import Remainder

from .made import negative_binomial, student

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


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_noise_that_nothing_judged_is_of_rows_as_they_are_rebuilt(method):
    X = bent(200, seed=0)
    model = AutoencoderTransformer(
        1,
        hidden_layer_sizes=(16,),
        early_stopping=False,
        max_iter=3,
        random_state=0,
    )
    getattr(model, method)(X)
    error = -model.score_samples(X).mean()
    assert error < 0.99 * model.loss_curve_[-1]  # by codes that are refined
    assert model.noise_variance_ == pytest.approx(error / (6 - 1), rel=1e-4)


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
    return (noisy - plain).var(axis=0)


def assert_drawn_noise_is_what_is_left(model):
    test = bent_with_truths(2000, seed=9)
    errors = np.square(test - model.reconstruct(test)).mean(axis=0)[:6]
    errors[:3] = errors[:3].mean()  # one noise for all three
    ratio = drawn_noise(model)[:6] / errors
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


def remainder_of(x, mean, share=1.0):
    """What is left where rows have their means given."""
    x, mean = torch.as_tensor(x), torch.as_tensor(mean)
    weight = torch.full((len(x),), 1 / len(x), dtype=torch.float64)
    return Remainder(lambda: 1.0, 0.0, share, lambda: (x, mean, weight))


def test_drawn_counts_vary_about_their_rates_as_those_of_the_rows_do():
    rng = np.random.default_rng(0)
    theta = np.array([0.5, 4.0, 1e9])  # the last is Poisson's
    rates = rng.gamma(2.0, 5.0, (20_000, 3))
    varied = rates * rng.gamma(theta, 1 / theta, rates.shape)
    module = negative_binomial([0.05, 100.0, 1.0])
    module.calibrate(remainder_of(rng.poisson(varied) * 1.0, rates))
    eta = torch.log(torch.as_tensor(rates))
    drawn = module.sample(eta, torch.Generator().manual_seed(0)).numpy()
    wanted = (rates + rates**2 / theta).mean(axis=0)
    assert np.square(drawn - rates).mean(axis=0) == pytest.approx(wanted, rel=0.1)


def test_drawn_errors_of_students_have_the_scale_of_the_rows_and_forgive_far_values():
    rng = np.random.default_rng(0)
    errors = np.array([0.2, 3.0]) * rng.standard_t(5, size=(20_000, 2))
    errors[::100] = 1e6
    module = student([1.0, 1.0], 5.0)
    module.calibrate(remainder_of(errors, np.zeros_like(errors)))
    eta = torch.zeros(20_000, 2, dtype=torch.float64)
    drawn = module.sample(eta, torch.Generator().manual_seed(0)).detach().numpy()
    wanted = np.median(np.abs(errors), axis=0)
    assert np.median(np.abs(drawn), axis=0) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("make", [negative_binomial, lambda s: student(s, 5.0)])
def test_rows_one_by_one_tell_of_the_noise_as_rows_together_do(make):
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 50.0, (4000, 2))
    x = rng.poisson(rates * rng.gamma(2.0, 0.5, rates.shape)) * 1.0
    together, one_by_one = make([9.0, 0.5]), make([9.0, 0.5])
    together.calibrate(remainder_of(x, rates))
    for i in range(len(x)):
        share = 1 / (1 + min(i, 1000))
        one_by_one.calibrate(remainder_of(x[i : i + 1], rates[i : i + 1], share))
    ratio = one_by_one.drawn_share / together.drawn_share
    assert ratio.numpy() == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize("max_iter", [0, 30])
def test_an_autoencoder_of_counts_draws_columns_that_vary_as_those_of_rows(max_iter):
    rng = np.random.default_rng(0)
    rates = np.exp(1.5 + 0.5 * rng.normal(size=(600, 2)) @ rng.normal(size=(2, 12)))
    X = rng.poisson(rates * rng.gamma(4.0, 0.25, rates.shape)) * 1.0
    model = AutoencoderTransformer(
        2,
        likelihood=NegativeBinomial(size=None),
        hidden_layer_sizes=(32,),
        max_iter=max_iter,
        random_state=0,
    ).fit(X)
    wanted = np.square(X - model.reconstruct(X)).mean(axis=0)
    noisy, plain = (
        model.sample(20_000, noise=n, random_state=0) for n in (True, False)
    )
    assert np.median((noisy - plain).var(axis=0) / wanted) == pytest.approx(1, rel=0.25)


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
