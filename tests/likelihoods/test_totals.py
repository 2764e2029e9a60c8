"""Totals of counts have a distribution of their own, which follows the rows."""

import numpy as np
import pytest
import torch
from given import built

from skae import VAETransformer
from skae.likelihoods import PerColumn, Poisson

QUICK = {"hidden_layer_sizes": (), "max_iter": 1, "random_state": 0}


def counts_of(size, n_rows, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(size * rng.gamma(3.0, 1 / 3, (n_rows, 1)) * np.ones(5)) * 1.0


def moments_of(model):
    """Mean and variance of a total."""
    rates = model.module_.likelihood.rates
    mean, shape = rates.total_mean.item(), rates.total_shape.item()
    return mean, mean + mean**2 / shape


@pytest.mark.parametrize("n_columns", [5, 6], ids=["alone", "beside another column"])
def test_totals_are_those_of_all_rows_met(n_columns):
    X = torch.from_numpy(np.vstack([counts_of(4.0, 30), counts_of(40.0, 90)]))
    weight = torch.linspace(0.5, 2.0, len(X)).double()
    if n_columns == 5:
        module = built(Poisson(), 5)
        rates = module.rates
    else:
        X = torch.cat([torch.full((len(X), 1), 7.0), X], dim=1)
        parts = [("gaussian", [0]), (Poisson(), [1, 2, 3, 4, 5])]
        module = VAETransformer(1, likelihood=parts, max_iter=0).fit(X.numpy())
        assert isinstance(module.likelihood_, PerColumn)
        module = module.module_.likelihood
        rates = module.parts[1].likelihood.rates
    total = X[:, n_columns - 5 :].sum(1)
    mean = (weight @ total) / weight.sum()
    variance = (weight @ (total - mean).square()) / weight.sum()

    def walk(some, size):
        blocks = X[some].split(size), weight[some].split(size)
        return lambda: zip(*blocks, strict=True)

    for size in (len(X), 7):
        module.fit_totals(walk(slice(30), size), anew=True)
        module.fit_totals(walk(slice(30, None), size), anew=False)
        assert rates.total_mean.item() == pytest.approx(mean.item())
        found = rates.total_mean + rates.total_mean**2 / rates.total_shape
        assert found.item() == pytest.approx(variance.item())


def test_the_totals_of_a_stream_are_those_of_all_calls():
    first, then = counts_of(2.0, 60), counts_of(40.0, 240, seed=1)
    model = VAETransformer(1, likelihood="poisson", **QUICK).partial_fit(first)
    for rows in np.split(then, 4):
        model.partial_fit(rows)
    total = np.vstack([first, then]).sum(axis=1)
    assert moments_of(model) == pytest.approx((total.mean(), total.var()))


def test_a_fit_that_goes_on_takes_the_totals_of_its_rows():
    model = VAETransformer(1, likelihood="poisson", warm_start=True, **QUICK)
    model.set_params(early_stopping=False).fit(counts_of(4.0, 60))
    X = counts_of(40.0, 60, seed=1)
    total = model.fit(X).module_.likelihood.rates
    assert total.total_mean.item() == pytest.approx(X.sum(axis=1).mean())


def test_totals_are_those_of_more_rows_than_a_start_looks_at():
    X = counts_of(4.0, 2500)
    X[0] *= 100
    model = VAETransformer(1, likelihood="poisson", **QUICK | {"max_iter": 0}).fit(X)
    total = X.sum(axis=1)
    assert moments_of(model) == pytest.approx((total.mean(), total.var()))


def test_weights_that_are_shares_give_the_same_totals():
    X = np.random.default_rng(0).poisson(0.05, (300, 4)) * 1.0
    model = VAETransformer(1, likelihood="poisson", **QUICK | {"max_iter": 0})
    mean, _ = moments_of(model.fit(X, sample_weight=np.full(300, 1 / 300)))
    assert mean == pytest.approx(X.sum(axis=1).mean())


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("weight", [1e-300, 1e-46, 1e39, 1e300])
def test_totals_of_weights_beyond_float32(weight, method):
    X, weights = counts_of(4.0, 60), np.full(60, weight)
    parameters = QUICK | {"max_iter": 0, "batch_size": 20}
    model = VAETransformer(1, likelihood="poisson", **parameters)
    getattr(model, method)(X, sample_weight=weights)
    total = X.sum(axis=1)
    assert moments_of(model) == pytest.approx((total.mean(), total.var()))
    assert np.isfinite(model.sample(5, random_state=0)).all()


def test_a_row_that_counts_more_often_than_float32_can_say():
    X, weights = counts_of(4.0, 60), np.ones(60)
    weights[7] = 1e41
    weights.setflags(write=False)
    model = VAETransformer(1, likelihood="poisson", **QUICK | {"max_iter": 0})
    mean, _ = moments_of(model.fit(X, sample_weight=weights))
    assert mean == pytest.approx(X[7].sum())
