"""Rows beside what their codes decode to."""

import numbers

import numpy as np
from sklearn.utils import check_scalar

from skae.transformers import (
    as_rows,
    check_finite,
    dense,
    named_transformers,
    reconstruct,
    some_rows,
)

from .canvas import (
    WIDTH,
    check_matplotlib,
    clear_unused,
    panels,
    room_across,
    root_figure,
)
from .colours import ESTIMATOR, NEUTRAL, REFERENCE
from .columns import describe_columns
from .display import RowsDisplay
from .drawings import draw_profiles
from .images import draw_images, shape_drawn
from .lettering import (
    LINE,
    label_below,
    label_features,
    legend_outside,
    main_features,
    shortened,
    thin_out,
)

__all__ = ["ReconstructionDisplay"]


# How the original, the estimator's reconstruction and the reference's are drawn.
LINES: tuple[dict, ...] = (
    {"color": NEUTRAL, "lw": 4, "alpha": 0.6},
    {"color": ESTIMATOR},
    {"color": REFERENCE, "ls": "--"},
)
# The frame cuts no dot; the reference's is hollow, so that it hides no other.
DOT: dict = {"marker": "o", "ls": "none", "clip_on": False}
DOTS: tuple[dict, ...] = (
    {**DOT, "ms": 9, "mfc": "none", "mew": 1.5, "color": NEUTRAL},
    {**DOT, "ms": 5, "color": ESTIMATOR},
    {**DOT, "marker": "D", "ms": 6, "mfc": "none", "mew": 1.2, "color": REFERENCE},
)

# Inches that a word takes, with a number, above an image.
WORD = 0.6

# Inches that names of columns take, and a row of a table beside them at least.
NAMES = 2.0
NARROWEST = 0.8


