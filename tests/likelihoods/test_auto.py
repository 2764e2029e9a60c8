"""What likelihood="auto" makes of whole numbers."""

import numpy as np
import pytest
import scipy.sparse as sp

from skae import VAETransformer
from skae.fitting import auto
from skae.fitting.auto import auto_likelihood


def table_of_counts(n_rows, seed):
    """Counts of columns from rare to frequent, in rows of sizes of their own."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(0).gamma(0.5, 1.0, 60)
    return rng.poisson(means * rng.lognormal(0, 0.3, (n_rows, 1))) * 1.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_rows", [40, 300])
def test_a_table_of_counts_is_one_whatever_chance_makes_of_a_column(n_rows, seed):
    X = table_of_counts(n_rows, seed)
    assert (X <= 1).all(axis=0).any()
    assert (X.var(axis=0) < X.mean(axis=0)).any()
    assert auto_likelihood(X) == "negative_binomial"


def test_counts_have_a_size_per_row_unless_rows_have_classes():
    X, y = table_of_counts(60, 0), np.repeat([0, 1], 30)
    quick = {"likelihood": "auto", "hidden_layer_sizes": (4,), "max_iter": 0}
    assert VAETransformer(1, **quick).fit(X, y).likelihood_.size == "total"
    told = VAETransformer(1, conditional=True, **quick).fit(X, y)
    assert told.likelihood_.size is None


def test_flags_are_no_counts_and_neither_are_answers():
    rng = np.random.default_rng(0)
    counts, flags = rng.poisson(3.0, (200, 5)), rng.random((200, 4)) < 0.3
    assert auto_likelihood(np.hstack([counts, flags])) == [
        ("negative_binomial", [0, 1, 2, 3, 4]),
        ("bernoulli", [5, 6, 7, 8]),
    ]
    ages, answers = rng.integers(18, 70, (200, 1)), rng.binomial(4, 0.5, (200, 2))
    assert auto_likelihood(np.hstack([ages, answers])) == "gaussian_diag"


def test_a_weight_is_so_many_rows():
    X, weight = table_of_counts(30, 0), np.random.default_rng(0).integers(1, 4, 30)
    assert auto_likelihood(X, weight) == auto_likelihood(np.repeat(X, weight, axis=0))


def test_shares_are_told_by_no_unit():
    rng = np.random.default_rng(0)
    answers, events = rng.binomial(6, 0.5, (200, 2)), rng.random((200, 3)) < 0.01
    X = np.hstack([table_of_counts(200, 0)[:, :5], answers, events])
    share = rng.random(200) / 200
    wanted = auto_likelihood(X, share)
    assert wanted != "negative_binomial"
    for unit in (1e-100, 1e-170, 1e-300):
        assert auto_likelihood(X, unit * share) == wanted


def test_very_large_weights_are_very_many_rows():
    X = table_of_counts(200, 0)
    wanted = auto_likelihood(X, np.full(200, 1e20))
    assert wanted != auto_likelihood(X)
    for weight in (1e155, 1e300, 1e305):
        assert auto_likelihood(X, np.full(200, weight)) == wanted


@pytest.mark.parametrize("method", ["score", "transform", "partial_fit", "fit"])
def test_new_rows_that_auto_had_not_thought_of_are_refused_with_the_remedy(method):
    X = np.random.default_rng(0).integers(0, 2, (40, 3)) * 1.0
    parameters = {"max_iter": 0, "random_state": 0, "warm_start": True}
    vae = VAETransformer(1, likelihood="auto", **parameters).fit(X)
    X[0, 0] = 2
    with pytest.raises(ValueError, match=r"chosen by likelihood='auto'.*name one"):
        getattr(vae, method)(X)


def test_shares_of_a_whole_say_the_same_as_rows():
    rng = np.random.default_rng(0)
    answers = rng.binomial(16, 0.5, (200, 8)) * 1.0
    answers[0] = 0
    flags = (rng.random((400, 8)) < 0.5) * 1.0
    flags[:, 0] = rng.poisson(2, 400)
    for X in (answers, flags):
        wanted = auto_likelihood(X, np.ones(len(X)))
        assert wanted != "negative_binomial"
        assert auto_likelihood(X, np.full(len(X), 1 / len(X))) == wanted


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
@pytest.mark.parametrize("numbers", [auto.RESIDENT_BYTES, 100])
def test_columns_are_told_without_their_zeros_and_few_at_a_time(
    dtype, numbers, monkeypatch
):
    rng = np.random.default_rng(0)
    categories, answers = rng.integers(0, 3, 200), rng.binomial(4, 0.5, (200, 2))
    X = np.hstack(
        [
            rng.poisson(0.2, (200, 4)),
            np.eye(3)[categories],
            -rng.binomial(1, 0.1, (200, 1)),
            rng.random((200, 2)) < 0.3,
            np.eye(3)[categories][:, :2],  # the third is not among them
            answers,
        ]
    )
    wanted = [
        ("gaussian_diag", [7, 12, 13]),
        ("negative_binomial", [0, 1, 2, 3]),
        ("bernoulli", [8, 9, 10, 11]),
        ("categorical", [4, 5, 6]),
    ]
    monkeypatch.setattr(auto, "RESIDENT_BYTES", numbers)
    assert auto_likelihood(X.astype(dtype)) == wanted

    def refuse(self):
        raise AssertionError("sparse rows were made dense")

    rows = sp.csr_array(sp.vstack([sp.csr_array(X), sp.csr_array((1000, X.shape[1]))]))
    found = auto_likelihood(rows.toarray().astype(dtype))
    assert found != wanted
    monkeypatch.setattr(sp.csr_array, "toarray", refuse)
    monkeypatch.setattr(sp.csc_array, "toarray", refuse)
    assert auto_likelihood(rows.astype(dtype)) == found
