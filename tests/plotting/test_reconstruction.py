"""Reconstructions are the estimator's, beside PCA's."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from skae import AutoencoderTransformer
from skae.plotting import CodeDisplay, FeatureErrorDisplay, ReconstructionDisplay

from .rows import SMALL
from .seen import OF_ROWS, plt, says, show


def test_reconstructions_are_the_estimators(case):
    model, X, image_shape, _ = case
    display = ReconstructionDisplay.from_estimator(
        model, X, reference="pca", n_rows=5, image_shape=image_shape
    )
    rows = np.asarray(X)
    assert display.row_numbers[[0, -1]].tolist() == [0, len(rows) - 1]
    np.testing.assert_array_equal(display.rows, rows[display.row_numbers])
    decoded = model.inverse_transform(model.transform(X))
    first, second = display.reconstructions.values()
    np.testing.assert_array_equal(first, decoded[display.row_numbers])
    assert second.shape == first.shape
    for words in ("original", "PCA fitted to X", f"row {len(rows) - 1}"):
        assert says(display.figure_, words)


def test_more_rows_than_there_are_and_fewer_than_one(cases):
    model, X, _, _ = cases["digits"]
    display = ReconstructionDisplay.from_estimator(model, X[:3], n_rows=8)
    assert display.row_numbers.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="n_rows == 0, must be >= 1"):
        ReconstructionDisplay.from_estimator(model, X, n_rows=0)
    with pytest.raises(TypeError, match="n_rows must be an instance of int"):
        ReconstructionDisplay.from_estimator(model, X, n_rows=2.5)


@pytest.mark.parametrize("kind", ["images", "profiles", "table"])
def test_missing_values_are_refused_in_rows_that_are_not_shown_too(kind, digits):
    X, _ = digits
    pca = PCA(2).fit(X)
    X = X.copy()
    X[1, 5] = np.nan
    settings = {"kind": kind, "image_shape": (8, 8) if kind == "images" else None}
    for rows in (X, sp.csr_array(X)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            ReconstructionDisplay.from_estimator(pca, rows, n_rows=2, **settings)
    assert not plt.get_fignums()


def test_pca_takes_the_estimators_place_in_a_pipeline(wine):
    X, _ = wine
    model = make_pipeline(StandardScaler(), AutoencoderTransformer(3, **SMALL)).fit(X)
    twin = make_pipeline(StandardScaler(), PCA(3)).fit(X)
    display = ReconstructionDisplay.from_estimator(model, X, reference="pca", n_rows=4)
    expected = twin.inverse_transform(twin.transform(X))[display.row_numbers]
    np.testing.assert_allclose(display.reconstructions["PCA fitted to X"], expected)


@pytest.mark.parametrize("behind", [StandardScaler(), "passthrough"])
def test_pca_takes_the_place_of_the_step_that_gives_codes(behind, iris):
    X, _ = iris
    inner = make_pipeline(StandardScaler(), TruncatedSVD(2), behind)
    model = make_pipeline(MinMaxScaler(), inner).fit(X)
    display = CodeDisplay.from_estimator(model, X)
    assert list(display.codes) == ["TruncatedSVD", "PCA fitted to X"]
    inner = make_pipeline(StandardScaler(), PCA(2), behind)
    twin = make_pipeline(MinMaxScaler(), inner).fit(X)
    np.testing.assert_allclose(display.codes["PCA fitted to X"], twin.transform(X))


@pytest.mark.parametrize(("shape", "n_components"), [((8, 20), 7), ((20, 8), 8)])
def test_pca_of_sparse_rows_has_as_many_components_as_there_are(shape, n_components):
    X = sp.csr_array(np.random.default_rng(0).poisson(1.0, shape) * 1.0)
    display = CodeDisplay.from_estimator(FunctionTransformer().fit(X), X)
    assert display.codes["PCA fitted to X"].shape == (shape[0], n_components)


def test_a_reference_of_ones_own(wine):
    X, _ = wine
    pca = PCA(2).fit(X)
    display = CodeDisplay.from_estimator(pca, X, reference=PCA(3).fit(X), name="mine")
    assert list(display.codes) == ["mine", "PCA"]
    display = CodeDisplay.from_estimator(pca, X, reference=PCA(3).fit(X))
    assert list(display.codes) == ["PCA", "PCA (reference)"]
    display = CodeDisplay.from_estimator(pca, X, name="PCA fitted to X")
    assert list(display.codes) == ["PCA fitted to X", "PCA fitted to X (reference)"]
    with pytest.raises(ValueError, match="reference='ica' must be"):
        CodeDisplay.from_estimator(pca, X, reference="ica")
    with pytest.raises(TypeError, match="reference=int has no transform"):
        CodeDisplay.from_estimator(pca, X, reference=3)
    with pytest.raises(NotFittedError):
        CodeDisplay.from_estimator(pca, X, reference=PCA())


def test_a_wide_table_says_which_columns_are_shown(digits):
    X, _ = digits
    n_varying = int((X.std(axis=0) > 0).sum())
    for Display in OF_ROWS:
        figure = show(Display, PCA(2).fit(X), X, kind="table").figure_
        is_of_all = Display is not FeatureErrorDisplay
        some = "64 columns " if is_of_all else f"{n_varying} columns that vary, "
        assert says(figure, f"(the 30 of {some}")