class ReconstructionDisplay(RowsDisplay):
    """Rows beside their reconstructions: images, profiles or rows of a table.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        The originals.

    reconstructions : dict of str to ndarray of shape (n_rows, n_features)
        By the name of who made them.

    columns : Columns
        What the columns are; see :class:`skae.plotting.columns.Columns`.

    row_numbers : ndarray of shape (n_rows,)
        Which rows of X are shown.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes

    figure_ : matplotlib Figure

    See Also
    --------
    FeatureErrorDisplay : Which columns are reconstructed badly, over all rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.plotting import ReconstructionDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> pca = PCA(8).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(pca, X, image_shape=(8, 8))
    >>> list(display.reconstructions)
    ['PCA']
    """

    def __init__(self, *, rows, reconstructions, columns, row_numbers):
        self.rows = rows
        self.reconstructions = reconstructions
        self.columns = columns
        self.row_numbers = row_numbers

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        reference=None,
        n_rows=8,
        image_shape=None,
        kind="auto",
        name=None,
        ax=None,
    ):
        """Reconstruct some rows and plot both.

        Parameters
        ----------
        estimator : fitted transformer with ``inverse_transform``
            Encodes and decodes, by its ``reconstruct`` where it has one.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows; those shown are spread evenly over them.

        reference : "pca", fitted transformer or None, default=None
            Whose reconstructions are shown too: ``"pca"`` is fitted to all rows of X,
            with as many components as the estimator, in its place in a Pipeline.

        n_rows : int, default=8
            Number of rows to show, at most all; of a table in ``ax`` fewer, where
            it has no room for as many.

        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels), where rows are images. A
            convolutional estimator knows it itself.

        kind : {"auto", "images", "profiles", "table"}, default="auto"
            How rows are drawn. ``"auto"`` takes images where there is an
            ``image_shape``, profiles (spectra, time series) where neighbouring
            columns go together and have no names other than numbers, and otherwise
            the rows of a table.

        name : str, default=None
            Of the estimator, in the picture; by default from the class.

        ax : matplotlib Axes, default=None
            Where to draw, divided as needed; by default a new figure.

        Returns
        -------
        ReconstructionDisplay
        """
        check_matplotlib()
        check_scalar(n_rows, "n_rows", numbers.Integral, min_val=1)
        X = as_rows(X)
        check_finite(X)
        columns = describe_columns(estimator, X, kind=kind, image_shape=image_shape)
        named = named_transformers(estimator, X, reference, name)
        row_numbers, shown = some_rows(X, n_rows)
        display = cls(
            rows=dense(shown),
            reconstructions={
                name: reconstruct(transformer, shown)
                for name, transformer in named.items()
            },
            columns=columns,
            row_numbers=row_numbers,
        )
        return display.plot(ax=ax)

    def _draw_images(self, ax):
        """Draw a column per image: the original on top."""
        lines = np.stack([self.rows, *self.reconstructions.values()])
        images = self.columns.as_images(lines)
        n_lines, n_images, height, width, _ = images.shape
        side = WIDTH / max(n_images, 4)
        shape = shape_drawn(height, width)
        size = (side * n_images + 1.2, side * n_lines * shape + 0.4)
        axes = panels(ax, 1, 1, size)
        panel = axes[0, 0]
        _, x_middles, y_middles = draw_images(panel, images, self.columns.limits)
        panel.set_yticks(y_middles, self._labels)
        room = panel.get_window_extent().width / root_figure(panel).dpi / n_images
        word = "row " if room > WORD else ""
        panel.set_xticks(x_middles, [f"{word}{i}" for i in self.row_numbers])
        thin_out(panel.xaxis)
        return axes

    def _draw_profiles(self, ax):
        """Draw a panel per profile: the original wide and grey, the others over it."""
        n_columns = min(len(self.rows), 4)
        n_lines = -(-len(self.rows) // n_columns)
        size = (2.1 * n_columns, 1.6 * n_lines + 0.6)
        axes = panels(ax, n_lines, n_columns, size, sharex=True, sharey=True)
        for rows, style in zip(self._series, LINES, strict=False):
            for panel, row in zip(axes.flat, rows, strict=False):
                draw_profiles(panel, self.columns.positions, [row], **style)
        clear_unused(axes, len(self.rows))
        self._name_panels(axes, ax, slice(None))
        label_below(axes, ax, "position of the column")
        return axes

    def _draw_table(self, ax):
        """Draw a panel per row: a ring where a value is, a dot where it was put."""
        shown, _ = some_rows(self.rows, self._rows_that_fit(ax))
        series = [self.columns.standardise(rows[shown]) for rows in self._series]
        original, decoded = series[:2]
        errors = np.square(original - decoded).mean(axis=0)
        chosen, note = main_features(ax, errors, "with the largest errors")
        chosen = np.sort(chosen)
        size = (NAMES + 0.95 * len(original), 1.3 + LINE * len(chosen))
        axes = panels(ax, 1, len(original), size, sharex=True, sharey=True)
        heights = np.arange(len(chosen))
        limit = 1.15 * max(np.abs(rows[:, chosen]).max() for rows in series)
        tick = max(1, int(limit * 0.95))
        for i, panel in enumerate(axes.flat):
            panel.axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
            panel.grid(axis="y", color=NEUTRAL, alpha=0.25)
            panel.tick_params(axis="y", length=0)
            panel.tick_params(axis="x", labelsize="small")
            ends = original[i, chosen], decoded[i, chosen]
            panel.hlines(heights, *ends, color=ESTIMATOR, lw=1.5, alpha=0.5)
            for rows, style in zip(series, DOTS, strict=False):
                panel.plot(rows[i, chosen], heights, **style)
        axes[0, 0].set(xlim=(-limit, limit), xticks=[-tick, 0, tick])
        label_features(axes[0, 0], [self.columns.names[j] for j in chosen])
        self._name_panels(axes, ax, shown)
        label = "value, in standard deviations from the mean of its column"
        label_below(axes, ax, label + note)
        return axes

    @property
    def _series(self):
        """What is drawn of each row, in order."""
        return [self.rows, *self.reconstructions.values()]

    @property
    def _labels(self):
        """What that is called."""
        return ["original", *map(shortened, self.reconstructions)]

    def _rows_that_fit(self, ax):
        """Count the rows of a table that have room, beside the names of columns."""
        if ax is None:
            return len(self.rows)
        return max(1, int((room_across(ax) - NAMES) / NARROWEST))

    def _name_panels(self, axes, bounds, shown):
        for panel, number in zip(axes.flat, self.row_numbers[shown], strict=False):
            panel.set_title(f"row {number}", fontsize="medium")
        handles = axes.flat[0].get_lines()[-len(self._series) :]
        named = {"handles": handles, "labels": self._labels}
        legend_outside(axes, bounds, ncols=3, **named)
