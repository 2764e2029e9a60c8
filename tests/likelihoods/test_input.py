"""Rows and columns that a likelihood refuses, and those it finds."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.compose import make_column_selector
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderTransformer, VAETransformer, rows
from skae.estimators.checking import check_values
from skae.likelihoods import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    NegativeBinomial,
    PerColumn,
    Poisson,
)
from skae.networks import MLP

from .made import MIXED, SMALL, START, counts, mixed


def refused(likelihood, X, match):
    for Model in (AutoencoderTransformer, VAETransformer):
        with pytest.raises(ValueError, match=match):
            Model(1, likelihood=likelihood, **SMALL).fit(X)


@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("name", ["poisson", "negative_binomial", Poisson(None)])
@pytest.mark.parametrize("value", [-1.0, 0.5])
def test_what_is_no_count_is_refused(name, value, as_format):
    X = counts(30)
    X[3, 2] = value
    refused(name, as_format(X), rf"(?s)likelihood=.*value {value:g}.*raw counts")
    model = VAETransformer(2, likelihood=name, **START).fit(counts(30))
    with pytest.raises(ValueError, match="raw counts"):
        model.transform(as_format(X))
    with pytest.raises(ValueError, match=r"X_val.*raw counts"):
        model.fit(counts(30), X_val=as_format(X))


def test_counts_are_refused_by_the_name_that_was_asked_for():
    for name in ("poisson", "negative_binomial"):
        refused(name, [[1.0], [0.5]], f"likelihood='{name}' needs counts")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ([1, 1, 0, 0, 0, 0], r"the columns \[0, 1\] are 1;"),
        ([0, 0, 0, 0, 0, 0], r"none of the columns \[0, 1, 2, 3, 4, \.\.\.\] is 1;"),
        ([0.5, 0.5, 0, 0, 0, 0], "column 0 is 0.5;"),
        ([1, 1, -1, 0, 0, 0], "column 2 is -1;"),
    ],
)
@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
def test_what_is_not_one_hot_is_refused(row, found, as_format):
    X = np.eye(6)[np.arange(30) % 6]
    X[7] = row
    refused("categorical", as_format(X), f"likelihood='categorical'.*in row 7 {found}")


PAIRS = {
    "left out": ([("gaussian", [0, 1])], r"columns \[2\] have none\."),
    "named twice": (
        [("gaussian", [0, 1]), ("bernoulli", [1, 2])],
        r"columns \[1\] have several\.",
    ),
    "twice in one": ([("gaussian", [0, 1, 2, -1])], r"columns \[2\] have several\."),
    "out of range": ([("gaussian", [0, 1, 2, 3])], "no column 3"),
    "a name without names": ([("gaussian", ["a"])], "no column 'a'.*no column names"),
    "an unknown likelihood": ([("cauchy", [0, 1, 2])], "'cauchy' is no likelihood"),
    "no pair": (["gaussian"], "no pair"),
    "nothing": ([], r"columns \[0, 1, 2\] have none\."),
    "nested": ([(PerColumn([]), [0, 1, 2])], "no likelihood of columns"),
    "no likelihood": ([(MLP(), [0, 1, 2])], r"MLP\(\) is no likelihood of columns"),
    "no column": ([("gaussian", [0.5, 1, 2])], "no column 0.5"),
    "groups that overlap": (Categorical([[0, 1], [1, 2]]), "exactly once"),
    "groups that leave out": (Categorical([[0, 1]]), "exactly once"),
    "groups that are none": (Categorical(3), "groups=3 of Categorical is no list"),
    "no truth value": (Bernoulli(binarize="x"), "binarize='x' of Bernoulli"),
    "a size of its own": (Poisson(size="large"), r"Poisson\(size='large'\)"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_columns_that_are_not_shared_out_are_refused(name):
    likelihood, match = PAIRS[name]
    refused(likelihood, np.eye(3)[np.arange(20) % 3], f"(?s)likelihood.*{match}")


def test_columns_without_a_likelihood_are_called_by_their_names():
    rows = pd.DataFrame(np.eye(3), columns=["a", "b", "flag"])
    refused([("gaussian", ["a", "b"])], rows, r"columns \['flag'\] have none\.")


def test_a_class_among_the_columns_is_refused():
    with pytest.raises(TypeError, match="likelihood=Bernoulli is a class"):
        VAETransformer(1, likelihood=[(Bernoulli, [0])]).fit(np.eye(4)[:, :1])


def test_a_part_that_is_refused_names_its_columns():
    X = mixed()
    X[5, 1] = 2
    refused(MIXED, X, r"(?s)columns \[1\].*between 0 and 1")


def test_a_refused_category_is_called_by_its_names_alone():
    X = mixed()
    X[3, 3:6] = 0
    refused(MIXED, X, r"^columns \[3, 4, 5\]: .* row 3 none of the columns \[3, 4, 5\]")
    names = [f"c{j}" for j in range(7)]
    said = r"^columns \['c3', 'c4', 'c5'\]: .* row 3 none of the columns \['c3', 'c4'"
    refused(MIXED, pd.DataFrame(X, columns=names), said)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_continuous_bernoulli_wants_the_unit_interval(value):
    X = np.random.default_rng(0).random((20, 3))
    X[0, 0] = value
    refused("continuous_bernoulli", X, "continuous_bernoulli.*between 0 and 1")


@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("name", ["bernoulli", "continuous_bernoulli"])
@pytest.mark.parametrize(
    ("dtype", "beyond", "farthest"),
    [
        (np.float64, (-0.5, 1.25), "-0.5"),
        (np.float32, (-0.25, 1.5), "1.5"),
        (np.float64, (1.000001, 0.5), "1.000001"),
        (np.uint8, (3, 255), "255"),
    ],
)
def test_the_value_farthest_out_is_named(dtype, beyond, farthest, name, as_format):
    X = np.eye(3, dtype=dtype)[np.arange(30) % 3]
    X[4, 0], X[5, 1] = beyond
    refused(name, as_format(X), f"^likelihood='{name}' .* X has the value {farthest};")


BETWEEN_0_AND_1 = ["bernoulli", "continuous_bernoulli", Bernoulli(binarize=True)]


@pytest.mark.parametrize("likelihood", BETWEEN_0_AND_1)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("Estimator", [AutoencoderTransformer, VAETransformer])
def test_what_a_scaler_rounds_is_between_0_and_1(Estimator, likelihood, dtype):
    """MinMaxScaler's largest value is often the next above 1, its lowest below 0."""
    X = np.random.default_rng(0).random((40, 3)).astype(dtype)
    X[0], X[1] = 0, 1
    rounded = X.copy()
    rounded[0] = -np.finfo(dtype).eps
    rounded[1] = np.nextafter(dtype(1), dtype(2))
    exact, model = (
        Estimator(1, likelihood=likelihood, **SMALL).fit(rows) for rows in (X, rounded)
    )
    assert model.start_loss_ == pytest.approx(exact.start_loss_, rel=1e-4)
    np.testing.assert_allclose(model.reconstruct(rounded), exact.reconstruct(X), 1e-4)
    # Of a VAE they are found by draws, which any change of a row moves.
    scores = model.score_samples(rounded)
    np.testing.assert_allclose(scores, model.score_samples(X), atol=0.05)


