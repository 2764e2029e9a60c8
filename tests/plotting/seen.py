"""Displays, and what is seen in a picture."""

from itertools import pairwise

import pytest

from skae.plotting import (
    CodeDisplay,
    FeatureErrorDisplay,
    ReconstructionDisplay,
    TraversalDisplay,
)

plt = pytest.importorskip("matplotlib.pyplot")
to_rgba = pytest.importorskip("matplotlib.colors").to_rgba


OF_ROWS = [ReconstructionDisplay, FeatureErrorDisplay, TraversalDisplay]
OF_X = [*OF_ROWS, CodeDisplay]


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


def captions(figure):
    """Where titles, labels of axes and what is written around panels are."""
    figure.canvas.draw()
    around = [text for part in (figure, *figure.subfigs) for text in part.texts]
    for ax in figure.findobj(plt.Axes):
        around += [ax.title, ax.xaxis.label, ax.yaxis.label]
    return [text.get_window_extent() for text in around if text.get_text()]


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
