"""Displays: what they hold is true, what they draw is there, what is wrong is named."""

import pickle
import sys
from itertools import combinations, pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.networks import Conv

plt = pytest.importorskip("matplotlib.pyplot")
to_rgba = pytest.importorskip("matplotlib.colors").to_rgba

from skae.plotting import (  # noqa: E402
    CodeDisplay,
    ComparisonDisplay,
    FeatureErrorDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    SampleDisplay,
    TraversalDisplay,
)
from skae.plotting.canvas import count_in_factors  # noqa: E402
from skae.plotting.columns import Columns  # noqa: E402

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
OF_ROWS = [ReconstructionDisplay, FeatureErrorDisplay, TraversalDisplay]
OF_X = [*OF_ROWS, CodeDisplay]


def make_spectra(n_rows=60, n_points=40):
    rng = np.random.default_rng(0)
    positions = np.linspace(400, 700, n_points)
    centres = rng.uniform(480, 620, (n_rows, 1))
    noise = rng.normal(scale=0.01, size=(n_rows, n_points))
    return np.exp(-(((positions - centres) / 40) ** 2)) + noise, positions


def make_colours(n_rows=40, shape=(5, 4, 3)):
    rng = np.random.default_rng(0)
    shades = rng.uniform(size=(n_rows, 1, 1, 3))
    return np.broadcast_to(shades, (n_rows, *shape)).reshape(n_rows, -1).copy()


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def cases(digits, wine):
    """Name -> (fitted estimator, X, image_shape, kind) for each kind of row."""
    spectra, positions = make_spectra()
    spectra = pd.DataFrame(spectra, columns=[f"{p:.1f}" for p in positions])
    colours = make_colours()
    table = make_pipeline(StandardScaler(), AutoencoderTransformer(3, **SMALL))
    return {
        "digits": (
            VAETransformer(4, **SMALL).fit(digits[0]),
            digits[0],
            (8, 8),
            "images",
        ),
        "colours": (
            AutoencoderTransformer(2, **SMALL).fit(colours),
            colours,
            (5, 4, 3),
            "images",
        ),
        "spectra": (
            AutoencoderTransformer(3, **SMALL).fit(spectra),
            spectra,
            None,
            "profiles",
        ),
        "wine": (table.fit(wine[0]), wine[0], None, "table"),
    }


@pytest.fixture(params=["digits", "colours", "spectra", "wine"])
def case(request, cases):
    return cases[request.param]


def show(Display, estimator, X, **settings):
    """Make a Display; of single rows with few of them, since each takes a panel."""
    few = {"n_rows": 3} if Display is ReconstructionDisplay else {}
    return Display.from_estimator(estimator, X, **few, **settings)


def texts(figure):
    """Every word in a picture."""
    for ax in figure.findobj(plt.Axes):
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_ticklabels()  # which are written no sooner
    return [
        t.get_text()
        for t in figure.findobj(plt.Text)
        if t.get_visible() and t.get_text().strip()
    ]


def says(figure, words):
    return any(words in text for text in texts(figure))


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, cases):
    model, X, _, _ = cases["wine"]
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "skae\[plot\]"'):
        CodeDisplay.from_estimator(model, X)


# ------------------------------------------------------------------ all of them alike


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
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes"):
        Display.from_estimator(model, X, ax=np.array([1, 2]))


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


# --------------------------------------------------------------- what the columns are


def describe(rows, names=None, **kwargs):
    return Columns.describe(rows, names, **kwargs)


def test_neighbours_that_go_together_are_a_profile(digits, iris, wine):
    spectra, positions = make_spectra()
    assert describe(spectra).kind == "profiles"
    assert describe(spectra + 1e4 * positions).kind == "profiles"
    mixed = np.random.default_rng(0).permutation(spectra, axis=1)
    for rows in (mixed, digits[0], iris[0], wine[0].to_numpy()):
        assert describe(rows).kind == "table"