def test_a_value_beyond_1_is_told_by_its_digits():
    X = np.random.default_rng(0).random((20, 3))
    X[0, 0] = 1 + 6e-7
    refused("bernoulli", X, r"value 1\.0000006; .*MinMaxScaler\(clip=True\)")


def test_rows_beyond_those_of_a_scaler_that_clips_are_taken():
    X = np.random.default_rng(0).normal(size=(60, 3))
    vae = VAETransformer(1, likelihood="bernoulli", **SMALL)
    clipped = make_pipeline(MinMaxScaler(clip=True), vae).fit(X[:20])
    assert np.isfinite(clipped.score_samples(X)).all()
    unclipped = make_pipeline(MinMaxScaler(), vae).fit(X[:20])
    with pytest.raises(ValueError, match=r"put MinMaxScaler\(clip=True\) before it"):
        unclipped.score_samples(X)


def test_slices_masks_and_single_columns_choose_columns():
    X = mixed()
    mask = np.zeros(7, dtype=bool)
    mask[[0, 2]] = True
    choices = [
        MIXED,
        [
            ("gaussian_diag", mask),
            ("bernoulli", 1),
            ("categorical", np.arange(3, 6)),
            ("negative_binomial", slice(6, None)),
        ],
    ]
    first, second = (
        VAETransformer(2, likelihood=choice, **START).fit(X) for choice in choices
    )
    assert str(first.likelihood_) == str(second.likelihood_)
    np.testing.assert_array_equal(first.transform(X), second.transform(X))


def test_a_callable_selects_columns_of_the_frame():
    """It sees the rows as they were given, in a call of either kind."""
    X = pd.DataFrame(mixed(), columns=list("abcdefg")).astype({"g": int})
    parts = [
        ("gaussian_diag", make_column_selector("[abc]")),
        (Categorical([["d", "e", "f"]]), make_column_selector("[def]")),
        ("poisson", make_column_selector(dtype_include=int)),
    ]
    model = VAETransformer(2, likelihood=parts, **START)
    expected = "[(GaussianDiag(), [0, 1, 2]), (Categorical(groups=[[0, 1, 2]]), "
    for learn in (model.fit, model.partial_fit):
        found = str(learn(X).likelihood_.parts)
        assert found == expected + "[3, 4, 5]), (Poisson(size=None), [6])]"


def test_a_slice_of_names_has_both_of_its_ends():
    X = pd.DataFrame(mixed(), columns=list("abcdefg"))
    parts = [
        ("gaussian_diag", ["a", "c"]),
        ("bernoulli", "b"),
        ("categorical", slice("d", "f")),
        ("negative_binomial", slice("g", None)),
    ]
    found = VAETransformer(2, likelihood=parts, **START).fit(X).likelihood_
    assert [columns for _, columns in found.parts] == [[0, 2], [1], [3, 4, 5], [6]]
    parts[2] = ("categorical", slice("d", "z"))
    refused(parts, X, "there is no column 'z'")


