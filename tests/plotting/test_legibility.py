"""Nothing overlaps, and all can be told from the paper."""

import pickle
from itertools import combinations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer
from skae.plotting import (
    CodeDisplay,
    FeatureErrorDisplay,
    ReconstructionDisplay,
    SampleDisplay,
    TraversalDisplay,
)
from skae.plotting.lettering import count_in_factors

from .seen import captions, overlaps, plt, show, to_rgba


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


@pytest.mark.parametrize("of_figure", [None, (10, 3.4)])
def test_every_class_is_named_within_the_figure(of_figure):
    X = np.random.default_rng(0).normal(size=(200, 3))
    y = np.array([f"class {i % 20}" for i in range(200)])
    ax = None
    if of_figure:
        _, (_, ax) = plt.subplots(1, 2, figsize=of_figure, layout="constrained")
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, y, reference=None, ax=ax)
    display.figure_.canvas.draw()
    box, paper = display.ax_.get_legend().get_window_extent(), display.figure_.bbox
    assert paper.y0 <= box.y0
    assert box.x1 <= paper.x1


def test_row_numbers_are_written_where_there_is_room(digits):
    X = np.tile(digits[0], (6, 1))
    display = ReconstructionDisplay.from_estimator(
        PCA(2).fit(X), X, n_rows=30, image_shape=(8, 8), name="a long name " * 9
    )
    assert not overlaps(display.figure_)
    numbers = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert 8 < sum(map(bool, numbers)) < 30
    width = display.ax_.get_window_extent().width
    assert width > display.figure_.bbox.width / 2


@pytest.mark.parametrize("n_rows", [1, 5])
def test_panels_have_their_numbers_and_the_legend_ends_in_the_figure(cases, n_rows):
    model, X, *_ = cases["spectra"]
    settings = {"n_rows": n_rows, "reference": "pca", "name": "_some $_$ name"}
    display = ReconstructionDisplay.from_estimator(model, X, **settings)
    figure = display.figure_
    figure.canvas.draw()
    (legend,) = figure.legends
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["original", r"_some \$_\$ name", "PCA fitted to X"]
    for ax in display.axes_[max(n_rows - 4, 0) : n_rows]:
        assert any(label.get_visible() for label in ax.get_xticklabels())


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


def half(size=(9, 4)):
    """Axes of half a figure."""
    return plt.subplots(1, 2, figsize=size, layout="constrained")[1][1]


@pytest.mark.parametrize("in_half", [False, True])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("components", [0, [0, 1]])
def test_captions_of_low_tables_do_not_overlap(iris, components, relative, in_half):
    X, _ = iris
    settings = {"components": components, "relative": relative, "name": "Autoencoder"}
    ax = half() if in_half else None
    display = TraversalDisplay.from_estimator(PCA(2).fit(X), X, ax=ax, **settings)
    boxes = captions(display.figure_)
    assert len(boxes) > 2
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_rows_of_a_table_in_half_a_figure_have_room(wine):
    X, _ = wine
    settings = {"reference": "pca", "name": "Autoencoder", "ax": half()}
    display = ReconstructionDisplay.from_estimator(PCA(2).fit(X), X, **settings)
    figure = display.figure_
    assert not overlaps(figure)
    titles = [ax.title.get_window_extent() for ax in display.axes_]
    assert len(titles) > 1
    assert not any(one.overlaps(other) for one, other in combinations(titles, 2))
    assert titles[-1].x1 <= figure.bbox.x1
    numbers = [ax.get_title() for ax in display.axes_]
    assert (numbers[0], numbers[-1]) == ("row 0", "row 177")
    (legend,) = display.ax_.figure.legends
    assert legend.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize("image_shape", [(4, 100), (100, 4)])
def test_long_images_are_no_lines(image_shape):
    X = np.random.default_rng(0).uniform(size=(70, 400))
    pca = PCA(4).fit(X)
    density = AutoencoderTransformer(2, max_iter=0).fit(X)
    settings = {"X": X, "image_shape": image_shape}
    for display in (
        ReconstructionDisplay.from_estimator(pca, reference="pca", **settings),
        FeatureErrorDisplay.from_estimator(pca, **settings),
        TraversalDisplay.from_estimator(pca, components=[0, 1, 2, 3], **settings),
        SampleDisplay.from_estimator(density, random_state=0, **settings),
    ):
        assert not overlaps(display.figure_)
        assert max(display.figure_.get_size_inches()) < 14
        boxes = captions(display.figure_)
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        inches = [ax.get_window_extent() for ax in display.axes_]
        assert all(min(b.width, b.height) > 0.4 * display.figure_.dpi for b in inches)


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


@pytest.mark.parametrize("low", [3e-5, 0.7, np.nextafter(1, 0), 1.0, 42.0])
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