def test_names_that_are_words_make_a_table_and_numbers_are_positions():
    spectra, positions = make_spectra()
    numbers = [f"{p:.1f}" for p in positions]
    found = describe(spectra, numbers)
    assert found.kind == "profiles"
    np.testing.assert_allclose(found.positions, positions, atol=0.05)
    np.testing.assert_array_equal(
        describe(spectra, numbers[::-1]).positions, found.positions[::-1]
    )
    named = [f"gene {n}" for n in numbers]
    assert describe(spectra, named).kind == "table"
    assert describe(spectra, named, kind="profiles").kind == "profiles"


def test_what_is_said_goes_before_what_is_found(digits):
    X = digits[0]
    assert describe(X, image_shape=(8, 8)).kind == "images"
    assert describe(X, image_shape=(8, 8), kind="table").kind == "table"
    assert describe(X, kind="profiles").kind == "profiles"


def test_black_and_white_of_colours_are_the_usual():
    colours = make_colours()
    shape = (5, 4, 3)
    assert describe(colours, image_shape=shape).limits == (0, 1)
    assert describe(255 * colours, image_shape=shape).limits == (0, 255)
    low, high = describe(colours - 3, image_shape=shape).limits
    assert (low, high) == ((colours - 3).min(), (colours - 3).max())


def test_a_convolutional_estimator_knows_the_shape_of_images(digits):
    X = digits[0]
    network = Conv((8, 8), channels=(2,))
    model = AutoencoderTransformer(2, encoder=network, decoder=network, max_iter=0)
    display = ReconstructionDisplay.from_estimator(model.fit(X), X)
    assert display.columns.image_shape == (8, 8, 1)


# ------------------------------------------------------------------------ loss curves


