"""Rows come in any container and any numeric type; results come back in theirs."""

import functools

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits, load_iris

from skae import AutoencoderTransformer, VAETransformer, rows
from skae.estimators.checking import check_X
from skae.likelihoods import Poisson

SMALL = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}
WHOLE = SMALL | {"max_iter": 1, "early_stopping": False}
START = SMALL | {"max_iter": 0}

SPARSE = [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix]

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)

# From the type of the rows to the type of what comes back.
TYPES = {
    np.float64: FLOAT64,
    np.float32: FLOAT32,
    np.float16: FLOAT64,
    np.uint8: FLOAT32,
    np.int8: FLOAT64,
    np.uint16: FLOAT64,
    np.int32: FLOAT64,
    np.int64: FLOAT64,
    np.bool_: FLOAT64,
}


def pixels():
    """Small integers that every numeric type holds."""
    X = load_digits().data[:60, 2:8]
    return (X > 7) * 1.0 + (X > 0)


def dark():
    return (pixels() > 0) * 1.0


def iris():
    return load_iris().data[::3]


def reference(Estimator, X):
    """What a plain float64 array gives."""
    return Estimator(2, **START).fit(np.array(X, dtype=np.float64, order="C"))


def results(model, X):
    """All that is said of rows; of a VAE the score is but a mean of the others."""
    methods = ["transform", "reconstruct", "score_samples"]
    found = {name: np.asarray(getattr(model, name)(X)) for name in methods}
    if not isinstance(model, VAETransformer):
        found["score"] = model.score(X)
    return found


def assert_close_results(found, expected, tolerance=1e-5):
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=tolerance, atol=tolerance, err_msg=name
        )


def assert_close_models(model, wanted, X, plain, tolerance=1e-5):
    assert_close_results(results(model, X), results(wanted, plain), tolerance)


@pytest.fixture(scope="module")
def of_plain_rows():
    """What a class says of a plain float64 array, which it was fitted to."""

    @functools.cache
    def found(Estimator, rows, max_iter):
        X = rows()
        return results(Estimator(2, **SMALL | {"max_iter": max_iter}).fit(X), X)

    return found


# ------------------------------------------------------------------------- types


@pytest.mark.parametrize("dtype", TYPES, ids=lambda t: t.__name__)
def test_any_numeric_type_gives_the_same_model(Estimator, dtype, of_plain_rows):
    rows = dark if dtype is np.bool_ else pixels
    X = rows().astype(dtype)
    model = Estimator(2, **START).fit(X)
    assert_close_results(results(model, X), of_plain_rows(Estimator, rows, 0), 1e-4)


@pytest.mark.parametrize("dtype", TYPES, ids=lambda t: t.__name__)
def test_results_have_the_type_of_the_rows(Estimator, dtype):
    X = pixels().astype(dtype)
    model = Estimator(2, **WHOLE).fit(X)
    assert model.transform(X).dtype == TYPES[dtype]
    assert model.reconstruct(X).dtype == TYPES[dtype]
    assert model.inverse_transform(model.transform(X)).dtype == TYPES[dtype]
    assert model.fit_transform(X).dtype == TYPES[dtype]


@pytest.mark.parametrize(
    "dtype", [np.float64, np.float32, np.int64, np.uint8, np.bool_]
)
def test_results_of_sparse_rows_have_their_type(Estimator, dtype):
    X = sp.csc_array(pixels().astype(dtype))
    model = Estimator(2, **WHOLE).fit(X)
    assert model.transform(X).dtype == TYPES[dtype]
    assert model.reconstruct(X).dtype == TYPES[dtype]


def test_the_standard_deviations_of_codes_have_the_type_of_the_rows():
    for dtype in (np.float32, np.float64):
        X = pixels().astype(dtype)
        codes, std = VAETransformer(2, **WHOLE).fit(X).transform(X, return_std=True)
        assert codes.dtype == std.dtype == dtype
        assert (std > 0).all()


def test_rows_may_have_another_type_than_those_that_were_fitted(Estimator):
    X = pixels()
    model = reference(Estimator, X)
    assert model.transform(X.astype(np.float32)).dtype == np.float32
    narrow = Estimator(2, **START).fit(X.astype(np.float32))
    assert narrow.transform(X).dtype == np.float64
    assert_close_models(narrow, model, X, X, 1e-4)


def test_integers_are_not_rounded_nor_wrapped(Estimator):
    X = np.array([[250, 3], [1, 255], [0, 0], [128, 127], [255, 255]], dtype=np.uint8)
    model = Estimator(2, **START).fit(X)
    wanted = reference(Estimator, X)
    np.testing.assert_allclose(model.mean_, X.mean(axis=0, dtype=float))
    np.testing.assert_allclose(model.transform(X), wanted.transform(X * 1.0), rtol=1e-4)


# --------------------------------------------------------------------- containers


