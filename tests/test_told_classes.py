"""Classes that a model is told of: which are taken, and what is said of others."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from skae import VAETransformer
from skae import rows as all_rows
from skae.models import row_density

SMALL = {"hidden_layer_sizes": (6,), "max_iter": 1, "random_state": 0}

NUMBERS = np.arange(40) % 3
NAMES = np.array(["a", "b", "c"])[NUMBERS]
DAYS = np.datetime64("2020-01-01") + NUMBERS

KINDS = {
    "numbers": NUMBERS,
    "names": NAMES,
    "objects": pd.Series(NAMES, dtype=object),
    "days": DAYS,
}


def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 2)) @ rng.normal(size=(2, 4))


def conditional(**parameters):
    return VAETransformer(2, conditional=True, **SMALL | parameters)


# What may be told of classes that are not those of fit, by the name of the argument.
USES = [
    ("y", lambda model, X, y, other: model.sample(2, y=np.asarray(other)[0])),
    ("y", lambda model, X, y, other: model.score(X, other)),
    ("y", lambda model, X, y, other: model.inverse_transform(X[:, :2], y=other)),
    ("as_y", lambda model, X, y, other: model.reconstruct(X, y, as_y=other)),
    ("y", lambda model, X, y, other: model.fit(X, other)),
    ("y_val", lambda model, X, y, other: model.fit(X, y, X_val=X, y_val=other)),
]


@pytest.mark.parametrize("kind", KINDS)
def test_classes_of_another_kind_have_not_been_seen(kind):
    X, y = rows(), KINDS[kind]
    model = conditional(warm_start=True).fit(X, y)
    others = [y for y in KINDS.values() if np.asarray(y)[0] not in model.classes_]
    assert len(others) >= 2
    for other in others:
        for name, use in USES:
            with pytest.raises(ValueError, match=f"^{name} has classes that fit has"):
                use(model, X, y, other)


@pytest.mark.parametrize("name", ["y", "y_val"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (pd.Series(NAMES).where(NUMBERS > 0), "14 rows have no class; give such rows"),
        (np.r_[[None], NAMES[1:]], "1 row has no class; give such rows"),
        (np.r_[[np.datetime64("NaT")], DAYS[1:]], "1 row has no class; give such rows"),
        (np.r_[[pd.NaT, pd.NA], NAMES[2:]], "2 rows have no class; give such rows"),
        (
            np.array(["a", 1] * 20, dtype=object),
            "that has an order, but these are int, str",
        ),
        (np.array([{}] * 40, dtype=object), "that has an order, but these are dict"),
        (pd.Series([np.arange(2), np.ones(2)] * 20), "an order, but these are ndarray"),
        (np.r_[np.nan, NUMBERS[1:]], "1 row has no class; give such rows"),
        (pd.Series([1, None] * 20, dtype="Float64"), "20 rows have no class; give"),
        (np.array([b"a", b"b"] * 20), "may not be bytes; make them text"),
        (np.array([b"a", b"b"] * 20, dtype=object), "may not be bytes; make them"),
    ],
)
def test_missing_and_mixed_classes_are_called_so(name, wrong, message):
    X = rows()
    given = {"y": NAMES, "X_val": X, "y_val": NAMES} | {name: wrong}
    with pytest.raises(ValueError, match=f"^{name}: .*{message}"):
        conditional().fit(X, **given)


@pytest.mark.parametrize("absent", [None, "z"])
def test_a_row_of_weight_0_may_have_any_class_or_none(absent):
    X, y, weight = rows(), pd.Series(NAMES, dtype=object), np.ones(40)
    y[5], weight[5] = absent, 0
    there = weight > 0
    model = conditional().fit(X, y, sample_weight=weight)
    other = conditional().fit(X[there], NAMES[there])
    np.testing.assert_array_equal(model.transform(X), other.transform(X))
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.score(X, y, sample_weight=weight) == other.score(X[there], y[there])


def test_the_rows_of_a_class_are_not_copied_to_be_scored(monkeypatch):
    X = np.random.default_rng(0).integers(0, 256, (4000, 1000), dtype=np.uint8)
    y = np.arange(4000) > 0
    model = conditional(max_iter=0).fit(X[:100], y[:100])
    # A score is dear, and here only where rows are taken from is asked.
    monkeypatch.setattr(row_density, "log_likelihood", lambda model, x, draws: x.sum(1))
    wanted = model.score(X, y)
    monkeypatch.setattr(all_rows, "RESIDENT_BYTES", X.nbytes // 10)
    tracemalloc.start()
    try:
        assert model.score(X, y) == wanted
        assert tracemalloc.get_traced_memory()[1] < X.nbytes / 2
    finally:
        tracemalloc.stop()