HALVES = [list(range(50)), list(range(50, 100))]

LOOKED_AT = {
    "poisson": Poisson(),
    "negative binomial": NegativeBinomial(),
    "bernoulli": Bernoulli(),
    "continuous bernoulli": ContinuousBernoulli(),
    "categorical": Categorical(HALVES),
    "a list": PerColumn([(Poisson(None), HALVES[0]), (Bernoulli(), HALVES[1])]),
}
GAUSSIANS = PerColumn([(Gaussian(), HALVES[0]), (Gaussian(), HALVES[1])])


@pytest.fixture
def one_hot(monkeypatch):
    """Two groups of columns, of which few rows are looked at together."""
    monkeypatch.setattr(rows, "NUMBERS_TOGETHER", 10_000)
    index = np.arange(4000)
    X = np.zeros((4000, 100))
    X[index, index % 50] = X[index, 50 + index % 7] = 1.0
    return X


@pytest.mark.parametrize("name", [*LOOKED_AT, "gaussians"])
@pytest.mark.parametrize("n_absent", [0, 1, 3000])
def test_rows_in_a_memory_map_are_checked_without_a_copy(
    name, n_absent, one_hot, tmp_path
):
    likelihood = LOOKED_AT.get(name, GAUSSIANS)
    one_hot[:n_absent] = -0.5
    np.save(tmp_path / "rows.npy", one_hot)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    weight = np.repeat([0.0, 1.0], [n_absent, 4000 - n_absent])
    tracemalloc.start()
    try:
        check_values(VAETransformer(), likelihood, mapped, weight)
        assert tracemalloc.get_traced_memory()[1] < one_hot.nbytes / 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_one_row_among_many_is_refused(name, as_format, one_hot):
    one_hot[2107] = 0.5
    one_hot[2107, 99] = 2.5
    with pytest.raises(ValueError, match=r"^(columns .*: )?likelihood="):
        check_values(VAETransformer(), LOOKED_AT[name], as_format(one_hot))


@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("absent", [[], [0], [2100, 2103], slice(2100), slice(2107)])
@pytest.mark.parametrize("is_part", [False, True])
def test_a_refused_category_is_called_by_its_row(absent, is_part, as_format, one_hot):
    likelihood, weight = LOOKED_AT["categorical"], np.ones(4000)
    if is_part:
        likelihood = PerColumn([(likelihood, list(range(100)))])
    one_hot[2107] = weight[absent] = 0
    one_hot[absent] = -0.5
    with pytest.raises(ValueError, match=r"likelihood=.*, but in row 2107 none of"):
        check_values(VAETransformer(), likelihood, as_format(one_hot), weight)


def test_a_refused_category_is_called_by_its_row_where_rows_come_twice():
    X = np.eye(6)[np.arange(30) % 6]
    X[17] = 0
    model = VAETransformer(1, likelihood="categorical", **SMALL)
    with pytest.raises(ValueError, match="in row 17 none of"):
        model.fit(X, sample_weight=np.repeat([0.0, 1.0], [4, 26]))


def test_bytes_are_counts_that_are_not_read():
    X = np.broadcast_to(np.uint8(3), (2**40, 8))
    Poisson().check(X, np.arange(2), np.arange(8))


def test_a_row_of_no_weight_is_absent_for_auto():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(60, 2)), rng.integers(0, 2, 60)])
    X[0, 2] = 7
    weight = np.repeat([0.0, 1.0], [1, 59])
    parameters = SMALL | {"likelihood": "auto"}
    model = AutoencoderTransformer(2, **parameters).fit(X, sample_weight=weight)
    absent = AutoencoderTransformer(2, **parameters).fit(X[1:])
    np.testing.assert_array_equal(model.transform(X[1:]), absent.transform(X[1:]))


def test_a_row_of_no_weight_is_absent_from_a_stream():
    X = counts(30)
    X[0] = -1
    weight = np.repeat([0.0, 1.0], [1, 29])
    parameters = SMALL | {"likelihood": "poisson"}
    model, absent = (AutoencoderTransformer(3, **parameters) for _ in range(2))
    for n_rows in (2, 30, 30):  # the first wait
        model.partial_fit(X[:n_rows], sample_weight=weight[:n_rows])
        absent.partial_fit(X[1:n_rows])
    np.testing.assert_array_equal(model.transform(X[1:]), absent.transform(X[1:]))


def test_the_columns_of_one_part_come_in_any_order():
    X = np.eye(2)[np.random.default_rng(0).integers(0, 2, 60)]
    X = np.hstack([X, X])
    groups = Categorical([[0, 1], [2, 3]])
    parameters = SMALL | {"max_iter": 1}
    model = VAETransformer(1, likelihood=[(groups, [0, 3, 2, 1])], **parameters).fit(X)
    drawn = model.sample(50, random_state=0)
    np.testing.assert_array_equal(drawn[:, :2].sum(axis=1), 1)
    np.testing.assert_array_equal(drawn[:, 2:].sum(axis=1), 1)
