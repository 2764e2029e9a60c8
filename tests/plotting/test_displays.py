"""All Displays alike: rows of every kind, in every style, and what is refused."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.plotting import (
    CodeDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    SampleDisplay,
)

from .rows import SMALL
from .seen import OF_ROWS, OF_X, plt, says, show, texts


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, cases):
    model, X, _, _ = cases["wine"]
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "skae\[plot\]"'):
        CodeDisplay.from_estimator(model, X)


@pytest.mark.parametrize("style", ["dark_background", "classic"])
def test_every_kind_of_row_is_drawn_in_every_style(case, style):
    model, X, image_shape, kind = case
    with plt.style.context(style):
        displays = [
            show(Display, model, X, image_shape=image_shape) for Display in OF_ROWS
        ]
        displays.append(
            SampleDisplay.from_estimator(model, X, n_samples=9, image_shape=image_shape)
        )
        for display in displays:
            assert display.columns.kind == kind
            assert all(isinstance(ax, plt.Axes) for ax in display.axes_)
            assert display.figure_ is display.axes_[0].figure
            display.figure_.canvas.draw()
            assert texts(display.figure_)


@pytest.mark.parametrize("Display", OF_X)
def test_a_display_is_drawn_where_it_is_told(Display, cases):
    for name in ("digits", "spectra", "wine"):
        model, X, image_shape, _ = cases[name]
        shape = {} if Display is CodeDisplay else {"image_shape": image_shape}
        figure, axes = plt.subplots(1, 2, figsize=(14, 5), layout="constrained")
        display = show(Display, model, X, ax=axes[1], **shape)
        assert display.figure_ is figure
        figure.canvas.draw()
        left = axes[0].get_window_extent().x1
        assert all(ax.get_window_extent().x0 >= left for ax in display.axes_)
        assert not axes[0].has_data()


def test_a_display_draws_itself_again(cases):
    model, X, image_shape, _ = cases["digits"]
    display = ReconstructionDisplay.from_estimator(model, X, image_shape=image_shape)
    first = display.figure_
    assert display.plot() is display
    assert display.figure_ is not first


@pytest.fixture(scope="module")
def transformers(digits):
    """Those of scikit-learn that decode, alone, in Pipelines and in a search."""
    X, _ = digits
    nested = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), PCA(2)))
    kinds = [
        PCA(3),
        NMF(2, max_iter=400),
        make_pipeline(StandardScaler(), PCA(2)),
        make_pipeline(PCA(2)),
        nested,
        GridSearchCV(PCA(), {"n_components": [2, 3]}, cv=2),
    ]
    return [kind.fit(X) for kind in kinds]


@pytest.mark.parametrize("Display", OF_X)
def test_any_transformer_that_decodes_is_shown(Display, transformers, digits):
    for estimator in transformers:
        display = show(Display, estimator, digits[0])
        assert all(ax.has_data() for ax in display.axes_)


@pytest.fixture(scope="module", params=["list", "csr", "coo", "polars"])
def contained(request, iris):
    """Rows in a container, and an estimator that was fitted to them."""
    X = np.abs(iris[0])
    rows = {
        "list": X.tolist,
        "csr": lambda: sp.csr_array(X),
        "coo": lambda: sp.coo_array(X),
        "polars": lambda: pl.DataFrame(X, schema=["a", "b", "c", "d"]),
    }[request.param]()
    return AutoencoderTransformer(2, **SMALL).fit(rows), rows


@pytest.mark.parametrize("Display", OF_X)
def test_rows_of_any_container_are_shown(Display, contained):
    display = show(Display, *contained)
    names = ["a", "b"] if isinstance(contained[1], pl.DataFrame) else ["x0", "x1"]
    if Display is not CodeDisplay:
        assert set(names) < set(texts(display.figure_))


@pytest.mark.parametrize("Display", OF_X)
def test_frames_that_come_out_are_understood(Display, wine):
    model = make_pipeline(StandardScaler(), AutoencoderTransformer(2, **SMALL))
    show(Display, model.set_output(transform="pandas").fit(wine[0]), wine[0])


@pytest.mark.parametrize("Display", OF_X)
def test_what_cannot_be_shown_is_refused_by_name(Display, iris):
    X, y = iris
    with pytest.raises(TypeError, match="estimator=KMeans has no inverse_transform"):
        Display.from_estimator(KMeans(2, n_init=1).fit(X), X)
    classifier = make_pipeline(PCA(2), LogisticRegression()).fit(X, y)
    with pytest.raises(TypeError, match=r"has no transform; .* \(pipeline\[:-1\]\)"):
        Display.from_estimator(classifier, X)
    with pytest.raises(TypeError, match="estimator=PCA is a class"):
        Display.from_estimator(PCA, X)
    with pytest.raises(NotFittedError):
        Display.from_estimator(AutoencoderTransformer(2), X)
    model = PCA(2).fit(X)
    with pytest.raises(ValueError, match="X has 1 dimensions"):
        Display.from_estimator(model, X[0])
    frame = pd.DataFrame(X, columns=list("abcd"))
    with pytest.raises(ValueError, match=r"string|Only numbers can be drawn"):
        Display.from_estimator(PCA(2).fit(frame), frame.assign(d="word"))
    with pytest.raises(ValueError, match="X has no rows"):
        Display.from_estimator(model, X[:0])
    with pytest.raises(ValueError, match="X has no columns"):
        Display.from_estimator(model, X[:, :0])
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes"):
        Display.from_estimator(model, X, ax=np.array([1, 2]))


def test_a_name_may_be_a_number(digits):
    vae = VAETransformer(2, **SMALL).fit(digits[0])
    settings = {"X": digits[0], "estimator": vae}
    for name in (5, 0):
        displays = [show(Display, **settings, name=name) for Display in OF_X]
        displays.append(SampleDisplay.from_estimator(**settings, name=name))
        displays.append(LossCurveDisplay.from_estimator(vae, name=name))
        for display in displays:
            assert not says(display.figure_, "VAE")


def test_axes_that_cannot_be_divided_are_refused(cases):
    model, X, _, _ = cases["spectra"]
    ax = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="ax has no place in a grid"):
        ReconstructionDisplay.from_estimator(model, X, ax=ax)


@pytest.mark.parametrize(
    ("image_shape", "message"),
    [
        ((8, 9), "has 72 values, but the rows have 64 columns"),
        ((64,), "give .height, width."),
        (64, "give .height, width."),
        ((8, 8.5), "give .height, width."),
        ((-8, -8), "give .height, width."),
        ((2, 4, 8), "has 8 channels; .* the channels come last"),
    ],
)
@pytest.mark.parametrize("Display", OF_ROWS)
def test_an_image_shape_that_does_not_fit_is_refused(
    Display, image_shape, message, digits
):
    X = digits[0]
    with pytest.raises(ValueError, match=f"image_shape=.*{message}"):
        Display.from_estimator(PCA(2).fit(X), X, image_shape=image_shape)


@pytest.mark.parametrize("Display", OF_ROWS)
def test_a_kind_that_is_none_is_refused(Display, digits):
    X = digits[0]
    model = PCA(2).fit(X)
    with pytest.raises(ValueError, match="kind='pictures' must be"):
        Display.from_estimator(model, X, kind="pictures")
    with pytest.raises(ValueError, match='kind="images" needs image_shape'):
        Display.from_estimator(model, X, kind="images")