def test_loss_curves_are_those_of_the_fit(digits, Estimator):
    model = Estimator(4, **SMALL).fit(digits[0])
    display = LossCurveDisplay.from_estimator(make_pipeline(model))
    training, validation, start, kept = display.ax_.lines
    np.testing.assert_array_equal(training.get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(training.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(validation.get_ydata(), model.validation_loss_curve_)
    assert validation.get_xdata()[0] == 0
    assert set(start.get_ydata()) == {model.start_loss_}
    assert kept.get_ydata()[0] == model.best_loss_
    # After the last epoch the network is limited to its rows, and an autoencoder's last
    # layer is solved.
    of_epoch = model.validation_loss_curve_[display.best_epoch]
    assert model.best_loss_ <= of_epoch * (1 + 1e-3)
    assert says(display.figure_, f"PCA, the start: {model.start_loss_:.4g}")


def test_the_kept_epoch_is_the_last_where_nobody_judged(digits):
    model = AutoencoderTransformer(2, early_stopping=False, **SMALL).fit(digits[0])
    assert LossCurveDisplay.from_estimator(model).best_epoch == 3


def test_a_fit_that_is_its_start_says_so(digits):
    for settings in ({"max_iter": 0}, {"hidden_layer_sizes": ()}):
        model = AutoencoderTransformer(2, random_state=0, **settings).fit(digits[0])
        display = LossCurveDisplay.from_estimator(model)
        assert display.best_epoch == 0
        assert says(display.figure_, "kept, the start")
    display = LossCurveDisplay(
        [2, 1], validation_loss_curve=[3, 2.5, 2.9], start_loss=3, best_loss=3
    )
    assert display.plot().best_epoch == 0
    assert says(display.figure_, "not sure enough to leave the start")
    model = AutoencoderTransformer(2, init="random", **SMALL).fit(digits[0])
    assert says(LossCurveDisplay.from_estimator(model).figure_, "random start")


def test_losses_of_other_estimators(digits):
    X, y = digits
    perceptron = MLPRegressor(hidden_layer_sizes=(4,), tol=1e9, n_iter_no_change=1)
    display = LossCurveDisplay.from_estimator(perceptron.fit(X, y))
    assert display.best_epoch is None
    with pytest.raises(TypeError, match="estimator=PCA has no loss_curve_"):
        LossCurveDisplay.from_estimator(PCA(2).fit(X))
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(AutoencoderTransformer())
    with pytest.raises(TypeError, match="estimator=VAETransformer is a class"):
        LossCurveDisplay.from_estimator(VAETransformer)


# -------------------------------------------------------------------- reconstructions


def test_reconstructions_are_the_estimators(case):
    model, X, image_shape, _ = case
    display = ReconstructionDisplay.from_estimator(
        model, X, reference="pca", n_rows=5, image_shape=image_shape
    )
    rows = np.asarray(X)
    assert display.row_numbers[[0, -1]].tolist() == [0, len(rows) - 1]
    np.testing.assert_array_equal(display.rows, rows[display.row_numbers])
    decoded = model.inverse_transform(model.transform(X))
    first, second = display.reconstructions.values()
    np.testing.assert_array_equal(first, decoded[display.row_numbers])
    assert second.shape == first.shape
    for words in ("original", "PCA fitted to X", f"row {len(rows) - 1}"):
        assert says(display.figure_, words)


def test_more_rows_than_there_are_and_fewer_than_one(cases):
    model, X, _, _ = cases["digits"]
    display = ReconstructionDisplay.from_estimator(model, X[:3], n_rows=8)
    assert display.row_numbers.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="n_rows == 0, must be >= 1"):
        ReconstructionDisplay.from_estimator(model, X, n_rows=0)
    with pytest.raises(TypeError, match="n_rows must be an instance of int"):
        ReconstructionDisplay.from_estimator(model, X, n_rows=2.5)


def test_pca_takes_the_estimators_place_in_a_pipeline(wine):
    X, _ = wine
    model = make_pipeline(StandardScaler(), AutoencoderTransformer(3, **SMALL)).fit(X)
    twin = make_pipeline(StandardScaler(), PCA(3)).fit(X)
    display = ReconstructionDisplay.from_estimator(model, X, reference="pca", n_rows=4)
    expected = twin.inverse_transform(twin.transform(X))[display.row_numbers]
    np.testing.assert_allclose(display.reconstructions["PCA fitted to X"], expected)


def test_a_reference_of_ones_own(wine):
    X, _ = wine
    pca = PCA(2).fit(X)
    display = CodeDisplay.from_estimator(pca, X, reference=PCA(3).fit(X), name="mine")
    assert list(display.codes) == ["mine", "PCA"]
    display = CodeDisplay.from_estimator(pca, X, reference=PCA(3).fit(X))
    assert list(display.codes) == ["PCA", "PCA (reference)"]
    with pytest.raises(ValueError, match="reference='ica' must be"):
        CodeDisplay.from_estimator(pca, X, reference="ica")
    with pytest.raises(TypeError, match="reference=int has no transform"):
        CodeDisplay.from_estimator(pca, X, reference=3)
    with pytest.raises(NotFittedError):
        CodeDisplay.from_estimator(pca, X, reference=PCA())


def test_a_wide_table_says_which_columns_are_shown(digits):
    X, _ = digits
    for Display in OF_ROWS:
        figure = show(Display, PCA(2).fit(X), X, kind="table").figure_
        assert says(figure, "(the 30 of 64 columns ")


# ------------------------------------------------------------------------------ codes


def dots(ax):
    return np.concatenate([c.get_offsets() for c in ax.collections])


def test_codes_are_coloured_by_class_and_shown_beside_pcas(wine):
    X, y = wine
    model = PCA(2).fit(X)
    names = y.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"}).rename("cultivar")
    display = CodeDisplay.from_estimator(model, X, names)
    left, right = display.axes_
    codes = model.transform(X)
    groups = [codes[names == name] for name in ("Barbera", "Barolo", "Grignolino")]
    np.testing.assert_allclose(dots(left), np.concatenate(groups))
    np.testing.assert_allclose(dots(right), dots(left))
    legend = [text.get_text() for text in right.get_legend().get_texts()]
    assert legend == ["Barbera", "Barolo", "Grignolino"]
    assert right.get_legend().get_title().get_text() == "cultivar"
    colours = {tuple(c.get_facecolor()[0]) for c in left.collections}
    assert len(colours) == 3


def test_numbers_get_a_scale(wine):
    X, _ = wine
    model = PCA(2).fit(X)
    for y in (X["alcohol"], pd.Series(np.arange(len(X)), name="alcohol")):
        display = CodeDisplay.from_estimator(model, X, y)
        np.testing.assert_array_equal(display.axes_[0].collections[0].get_array(), y)
        assert says(display.figure_, "alcohol")


def test_rare_classes_are_drawn_together(digits):
    X, _ = digits
    y = np.array([f"c{min(i % 40, 30)}" for i in range(len(X))])
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, y)
    legend = [t.get_text() for t in display.axes_[-1].get_legend().get_texts()]
    assert len(legend) == 18
    assert legend[-1] == "all others"
    assert "c30" in legend
    assert len(dots(display.axes_[0])) == len(X)


