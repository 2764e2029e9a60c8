"""``compare``: its numbers are scikit-learn's."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.decomposition import NMF, PCA, FactorAnalysis, KernelPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.manifold import trustworthiness
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import (
    AutoencoderTransformer,
    VAETransformer,
    compare,
    explained_variance_scorer,
)

from .folds import QUALITIES, SHUFFLED, SMALL


def hand_scores(X, y, estimator, predictor, cv):
    """The same measures by scikit-learn's cross_validate."""

    def measures(fitted, X, y=None):
        codes = fitted.transform(X)
        decoded = fitted.inverse_transform(codes)
        k = min(10, (len(X) - 1) // 2)
        has_likelihood = isinstance(fitted, PCA | FactorAnalysis | VAETransformer)
        return {
            "explained_variance": r2_score(X, decoded, multioutput="variance_weighted"),
            "log_likelihood": fitted.score(X) if has_likelihood else np.nan,
            "trustworthiness": trustworthiness(X, codes, n_neighbors=k),
        }

    by_hand = cross_validate(estimator, X, y, cv=cv, scoring=measures)
    pipeline = make_pipeline(estimator, StandardScaler(), predictor)
    by_hand["test_downstream_score"] = cross_validate(pipeline, X, y, cv=cv)[
        "test_score"
    ]
    return {measure: by_hand[f"test_{measure}"] for measure in QUALITIES}


@pytest.mark.parametrize(
    "estimator",
    [
        PCA(2),
        AutoencoderTransformer(2, **SMALL),
        VAETransformer(2, **SMALL),
        KernelPCA(2, fit_inverse_transform=True),
        NMF(2, tol=1e-3, max_iter=2000, random_state=0),
        make_pipeline(StandardScaler(), AutoencoderTransformer(2, **SMALL)),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_numbers_are_those_of_cross_validate(estimator, iris):
    X, y = iris
    folds = compare(X, y, estimators=[estimator], n_components=2, cv=SHUFFLED).folds
    expected = hand_scores(X, y, estimator, LogisticRegression(max_iter=1000), SHUFFLED)
    for measure, values in expected.items():
        np.testing.assert_allclose(folds[measure], values, rtol=1e-9, atol=1e-9)
    assert set(folds["error"]) == {""}


def test_a_quantity_is_predicted_by_ridge_regression():
    X, y = load_diabetes(return_X_y=True)
    for target in (y, np.log(y), y.astype(int), np.arange(len(y))):
        folds = compare(X, target, estimators=[PCA()], n_components=4, cv=3).folds
        expected = hand_scores(X, target, PCA(4), Ridge(), KFold(3))
        for measure, values in expected.items():
            np.testing.assert_allclose(folds[measure], values, rtol=1e-9, atol=1e-9)


def test_predictor_scorer_and_folds_may_be_chosen(iris):
    X, y = iris
    predictor, cv = KNeighborsClassifier(3), ShuffleSplit(4, random_state=0)
    comparison = compare(
        X,
        y,
        estimators=[PCA()],
        n_components=3,
        downstream=predictor,
        scoring="neg_log_loss",
        cv=cv,
    )
    expected = cross_validate(
        make_pipeline(PCA(3), predictor), X, y, cv=cv, scoring="neg_log_loss"
    )
    np.testing.assert_allclose(
        comparison.folds["downstream_score"], expected["test_score"], rtol=1e-9
    )
    assert comparison.test_ratio == pytest.approx(15 / 135)
    splits = list(cv.split(X))
    again = compare(X, y, estimators=[PCA()], n_components=3, cv=splits)
    np.testing.assert_array_equal(
        again.folds["explained_variance"], comparison.folds["explained_variance"]
    )


def test_folds_are_stratified_for_classes_only(iris):
    X, y = iris
    in_order = np.argsort(y)
    X, y = X[in_order], y[in_order]
    by_class = compare(X, y, estimators=[PCA()], n_components=1, cv=3)
    expected = hand_scores(X, y, PCA(1), LogisticRegression(max_iter=1000), 3)
    np.testing.assert_allclose(
        by_class.folds["downstream_score"], expected["downstream_score"]
    )
    plain = compare(X, estimators=[PCA()], n_components=1, cv=3).folds
    expected = cross_validate(
        PCA(1), X, cv=KFold(3), scoring=explained_variance_scorer
    )["test_score"]
    np.testing.assert_allclose(plain["explained_variance"], expected, rtol=1e-9)
    assert np.isnan(plain["downstream_score"]).all()
    assert set(plain["error"]) == {""}


def test_groups_stay_together(iris):
    X, _ = iris
    groups, cv = np.arange(150) // 10, GroupKFold(3)
    found, in_a_column = (
        compare(X, estimators=[PCA()], n_components=1, cv=cv, groups=each)
        for each in (groups, groups[:, None])
    )
    expected = cross_validate(
        PCA(1), X, cv=cv, groups=groups, scoring=explained_variance_scorer
    )["test_score"]
    for each in (found, in_a_column):
        shares = each.folds["explained_variance"]
        np.testing.assert_allclose(shares, expected, rtol=1e-9)


def test_supervised_transformers_are_given_y(iris):
    X, y = iris
    folds = compare(
        X, y, estimators=[LinearDiscriminantAnalysis()], n_components=[1, 2], cv=3
    ).folds
    assert set(folds["error"]) == {""}
    assert (folds["downstream_score"] > 0.9).all()
    assert np.isnan(folds["explained_variance"]).all()


def test_without_choice_it_is_pca_and_both_of_skae():
    X = np.random.RandomState(0).standard_normal((60, 5))
    comparison = compare(X, n_components=2, cv=2, random_state=0)
    assert comparison.summary()["estimator"].tolist() == [
        "PCA",
        "Autoencoder",
        "VAE",
    ]
    assert set(comparison.folds["error"]) == {""}
    model = AutoencoderTransformer(2, random_state=0)
    expected = cross_validate(model, X, cv=2, scoring=explained_variance_scorer)
    values = comparison.folds["explained_variance"][2:4]
    np.testing.assert_allclose(values, expected["test_score"], rtol=1e-9)