@pytest.mark.parametrize("as_sparse", SPARSE, ids=lambda f: f.__name__)
def test_sparse_and_dense_rows_give_the_same_model(Estimator, as_sparse, of_plain_rows):
    X, wanted = pixels(), of_plain_rows(Estimator, pixels, 0)
    model = Estimator(2, **START).fit(as_sparse(X))
    assert_close_results(results(model, as_sparse(X)), wanted)
    assert_close_results(results(model, X), wanted)
    assert_close_results(results(reference(Estimator, X), as_sparse(X)), wanted)


@pytest.mark.parametrize("as_sparse", SPARSE, ids=lambda f: f.__name__)
def test_a_model_trained_on_sparse_rows_is_that_of_the_dense_ones(
    Estimator, as_sparse, of_plain_rows
):
    X, wanted = pixels(), of_plain_rows(Estimator, pixels, 4)
    model = Estimator(2, **SMALL).fit(as_sparse(X))
    found = results(model, X)
    assert_close_results(found, wanted, 1e-3)
    assert_close_results(results(model, as_sparse(X)), found, 1e-6)


def test_sparse_rows_that_judge(Estimator):
    X = pixels()
    dense = Estimator(2, **SMALL).fit(X[:40], X_val=X[40:])
    model = Estimator(2, **SMALL).fit(X[:40], X_val=sp.csc_array(X[40:]))
    np.testing.assert_allclose(
        model.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-6
    )


def test_a_model_of_sparse_rows_whose_zeros_are_stored_is_the_same(Estimator):
    X = pixels()
    stored = sp.csr_array(np.where(X == 0, 9.0, X))
    stored.data[stored.data == 9.0] = 0.0
    assert stored.nnz > np.count_nonzero(X)
    model = Estimator(2, **START).fit(stored)
    assert_close_models(model, reference(Estimator, X), stored, X)


def in_parts(X, as_sparse=sp.csr_array):
    """Store each value in two halves, the last column of a row first."""
    whole = sp.csr_array(X[:, ::-1])
    indices = X.shape[1] - 1 - np.repeat(whole.indices, 2)
    data, indptr = np.repeat(whole.data / 2, 2), 2 * whole.indptr
    return as_sparse(sp.csr_array((data, indices, indptr), shape=X.shape))


