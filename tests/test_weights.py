"""Rows are a weighted set: a weight is a number of copies, and order says nothing."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, VAETransformer, weighted
from skae import rows as all_rows
from skae.weighted import WeightedSet

SMALL = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}
START = SMALL | {"max_iter": 0}

WHOLE = SMALL | {"early_stopping": False}

in_any_format = pytest.mark.parametrize(
    "as_format", [np.asarray, sp.csr_array, sp.csc_matrix], ids=lambda f: f.__name__
)
trained_or_not = pytest.mark.parametrize("max_iter", [0, 4])


def rows(n_rows=40, n_features=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, n_features)) @ rng.normal(size=(n_features,) * 2)


def weights(n_rows=40, seed=1):
    """Integers from 0 to 3, each of them there."""
    weight = np.random.default_rng(seed).integers(0, 4, n_rows)
    weight[:4] = 0, 1, 2, 3
    return weight


def shuffled(X, seed=2):
    return X[np.random.default_rng(seed).permutation(len(X))]


def assert_same_but_for_rounding(model, other, X):
    """Everything that a fit leaves behind is equal, but for rounding."""
    for method in ("transform", "reconstruct", "score_samples"):
        found, wanted = getattr(model, method)(X), getattr(other, method)(X)
        np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)
    for name in (
        "mean_",
        "start_loss_",
        "best_loss_",
        "loss_curve_",
        "validation_loss_curve_",
        "noise_variance_",
    ):
        wanted = getattr(other, name)
        np.testing.assert_allclose(getattr(model, name), wanted, rtol=1e-7)
    assert model.n_iter_ == other.n_iter_


@trained_or_not
@in_any_format
def test_integer_weights_are_repeated_rows(Estimator, max_iter, as_format):
    X, weight = rows(), weights()
    parameters = SMALL | {"max_iter": max_iter}
    repeated = shuffled(np.repeat(X, weight, axis=0))
    model = Estimator(2, **parameters).fit(as_format(X), sample_weight=weight)
    other = Estimator(2, **parameters).fit(as_format(repeated))
    assert_same_but_for_rounding(model, other, X)


def test_integer_weights_are_repeated_rows_without_early_stopping(Estimator):
    X, weight = rows(), weights()
    weighted = Estimator(2, **WHOLE).fit(X, sample_weight=weight)
    repeated = Estimator(2, **WHOLE).fit(np.repeat(X, weight, axis=0))
    assert_same_but_for_rounding(weighted, repeated, X)


@trained_or_not
def test_rows_of_weight_0_are_absent(Estimator, max_iter):
    X = rows()
    strange = np.vstack([X[:20], 1e6 * rows(10), X[20:]])
    weight = np.repeat([1, 0, 1], [20, 10, 20])
    parameters = SMALL | {"max_iter": max_iter}
    model = Estimator(2, **parameters).fit(strange, sample_weight=weight)
    assert_same_but_for_rounding(model, Estimator(2, **parameters).fit(X), X)


@in_any_format
def test_the_order_of_weighted_rows_says_nothing(Estimator, as_format):
    X, weight = rows(), weights()
    both = shuffled(np.column_stack([X, weight]))
    model = Estimator(2, **SMALL).fit(as_format(X), sample_weight=weight)
    other = Estimator(2, **SMALL)
    other.fit(as_format(both[:, :-1]), sample_weight=both[:, -1])
    assert_same_but_for_rounding(model, other, X)


def test_the_two_zeros_are_one_value(Estimator):
    X = np.random.default_rng(0).integers(-1, 2, (40, 4)) * 1.0
    negative = X.copy()
    negative[X == 0] *= np.random.default_rng(1).choice([-1, 1], (X == 0).sum())
    assert np.signbit(negative[X == 0]).any()
    model = Estimator(2, **WHOLE).fit(X)
    assert_same_but_for_rounding(model, Estimator(2, **WHOLE).fit(negative), X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("numbers_copied", [1, 100, 2**20])
def test_neither_layout_nor_the_sign_of_zeros_changes_the_order(
    dtype, numbers_copied, monkeypatch
):
    # Few values, so that rows differ in the last of their columns only, or nowhere.
    X = np.random.default_rng(0).integers(0, 3, (50, 4)).astype(dtype)
    X = np.hstack([X[:, :1] * 0, X, X[:, :2]])
    wanted = WeightedSet(X, np.arange(50.0)).distinct()
    monkeypatch.setattr("skae.weighted.RESIDENT_BYTES", numbers_copied)
    negative = np.where(X == 0, -X.astype(np.float32), X).astype(dtype)
    for other in (np.asfortranarray(X), negative, np.repeat(X, 2, axis=1)[:, ::2]):
        found = WeightedSet(other, np.arange(50.0)).distinct()
        np.testing.assert_array_equal(found.X, wanted.X)
        np.testing.assert_array_equal(found.weight, wanted.weight)


@pytest.mark.parametrize("order", ["C", "F"])
def test_weighted_rows_in_a_memory_map_are_not_copied(order, tmp_path, monkeypatch):
    X = np.random.default_rng(0).normal(size=(2000, 500))
    X[-1, -1] = -0.0
    np.save(tmp_path / "rows.npy", np.asarray(X, order=order))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for room in (all_rows, weighted):
        monkeypatch.setattr(room, "RESIDENT_BYTES", X.nbytes // 50)
        monkeypatch.setattr(room, "BLOCK_SIZE", X.size // 50)
    tracemalloc.start()
    try:
        WeightedSet(mapped, np.ones(len(X))).distinct()
        assert tracemalloc.get_traced_memory()[1] < X.nbytes / 10
    finally:
        tracemalloc.stop()


def test_only_the_ratios_of_weights_matter(Estimator):
    X, weight = rows(), weights()
    model = Estimator(2, **SMALL).fit(X, sample_weight=weight)
    for factor in (3, 1e-6, 1e6):
        other = Estimator(2, **SMALL).fit(X, sample_weight=factor * weight)
        # The last bits of the moments, after some updates in float32.
        for method in ("transform", "reconstruct"):
            found, wanted = getattr(other, method)(X), getattr(model, method)(X)
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_fractional_weights_give_the_weighted_moments(Estimator):
    X, weight = rows(), np.random.default_rng(0).uniform(0, 2, 40)
    model = Estimator(2, **START).fit(X, sample_weight=weight)
    C = np.cov(X.T, aweights=weight, ddof=0)
    np.testing.assert_allclose(model.mean_, np.average(X, axis=0, weights=weight))
    noise = np.linalg.eigvalsh(C)[:2].sum() / 2
    assert model.noise_variance_ == pytest.approx(noise)


@pytest.mark.parametrize("factor", [1.0, 0.01, 30.0])
def test_what_is_said_of_components_counts_rows_by_their_weights(factor):
    X, weight = rows(), factor * np.random.default_rng(0).exponential(1, 40)
    model = VAETransformer(2, **START).fit(X, sample_weight=weight)
    means, deviations = model.transform(X, return_std=True)
    # The Kullback-Leibler divergence of a Gaussian from the standard normal.
    divergences = (means**2 + deviations**2 - 1) / 2 - np.log(deviations)
    wanted = np.average(divergences, axis=0, weights=weight)
    np.testing.assert_allclose(model.kl_per_component_, wanted, rtol=1e-6)


def test_weights_turn_the_start_into_pca_of_the_repeated_rows():
    X, weight = rows(), weights()
    repeated = np.repeat(X, weight, axis=0)
    model = AutoencoderTransformer(2, **START).fit(X, sample_weight=weight)
    codes = PCA(2, svd_solver="full").fit(repeated).transform(X)
    np.testing.assert_allclose(model.transform(X), codes, atol=1e-9)


def test_weights_count_in_the_loss():
    X, weight = rows(), weights()
    parameters = SMALL | {"batch_size": 100, "max_iter": 1, "early_stopping": False}
    model = AutoencoderTransformer(2, **parameters).fit(X, sample_weight=weight)
    pca = PCA(2, svd_solver="full").fit(np.repeat(X, weight, axis=0))
    error = ((X - pca.inverse_transform(pca.transform(X))) ** 2).sum(axis=1)
    wanted = np.average(error, weights=weight)
    assert model.start_loss_ == pytest.approx(wanted, rel=1e-5)
    # One batch of all rows: its loss is taken before the first step.
    assert model.loss_curve_ == pytest.approx([wanted], rel=1e-5)
    assert np.average(error) != pytest.approx(wanted, rel=1e-2)


def test_weights_of_many_rows_are_repetitions_too(Estimator):
    # Beyond 10,000 rows without weights the rows are taken as they come.
    X = rows(10_100, 2)
    weight = weights(len(X))
    model = Estimator(1, **START).fit(X, sample_weight=weight)
    other = Estimator(1, **START).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(model.mean_, other.mean_, atol=1e-12)
    np.testing.assert_allclose(model.transform(X), other.transform(X), atol=1e-9)
    assert model.noise_variance_ == pytest.approx(other.noise_variance_)


@in_any_format
def test_score_counts_rows_by_their_weights(Estimator, as_format):
    X, weight = rows(), weights()
    model = Estimator(2, **START).fit(X[:20])
    repeated = np.repeat(X, weight, axis=0)
    found = model.score(as_format(X), sample_weight=weight)
    assert found == pytest.approx(model.score(as_format(repeated)))
    assert found != pytest.approx(model.score(X), rel=1e-3)


def test_score_of_a_vae_is_the_weighted_mean_of_row_scores():
    X, weight = rows(), np.random.default_rng(0).uniform(0, 2, 40)
    model = VAETransformer(2, **START).fit(X)
    wanted = np.average(model.score_samples(X), weights=weight)
    assert model.score(X, sample_weight=weight) == pytest.approx(wanted)


@in_any_format
def test_rows_of_weight_0_are_not_scored(Estimator, as_format):
    X, weight = np.abs(rows()).round(), weights()
    model = Estimator(2, likelihood="poisson", **START).fit(X)
    strange = np.where(weight[:, None] > 0, X, -1)
    found = model.score(as_format(strange), sample_weight=weight)
    there = weight > 0
    assert found == model.score(as_format(X[there]), sample_weight=weight[there])
    with pytest.raises(ValueError, match="poisson"):
        model.score(as_format(strange))


def test_samples_resemble_the_weighted_rows(Estimator):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) + np.repeat([[0.0], [10.0]], 30, axis=0)
    weight = np.repeat([9, 1], 30)
    model = Estimator(1, **START).fit(X, sample_weight=weight)
    mean = model.sample(4000, random_state=0).mean(axis=0)
    np.testing.assert_allclose(mean, np.average(X, axis=0, weights=weight), atol=0.2)


@pytest.mark.parametrize(
    "weight",
    [
        pytest.param(np.full(40, -1.0), id="negative"),
        pytest.param(np.r_[-1.0, np.ones(39)], id="one negative"),
        pytest.param(np.zeros(40), id="all zero"),
        pytest.param(np.r_[np.nan, np.ones(39)], id="NaN"),
        pytest.param(np.r_[np.inf, np.ones(39)], id="infinite"),
        pytest.param(np.ones(39), id="too few"),
        pytest.param(np.ones((40, 2)), id="two columns"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "score"])
def test_wrong_weights_are_refused(Estimator, method, weight):
    X = rows()
    model = Estimator(2, **START).fit(X)
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        getattr(model, method)(X, sample_weight=weight)


@pytest.mark.parametrize("unit", [1e-46, 1e39])
def test_a_penalty_that_compares_rows_knows_no_unit_of_their_weights(unit):
    """It sees the weights of rows that judge as of those that are trained on."""
    X, weight = rows(), np.random.default_rng(0).random(40)
    parameters = START | {"likelihood": "student_t", "divergence": "mmd"}
    vae = VAETransformer(2, **parameters)
    wanted = vae.fit(X, sample_weight=weight).start_loss_
    found = vae.fit(X, sample_weight=unit * weight).start_loss_
    assert found == pytest.approx(wanted, rel=1e-5)


# ------------------------------------------------------------------ the set itself


def as_set(X, weight):
    """A weighted set as a dict from each row to its weight."""
    X = X.toarray() if sp.issparse(X) else X
    found = {}
    for row, w in zip(X + 0.0, weight, strict=True):
        if w:
            found[tuple(row)] = found.get(tuple(row), 0) + w
    return found


@st.composite
def weighted_rows(draw):
    """A few rows of few values, so that some are equal, with weights not all 0."""
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, 3)))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.uint8]))
    values = st.sampled_from([0, 1, 2] if dtype is np.uint8 else [-0.0, 0.0, 1.5, -2])
    X = draw(hnp.arrays(dtype, shape, elements=values))
    weight = draw(hnp.arrays(np.float64, shape[0], elements=st.integers(0, 3)))
    weight[draw(st.integers(0, shape[0] - 1))] = 1
    return X, weight


@settings(max_examples=40, deadline=None)
@given(weighted_rows(), st.booleans(), st.randoms(use_true_random=False))
def test_merging_keeps_the_set_and_forgets_all_else(both, is_sparse, random):
    X, weight = both
    as_format = sp.csr_array if is_sparse else np.asarray
    merged = WeightedSet(as_format(X), weight).distinct()
    assert len(merged) == len(merged.weight) == len(as_set(X, weight))
    assert as_set(merged.X, merged.weight) == as_set(X, weight)

    repeated = np.repeat(np.arange(len(X)), weight.astype(int))
    random.shuffle(order := list(repeated))
    again = WeightedSet(as_format(X[order]), np.ones(len(order))).distinct()
    np.testing.assert_array_equal(again.weight, merged.weight)
    dense = [M.toarray() if is_sparse else M for M in (again.X, merged.X)]
    np.testing.assert_array_equal(*dense)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=9, max_size=9))
def test_any_integer_weights_are_repetitions(some_weights):
    X, weight = rows(12, 3), [1, 1, 1, *some_weights]
    parameters = SMALL | {"max_iter": 2, "early_stopping": False}
    model = AutoencoderTransformer(1, **parameters).fit(X, sample_weight=weight)
    other = AutoencoderTransformer(1, **parameters)
    other.fit(shuffled(np.repeat(X, weight, axis=0)))
    assert_same_but_for_rounding(model, other, X)


def test_equal_sparse_rows_are_merged_however_they_are_stored():
    # Row 0 in order, row 1 with its entries the other way round, row 2 with an entry
    # in two parts, row 3 with a stored zero.
    indptr = [0, 2, 4, 7, 10]
    indices = [0, 2, 2, 0, 0, 2, 2, 0, 1, 2]
    data = [1.0, 2.0, 2.0, 1.0, 1.0, 0.5, 1.5, 1.0, 0.0, 2.0]
    X = sp.csr_array((data, indices, indptr), shape=(4, 3))
    merged = WeightedSet(X, np.array([1.0, 2.0, 3.0, 4.0])).distinct()
    np.testing.assert_array_equal(merged.X.toarray(), [[1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(merged.weight, [10.0])
    # What the caller holds is as it was.
    np.testing.assert_array_equal(X.indices, indices)


def test_equal_sparse_rows_are_on_one_side_however_they_are_stored():
    X = sp.csr_array(np.random.default_rng(0).normal(size=(50, 8)))
    turned = sp.csr_array((X.data, X.indices, X.indptr), shape=X.shape, copy=True)
    for parts in (turned.data, turned.indices):
        parts.reshape(50, 8)[:] = parts.reshape(50, 8)[:, ::-1].copy()
    twins = WeightedSet(sp.vstack([X, turned], format="csr"), np.ones(100))
    order = np.random.default_rng(1).permutation(100)
    kept, out = twins.split(20, order)
    assert len(out) == 20
    assert set(kept % 50).isdisjoint(out % 50)
    merged = twins.without_copies()
    np.testing.assert_array_equal(merged.X.toarray(), X.toarray())


@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
def test_rows_are_told_apart_beside_a_column_of_large_values(as_format):
    X = np.c_[np.random.default_rng(0).normal(size=(50, 4)), np.full(50, 1e18)]
    twins = WeightedSet(as_format(np.vstack([X, X])), np.ones(100))
    labelled = WeightedSet(twins.X, twins.weight, np.repeat([0, 1], 50))
    assert len(twins.without_copies()) == 50
    assert len(labelled.without_copies()) == 100
    _, out = twins.split(20, np.random.default_rng(1).permutation(100))
    assert len(out) == 20


def test_merging_sparse_rows_takes_no_more_than_keys_as_large_and_a_copy(monkeypatch):
    X = sp.random_array((4000, 1000), density=0.1, format="csr", rng=0)
    size = X.data.nbytes + X.indices.nbytes
    monkeypatch.setattr(all_rows, "BLOCK_SIZE", 1000)
    tracemalloc.start()
    try:
        merged = WeightedSet(X, np.ones(4000)).distinct()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert merged.X.nnz == X.nnz
    assert most < 2.5 * size


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_sparse_rows_have_the_order_of_their_dense_copies(dtype):
    X = np.random.default_rng(0).poisson(0.7, (300, 4)).astype(dtype)
    if dtype != np.uint8:
        X *= np.random.default_rng(1).choice([-0.3, 0.0, 2.0], X.shape).astype(dtype)
    weight = np.ones(len(X))
    dense, sparse = (WeightedSet(M, weight).distinct() for M in (X, sp.csr_array(X)))
    assert len(dense) < len(X)
    np.testing.assert_array_equal(dense.X, sparse.X.toarray())
    np.testing.assert_array_equal(dense.weight, sparse.weight)


def test_a_duplicate_never_stands_on_both_sides_of_the_split(Estimator):
    # Were copies split as rows, each of the few rows would be among those that judge,
    # and among those that train.
    X = rows(20)
    model = Estimator(2, **SMALL).fit(np.repeat(X, 50, axis=0))
    once = Estimator(2, **SMALL).fit(X)
    np.testing.assert_allclose(model.transform(X), once.transform(X), rtol=1e-7)
    for name in ("start_loss_", "best_loss_", "validation_loss_curve_"):
        found, wanted = getattr(model, name), getattr(once, name)
        np.testing.assert_allclose(found, wanted, rtol=1e-7)
