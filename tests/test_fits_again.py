"""An estimator that is fitted again knows nothing of the fit before."""

import copy

import numpy as np
import pytest
from sklearn.callback import ScoringMonitor

from skae import AutoencoderTransformer, VAETransformer

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}


def score(estimator, X, y=None):
    """Score with a copy, as whoever looks on may make one."""
    return copy.copy(estimator).score(X)


def test_a_monitored_fit_may_be_of_other_columns(Estimator, iris):
    X, y = iris
    monitor = ScoringMonitor(scoring={"s": score})
    model = Estimator(2, **SMALL).set_callbacks(monitor).fit(X, y)
    again = model.fit(X[:, :3], y).transform(X[:, :3])
    assert len(monitor.get_logs().data) > 0
    alone = Estimator(2, **SMALL).fit(X[:, :3]).transform(X[:, :3])
    np.testing.assert_array_equal(again, alone)


def test_a_monitored_fit_may_be_of_other_classes(iris):
    X, y = iris
    model = VAETransformer(2, conditional=True, **SMALL)
    model.set_callbacks(ScoringMonitor(scoring={"s": score})).fit(X, y)
    assert len(model.fit(X[y > 0], y[y > 0]).classes_) == 2
    model.set_params(conditional=False).fit(X, y)
    assert not hasattr(model, "classes_")


def test_what_is_seen_of_a_fit_has_nothing_of_the_one_before(iris):
    X, y = iris
    seen = []

    def look(estimator, X, y=None):
        seen.append(hasattr(estimator, "noise_variance_"))
        return 0.0

    model = VAETransformer(2, **SMALL)
    model.set_callbacks(ScoringMonitor(scoring={"s": look})).fit(X, y)
    assert seen
    assert all(seen)
    seen.clear()
    model.set_params(likelihood="student_t").fit(X, y)
    assert seen
    assert not any(seen)


def test_a_fit_that_fails_leaves_the_one_before(Estimator, iris):
    X, _ = iris
    model = Estimator(2, **SMALL).fit(X)
    before = model.transform(X)
    with pytest.raises(ValueError, match="n_components"):
        model.fit(X[:, :1])
    np.testing.assert_array_equal(model.transform(X), before)


def test_what_a_fit_or_a_stream_left_is_forgotten_whole(Estimator, iris):
    X, y = iris
    monitor = ScoringMonitor(scoring={"s": score})
    model = Estimator(2, **SMALL).set_callbacks(monitor)
    before = set(vars(model))
    model.fit(X, y).partial_fit(X).sample()
    model._forget()
    assert set(vars(model)) == before
    model.partial_fit(X[:1])
    assert "_waiting" in vars(model)
    model._forget()
    assert set(vars(model)) == before


def test_parameters_whose_names_end_like_attributes_stay(iris):
    class Named(AutoencoderTransformer):
        def __init__(self, n_components=2, *, lambda_=1.0, max_iter=1):
            super().__init__(n_components, max_iter=max_iter)
            self.lambda_ = lambda_

    assert Named(lambda_=2.0).fit(iris[0]).get_params()["lambda_"] == 2.0
