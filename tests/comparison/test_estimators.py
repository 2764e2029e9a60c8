"""Estimators as they come, and failures that lose nothing."""

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.callback import ProgressBar
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import NMF, PCA, KernelPCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PowerTransformer,
    StandardScaler,
)

from skae import (
    AutoencoderTransformer,
    VAETransformer,
    compare,
    explained_variance_scorer,
)

from .folds import SMALL, Columns

DAYS = pd.date_range("2026-01-01", periods=150)


def test_in_a_list_they_are_named_by_their_classes(iris):
    methods = [
        PCA(),
        PCA(whiten=True),
        make_pipeline(PowerTransformer(), PCA()),
        Pipeline([("none", "passthrough"), ("codes", PCA())]),
    ]
    comparison = compare(iris[0], estimators=methods, n_components=1, cv=2)
    assert comparison.summary()["estimator"].tolist() == [
        "PCA 1",
        "PCA 2",
        "PowerTransformer + PCA",
        "passthrough + PCA",
    ]
    assert comparison.reference == "PCA 1"


def test_the_reference_is_the_first_pca(iris):
    scaled = make_pipeline(StandardScaler(), PCA())
    methods = {"svd": TruncatedSVD(), "scaled": scaled, "pca": PCA()}
    comparison = compare(iris[0], estimators=methods, n_components=2, cv=3)
    assert comparison.reference == "scaled"
    differences = comparison.summary()["explained_variance_difference"]
    assert np.isnan(differences).tolist() == [False, True, False]
    alone = compare(iris[0], estimators=[TruncatedSVD()], n_components=2, cv=3)
    assert alone.reference is None
    assert np.isnan(alone.summary()["explained_variance_difference"]).all()
    assert "differs" not in repr(alone)


def test_in_a_pipeline_the_last_n_components_is_set(iris):
    X, _ = iris
    nmf = NMF(1, tol=1e-2, max_iter=2000, random_state=0)
    inner = make_pipeline(PCA(3), MinMaxScaler(clip=True), nmf)
    pipeline = Pipeline([("scale", StandardScaler()), ("inner", inner)])
    folds = compare(X, estimators=[pipeline], n_components=2, cv=2).folds
    pipeline.set_params(inner__nmf__n_components=2)
    expected = cross_validate(pipeline, X, cv=2, scoring=explained_variance_scorer)
    np.testing.assert_allclose(folds["explained_variance"], expected["test_score"])


def test_estimators_are_left_as_they_are(iris):
    model = AutoencoderTransformer(3, hidden_layer_sizes=(4,), max_iter=1)
    bar = ProgressBar(max_propagation_depth=0)
    model.set_callbacks(bar)
    compare(iris[0], estimators=[model], n_components=2, cv=2, random_state=0)
    assert model.n_components == 3
    assert model.random_state is None
    assert model._skl_callbacks == [bar]
    assert not hasattr(model, "n_components_")


def test_the_seed_goes_to_those_that_have_none(iris):
    X, _ = iris
    model = AutoencoderTransformer(**(SMALL | {"random_state": None}))
    methods = {
        "open": model,
        "inside": make_pipeline(FunctionTransformer(), model),
        "same": AutoencoderTransformer(**(SMALL | {"random_state": 7})),
        "own": AutoencoderTransformer(**(SMALL | {"random_state": 8})),
    }
    folds = compare(X, estimators=methods, n_components=1, cv=2, random_state=7).folds
    trusted = folds["explained_variance"].reshape(4, 2)
    np.testing.assert_array_equal(trusted[0], trusted[2])
    same = AutoencoderTransformer(1, **(SMALL | {"random_state": 7}))
    seeded = make_pipeline(FunctionTransformer(), same)
    expected = cross_validate(seeded, X, cv=2, scoring=explained_variance_scorer)
    np.testing.assert_allclose(trusted[1], expected["test_score"], rtol=1e-9)
    assert not (trusted[0] == trusted[3]).any()