def test_names_of_classes_do_not_cover_one_another(digits):
    X, y = digits
    names = np.array([f"a handwritten digit {i}" for i in y])
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, names, reference=None)
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.texts]
    assert 2 < len(boxes) < 10
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_two_of_many_components_and_the_only_one(digits):
    X, _ = digits
    pca = PCA(4).fit(X)
    display = CodeDisplay.from_estimator(pca, X, reference=None, components=(2, 1))
    np.testing.assert_array_equal(dots(display.axes_[0]), pca.transform(X)[:, [2, 1]])
    assert says(display.figure_, "PCA, 2 of 4 components")
    one = PCA(1).fit(X)
    display = CodeDisplay.from_estimator(one, X, reference=None)
    np.testing.assert_array_equal(dots(display.axes_[0])[:, 0], one.transform(X)[:, 0])


def test_what_is_wrong_with_codes_is_named(digits):
    X, y = digits
    pca = PCA(4).fit(X)
    with pytest.raises(ValueError, match="components=4: the codes have 4 components"):
        CodeDisplay.from_estimator(pca, X, components=(0, 4))
    with pytest.raises(ValueError, match=r"components=.* must be two integers"):
        CodeDisplay.from_estimator(pca, X, components=1)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        CodeDisplay.from_estimator(pca, X, y[:5])
    with pytest.raises(ValueError, match="y contains NaN"):
        CodeDisplay.from_estimator(pca, X, np.where(y == 3, np.nan, y))


# ---------------------------------------------------------------------------- samples


def test_samples_are_the_estimators(case):
    model, _, image_shape, kind = case
    display = SampleDisplay.from_estimator(
        model, n_samples=7, image_shape=image_shape, random_state=3
    )
    if hasattr(model, "sample"):
        expected = model.sample(7, random_state=3)
    else:
        drawn = model[-1].sample(7, random_state=3)
        expected = model[:-1].inverse_transform(drawn)
    np.testing.assert_array_equal(display.samples, expected)
    assert display.columns.kind == kind
    assert says(display.figure_, "sampled from ")
    assert not says(display.figure_, "real rows")


def test_real_rows_stand_beside_samples(case):
    model, X, image_shape, kind = case
    display = SampleDisplay.from_estimator(
        model, X, n_samples=7, image_shape=image_shape, random_state=3
    )
    assert len(display.rows) == (len(X) if kind == "table" else 7)
    assert says(display.figure_, "real rows")


def test_columns_that_hardly_vary_do_not_decide_the_axis():
    rng = np.random.default_rng(0)
    rows, samples = rng.normal(size=(2, 200, 10))
    rows[:, 3] *= 1e-4
    display = SampleDisplay(samples, Columns.describe(rows, None), rows=rows).plot()
    low, high = display.ax_.get_xlim()
    assert -4 < low < -1.5
    assert 1.5 < high < 4
    assert says(display.figure_, "lines that meet the frame go on")
    # Without such a column all lines end on the axis.
    samples[:, 3] *= 1e-4
    display = SampleDisplay(samples, Columns.describe(rows, None), rows=rows).plot()
    low, high = display.ax_.get_xlim()
    ends = [path.vertices for path in display.ax_.collections[0].get_paths()]
    assert low < np.min(ends, axis=(0, 1))[0] < np.max(ends, axis=(0, 1))[0] < high
    assert not says(display.figure_, "frame")


def test_samples_without_noise(cases):
    model, _, shape, _ = cases["digits"]
    display = SampleDisplay.from_estimator(
        model, n_samples=4, noise=False, image_shape=shape, random_state=0
    )
    expected = model.sample(4, noise=False, random_state=0)
    np.testing.assert_array_equal(display.samples, expected)