@pytest.mark.parametrize("as_sparse", [sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("likelihood", ["auto", "poisson", Poisson(size=None)])
def test_values_stored_in_parts_are_their_sums(Estimator, likelihood, as_sparse):
    X = pixels()
    parameters = SMALL | {"max_iter": 1, "likelihood": likelihood}
    model = Estimator(2, **parameters).fit(in_parts(X, as_sparse), X_val=in_parts(X))
    wanted = Estimator(2, **parameters).fit(sp.csr_array(X), X_val=sp.csr_array(X))
    exactly = results(wanted, sp.csr_array(X))
    assert_close_results(results(model, in_parts(X, as_sparse)), exactly, 0)


def test_values_whose_parts_alone_are_allowed_are_refused(Estimator):
    X = dark()
    model = Estimator(2, likelihood="bernoulli", **START).fit(X)
    for act in (model.fit, model.partial_fit, model.transform, model.score):
        with pytest.raises(ValueError, match="has the value 2"):
            act(in_parts(2 * X))


def test_sparse_rows_are_copied_only_where_they_are_stored_in_parts():
    model, X = AutoencoderTransformer(), sp.csr_array(pixels())
    assert np.shares_memory(check_X(model, X, reset=True).data, X.data)
    parts = in_parts(pixels())
    before = parts.data.copy(), parts.indices.copy(), parts.indptr.copy()
    assert check_X(model, parts).nnz == X.nnz
    for part, was in zip(
        (parts.data, parts.indices, parts.indptr), before, strict=True
    ):
        np.testing.assert_array_equal(part, was)


def test_lists_are_arrays(Estimator, of_plain_rows):
    X = iris().tolist()
    model = Estimator(2, **SMALL).fit(X)
    assert_close_results(results(model, X), of_plain_rows(Estimator, iris, 4))


def arrangements(X, folder):
    """The same rows, laid out in memory in other ways."""
    yield "fortran", np.asfortranarray(X)
    wide = np.full((len(X) * 2, X.shape[1] * 3), 7.0)
    wide[::2, ::3] = X
    yield "strided", wide[::2, ::3]
    yield "reversed", np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    frozen = X.copy()
    frozen.setflags(write=False)
    yield "read-only", frozen
    np.save(folder / "rows.npy", X)
    yield "memmap", np.load(folder / "rows.npy", mmap_mode="r")
    yield "big-endian", X.astype(">f8")


LAYOUTS = ["fortran", "strided", "reversed", "read-only", "memmap", "big-endian"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_memory_says_nothing(Estimator, layout, tmp_path, of_plain_rows):
    other = dict(arrangements(iris(), tmp_path))[layout]
    before = np.array(other)
    model = Estimator(2, **SMALL).fit(other)
    assert_close_results(results(model, other), of_plain_rows(Estimator, iris, 4))
    np.testing.assert_array_equal(other, before)


def test_read_only_sparse_rows(Estimator):
    X = sp.csr_array(pixels())
    for part in (X.data, X.indices, X.indptr):
        part.setflags(write=False)
    model = Estimator(2, **SMALL).fit(X)
    assert np.isfinite(model.transform(X)).all()


def test_read_only_codes(Estimator):
    X = iris()
    model = Estimator(2, **START).fit(X)
    codes = model.transform(X)
    wanted = model.inverse_transform(codes)
    codes.setflags(write=False)
    np.testing.assert_array_equal(model.inverse_transform(codes), wanted)
    np.testing.assert_array_equal(model.inverse_transform(codes.tolist()), wanted)


@pytest.mark.parametrize("as_sparse", [None, *SPARSE])
def test_fit_leaves_the_rows_as_they_were(Estimator, as_sparse):
    X = as_sparse(pixels()) if as_sparse else pixels()
    before = X.copy()
    Estimator(2, **WHOLE).fit(X, sample_weight=np.ones(X.shape[0])).transform(X)
    assert type(X) is type(before)
    dense, wanted = (M.toarray() if as_sparse else M for M in (X, before))
    np.testing.assert_array_equal(dense, wanted)


# -------------------------------------------------------------------- data frames

NAMES = ["petal", "sepal", "width", "height"]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_data_frames_are_arrays_with_names(Estimator, frame, of_plain_rows):
    table = frame(dict(zip(NAMES, iris().T, strict=True)))
    model = Estimator(2, **SMALL).fit(table)
    assert list(model.feature_names_in_) == NAMES
    assert_close_results(results(model, table), of_plain_rows(Estimator, iris, 4))


def test_data_frames_of_mixed_types(Estimator):
    X = pixels()[:, :4]
    table = pd.DataFrame(
        {
            "small": X[:, 0].astype(np.uint8),
            "whole": X[:, 1].astype(np.int64),
            "yes": X[:, 2] > 0,
            "real": X[:, 3].astype(np.float32),
        }
    )
    plain = X.copy()
    plain[:, 2] = X[:, 2] > 0
    model = Estimator(2, **START).fit(table)
    assert_close_models(model, reference(Estimator, plain), table, plain, 1e-4)


def test_nullable_columns_without_gaps_are_numbers(Estimator):
    X = pixels()[:, :3]
    table = pd.DataFrame(X, columns=list("abc"))
    table = table.astype({"a": "Int64", "b": "Float64", "c": "UInt8"})
    model = Estimator(2, **START).fit(table)
    assert_close_models(model, reference(Estimator, X), table, X)


def test_a_nullable_column_with_a_gap_is_refused(Estimator):
    table = pd.DataFrame({"a": pd.array([1, None, 3], "Int64"), "b": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="NaN"):
        Estimator(1, **START).fit(table)


def test_columns_in_another_order_are_refused(Estimator):
    table = pd.DataFrame(iris(), columns=NAMES)
    model = Estimator(2, **START).fit(table)
    for method in ("transform", "reconstruct", "score_samples", "score"):
        with pytest.raises(ValueError, match="order as they were in fit"):
            getattr(model, method)(table[NAMES[::-1]])


def test_a_data_frame_that_judges_has_the_same_columns(Estimator):
    table = pd.DataFrame(iris(), columns=NAMES)
    model = Estimator(2, **SMALL).fit(table[::2], X_val=table[1::2])
    assert len(model.validation_loss_curve_) > 1
    with pytest.raises(ValueError, match="feature names should match"):
        Estimator(2, **SMALL).fit(table, X_val=table.rename(columns={"petal": "leaf"}))


def test_decoded_rows_of_a_data_frame_get_its_names_back(Estimator):
    table = pd.DataFrame(iris(), columns=NAMES, index=range(100, 150))
    model = Estimator(2, **START).set_output(transform="pandas").fit(table)
    codes = model.transform(table)
    for decoded in (model.reconstruct(table), model.inverse_transform(codes)):
        assert list(decoded.columns) == NAMES
        assert list(decoded.index) == list(table.index)
    assert list(model.sample(3).columns) == NAMES


def test_a_spread_of_scales_survives_float32_rows(Estimator):
    # A mean that float32 holds exactly, with a spread of a few of its steps.
    rng = np.random.default_rng(0)
    X = (2.0**20 + rng.integers(-8, 8, (200, 3))).astype(np.float32)
    model = Estimator(2, **START).fit(X)
    wanted = reference(Estimator, X)
    np.testing.assert_allclose(model.mean_, X.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(
        model.transform(X), wanted.transform(X.astype(float)), atol=0.1
    )


def test_rows_too_many_to_keep_on_the_device_give_the_same_model(
    Estimator, monkeypatch, tmp_path
):
    X = iris()
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    wanted = Estimator(2, **SMALL).fit(X)
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(rows, "BLOCK_SIZE", 50)
    monkeypatch.setattr("skae.weighted.BLOCK_SIZE", 50)
    for kind in (mapped, X):
        model = Estimator(2, **SMALL).fit(kind)
        # A VAE draws per block, so its validation losses differ by their draws.
        if Estimator is AutoencoderTransformer:
            assert_close_models(model, wanted, X, X)
        assert np.isfinite(model.score(X))
