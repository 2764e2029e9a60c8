"""The scorer that ranks by explained variance."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import coo_array
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneOut
from sklearn.pipeline import Pipeline

from skae import (
    AutoencoderTransformer,
    VAETransformer,
    compare,
    explained_variance_scorer,
)

from .folds import SMALL, Columns


def own_score(estimator, X, sample_weight):
    return estimator.score(X, sample_weight=sample_weight)


def test_the_scorer_is_the_autoencoders_own_score(iris):
    X, _ = iris
    model = AutoencoderTransformer(2, **SMALL).fit(X)
    assert explained_variance_scorer(model, X) == pytest.approx(model.score(X))
    pca = PCA(2).fit(X)
    share = pca.explained_variance_ratio_.sum()
    assert explained_variance_scorer(pca, X) == pytest.approx(share, rel=1e-12)
    assert explained_variance_scorer(pca, pd.DataFrame(X).to_numpy()) == (
        explained_variance_scorer(pca, X)
    )


@pytest.mark.parametrize(
    "scoring", [explained_variance_scorer, {"share": explained_variance_scorer}]
)
@pytest.mark.parametrize("routed", [False, True])
def test_weights_of_a_search_reach_the_scorer(routed, scoring, iris):
    X = iris[0][:60]
    weight = np.random.RandomState(0).randint(0, 4, len(X))
    model = AutoencoderTransformer(1, **SMALL | {"max_iter": 0})
    with config_context(enable_metadata_routing=routed):
        if routed:
            model.set_fit_request(sample_weight=True)
        search = GridSearchCV(model, {}, cv=KFold(2), scoring=scoring, refit=False).fit(
            X, sample_weight=weight
        )
    expected = []
    for train, test in KFold(2).split(X):
        model.fit(X[train], sample_weight=weight[train])
        expected.append(model.score(X[test], sample_weight=weight[test]))
    name = "share" if isinstance(scoring, dict) else "score"
    found = search.cv_results_[f"mean_test_{name}"]
    assert found == pytest.approx(np.mean(expected), rel=1e-6)


def test_weights_of_the_scorer_are_checked(iris):
    X = iris[0]
    pca = PCA(1).fit(X)
    assert explained_variance_scorer(pca, X, sample_weight=2) == pytest.approx(
        explained_variance_scorer(pca, X)
    )
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        explained_variance_scorer(pca, X, sample_weight=-np.ones(len(X)))


def test_weighted_rows_may_come_as_lists(iris):
    X, weight = iris[0], np.arange(len(iris[0])) % 3
    pca = PCA(1).fit(X)
    assert explained_variance_scorer(pca, X.tolist(), sample_weight=weight) == (
        explained_variance_scorer(pca, X, sample_weight=weight)
    )


@pytest.mark.parametrize(
    "kind", [np.array, np.ndarray.tolist, pd.DataFrame, coo_array, torch.tensor]
)
def test_rows_of_weight_0_are_not_transformed(kind, iris):
    X, weight = iris[0].copy(), np.arange(len(iris[0])) % 3
    model = AutoencoderTransformer(1, **SMALL | {"max_iter": 0}).fit(X)
    expected = explained_variance_scorer(model, X, sample_weight=weight)
    X[weight == 0] = np.nan
    found = explained_variance_scorer(model, kind(X), sample_weight=weight)
    assert found == expected
    with pytest.raises(ValueError, match="NaN"):
        explained_variance_scorer(model, kind(X), sample_weight=1)


def test_the_scorer_needs_a_way_back(iris):
    with pytest.raises(TypeError, match="estimator=Columns has no inverse_transform"):
        explained_variance_scorer(Columns().fit(iris[0]), iris[0])
    with pytest.raises(TypeError, match="estimator='a' has no inverse_transform"):
        explained_variance_scorer("a", iris[0])
    with pytest.raises(TypeError, match="estimator=PCA is a class; give a fitted"):
        explained_variance_scorer(PCA, iris[0])


def test_one_row_has_no_variance(iris):
    X = iris[0][:4]
    folds = compare(X, estimators=[PCA()], n_components=1, cv=LeaveOneOut()).folds
    reason = "explained_variance: ValueError: X: one row"
    assert all(reason in error for error in folds["error"])


@pytest.mark.parametrize("score", [explained_variance_scorer, own_score])
@pytest.mark.parametrize("weight", [None, [0, 2, 0]])
def test_one_row_that_counts_has_no_variance(score, weight, iris):
    X = iris[0]
    model = AutoencoderTransformer(1, **SMALL | {"max_iter": 0}).fit(X)
    held_out = X[:1] if weight is None else X[:3]
    with pytest.raises(ValueError, match=r"^X: one row has no variance"):
        score(model, held_out, sample_weight=weight)


def test_a_grid_ranks_pca_and_autoencoders_by_one_score(iris):
    X, _ = iris
    methods = [PCA(), AutoencoderTransformer(**SMALL), VAETransformer(**SMALL)]
    search = GridSearchCV(
        Pipeline([("reduce", PCA())]),
        {"reduce": methods, "reduce__n_components": [1, 2]},
        scoring=explained_variance_scorer,
        cv=3,
    ).fit(X)
    scores = search.cv_results_["mean_test_score"]
    summary = compare(X, estimators=methods, n_components=[1, 2], cv=3).summary()
    np.testing.assert_allclose(
        scores.reshape(3, 2).T.ravel(), summary["explained_variance_mean"], rtol=1e-9
    )