def test_other_densities_are_shown_too(iris):
    X, _ = iris
    for density in (KernelDensity(), GaussianMixture(2, random_state=0)):
        model = make_pipeline(StandardScaler(), PCA(2), density).fit(X)
        display = SampleDisplay.from_estimator(model, X, n_samples=5)
        assert display.samples.shape == (5, 4)
        SampleDisplay.from_estimator(make_pipeline(density).fit(X), n_samples=5)


def test_what_is_wrong_with_samples_is_named(iris, cases):
    X, _ = iris
    with pytest.raises(TypeError, match="estimator=PCA has no sample"):
        SampleDisplay.from_estimator(PCA().fit(X))
    with pytest.raises(NotFittedError):
        SampleDisplay.from_estimator(VAETransformer())
    density = KernelDensity().fit(X)
    with pytest.raises(TypeError, match="noise is not for estimator=KernelDensity"):
        SampleDisplay.from_estimator(density, noise=False)
    with pytest.raises(ValueError, match="n_samples == 0"):
        SampleDisplay.from_estimator(density, n_samples=0)
    with pytest.raises(ValueError, match="X has 3 columns, but the samples have 4"):
        SampleDisplay.from_estimator(density, X[:, :3])


# ------------------------------------------------------------------------- traversals


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


def test_what_is_wrong_with_a_traversal_is_named(cases):
    model, X, _, _ = cases["wine"]

    def traverse(**kwargs):
        TraversalDisplay.from_estimator(model, X, **kwargs)

    for component in (3, -1):
        with pytest.raises(ValueError, match=f"components={component}: .* 0 to 2"):
            traverse(components=component)
    for component in ("all", 0.5, True):
        with pytest.raises(ValueError, match=r"components=.* must be an integer"):
            traverse(components=component)
    with pytest.raises(ValueError, match=r"components=\[\]"):
        traverse(components=[])
    with pytest.raises(ValueError, match="n_steps == 1"):
        traverse(n_steps=1)
    for quantiles in ((0.9, 0.1), (0, 5), 0.5, ("a", "b")):
        with pytest.raises(ValueError, match=r"quantiles=.* must be two numbers"):
            traverse(quantiles=quantiles)


# ------------------------------------------------------------------- errors per column


@pytest.mark.parametrize("block_size", [2**22, 100])
def test_errors_are_mean_squares_over_all_rows(case, block_size, monkeypatch):
    monkeypatch.setattr("skae.plotting.feature_error.BLOCK_SIZE", block_size)
    model, X, image_shape, _ = case
    display = FeatureErrorDisplay.from_estimator(
        model, X, reference=None, image_shape=image_shape
    )
    (errors,) = display.squared_errors.values()
    rows = np.asarray(X)
    decoded = model.inverse_transform(model.transform(X))
    expected = np.square(rows - decoded).mean(axis=0)
    np.testing.assert_allclose(errors, expected, rtol=1e-6)
    np.testing.assert_allclose(display.variances, rows.var(axis=0), atol=1e-12)


