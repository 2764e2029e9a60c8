"""A stream that follows a fit does not undo what the fit has found."""

import pickle
from unittest import mock

import numpy as np
import pytest
import sklearn

from skae import AutoencoderTransformer

SMALL = {"hidden_layer_sizes": (16,), "random_state": 0}


def bent(n_rows, seed):
    rng = np.random.default_rng(seed)
    t = rng.uniform(-1, 1, (n_rows, 1))
    return np.hstack([t, t**2, t**3]) + 0.05 * rng.normal(size=(n_rows, 3))


def rate_of(model):
    (rate,) = {group["lr"] for group in model._training["optimizer"]["param_groups"]}
    return rate


def rate_of_a_stream(Estimator, **parameters):
    return rate_of(Estimator(1, **SMALL, **parameters).partial_fit(bent(40, seed=0)))


def test_its_steps_are_as_small_as_those_of_the_end_of_a_fit(Estimator):
    model = Estimator(1, max_iter=20, early_stopping=False, **SMALL)
    model.fit(bent(80, seed=0))
    for seed in (1, 2):
        model = pickle.loads(pickle.dumps(model.partial_fit(bent(40, seed))))
        assert rate_of(model) == pytest.approx(rate_of_a_stream(Estimator) / 5)
    model.set_params(learning_rate_init=0.01).partial_fit(bent(40, seed=3))
    assert rate_of(model) == 0.01
    again = model.set_params(learning_rate_init="auto", max_iter=0).fit(bent(80, 0))
    assert rate_of(again.partial_fit(bent(40, 1))) == rate_of_a_stream(Estimator)


def test_its_steps_are_whole_again_after_a_fit_that_kept_an_optimizer(Estimator):
    model = Estimator(1, max_iter=2, early_stopping=False, **SMALL)
    model.fit(bent(80, seed=0)).partial_fit(bent(40, seed=1))
    model.set_params(warm_start=True).fit(bent(80, seed=0))
    model.partial_fit(bent(40, seed=1))
    assert rate_of(model) == rate_of_a_stream(Estimator)


def test_new_rows_do_no_harm():
    new, test = bent(240, seed=1), bent(500, seed=2)
    model = AutoencoderTransformer(1, **SMALL).fit(bent(240, seed=0))
    before = model.score(test)
    for rows in np.split(new, 6):
        model.partial_fit(rows)
    assert model.score(test) > before - 0.003


@pytest.mark.parametrize("parameters", [{"hidden_layer_sizes": ()}, {"max_iter": 0}])
def test_a_stream_goes_on_where_nothing_was_to_be_trained(Estimator, parameters):
    model = Estimator(1, **SMALL | parameters).partial_fit(bent(40, seed=0))
    model = pickle.loads(pickle.dumps(model)).partial_fit(bent(40, seed=1))
    assert np.isfinite(model.score(bent(10, seed=2)))
    model = Estimator(1, max_iter=0, warm_start=True, **SMALL)
    model.partial_fit(bent(40, seed=0)).set_params(max_iter=2).fit(bent(40, seed=1))
    assert model.n_iter_ > 0


def test_first_rows_wait_on_where_a_fit_trains_nothing(Estimator):
    X = bent(60, seed=0)
    model = Estimator(2, **SMALL).partial_fit(X[:6])
    model.set_params(warm_start=True, max_iter=0).fit(X[:30])
    assert model.partial_fit(X[30:])._start.n_rows == 36


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("solver", "foo"),
        ("batch_size", 0),
        ("learning_rate_init", -1.0),
        ("alpha", "x"),
    ],
)
def test_a_stream_refuses_what_a_fit_does(Estimator, name, value):
    X = np.random.default_rng(0).normal(size=(40, 4))
    model = Estimator(2, hidden_layer_sizes=(4,), random_state=0).partial_fit(X)
    before = model.transform(X)
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        model.set_params(**{name: value}).partial_fit(X)
    np.testing.assert_array_equal(model.transform(X), before)


def test_parameters_of_a_stream_are_not_validated_where_that_is_off(Estimator, iris):
    model = Estimator(2, **SMALL).partial_fit(iris[0])
    with mock.patch.object(model, "_validate_params") as validate:
        with sklearn.config_context(skip_parameter_validation=True):
            model.partial_fit(iris[0])
        assert not validate.called
        model.partial_fit(iris[0])
        assert validate.called
