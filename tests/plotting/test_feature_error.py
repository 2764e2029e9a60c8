"""Errors per column."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skae import VAETransformer
from skae.likelihoods import Poisson
from skae.plotting import FeatureErrorDisplay

from .rows import SMALL
from .seen import plt


@pytest.mark.parametrize("block_size", [2**22, 100])
def test_errors_are_mean_squares_over_all_rows(case, block_size, monkeypatch):
    monkeypatch.setattr("skae.plotting.feature_error.BLOCK_SIZE", block_size)
    model, X, image_shape, _ = case
    display = FeatureErrorDisplay.from_estimator(
        model, X, reference=None, image_shape=image_shape
    )
    (errors,) = display.squared_errors.values()
    rows = np.asarray(X)
    decoded = model.inverse_transform(model.transform(X))
    expected = np.square(rows - decoded).mean(axis=0)
    np.testing.assert_allclose(errors, expected, rtol=1e-6)
    np.testing.assert_allclose(display.variances, rows.var(axis=0), atol=1e-12)


def test_errors_of_counts_are_those_of_rows_of_their_own_size():
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(1, 10, (60, 1)) * rng.uniform(0.5, 1, (1, 6)))
    model = VAETransformer(2, likelihood=Poisson(), **SMALL).fit(X)
    expected = np.square(X - model.reconstruct(X)).mean(axis=0)
    halved = FunctionTransformer(lambda X: X / 2, lambda X: X * 2)
    nested = make_pipeline(halved, make_pipeline(model))
    for estimator, factor in ((model, 1), (nested, 2)):
        display = FeatureErrorDisplay.from_estimator(
            estimator, factor * X, reference=None
        )
        (errors,) = display.squared_errors.values()
        np.testing.assert_allclose(errors, factor**2 * expected)


def test_errors_of_a_sparse_table_are_those_of_the_dense_one(digits):
    X, _ = digits
    pca = PCA(3, svd_solver="covariance_eigh").fit(X)
    dense, sparse = (
        FeatureErrorDisplay.from_estimator(pca, rows).squared_errors.values()
        for rows in (X, sp.csr_array(X))
    )
    for one, other in zip(dense, sparse, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_bars_are_sorted_and_named(wine):
    X, _ = wine
    model = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    display = FeatureErrorDisplay.from_estimator(model, X, reference=None)
    ax = display.axes_[0]
    shares = [bar.get_width() for bar in ax.patches]
    names = [label.get_text() for label in ax.get_yticklabels()]
    expected = display.squared_errors["PCA"] / X.to_numpy().var(axis=0)
    order = np.argsort(-expected)
    np.testing.assert_allclose(shares, expected[order])
    assert names == list(X.columns[order])
    score = 1 - expected.mean()
    ratio = model[-1].explained_variance_ratio_.sum()
    assert score == pytest.approx(ratio)


def test_long_names_are_told_apart_by_their_ends(iris):
    X = pd.DataFrame(iris[0]).add_prefix("one of the columns with a name ")
    display = FeatureErrorDisplay.from_estimator(PCA(2).fit(X), X, reference=None)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert sorted(names) == [f"one of the column…h a name {i}" for i in range(4)]


def test_a_constant_column_has_no_share_and_counts_in_no_average(iris):
    # 98.6 is no binary fraction: its mean is not quite itself.
    X = np.column_stack([np.full(len(iris[0]), 98.6), iris[0]])
    plain, display = (
        FeatureErrorDisplay.from_estimator(PCA(2).fit(rows), rows, reference=None)
        for rows in (iris[0], X)
    )
    for wanted, found in zip(plain.ax_.patches, display.ax_.patches, strict=True):
        assert found.get_width() == pytest.approx(wanted.get_width())
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert sorted(names) == ["x1", "x2", "x3", "x4"]
    legends = [d.figure_.legends[0].texts[0].get_text() for d in (plain, display)]
    assert legends[0] == legends[1]


def test_a_table_without_variance_is_refused(iris):
    pca = PCA(2).fit(iris[0])
    with pytest.raises(ValueError, match="X: none of its columns varies"):
        FeatureErrorDisplay.from_estimator(pca, iris[0][:1], reference=None)
    assert not plt.get_fignums()


class Halves(TransformerMixin, BaseEstimator):
    """A reducer of a user's own, whose width has a name of its own."""

    def __init__(self, size=2):
        self.size = size

    def fit(self, X, y=None):
        self.pca_ = PCA(self.size).fit(X)
        return self

    def transform(self, X):
        return self.pca_.transform(X) / 2

    def inverse_transform(self, X):
        return self.pca_.inverse_transform(2 * np.asarray(X))


@pytest.mark.parametrize("last", [Halves(), SelectKBest(k=2)])
def test_the_step_that_gives_codes_is_the_one_that_pca_stands_for(iris, last):
    X, y = iris
    model = make_pipeline(StandardScaler(), PCA(3), last).fit(X, y)
    display = FeatureErrorDisplay.from_estimator(model, X)
    own, of_pca = display.squared_errors.values()
    assert [*display.squared_errors] == [type(last).__name__, "PCA fitted to X"]
    of_two = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    expected = np.square(X - of_two.inverse_transform(of_two.transform(X))).mean(axis=0)
    np.testing.assert_allclose(of_pca, expected)
    assert own.sum() >= 0.999 * of_pca.sum()


def test_lines_that_are_there_already_have_no_place_in_the_legend(iris):
    X, _ = iris
    _, ax = plt.subplots()
    (mine,) = ax.plot([0, 1], label="mine")
    pca = PCA(2).fit(X)
    display = FeatureErrorDisplay.from_estimator(
        pca, X, kind="profiles", ax=ax, reference=None
    )
    legend = display.ax_.get_legend() or display.figure_.legends[0]
    assert [text.get_text().partition(":")[0] for text in legend.texts] == ["PCA"]
    assert legend.get_lines()[0].get_color() != mine.get_color()
