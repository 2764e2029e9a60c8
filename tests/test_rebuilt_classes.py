"""Rows and codes whose class is known, decoded as rows of that class or of another."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context

from skae import VAETransformer

PLACES = np.array([[0.0, 0, 0, 0, 0], [3.0, 0, -3, 0, 1], [0.0, 4, 0, 0, -2]])
NAMES = np.array(["a", "b", "c"])


@pytest.fixture(scope="module")
def batches():
    """Rows of one plane, moved by their class, and the names of the classes."""
    rng = np.random.default_rng(0)
    number = rng.integers(3, size=150)
    plane = rng.normal(size=(150, 2)) @ rng.normal(size=(2, 5))
    X = plane + PLACES[number] + 0.1 * rng.normal(size=(150, 5))
    return X, NAMES[number]


@pytest.fixture(scope="module")
def told(batches):
    return VAETransformer(2, conditional=True, max_iter=0, random_state=0).fit(*batches)


def squared_error(X, rebuilt):
    return ((X - rebuilt) ** 2).sum(axis=1).mean()


def test_rows_whose_class_is_known_are_rebuilt_better(told, batches):
    X, y = batches
    known = told.reconstruct(X, y)
    assert squared_error(X, known) < 0.5 * squared_error(X, told.reconstruct(X))
    codes = told.transform(X)
    np.testing.assert_allclose(told.inverse_transform(codes, y), known, atol=1e-5)


def test_a_row_carried_to_another_class_moves_by_what_tells_them_apart(told, batches):
    X, y = batches
    moved = told.reconstruct(X[y == "b"], "b", "a") - told.reconstruct(X[y == "b"], "b")
    between = X[y == "a"].mean(axis=0) - X[y == "b"].mean(axis=0)
    np.testing.assert_allclose(moved.mean(axis=0), between, atol=0.5)
    back = told.reconstruct(X, y, as_y=y)
    np.testing.assert_array_equal(back, told.reconstruct(X, y))


def test_one_class_for_all_is_that_class_for_each(told, batches):
    X, _ = batches
    codes, each = told.transform(X), np.full(len(X), "b")
    np.testing.assert_array_equal(
        told.inverse_transform(codes, "b"), told.inverse_transform(codes, each)
    )
    np.testing.assert_array_equal(
        told.reconstruct(X, "a", as_y="b"),
        told.reconstruct(X, np.full(len(X), "a"), each),
    )


def test_rows_without_their_classes_are_rebuilt_alike_before_and_after_a_score():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=200)
    codes = rng.choice([-2.0, 2.0], size=(200, 2)) + 0.2 * rng.normal(size=(200, 2))
    X = (codes + 0.7 * y[:, None]) @ rng.normal(size=(2, 6))
    X += 0.3 * rng.normal(size=X.shape)
    vae = VAETransformer(2, conditional=True, prior="posterior", max_iter=0)
    vae.fit(X, y)
    rebuilt, decoded = vae.reconstruct(X), vae.inverse_transform(codes)
    vae.score_samples(X[:1])
    np.testing.assert_array_equal(vae.reconstruct(X), rebuilt)
    np.testing.assert_array_equal(vae.inverse_transform(codes), decoded)


def test_a_row_with_a_class_does_not_depend_on_its_company(told, batches):
    X, y = batches
    alone = told.reconstruct(X[140:141], y[140:141], as_y="c")
    np.testing.assert_array_equal(alone, told.reconstruct(X, y, as_y="c")[140:141])


def test_counts_of_a_class_keep_the_size_of_their_row(batches):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=80)
    shares = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])[y]
    X = rng.poisson(rng.integers(20, 200, size=(80, 1)) * shares).astype(float)
    model = VAETransformer(
        1, conditional=True, likelihood="poisson", max_iter=0, random_state=0
    )
    rebuilt = model.fit(X, y).reconstruct(X, y, as_y=1 - y)
    np.testing.assert_allclose(rebuilt.sum(axis=1), X.sum(axis=1), rtol=1e-4)
    assert (rebuilt.argmax(axis=1) == np.where(y == 0, 2, 0)).mean() > 0.9


def test_rows_with_classes_come_as_others_do(told, batches):
    X, y = batches
    plain = told.reconstruct(X, y, as_y="a")
    np.testing.assert_array_equal(told.reconstruct(sp.csr_array(X), y, as_y="a"), plain)
    with config_context(transform_output="pandas"):
        index = [f"cell {i}" for i in range(len(X))]
        codes = told.transform(pd.DataFrame(X, index=index))
        decoded = told.inverse_transform(codes, pd.Series(y, index=index))
    assert list(decoded.index) == index


def test_wrong_classes_of_rows_are_refused(told, batches):
    X, y = batches
    codes = told.transform(X)
    with pytest.raises(ValueError, match=r"^y has classes that fit has not seen"):
        told.inverse_transform(codes, "d")
    with pytest.raises(ValueError, match=r"^y has 3 classes for 150 rows"):
        told.inverse_transform(codes, ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"^as_y has classes that fit has not seen"):
        told.reconstruct(X, y, as_y="d")
    with pytest.raises(ValueError, match="as_y: pass y too"):
        told.reconstruct(X, as_y="a")
    untold = VAETransformer(2, max_iter=0).fit(X)
    with pytest.raises(ValueError, match=r"^y: .*conditional=True"):
        untold.reconstruct(X, y)
    with pytest.raises(ValueError, match=r"^y: .*conditional=True"):
        untold.inverse_transform(codes, y)


def test_classes_of_decoded_rows_are_not_routed(told):
    with config_context(enable_metadata_routing=True):
        assert not told.get_metadata_routing().inverse_transform.requests