def test_errors_of_a_sparse_table_are_those_of_the_dense_one(digits):
    X, _ = digits
    pca = PCA(3, svd_solver="covariance_eigh").fit(X)
    dense, sparse = (
        FeatureErrorDisplay.from_estimator(pca, rows).squared_errors.values()
        for rows in (X, sp.csr_array(X))
    )
    for one, other in zip(dense, sparse, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_bars_are_sorted_and_named(wine):
    X, _ = wine
    model = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    display = FeatureErrorDisplay.from_estimator(model, X, reference=None)
    ax = display.axes_[0]
    shares = [bar.get_width() for bar in ax.patches]
    names = [label.get_text() for label in ax.get_yticklabels()]
    expected = display.squared_errors["PCA"] / X.to_numpy().var(axis=0)
    order = np.argsort(-expected)
    np.testing.assert_allclose(shares, expected[order])
    assert names == [
        n if len(n) <= 28 else n[:27] + "…" for n in np.array(X.columns)[order]
    ]
    score = 1 - expected.mean()
    ratio = model[-1].explained_variance_ratio_.sum()
    assert score == pytest.approx(ratio)


def test_a_constant_column_has_no_share(iris):
    X = np.column_stack([iris[0], np.ones(len(iris[0]))])
    display = FeatureErrorDisplay.from_estimator(PCA(2).fit(X), X)
    assert min(bar.get_width() for bar in display.axes_[0].patches) == 0


# ------------------------------------------------------------------------- comparison


def make_comparison(n_folds=3, fails=(), widths=(2, 8, 32)):
    names = ["PCA", "Autoencoder", "NMF"]
    grid = [(n, w, f) for n in names for w in widths for f in range(n_folds)]
    estimator, width, fold = (np.array(column) for column in zip(*grid, strict=True))
    failed = np.array([(n, w) in fails for n, w, _ in grid])
    value = 1 - 1 / width + 0.01 * fold + 0.1 * (estimator == "Autoencoder")
    nothing = np.full(len(grid), np.nan)
    return SimpleNamespace(
        folds={
            "estimator": estimator,
            "n_components": width,
            "fold": fold,
            "explained_variance": np.where(failed, np.nan, value),
            "log_likelihood": nothing,
            "downstream_score": nothing,
            "trustworthiness": np.where(failed, np.nan, value),
            "fit_seconds": value * width,
            "transform_seconds": value,
            "error": np.where(failed, "ValueError: no", ""),
        }
    )


def test_curves_are_means_over_folds():
    comparison = make_comparison()
    display = ComparisonDisplay.from_comparison(comparison)
    assert list(display.curves) == ["PCA", "Autoencoder", "NMF"]
    for width, mean, std in zip(
        *(display.curves["PCA"][k] for k in ("n_components", "mean", "std")),
        strict=True,
    ):
        values = [1 - 1 / width + 0.01 * fold for fold in range(3)]
        assert mean == pytest.approx(np.mean(values))
        assert std == pytest.approx(np.std(values))
    ticks = [t.get_text() for t in display.ax_.get_xticklabels()]
    assert ticks == ["2", "8", "32"]
    assert says(display.figure_, "mean of 3 folds")
    assert display.figure_ is display.ax_.figure


def drawn_points(display):
    """Points that each estimator has in a picture."""
    dots = [container.lines[0] for container in display.ax_.containers]
    return [np.isfinite(dot.get_ydata()).sum() for dot in dots]


@pytest.mark.parametrize("measure", ["explained_variance", "fit_seconds"])
def test_fits_that_failed_are_not_drawn_and_said(measure):
    fails = {("NMF", 8), ("Autoencoder", 2), ("Autoencoder", 8), ("Autoencoder", 32)}
    display = ComparisonDisplay.from_comparison(make_comparison(fails=fails), measure)
    assert np.isnan(display.curves["NMF"]["mean"]).tolist() == [False, True, False]
    assert np.isnan(display.curves["Autoencoder"]["mean"]).all()
    assert display.curves["NMF"]["n_failed"].tolist() == [0, 3, 0]
    assert drawn_points(display) == [3, 2]
    assert says(display.figure_, "NMF: failed at 8")
    assert says(display.figure_, "Autoencoder: failed")
    handle = display.figure_.legends[0].legend_handles[1]
    assert handle.get_linestyle() == "None"


def test_a_fold_that_failed_is_left_out_of_the_mean_and_counted():
    comparison = make_comparison()
    comparison.folds["explained_variance"][0] = np.nan
    comparison.folds["error"][0] = "ValueError: no"
    display = ComparisonDisplay.from_comparison(comparison)
    assert display.curves["PCA"]["mean"][0] == pytest.approx(0.515)
    assert says(display.figure_, "PCA: 1 fit failed")


def test_an_error_in_one_measure_is_none_of_another():
    comparison = make_comparison()
    comparison.folds["error"][:] = "downstream_score: ValueError: no"
    display = ComparisonDisplay.from_comparison(comparison, "fit_seconds")
    assert drawn_points(display) == [3, 3, 3]
    assert display.curves["NMF"]["n_failed"].tolist() == [0, 0, 0]


def test_a_measure_that_an_estimator_does_not_have_is_said_to_be_none():
    comparison = make_comparison()
    likelihood = np.where(comparison.folds["estimator"] == "PCA", -1.0, np.nan)
    comparison.folds["log_likelihood"] = likelihood
    display = ComparisonDisplay.from_comparison(comparison, "log_likelihood")
    assert says(display.figure_, "Autoencoder: gives none")


def test_bars_of_seconds_end_above_nothing():
    comparison = make_comparison()
    comparison.folds["fit_seconds"][:3] = 0.01, 0.01, 10.0
    display = ComparisonDisplay.from_comparison(comparison, "fit_seconds")
    (bars,) = display.ax_.containers[0].lines[2]
    (_, low), (_, high) = bars.get_segments()[0]
    assert low == pytest.approx(0.01)
    assert not overlaps(display.figure_)
    assert high == pytest.approx(np.mean([0.01, 0.01, 10]) + np.std([0.01, 0.01, 10]))


def test_one_fold_has_no_spread():
    display = ComparisonDisplay.from_comparison(make_comparison(n_folds=1))
    assert display.curves["NMF"]["std"].tolist() == [0, 0, 0]
    assert not says(display.figure_, "standard deviation")


def test_with_one_width_there_is_a_line_for_each_name():
    comparison = make_comparison(widths=[8], fails={("NMF", 8)})
    display = ComparisonDisplay.from_comparison(comparison)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["PCA", "Autoencoder", "NMF: failed"]
    dots = [container.lines[0] for container in display.ax_.containers]
    for i, (dot, curve) in enumerate(zip(dots, display.curves.values(), strict=True)):
        np.testing.assert_array_equal(dot.get_xdata(), curve["mean"])
        assert set(dot.get_ydata()) == {i}
    assert says(display.figure_, "8 components")
    assert says(display.figure_, "mean of 3 folds ± standard deviation")
    seconds = ComparisonDisplay.from_comparison(comparison, "fit_seconds")
    assert seconds.ax_.get_xscale() == "log"


def test_seconds_and_given_axes():
    ax = plt.figure().add_subplot()
    display = ComparisonDisplay.from_comparison(make_comparison(), "fit_seconds", ax=ax)
    assert display.ax_ is ax
    assert ax.get_yscale() == "log"
    assert ax.get_ylabel() == "seconds to fit"


def test_what_is_wrong_with_a_comparison_is_named():
    comparison = make_comparison()
    for measure in ("log_likelihood", "accuracy", "estimator"):
        with pytest.raises(
            ValueError, match=f"measure='{measure}' .*: explained_variance, trust"
        ):
            ComparisonDisplay.from_comparison(comparison, measure)
    with pytest.raises(TypeError, match="comparison=dict has no folds"):
        ComparisonDisplay.from_comparison({})


# ---------------------------------------------------------------------------- legible


def overlaps(figure):
    """Pairs of tick labels along one axis that are written over each other."""
    figure.canvas.draw()
    pairs = []
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            labels = [t for t in axis.get_ticklabels() if t.get_text()]
            boxes = [t.get_window_extent() for t in labels if t.get_visible()]
            pairs += [(a, b) for a, b in pairwise(boxes) if a.overlaps(b)]
    return pairs


def test_labels_do_not_overlap_and_stay_within_the_figure(case):
    model, X, image_shape, _ = case
    for display in (
        show(ReconstructionDisplay, model, X, image_shape=image_shape),
        FeatureErrorDisplay.from_estimator(model, X, image_shape=image_shape),
        TraversalDisplay.from_estimator(
            model, X, components=[0, 1], image_shape=image_shape
        ),
        SampleDisplay.from_estimator(model, X, n_samples=9, image_shape=image_shape),
        CodeDisplay.from_estimator(model, X),
    ):
        figure = display.figure_
        assert not overlaps(figure)
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) > -0.02, display
        assert drawn.x1 < width + 0.02, display
        assert drawn.y1 < height + 0.02, display


