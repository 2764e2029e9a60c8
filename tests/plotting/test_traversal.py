"""Traversals follow one component."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import FunctionTransformer

from skae.plotting import TraversalDisplay

from .seen import plt, says


def test_a_traversal_follows_one_component_between_quantiles(case):
    model, X, image_shape, _ = case
    display = TraversalDisplay.from_estimator(
        model,
        X,
        components=[1, 0],
        n_steps=3,
        quantiles=(0.1, 0.9),
        image_shape=image_shape,
    )
    codes = model.transform(X)
    for line, component in zip(display.decoded, [1, 0], strict=True):
        path = np.tile(np.median(codes, axis=0), (3, 1))
        low, high = np.quantile(codes[:, component], [0.1, 0.9])
        path[:, component] = low, (low + high) / 2, high
        np.testing.assert_allclose(
            line, model.inverse_transform(path), rtol=1e-5, atol=1e-5
        )
    for words in ("component 1", "10 % quantile", "90 % quantile"):
        assert says(display.figure_, words)


def test_relative_is_what_differs_from_the_row_at_the_medians(case):
    model, X, image_shape, kind = case
    common = {"n_steps": 3, "image_shape": image_shape}
    whole = TraversalDisplay.from_estimator(model, X, **common)
    changes = TraversalDisplay.from_estimator(model, X, relative=True, **common)
    middle = model.inverse_transform(np.median(model.transform(X), axis=0)[None])
    np.testing.assert_allclose(
        changes.decoded[0], whole.decoded[0] - np.asarray(middle), atol=1e-5
    )
    assert says(changes.figure_, "Change of what")
    if kind == "profiles":
        pair = TraversalDisplay.from_estimator(
            model, X, components=[0, 1], relative=True, **common
        )
        ends = [panel.get_ylim() for panel in pair.axes_]
        assert ends[0] != ends[1]
    if kind == "table":
        assert says(changes.figure_, "change, in standard deviations")
        (image,) = changes.ax_.get_images()
        chosen = [label.get_text() for label in changes.ax_.get_yticklabels()]
        where = [changes.columns.names.index(name) for name in chosen]
        expected = (changes.decoded[0] / changes.columns.scale)[:, where].T
        np.testing.assert_allclose(image.get_array(), expected)


def test_a_table_in_which_nothing_changes_has_a_scale(iris):
    X, _ = iris
    same = FunctionTransformer().fit(X)
    display = TraversalDisplay.from_estimator(same, X[:1], relative=True)
    (image,) = display.ax_.get_images()
    assert not image.get_array().any()
    assert image.get_clim() == (-1, 1)


class Nothing(TransformerMixin, BaseEstimator):
    """Codes that decode to one row, but for rounding."""

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return np.asarray(X)[:, :2]

    def inverse_transform(self, Z):
        noise = np.sin(1e3 * Z[:, :1] + np.arange(len(self.mean_)))
        return self.mean_ + 1e-7 * noise


@pytest.mark.parametrize("relative", [False, True])
def test_rounding_is_not_drawn_as_a_change(case, relative):
    _, X, image_shape, kind = case
    X = np.asarray(X)
    nothing = Nothing().fit(X)
    display = TraversalDisplay.from_estimator(
        nothing, X, relative=relative, image_shape=image_shape, kind=kind
    )
    if kind == "table":
        (image,) = display.ax_.get_images()
        assert image.get_clim() == (-1, 1)
    if relative:
        assert not display.decoded.any()


def test_the_one_component_in_given_axes_is_named(case):
    model, X, image_shape, _ = case
    _, ax = plt.subplots()
    settings = {"components": 1, "image_shape": image_shape, "ax": ax}
    display = TraversalDisplay.from_estimator(model, X, **settings)
    assert says(display.figure_, "as one component of the code grows")
    assert says(display.figure_, "component 1")


def test_what_is_wrong_with_a_traversal_is_named(cases):
    model, X, _, _ = cases["wine"]

    def traverse(**kwargs):
        TraversalDisplay.from_estimator(model, X, **kwargs)

    for component in (3, -1):
        with pytest.raises(ValueError, match=f"components={component}: .* 0 to 2"):
            traverse(components=component)
    for component in ("all", 0.5, True, [0, True]):
        with pytest.raises(ValueError, match=r"components=.* must be an integer"):
            traverse(components=component)
    with pytest.raises(TypeError, match=r"relative must be an instance of .*, not"):
        traverse(relative="no")
    with pytest.raises(ValueError, match=r"components=\[\]"):
        traverse(components=[])
    with pytest.raises(ValueError, match="n_steps == 1"):
        traverse(n_steps=1)
    for quantiles in ((0.9, 0.1), (0, 5), 0.5, ("a", "b")):
        with pytest.raises(ValueError, match=r"quantiles=.* must be two numbers"):
            traverse(quantiles=quantiles)