@pytest.mark.parametrize("step", ["fit", "transform"])
def test_a_failure_is_an_entry_that_says_why(step, iris):
    X, y = iris
    methods = {"PCA": PCA(), "failing": Columns(fails=step)}
    comparison = compare(X, y, estimators=methods, n_components=2, cv=3)
    pca, failing = (comparison._select(name, 2) for name in methods)
    reason = f"{step}: FloatingPointError: no such thing"
    assert failing["error"].tolist() == [reason] * 3
    assert np.isnan(failing["explained_variance"]).all()
    assert set(pca["error"]) == {""}
    assert np.isfinite(pca["explained_variance"]).all()
    assert comparison.summary()["error"].tolist() == ["", reason]
    assert f"failing, n_components=2, 3 folds: {reason}" in repr(comparison)


def test_a_failure_costs_one_number_of_components_only(iris):
    comparison = compare(
        *iris, estimators=[Columns(fails="large")], n_components=[1, 2], cv=2
    )
    summary = comparison.summary()
    assert np.isfinite(summary["trustworthiness_mean"]).tolist() == [True, False]
    assert summary["error"][0] == ""


def test_numbers_of_components_that_do_not_fit_are_told(iris):
    X, _ = iris
    methods = [PCA(), AutoencoderTransformer(**SMALL), VAETransformer(**SMALL)]
    summary = compare(X, estimators=methods, n_components=[2, 5], cv=2).summary()
    assert np.isfinite(summary["explained_variance_mean"]).tolist() == 3 * [
        True
    ] + 3 * [False]
    assert all("n_components=5 must be" in error for error in summary["error"][3:])


def test_no_way_back_is_no_error(iris):
    folds = compare(*iris, estimators=[Columns()], n_components=2, cv=2).folds
    assert np.isnan(folds["explained_variance"]).all()
    assert np.isfinite(folds["trustworthiness"]).all()
    assert np.isfinite(folds["downstream_score"]).all()
    assert set(folds["error"]) == {""}


def test_each_measure_fails_alone(iris):
    X, y = iris
    backless = compare(*iris, estimators=[KernelPCA()], n_components=2, cv=2).folds
    assert all("explained_variance: NotFitted" in error for error in backless["error"])
    assert np.isfinite(backless["downstream_score"]).all()
    folds = compare(X, y, estimators=[Columns(fails="codes")], cv=2).folds
    for error in folds["error"]:
        assert error.count("contains infinity") == 2
        assert "trustworthiness: ValueError" in error
        assert "downstream_score: ValueError" in error