def test_captions_of_a_quarter_of_a_figure_stay_in_it(case):
    model, X, image_shape, kind = case
    for Display, settings in (
        (ReconstructionDisplay, {"n_rows": 8 if kind == "images" else 2}),
        (FeatureErrorDisplay, {}),
        (TraversalDisplay, {"name": "a name of many words for a model"}),
        (SampleDisplay, {"random_state": 0}),
    ):
        figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
        settings |= {"X": X, "image_shape": image_shape, "ax": axes[0, 1]}
        drawn = Display.from_estimator(model, **settings).axes_
        assert not overlaps(figure), Display
        left = axes[0, 0].get_window_extent().x1
        bottom = axes[1, 1].get_window_extent().y1
        for ax in drawn:
            if ax.get_title():
                title = ax.title.get_window_extent()
                assert left < title.x0 < title.x1 < figure.bbox.width + 2, Display
            if ax.get_ylabel():
                label = ax.yaxis.label.get_window_extent()
                assert bottom < label.y0 < label.y1 < figure.bbox.height + 2, Display


def test_captions_are_broken_in_a_figure_that_was_stored(wine):
    figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
    TraversalDisplay.from_estimator(PCA(2).fit(wine[0]), wine[0], ax=axes[0])
    stored = pickle.loads(pickle.dumps(figure))
    for drawn in (figure, stored):
        drawn.canvas.draw()
        left, right, *_ = drawn.axes
        end = left.title.get_window_extent().x1
        assert end < right.get_window_extent().x0


