"""What ``compare`` measures, of rows of every kind."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.decomposition import PCA, FactorAnalysis, TruncatedSVD
from sklearn.manifold import trustworthiness
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skae import AutoencoderTransformer, VAETransformer, compare

from .folds import QUALITIES, SECONDS, SMALL


def test_every_fold_has_an_entry(three_methods):
    folds = three_methods.folds
    assert {values.shape for values in folds.values()} == {(3 * 2 * 3,)}
    assert list(folds) == [
        "estimator",
        "n_components",
        "fold",
        *QUALITIES,
        *SECONDS,
        "error",
    ]
    assert (folds["fit_seconds"] > 0).all()
    assert (folds["transform_seconds"] > 0).all()


def test_only_densities_have_a_log_likelihood(iris):
    X, _ = iris
    methods = {
        "pca": PCA(),
        "factors": FactorAnalysis(),
        "vae": VAETransformer(**SMALL),
        "autoencoder": AutoencoderTransformer(**SMALL),
        "svd": TruncatedSVD(),
        "scaled": make_pipeline(StandardScaler(), PCA()),
    }
    summary = compare(X, estimators=methods, n_components=2, cv=2).summary()
    has_one = ~np.isnan(summary["log_likelihood_mean"])
    found = summary["estimator"][has_one].tolist()
    assert found == ["pca", "factors", "vae"]


def test_trustworthiness_takes_fewer_neighbours_of_few_rows(iris):
    X = iris[0][:24]
    folds = compare(X, estimators=[PCA()], n_components=2, cv=4).folds
    for fold, (train, test) in enumerate(KFold(4).split(X)):
        codes = PCA(2).fit(X[train]).transform(X[test])
        expected = trustworthiness(X[test], codes, n_neighbors=2)
        assert folds["trustworthiness"][fold] == pytest.approx(expected, abs=1e-12)
    pairs = compare(X[:6], estimators=[PCA()], n_components=1, cv=3).folds
    assert np.isnan(pairs["trustworthiness"]).all()
    assert set(pairs["error"]) == {""}


def test_trustworthiness_is_that_of_two_thousand_rows():
    X = np.random.RandomState(0).standard_normal((4200, 3))
    train, test = np.arange(200), np.arange(200, 4200)
    folds = compare(X, estimators=[PCA()], n_components=1, cv=[(train, test)]).folds
    chosen = X[test][np.linspace(0, 3999, 2000).astype(int)]
    codes = PCA(1).fit(X[train]).transform(chosen)
    expected = trustworthiness(chosen, codes, n_neighbors=10)
    assert folds["trustworthiness"] == [pytest.approx(expected, abs=1e-12)]


def test_rows_may_be_sparse(iris):
    X, y = iris
    methods = [TruncatedSVD(random_state=0), AutoencoderTransformer(**SMALL)]
    dense, sparse = (
        compare(rows, y, estimators=methods, n_components=2, cv=2)
        for rows in (X, sp.csr_array(X))
    )
    assert set(sparse.folds["error"]) == {""}
    for measure in QUALITIES:
        np.testing.assert_allclose(
            sparse.folds[measure], dense.folds[measure], rtol=1e-3
        )


def test_rows_may_be_tensors(iris, monkeypatch):
    """Which come back from every method, and are measured all the same."""
    X, y = iris
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    plain = compare(X, y, estimators=[PCA()], n_components=2, cv=2)
    with config_context(array_api_dispatch=True):
        rows = torch.as_tensor(X)
        found = compare(rows, y, estimators=[PCA()], n_components=2, cv=2)
    assert set(found.folds["error"]) == {""}
    for measure in QUALITIES:
        np.testing.assert_allclose(
            found.folds[measure], plain.folds[measure], rtol=1e-6
        )


def test_data_frames_keep_their_names(iris):
    X, y = iris
    # No ties among the neighbours, which rounding would decide.
    X = X + 0.01 * np.random.RandomState(0).standard_normal(X.shape)
    seen = []

    def note(frame):
        seen.append(list(frame.columns))
        return frame

    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"], index=np.arange(150)[::-1])
    noting = FunctionTransformer(
        note, inverse_func=lambda rows: rows, check_inverse=False
    )
    methods = {
        "PCA": PCA().set_output(transform="pandas"),
        "noting": Pipeline(
            [("note", noting), ("codes", AutoencoderTransformer(**SMALL))]
        ),
    }
    framed = compare(
        frame, pd.DataFrame({"kind": y}), estimators=methods, n_components=2, cv=2
    )
    assert set(framed.folds["error"]) == {""}
    assert set(map(tuple, seen)) == {("a", "b", "c", "d")}
    plain = compare(X, y, estimators=[PCA()], n_components=2, cv=2)
    for measure in QUALITIES:
        np.testing.assert_allclose(
            framed.folds[measure][:2], plain.folds[measure], rtol=1e-9
        )


def test_labels_may_be_words(iris):
    X, y = iris
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    by_word = compare(X, words, estimators=[PCA()], n_components=2, cv=3)
    by_number = compare(X, y, estimators=[PCA()], n_components=2, cv=3)
    np.testing.assert_array_equal(
        by_word.folds["downstream_score"], by_number.folds["downstream_score"]
    )


@pytest.mark.parametrize("score", [np.array([0.5]), 2**70])
def test_a_score_is_a_number_of_any_size_or_an_array_of_one(score, iris):
    X, y = iris
    options = {"estimators": [PCA()], "n_components": 1, "cv": 2}
    folds = compare(X, y, scoring=lambda *_: score, **options).folds
    assert folds["downstream_score"].tolist() == [float(np.max(score))] * 2