@pytest.mark.parametrize("score", [None, {"accuracy": 1.0}, np.ones(2)], ids=str)
def test_a_score_that_is_no_number_costs_that_measure_only(score, iris):
    comparison = compare(
        *iris,
        estimators=[PCA()],
        n_components=2,
        cv=2,
        scoring=lambda predictor, codes, y: score,
    )
    assert "downstream_score: TypeError: the scorer returned" in repr(comparison)
    assert np.isnan(comparison.folds["downstream_score"]).all()
    assert np.isfinite(comparison.folds["explained_variance"]).all()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"estimators": []}, TypeError, r"estimators=\[\] must be a list"),
        ({"estimators": ()}, TypeError, r"estimators=\(\) must be a list"),
        ({"estimators": PCA()}, TypeError, "must be a list"),
        ({"estimators": [PCA]}, TypeError, r"pass an instance, PCA\(\)"),
        ({"estimators": {1: PCA()}}, TypeError, "must be a str"),
        ({"estimators": [LogisticRegression()]}, TypeError, "fit and transform"),
        ({"estimators": [StandardScaler()]}, ValueError, "no parameter n_components"),
        ({"n_components": ()}, ValueError, "n_components=.* one or more integers"),
        ({"n_components": 0.5}, ValueError, "n_components=0.5 must be"),
        ({"n_components": True}, ValueError, "n_components=True must be"),
        ({"n_components": [1, True]}, ValueError, "must be one or more integers"),
        ({"n_components": [2, 0]}, ValueError, "integers of 1 or more"),
        ({"n_components": {1, 2}}, ValueError, "one or more integers"),
        ({"scoring": ["accuracy"]}, TypeError, "must be one scorer"),
        ({"scoring": "accurate"}, ValueError, "scoring='accurate' is not the name"),
        ({"scoring": 3}, TypeError, "scoring=3 must be one scorer"),
        ({"downstream": PCA()}, TypeError, r"downstream=PCA\(\) must .* and predict"),
        ({"downstream": "svc"}, TypeError, "downstream='svc' must .* and predict"),
        ({"downstream": Ridge}, TypeError, r"downstream=Ridge is a .* Ridge\(\)"),
        ({"random_state": -1}, ValueError, "random_state=-1"),
        ({"callbacks": "bar"}, TypeError, "FitCallback protocol"),
        ({"cv": 1000}, ValueError, "n_splits=1000"),
        ({"cv": []}, ValueError, "cv=.. gives no folds"),
        ({"y": np.r_[np.nan, :149]}, ValueError, "y contains NaN"),
        ({"y": ["b", None, "c"] * 50}, ValueError, "y: 50 rows have no class"),
        ({"y": np.arange(150).astype("M8[D]")}, ValueError, "y holds dates"),
        ({"y": DAYS.tz_localize("CET")}, ValueError, "y holds dates"),
        ({"y": DAYS.date}, ValueError, "y holds dates"),
        ({"y": DAYS.to_period("D")}, ValueError, "y holds dates"),
        ({"y": np.c_[np.zeros(150), DAYS.date]}, ValueError, "y holds dates"),
        ({"y": np.arange(150).astype(object) % 3}, ValueError, r"y\.astype\(int\)"),
        ({"y": None, "scoring": "accuracy"}, ValueError, "pass y"),
        ({"y": None, "downstream": Ridge()}, ValueError, "pass y"),
        ({"y": [0, 1]}, ValueError, "inconsistent numbers of samples"),
        ({"y": np.eye(150)[:, :3] == 1}, ValueError, "multilabel.* as downstream"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_at_once(parameters, error, message, iris):
    X, y = iris
    with pytest.raises(error, match=message):
        compare(X, **({"y": y, "estimators": [PCA()]} | parameters))


@pytest.mark.parametrize("X", [None, 3], ids=str)
def test_what_has_no_rows_is_refused_by_name(X):
    with pytest.raises(TypeError, match=f"X={X} must be rows"):
        compare(X)


def test_a_function_without_its_inverse_gives_no_rows_back(iris):
    X, _ = iris
    lost, whole = (
        make_pipeline(FunctionTransformer(np.log1p, inverse), PCA(2))
        for inverse in (None, np.expm1)
    )
    methods = {"lost": lost, "whole": whole}
    folds = compare(X, estimators=methods, n_components=2, cv=2).folds
    shares = folds["explained_variance"].reshape(2, 2)
    assert np.isnan(shares).tolist() == [[True, True], [False, False]]
    assert not any(folds["error"])
    with pytest.raises(TypeError, match="without inverse_func"):
        explained_variance_scorer(lost.fit(X), X)


def test_workers_that_give_all_results_at_once_will_do(iris):
    options = {"estimators": [PCA()], "n_components": 1, "cv": 2}
    with joblib.parallel_config("multiprocessing"):
        folds = compare(*iris, **options).folds
    expected = compare(*iris, **options).folds["explained_variance"]
    np.testing.assert_array_equal(folds["explained_variance"], expected)


class Interrupted(torch.optim.Adam):
    """An optimizer at whose first step the user presses Ctrl-C."""

    def step(self, closure=None):
        raise KeyboardInterrupt


def test_ctrl_c_in_a_fit_ends_the_comparison(iris):
    X, y = iris
    model = AutoencoderTransformer(solver=Interrupted, **SMALL)
    methods = [make_pipeline(StandardScaler(), model)]
    with pytest.raises(KeyboardInterrupt):
        compare(X, estimators=methods, n_components=1, cv=2)
    predictor = make_pipeline(model, LogisticRegression())
    with pytest.raises(KeyboardInterrupt):
        compare(X, y, estimators=[PCA()], n_components=3, cv=2, downstream=predictor)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X)


def test_codes_of_rows_are_taken_where_there_are_codes_of_y_too(iris):
    X, y = iris
    folds = compare(
        X, y, estimators=[PLSRegression()], n_components=2, cv=3, downstream=Ridge()
    ).folds
    assert not any(folds["error"])
    assert np.isfinite(folds["downstream_score"]).all()
