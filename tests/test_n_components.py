"""n_components="auto": as many as rows ask for."""

import pickle

import numpy as np
import pytest
import torch
from given import images
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from skae import AutoencoderTransformer
from skae.fitting.n_components import CANDIDATES

FEW = {
    "hidden_layer_sizes": (16, 8),
    "max_iter": 5,
    "early_stopping": False,
    "random_state": 0,
}


def factors(n_factors, n_features, n_rows=400, noise=0.1, seed=0):
    """Rows of a few independent factors of equal size, and white noise."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(n_features, n_factors)))
    rows = rng.normal(size=(n_rows, n_factors)) @ axes.T
    return rows + noise * rng.normal(size=(n_rows, n_features))


@pytest.mark.parametrize(
    ("n_factors", "scale"), [(1, 1.0), (3, 1.0), (6, 1.0), (3, 1e-6), (3, 1e6)]
)
def test_as_many_components_as_there_are_factors(Estimator, n_factors, scale):
    X = scale * factors(n_factors, 20)
    assert Estimator("auto", **FEW).fit(X).n_components_ == n_factors


@pytest.mark.parametrize(("n_factors", "scale"), [(1, 1e-3), (3, 1.0), (3, 1e3)])
def test_columns_with_a_noise_of_their_own_are_searched_in_any_unit(n_factors, scale):
    X = scale * factors(n_factors, 20)
    model = AutoencoderTransformer("auto", likelihood="student_t", **FEW).fit(X)
    assert model.n_components_ == n_factors


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial", "bernoulli"])
def test_counts_and_flags_have_as_many_as_what_they_follow(likelihood):
    follow = np.sqrt(10) * factors(3, 30, noise=0)
    rng = np.random.default_rng(1)
    if likelihood == "bernoulli":
        X = 1.0 * (rng.uniform(size=follow.shape) < expit(3 * follow))
    else:
        X = rng.poisson(np.exp(1 + 0.75 * follow))
    model = AutoencoderTransformer("auto", likelihood=likelihood, **FEW).fit(X)
    assert model.n_components_ == 3


def test_copies_of_a_row_stand_on_one_side_of_the_search():
    # More rows than are merged; noise seen on both sides would be learned by heart.
    X = np.random.default_rng(0).normal(size=(60, 24)).repeat(200, axis=0)
    few = FEW | {"max_iter": 1}
    assert AutoencoderTransformer("auto", **few).fit(X).n_components_ == 1


def test_white_noise_asks_for_one_component(Estimator):
    X = np.random.default_rng(0).normal(size=(300, 12))
    assert Estimator("auto", **FEW).fit(X).n_components_ == 1


def test_a_bent_sheet_asks_for_fewer_components_than_its_linear_hull():
    rng = np.random.default_rng(0)
    t, u = rng.uniform(-1, 1, (2, 600, 1))
    bent = np.hstack([t, u, t**2, t * u, u**2, t**2 * u])
    X = bent + 0.03 * rng.normal(size=bent.shape)
    parameters = FEW | {"max_iter": 60, "learning_rate_init": 0.01}
    linear = parameters | {"hidden_layer_sizes": ()}
    parameters |= {"hidden_layer_sizes": (64, 32)}
    model = AutoencoderTransformer("auto", **parameters).fit(X)
    linear = AutoencoderTransformer("auto", **linear).fit(X)
    assert model.n_components_ < linear.n_components_


def test_what_is_found_is_one_of_those_tried_and_the_rest_follows(Estimator):
    X = images(200)
    model = Estimator("auto", **FEW).fit(X)
    assert model.n_components_ in CANDIDATES
    assert model.transform(X).shape == (200, model.n_components_)
    assert model.inverse_transform(model.transform(X)).shape == X.shape
    names = model.get_feature_names_out()
    assert len(names) == model.n_components_
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    twin = clone(model).fit(X)
    np.testing.assert_array_equal(twin.transform(X), model.transform(X))


def test_what_is_found_is_fitted_as_if_it_were_given():
    X = factors(3, 10)
    found = AutoencoderTransformer("auto", **FEW).fit(X)
    given = AutoencoderTransformer(3, **FEW).fit(X)
    np.testing.assert_array_equal(found.transform(X), given.transform(X))


def test_a_number_is_found_within_a_pipeline():
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(
        AutoencoderTransformer("auto", **FEW), LogisticRegression(max_iter=2000)
    )
    assert pipeline.fit(X[:400] / 16, y[:400]).score(X[400:600] / 16, y[400:600]) > 0.8


def test_constant_columns_and_equal_rows_are_searched(Estimator):
    for X in (np.ones((30, 4)), np.repeat(np.eye(4), 5, axis=0)):
        assert Estimator("auto", **FEW).fit(X).n_components_ == 1


def test_what_cannot_be_found_is_refused(Estimator):
    X = factors(2, 6)
    with pytest.raises(ValueError, match="set init='pca'"):
        Estimator("auto", init="random", **FEW).fit(X)
    with pytest.raises(ValueError, match="are too few; give a number"):
        Estimator("auto", **FEW).fit(X[:9])
    with pytest.raises(ValueError, match="give partial_fit a number, or use fit"):
        Estimator("auto", **FEW).partial_fit(X)
    with pytest.raises(ValueError, match="'n_components' parameter"):
        Estimator("mle", **FEW).fit(X)


def test_a_number_that_is_found_leaves_rows_enough_as_one_given_does(monkeypatch):
    """Of 40 rows 13 would be held out, but for 16 components only 8 are."""
    monkeypatch.setattr("skae.fitting.planning.find_n_components", lambda task: 16)
    X, parameters = images(40), FEW | {"early_stopping": True}
    found = AutoencoderTransformer("auto", **parameters).fit(X)
    given = AutoencoderTransformer(16, **parameters).fit(X)
    assert found.validation_loss_curve_ == given.validation_loss_curve_
    np.testing.assert_array_equal(found.transform(X), given.transform(X))


def test_a_search_leaves_torchs_stream_and_draws_from_one_of_its_own():
    X = images(100)[:, 20:30]

    def factory(n_inputs, n_outputs):
        return nn.Sequential(nn.Dropout(0.3), nn.Linear(n_inputs, n_outputs))

    codes = []
    for seed in range(2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        model = AutoencoderTransformer("auto", encoder=factory, **FEW)
        codes.append(model.fit_transform(X))
        assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(*codes)
