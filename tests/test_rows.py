"""Rows: batches, and moments far from zero."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from given import generator

from skae import AutoencoderTransformer, rows
from skae.rows import Rows, take_rows, weighted_moments
from skae.start.axes import covariance


@pytest.mark.parametrize("n_rows", [1, 40, 41, 47])
def test_batches_gathered_together_are_the_same_as_one_by_one(n_rows, monkeypatch):
    X = np.arange(3.0 * n_rows).reshape(n_rows, 3)
    served = Rows(X, np.arange(1.0, n_rows + 1), np.zeros(3), torch.device("cpu"))
    together = list(served.batches(8, generator()))
    monkeypatch.setattr(rows, "BLOCK_SIZE", 1)
    alone = list(served.batches(8, generator()))
    for (x, weight), (y, other) in zip(together, alone, strict=True):
        assert torch.equal(x, y)
        assert torch.equal(weight, other)
    firsts = torch.cat([x[:, 0] for x, _ in together])
    assert sorted((firsts / 3).int().tolist()) == list(range(n_rows))
    sizes = [len(x) for x, _ in together]
    assert n_rows == 1 or min(sizes) > 1
    assert max(sizes) <= 9


def test_rows_at_equal_steps_are_among_very_many():
    # Whole numbers above 2**24 are not all float32's.
    X = np.broadcast_to(np.uint8(1), (2**24 + 4, 1))
    served = Rows(X, np.ones(1), np.zeros(1), torch.device("cpu"))
    served.weight = torch.ones(1).expand(len(X))
    x, weight = served.some(1000)
    assert len(x) == len(weight) == 1000


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rows_at_equal_steps_are_found_whatever_torchs_type(dtype):
    X = np.arange(4000.0)[:, None]
    served = Rows(X, np.ones(4000), np.zeros(1), torch.device("cpu"))
    wanted = served.some(7)[0]
    torch.set_default_dtype(dtype)
    try:
        found = served.some(7)[0]
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, wanted)


def test_moments_are_those_of_numpy_far_from_zero():
    X = 1e8 + np.random.default_rng(0).normal(size=(100, 3))
    weight = np.random.default_rng(1).uniform(size=100)
    mean, variance = weighted_moments(X, weight)
    centred = X - 1e8
    average = np.average(centred, axis=0, weights=weight)
    np.testing.assert_allclose(mean - 1e8, average, atol=1e-7)
    wanted = np.average((centred - average) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(variance, wanted, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("block_size", [rows.BLOCK_SIZE, 50])
def test_moments_of_sparse_rows_are_found_without_their_zeros(
    dtype, block_size, monkeypatch
):
    """Where a column has none, as far from zero as its type holds, too."""
    rng = np.random.default_rng(0)
    X = rng.poisson(0.1, (200, 30)).astype(dtype)
    far = 200 if dtype is np.uint8 else 10**6
    X[:, 3], X[:, 4] = far, far + rng.integers(0, 3, 200)
    weight = rng.uniform(size=200)
    mean, variance = weighted_moments(X, weight)

    def refuse(self):
        raise AssertionError("sparse rows were made dense")

    monkeypatch.setattr(sp.csr_array, "toarray", refuse)
    monkeypatch.setattr(rows, "BLOCK_SIZE", block_size)
    found_mean, found_variance = weighted_moments(sp.csr_array(X), weight)
    np.testing.assert_allclose(found_mean, mean, rtol=1e-13)
    np.testing.assert_allclose(found_variance, variance, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("seed", [3, 7])
def test_zeros_of_no_weight_have_none_in_moments_of_sparse_rows(seed):
    rng = np.random.default_rng(seed)
    X, weight = np.zeros((3000, 40)), rng.uniform(size=3000)
    X[:, 0] = 1e8 + 0.1 * rng.normal(size=3000)
    X[7, 0], weight[7] = 0.0, 0.0
    expected = weighted_moments(X, weight)
    np.testing.assert_allclose(
        weighted_moments(sp.csr_array(X), weight), expected, rtol=1e-6
    )


def test_moments_of_sparse_rows_whose_values_are_stored_in_parts():
    parts = sp.csr_array(
        ([1.0, 2.0, 3.0, 0.0], [4, 0, 4, 2], [0, 3, 3, 4]), shape=(3, 6)
    )
    weight, whole = np.array([1.0, 2.0, 3.0]), parts.toarray()
    found, wanted = weighted_moments(parts, weight), weighted_moments(whole, weight)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
    # What the caller holds is as it was.
    np.testing.assert_array_equal(parts.indices, [4, 0, 4, 2])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_the_covariance_of_sparse_rows_is_that_of_dense_ones(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    X, weight = rng.poisson(0.1, (500, 12)).astype(dtype), rng.dirichlet(np.ones(500))
    monkeypatch.setattr(rows, "BLOCK_SIZE", 50)
    found = covariance(sp.csr_array(X), weight, weight @ X)
    wanted = np.cov(X.T.astype(float), aweights=weight, bias=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


def test_all_of_sparse_rows_are_the_matrix_itself():
    X = sp.random_array((50, 8), density=0.1, format="csr", rng=0)
    assert take_rows(X, np.arange(50)) is X
    assert take_rows(X, np.arange(1, 50)).shape == (49, 8)


@pytest.mark.parametrize("n_rows", [40, 12_000])
def test_weights_do_not_copy_what_is_large(n_rows, monkeypatch):
    X = np.random.default_rng(0).normal(size=(n_rows, 6)) ** 3
    weight = np.r_[0, np.ones(n_rows - 2), 2]
    parameters = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}

    def fitted():
        return AutoencoderTransformer(2, **parameters).fit(X, sample_weight=weight)

    whole = fitted()
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 100)
    model = fitted()
    np.testing.assert_allclose(model.transform(X), whole.transform(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("likelihood", "early_stopping"),
    [("gaussian", True), ("gaussian_diag", False), ("poisson", True)],
)
@pytest.mark.parametrize("numbers", [8000, 100])
def test_no_step_of_a_fit_makes_many_sparse_rows_of_many_columns_dense(
    Estimator, likelihood, early_stopping, numbers, monkeypatch
):
    X = np.random.default_rng(0).poisson(0.1, (300, 100)) * 1.0
    sizes = []

    def seen(block, origin, measured=rows.measured):
        sizes.append(block.shape[0])
        return measured(block, origin)

    monkeypatch.setattr(rows, "measured", seen)
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(rows, "BLOCK_SIZE", numbers)
    monkeypatch.setattr(rows, "NUMBERS_TOGETHER", numbers)
    parameters = {"hidden_layer_sizes": (4,), "max_iter": 1, "batch_size": 32}
    parameters |= {"likelihood": likelihood, "early_stopping": early_stopping}
    Estimator(2, random_state=0, **parameters).fit(sp.csr_array(X))
    assert max(sizes) == max(numbers // 100, 64)


@pytest.fixture
def roomy_gpu(monkeypatch):
    """A GPU with room for whatever is large, whose memory is the CPU's."""
    empty, cuda = torch.empty, torch.cuda
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 100)
    monkeypatch.setattr(cuda, "mem_get_info", lambda device: (10_000, 20_000))
    monkeypatch.setattr(cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(cuda, "memory_allocated", lambda device: 0)
    monkeypatch.setattr(
        torch, "empty", lambda shape, *, dtype, device: empty(shape, dtype=dtype)
    )
    return torch.device("cuda")


LARGE = np.arange(200.0, dtype=np.float32).reshape(40, 5)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("is_view", [False, True])
def test_large_rows_are_kept_on_a_gpu_whatever_holds_them(kind, is_view, roomy_gpu):
    X, index = kind(LARGE), np.arange(40)[::-1].copy()
    there = rows.placed(rows.RowView(X, index) if is_view else X, roomy_gpu)
    assert isinstance(there, torch.Tensor)
    assert there is not X
    np.testing.assert_array_equal(there, LARGE[::-1] if is_view else LARGE)


@pytest.mark.parametrize(
    "X",
    [
        LARGE[:4],
        torch.from_numpy(LARGE[:4]),
        np.tile(LARGE, (10, 1)),
        torch.from_numpy(LARGE).repeat(10, 1),
        sp.csr_array(LARGE),
        torch.empty(40, 5, device="meta"),
    ],
    ids=["few", "few, a tensor", "too many", "too many, a tensor", "sparse", "there"],
)
def test_other_rows_stay_where_they_are(X, roomy_gpu):
    assert rows.placed(X, roomy_gpu) is X
