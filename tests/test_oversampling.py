"""Rows of rare classes, by imbalanced-learn's interface."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skae import VAEOverSampler, VAETransformer
from skae.estimators.oversampling import LEFT_ALONE, _count_new

QUICK = VAETransformer(
    2, hidden_layer_sizes=(16,), max_iter=2, early_stopping=False, prior="normal"
)

START = VAETransformer(2, hidden_layer_sizes=(4,), max_iter=0)


@pytest.fixture
def rare(iris):
    """Flowers, of one species few."""
    X, y = iris
    chosen = np.flatnonzero((y < 2) | (np.cumsum(y == 2) <= 12))
    return X[chosen], y[chosen]


def test_classes_become_as_large_as_the_largest(rare):
    X, y = rare
    X_new, y_new = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(X, y)
    assert np.bincount(y_new).tolist() == [50, 50, 50]
    np.testing.assert_array_equal(X_new[: len(X)], X)
    np.testing.assert_array_equal(y_new[: len(y)], y)


def test_new_rows_are_of_their_class(rare):
    X, y = rare
    vae = VAETransformer(
        2, likelihood="gaussian_diag", hidden_layer_sizes=(16,), max_iter=20
    )
    X_new, y_new = VAEOverSampler(vae=vae, random_state=0).fit_resample(X, y)
    judge = KNeighborsClassifier().fit(X, y)
    assert judge.score(X_new[len(X) :], y_new[len(X) :]) > 0.5


def test_the_same_seed_gives_the_same_rows(rare):
    sampler = VAEOverSampler(vae=QUICK, random_state=3)
    first, again = (clone(sampler).fit_resample(*rare)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other, _ = VAEOverSampler(vae=QUICK, random_state=4).fit_resample(*rare)
    assert not np.array_equal(first, other)


def test_the_default_vae_looks_at_the_columns():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 15])
    group = np.eye(3)[(rng.integers(2, size=75) + y) % 3]
    X = np.column_stack([rng.normal(y[:, None], size=(75, 2)), group])
    sampler = VAEOverSampler(random_state=0)
    X_new, _ = sampler.fit_resample(X, y)
    assert sampler.vae_.conditional
    drawn = X_new[75:, 2:]
    np.testing.assert_array_equal(np.sort(drawn, axis=1), [[0, 0, 1]] * 45)


def test_counts_of_a_rare_class_have_its_totals():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [160, 20])
    size = np.where(y == 1, 400, 40) * rng.gamma(5, 0.2, size=180)
    X = rng.poisson(size[:, None] * rng.dirichlet(np.ones(12)))
    vae = VAETransformer(2, likelihood="auto", hidden_layer_sizes=(8,), max_iter=3)
    X_new, _ = VAEOverSampler(vae=vae, random_state=0).fit_resample(X, y)
    wanted, drawn = X[y == 1].sum(axis=1).mean(), X_new[180:].sum(axis=1).mean()
    assert drawn == pytest.approx(wanted, rel=0.25)


def test_the_parameter_is_left_as_it_was(rare):
    sampler = VAEOverSampler(vae=clone(QUICK)).fit(*rare)
    assert not sampler.vae.conditional
    assert not hasattr(sampler.vae, "classes_")
    assert sampler.vae_.classes_.tolist() == [0, 1, 2]


def test_whole_numbers_stay_whole():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 20, size=(40, 3)), np.repeat([0, 1], [30, 10])
    X_new, _ = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(X, y)
    assert X_new.dtype == X.dtype
    assert X_new.shape == (60, 3)


def test_small_types_hold_what_is_drawn():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 15])
    X = rng.integers(0, 3, size=(75, 4)).astype(np.uint8)
    X[y == 0] += 250
    X_new, _ = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(X, y)
    assert X_new.dtype == np.uint8
    # Nothing below 0 has come out at the other end.
    assert X_new[75:].max() < 200


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_it_draws_rows_whatever_a_vae_gives_them_in(container, rare):
    pytest.importorskip(container)
    pd = pytest.importorskip("pandas")
    X, y = rare
    plain = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(X, y)[0]
    vae = clone(QUICK).set_output(transform=container)
    frame = pd.DataFrame(X, columns=list("abcd"))
    found, _ = VAEOverSampler(vae=vae, random_state=0).fit_resample(X, y)
    np.testing.assert_array_equal(np.asarray(found), plain)
    with config_context(transform_output=container):
        found, _ = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(frame, y)
    np.testing.assert_array_equal(np.asarray(found), plain)


def test_small_types_of_frames_hold_what_is_drawn():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 15])
    X = pd.DataFrame(rng.integers(0, 3, size=(75, 4)), columns=list("abcd"))
    kinds = {"a": "uint8", "b": "Int64", "c": "bool", "d": "boolean"}
    X = X.assign(d=X["d"] > 1).astype(kinds)
    X_new, _ = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(X, y)
    assert X_new.dtypes.equals(X.dtypes)
    assert len(X_new) == 120


def test_categories_are_those_that_there_are():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 15])
    levels = pd.Categorical(rng.choice([1, 2, 5], 75), categories=[5, 1, 2, 3])
    X = pd.DataFrame({"a": rng.normal(size=75), "b": levels})
    X_new, _ = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(X, y)
    assert X_new["b"].dtype == X["b"].dtype
    assert set(X_new["b"]) == {1, 2, 5}
    assert len(X_new) == 120


def test_classes_in_a_frame_come_back_in_one(rare):
    pd = pytest.importorskip("pandas")
    X, y = rare
    classes = pd.DataFrame({"species": y})
    _, y_new = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(X, classes)
    assert y_new.columns.tolist() == ["species"]
    assert y_new["species"].tolist()[: len(y)] == y.tolist()


def test_sparse_rows_stay_sparse(rare):
    X, y = rare
    X_new, _ = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(
        sp.csr_matrix(X), y
    )
    assert sp.issparse(X_new)
    assert X_new.shape == (150, 4)


def test_data_frames_stay_data_frames(rare):
    pd = pytest.importorskip("pandas")
    X, y = rare
    frame = pd.DataFrame(X, columns=list("abcd")).assign(n=(X[:, 0] * 10).astype(int))
    names = pd.Series(np.array(["x", "y", "z"])[y], name="kind")
    X_new, y_new = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(frame, names)
    assert X_new.dtypes.to_dict() == frame.dtypes.to_dict()
    assert y_new.name == "kind"
    assert y_new.value_counts().to_dict() == {"x": 50, "y": 50, "z": 50}


def test_a_likelihood_may_call_columns_by_their_names(rare):
    X, y = rare
    frame = pd.DataFrame(X, columns=list("abcd")).assign(flag=X[:, 0] > 5.5)
    parts = [("gaussian", list("abcd")), ("bernoulli", ["flag"])]
    vae = clone(START).set_params(likelihood=parts)
    sampler = VAEOverSampler(vae=vae, random_state=0).fit(frame, y)
    names = frame.columns.tolist()
    assert sampler.feature_names_in_.tolist() == names
    assert sampler.vae_.feature_names_in_.tolist() == names


def test_polars_stays_polars(rare):
    pl = pytest.importorskip("polars")
    X, y = rare
    frame = pl.DataFrame(
        {
            "length": X[:, 0],
            "count": pl.Series(X[:, 1].round(), dtype=pl.UInt8),
            "flag": X[:, 2] > 3,
            "level": pl.Series((X[:, 3] > 1).astype(int).astype(str).tolist()),
        },
        schema_overrides={"level": pl.Enum(["0", "1", "2"])},
    )
    names = np.array(["x", "y", "z"])[y]
    for classes in (pl.Series("kind", names), pl.DataFrame({"kind": names})):
        sampler = VAEOverSampler(vae=START, random_state=0)
        X_new, y_new = sampler.fit_resample(frame, classes)
        assert X_new.schema == frame.schema
        assert X_new[: len(X)].equals(frame)
        assert type(y_new) is type(classes)
        counts = np.unique(y_new.to_numpy(), return_counts=True)[1]
        assert counts.tolist() == [50, 50, 50]


@pytest.mark.parametrize("kind", ["Int128", "UInt128", "Object"])
def test_columns_of_polars_that_numpy_has_no_type_for_come_back(kind, rare):
    pl = pytest.importorskip("polars")
    X, y = rare
    kind = getattr(pl, kind)
    wide = pl.Series(X[:, 1].round().astype(int).tolist(), dtype=kind)
    frame = pl.DataFrame({"length": X[:, 0], "wide": wide})
    X_new, _ = VAEOverSampler(vae=START, random_state=0).fit_resample(frame, y)
    assert X_new.schema == frame.schema
    assert len(X_new) == 150


labels = st.lists(st.integers(0, 2), min_size=5, max_size=40).filter(
    lambda y: len(set(y)) > 1
)


@given(labels, st.sampled_from(sorted(LEFT_ALONE)))
@settings(max_examples=30, deadline=None)
def test_strategies_are_imbalanced_learns(y, strategy):
    utils = pytest.importorskip("imblearn.utils")
    theirs = utils.check_sampling_strategy(strategy, np.array(y), "over-sampling")
    ours = _count_new(strategy, np.array(y))
    assert ours == {int(c): int(n) for c, n in theirs.items() if n > 0}


@given(st.integers(2, 60), st.integers(2, 60), st.floats(0.01, 1))
@settings(max_examples=30, deadline=None)
def test_ratios_are_imbalanced_learns(n_first, n_second, ratio):
    utils = pytest.importorskip("imblearn.utils")
    y = np.repeat([0, 1], [n_first, n_second])
    try:
        theirs = utils.check_sampling_strategy(ratio, y, "over-sampling")
    except ValueError:
        return
    assert _count_new(ratio, y) == {int(c): int(n) for c, n in theirs.items()}


def test_numbers_of_rows_may_be_asked_for(rare):
    sampler = VAEOverSampler({2: 20, 0: 50}, vae=QUICK, random_state=0)
    assert np.bincount(sampler.fit_resample(*rare)[1]).tolist() == [50, 50, 20]
    assert sampler.sampling_strategy_ == {2: 8}
    sampler.set_params(sampling_strategy=lambda y: {2: 13})
    assert np.bincount(sampler.fit_resample(*rare)[1]).tolist() == [50, 50, 13]


def test_where_nothing_is_asked_for_nothing_is_added(iris):
    """And what comes back is of the kind that it is where rows are."""
    X, y = iris
    sampler = VAEOverSampler(vae=START)
    X_new, y_new = sampler.fit_resample(X.tolist(), y.tolist())
    np.testing.assert_array_equal(X_new, X)
    np.testing.assert_array_equal(y_new, y)
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(150)[::-1])
    X_new, _ = sampler.fit_resample(frame, y)
    pd.testing.assert_frame_equal(X_new, frame.reset_index(drop=True))


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (0.5, "ratio of two classes, but y has 3"),
        ({7: 10}, r"y has no classes \[7\]"),
        ({0: 3}, r"classes \[0\] have more rows than are asked for"),
        ({0: None}, "None is no number of rows"),
        ({0: 70.5}, "70.5 is no number of rows"),
        ("majority", "sampling_strategy"),
        (1.5, "sampling_strategy"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(strategy, message, rare):
    with pytest.raises(ValueError, match=message):
        VAEOverSampler(strategy, vae=QUICK).fit_resample(*rare)


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
@pytest.mark.parametrize(("name", "value"), [("beta", -1.0), ("likelihood", "x")])
def test_a_wrong_parameter_of_the_vae_is_refused_by_name(name, value, method, rare):
    sampler = VAEOverSampler(vae=clone(START).set_params(**{name: value}))
    with pytest.raises(ValueError, match=f"The '{name}' parameter of VAE"):
        getattr(sampler, method)(*rare)


# What fails, in the order in which a fit comes to it: rows, strategy, VAE.
FAILURES = [
    {"X": np.full((60, 3), np.nan)},
    {"sampling_strategy": {7: 100}},
    {"vae": clone(START).set_params(n_components=100)},
]


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
@pytest.mark.parametrize("wrong", FAILURES, ids=lambda wrong: next(iter(wrong)))
def test_a_fit_that_fails_changes_nothing(wrong, method, rare):
    names = list("abcd")
    sampler = VAEOverSampler(vae=START, random_state=0)
    sampler.fit(pd.DataFrame(rare[0], columns=names), rare[1])
    before = _fitted(sampler)
    assert "feature_names_in_" in before
    _fail(sampler, wrong, method)
    after = _fitted(sampler)
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
@pytest.mark.parametrize("wrong", FAILURES, ids=lambda wrong: next(iter(wrong)))
def test_a_first_fit_that_fails_leaves_a_sampler_unfitted(wrong, method):
    sampler = VAEOverSampler(vae=START, random_state=0)
    _fail(sampler, wrong, method)
    with pytest.raises(NotFittedError):
        check_is_fitted(sampler)


def test_rows_that_cannot_be_drawn_change_nothing(rare, monkeypatch):
    sampler = VAEOverSampler(vae=START, random_state=0)

    def fail(*_, **__):
        raise RuntimeError("stopped")

    monkeypatch.setattr(VAETransformer, "sample", fail)
    with pytest.raises(RuntimeError, match="stopped"):
        sampler.fit_resample(*rare)
    with pytest.raises(NotFittedError):
        check_is_fitted(sampler)


def _fitted(sampler):
    return {name: vars(sampler)[name] for name in vars(sampler) if name[-1] == "_"}


def _fail(sampler, wrong, method):
    """Fit rows of another width, of other classes, wrong in one respect."""
    arguments = {"X": np.random.default_rng(0).normal(size=(60, 3))} | wrong
    X, y = arguments.pop("X"), [0] * 40 + [1] * 20
    with pytest.raises(ValueError, match=r"contains NaN|has no classes|n_components="):
        getattr(sampler.set_params(**arguments), method)(X, y)


def test_text_is_refused_with_the_remedy(rare):
    text = np.array(["red", "blue"] * (len(rare[1]) // 2) + ["red"])[: len(rare[1])]
    X = np.column_stack([rare[0].astype(object), text])
    with pytest.raises(ValueError, match="OneHotEncoder in a ColumnTransformer"):
        VAEOverSampler(vae=QUICK).fit_resample(X, rare[1])


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
def test_sparse_rows_come_back_as_their_kind(kind, rare):
    X_new, _ = VAEOverSampler(vae=QUICK).fit_resample(kind(rare[0]), rare[1])
    assert type(X_new) is kind


def test_a_ratio_that_would_remove_rows_is_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match=r"below the ratio of the classes of y, 0\.5"):
        VAEOverSampler(0.1, vae=QUICK).fit_resample(X, np.minimum(y, 1))


def test_one_class_is_refused(iris):
    with pytest.raises(ValueError, match="y has one class only"):
        VAEOverSampler(vae=QUICK).fit_resample(iris[0], np.zeros(150, dtype=int))


def test_values_in_place_of_classes_are_refused(iris):
    with pytest.raises(ValueError, match="Unknown label type"):
        VAEOverSampler(vae=QUICK).fit_resample(iris[0], np.linspace(0, 1, 150))


def test_it_is_a_step_of_imbalanced_learns_pipeline():
    pipeline = pytest.importorskip("imblearn.pipeline")
    X, y = (part[:200] for part in load_breast_cancer(return_X_y=True))
    steps = [StandardScaler(), VAEOverSampler(vae=QUICK, random_state=0)]
    model = pipeline.make_pipeline(*steps, LogisticRegression()).fit(X, y)
    assert model.score(X, y) > 0.9
    assert len(model[:2].fit_resample(X, y)[1]) == 2 * np.bincount(y).max()


def test_levels_that_are_numbers_as_text_come_back_as_such():
    rng, y = np.random.default_rng(0), np.repeat([0, 1], [80, 20])
    levels = pd.Categorical(rng.choice(["1", "2"], 100))
    X = pd.DataFrame({"a": rng.normal(size=100), "k": levels})
    sampler = VAEOverSampler(vae=clone(QUICK).set_params(n_components=1))
    more, _ = sampler.fit_resample(X, y)
    assert len(more) == 160
    assert more["k"].dtype == X["k"].dtype
    assert more["k"].notna().all()


def test_whole_numbers_of_64_bits_stay_within():
    y = np.repeat([0, 1], [20, 10])
    X = np.random.default_rng(0).integers(0, 2, (30, 2)) * (2**63 - 1)
    drawn, _ = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(X, y)
    assert drawn.dtype == np.int64
    assert (drawn > -(2**63)).all()  # where what is too large would begin anew


def test_sparse_columns_of_a_frame_stay_such():
    y = np.repeat([0, 1], [20, 10])
    X = np.random.default_rng(0).integers(0, 2, (30, 3)).astype("uint8")
    frame = pd.DataFrame(X, columns=list("abc")).astype(pd.SparseDtype("uint8", 0))
    drawn, _ = VAEOverSampler(vae=QUICK, random_state=0).fit_resample(frame, y)
    assert (drawn.dtypes == frame.dtypes).all()
    assert len(drawn) == 40


def test_flags_of_a_rare_class_are_drawn_as_they_are():
    """Where it is only the class that tells them."""
    rng = np.random.default_rng(0)
    odds = np.array([[0.1, 0.4, 0.5, 0.2], [0.9, 0.05, 0.5, 0.8]])
    y = np.repeat([0, 1], [190, 15])
    X = (rng.random((205, 4)) < odds[y]) * 1.0
    drawn, classes = VAEOverSampler(random_state=0).fit_resample(X, y)
    new = drawn[205:].mean(axis=0)
    assert (classes[205:] == 1).all()
    assert np.abs(new - X[y == 1].mean(axis=0)).max() < 0.25


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"y": [0, 1, 1]}, "inconsistent numbers of samples"),
        ({"y": None}, "requires y to be passed"),
        ({"y": ["a", "b", None] * 10}, "^y: 10 rows have no class"),
        ({"y": np.array(["a", 1] * 15, dtype=object)}, "^y: .* write all of them"),
        ({"y": np.array([0, 1] * 15, dtype=object)}, r"pass y\.astype\(int\), or text"),
        ({"sampling_strategy": lambda y: None}, "^sampling_strategy: the function"),
        ({"sampling_strategy": lambda y: "majority"}, "the function returned 'majo"),
        ({"sampling_strategy": lambda y: 3.0}, r"the function returned 3\.0; it has"),
    ],
)
def test_what_is_no_strategy_or_no_classes_is_named(arguments, said):
    arguments = {"y": [0] * 20 + [1] * 10, "sampling_strategy": "auto"} | arguments
    sampler = VAEOverSampler(arguments["sampling_strategy"], vae=QUICK)
    with pytest.raises(ValueError, match=said):
        sampler.fit_resample(np.zeros((30, 2)), arguments["y"])


def test_dates_beside_numbers_are_refused_with_the_remedy():
    days = pd.date_range("2020", periods=30)
    frame = pd.DataFrame({"a": np.arange(30.0), "day": days})
    with pytest.raises(ValueError, match="dates and durations have to become numbers"):
        VAEOverSampler(vae=QUICK).fit_resample(frame, [0] * 20 + [1] * 10)