@pytest.mark.parametrize("width", [3.4, 5.0])
def test_captions_stay_within_narrow_axes_that_were_given(cases, width):
    model, X, *_ = cases["wine"]
    for Display, settings in (
        (SampleDisplay, {"X": X, "random_state": 0}),
        (FeatureErrorDisplay, {"X": X}),
        (TraversalDisplay, {"X": X}),
    ):
        figure, ax = plt.subplots(figsize=(width, 4), layout="constrained")
        Display.from_estimator(model, ax=ax, **settings)
        figure.canvas.draw()
        drawn = figure.get_tightbbox()
        assert drawn.x0 > -0.02, Display
        assert drawn.x1 < width + 0.02, Display
        legend = ax.get_legend()
        if legend is not None:
            assert not legend.get_window_extent().overlaps(ax.get_window_extent())


def contrast(colour, paper, alpha):
    """Ratio of the brightness of a colour and of paper, as the eye sees them."""

    def luminance(rgb):
        rgb = np.asarray(rgb[:3])
        linear = np.where(rgb < 0.04, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722] + 0.05

    seen = alpha * np.array(colour[:3]) + (1 - alpha) * np.array(paper[:3])
    dark, light = sorted([luminance(seen), luminance(paper)])
    return light / dark


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_lines_and_dots_stand_out_from_light_and_dark_paper(cases, style):
    model, X, *_ = cases["spectra"]
    with plt.style.context(style):
        lines = [
            line
            for display in (
                SampleDisplay.from_estimator(model, X, n_samples=50, random_state=0),
                TraversalDisplay.from_estimator(model, X, components=[0, 1]),
                FeatureErrorDisplay.from_estimator(model, X),
            )
            for ax in display.axes_
            for line in ax.get_lines()
        ]
        dots = CodeDisplay.from_estimator(model, X, np.arange(60.0)).ax_.collections[0]
        dots.update_scalarmappable()
        drawn = [(to_rgba(line.get_color()), line.get_alpha() or 1) for line in lines]
        drawn += [(colour, 1) for colour in dots.get_facecolors()]
        paper = to_rgba(plt.rcParams["axes.facecolor"])
    assert len(drawn) > 150
    assert min(contrast(colour, paper, alpha) for colour, alpha in drawn) > 1.4


@pytest.mark.parametrize("low", [3e-5, 0.7, 1.0, 42.0])
@pytest.mark.parametrize("ratio", [1.0, 1.5, 9.0, 200.0, 1e5])
def test_an_axis_of_factors_holds_all_values(low, ratio):
    _, ax = plt.subplots()
    values = np.array([low, low * ratio])
    ax.plot(values, "o")
    count_in_factors(ax, "y", values)
    bottom, top = ax.get_ylim()
    assert bottom <= low
    assert top >= low * ratio
    assert len(ax.get_yticks()) > 1
