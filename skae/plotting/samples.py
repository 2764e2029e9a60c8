"""Rows that a model draws, beside rows that it learned from."""

import math
import numbers

import numpy as np
from sklearn.utils import check_scalar

from skae.transformers import (
    as_rows,
    check_finite,
    dense,
    sample,
    short_name,
    some_rows,
)

from .canvas import check_matplotlib, panels
from .colours import ESTIMATOR, NEUTRAL
from .columns import describe_columns
from .display import RowsDisplay
from .drawings import draw_profiles
from .images import draw_images, shape_drawn
from .lettering import (
    LINE,
    keep_within,
    label_below,
    label_features,
    legend_outside,
    main_features,
    shortened,
)

__all__ = ["SampleDisplay"]

# What an interval covers, from thin to thick.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

# Standard deviations that are always on the axis, on either side of the mean.
LEAST_REACH = 2.0


class SampleDisplay(RowsDisplay):
    """Rows drawn by a model: images, profiles or the columns of a table.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features)
        What was drawn.

    columns : Columns
        What the columns are; see :class:`skae.plotting.columns.Columns`.

    rows : ndarray of shape (n_rows, n_features), default=None
        Real rows, to be shown beside.

    estimator_name : str, default="the model"
        Who drew the samples.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes

    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import VAETransformer
    >>> from skae.plotting import SampleDisplay
    >>> X, _ = load_iris(return_X_y=True)
    >>> vae = VAETransformer(2, max_iter=2, random_state=0).fit(X)
    >>> display = SampleDisplay.from_estimator(vae, X, random_state=0)
    >>> display.samples.shape
    (64, 4)
    """

    def __init__(self, samples, columns, *, rows=None, estimator_name="the model"):
        self.samples = samples
        self.columns = columns
        self.rows = rows
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        *,
        n_samples=64,
        noise=True,
        image_shape=None,
        kind="auto",
        random_state=None,
        name=None,
        ax=None,
    ):
        """Draw samples and plot them.

        Parameters
        ----------
        estimator : fitted estimator with ``sample``
            A VAETransformer, an AutoencoderTransformer, a KernelDensity, .. or a
            Pipeline that ends in one.

        X : {array-like, sparse matrix} of shape (n_rows, n_features), default=None
            Real rows to be shown beside: of images and profiles as many as there are
            samples, spread evenly over X.

        n_samples : int, default=64
            Number of rows to draw.

        noise : bool, default=True
            Whether samples have the noise of the likelihood, as real rows have theirs;
            False shows what their codes decode to, which is clearer in images. Only
            skae's estimators can leave it out.

        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels), where rows are images. A
            convolutional estimator knows it itself.

        kind : {"auto", "images", "profiles", "table"}, default="auto"
            As in :meth:`ReconstructionDisplay.from_estimator`.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        name : str, default=None
            Of the estimator, in the picture; by default from the class.

        ax : matplotlib Axes, default=None
            Where to draw, divided as needed; by default a new figure.

        Returns
        -------
        SampleDisplay
        """
        check_matplotlib()
        check_scalar(n_samples, "n_samples", numbers.Integral, min_val=1)
        check_scalar(noise, "noise", (bool, np.bool_))
        samples = sample(estimator, n_samples, noise, random_state)
        known = samples if X is None else as_rows(X)
        check_finite(known)
        if known.shape[1] != samples.shape[1]:
            raise ValueError(
                f"X has {known.shape[1]} columns, but the samples have "
                f"{samples.shape[1]}."
            )
        columns = describe_columns(estimator, known, kind=kind, image_shape=image_shape)
        n_rows = len(samples) if columns.kind != "table" else known.shape[0]
        display = cls(
            samples,
            columns,
            rows=None if X is None else dense(some_rows(known, n_rows)[1]),
            estimator_name=short_name(estimator, name),
        )
        return display.plot(ax=ax)

    @property
    def _series(self):
        """What is drawn, by name."""
        series = [(f"sampled from {shortened(self.estimator_name)}", self.samples)]
        return series if self.rows is None else [*series, ("real rows", self.rows)]

    def _draw_images(self, ax):
        """Draw a square of images, and a square of real ones."""
        axes = panels(ax, 1, len(self._series), (4.2 * len(self._series), 4.4))
        shape = shape_drawn(*self.columns.image_shape[:2])
        for panel, (title, rows) in zip(axes.flat, self._series, strict=True):
            n_columns = min(len(rows), math.ceil(math.sqrt(len(rows) * shape)))
            n_lines = math.ceil(len(rows) / n_columns)
            square = np.full((n_lines * n_columns, rows.shape[1]), np.nan)
            square[: len(rows)] = rows
            images = self.columns.as_images(square.reshape(n_lines, n_columns, -1))
            draw_images(panel, images, self.columns.limits)
            keep_within(panel.set_title(title), panel)
        return axes

    def _draw_profiles(self, ax):
        """Draw a panel of profiles, and a panel of real ones."""
        size = (4.2 * len(self._series), 3.4)
        axes = panels(ax, 1, len(self._series), size, sharex=True, sharey=True)
        style = {"lw": 0.9, "alpha": max(0.35, min(1.0, 20 / len(self.samples)))}
        for panel, (title, rows), colour in zip(
            axes.flat, self._series, (ESTIMATOR, NEUTRAL), strict=False
        ):
            positions = self.columns.positions
            draw_profiles(panel, positions, rows, color=colour, **style)
            keep_within(panel.set_title(f"{len(rows)} {title}"), panel)
        label_below(axes, ax, "position of the column")
        return axes

    def _draw_table(self, ax):
        """Draw where the values of each column lie, and where those of real rows do."""
        quantiles = [
            (label, np.quantile(self.columns.standardise(rows), QUANTILES, axis=0))
            for label, rows in self._series
        ]
        # Without real rows nothing differs, and the first columns are taken.
        difference = np.ptp([q for _, q in quantiles], axis=0).sum(axis=0)
        meaning = "that come first" if self.rows is None else "that differ most"
        chosen, note = main_features(ax, difference, meaning)
        chosen = np.sort(chosen)
        axes = panels(ax, 1, 1, (6.4, 1.4 + 1.3 * LINE * len(chosen)))
        panel = axes[0, 0]
        offsets = 0.32 * (np.arange(len(quantiles)) - (len(quantiles) - 1) / 2)
        for (label, q), colour, offset in zip(
            quantiles, (ESTIMATOR, NEUTRAL), offsets, strict=False
        ):
            heights = np.arange(len(chosen)) + offset
            low, lower, middle, upper, high = q[:, chosen]
            panel.hlines(heights, low, high, color=colour, lw=1.5)
            panel.hlines(heights, lower, upper, color=colour, lw=5, label=label)
            panel.plot(middle, heights, "|", ms=9, mew=2, color=panel.get_facecolor())
            # Where all values are one, the ends are all there is to see.
            ends = np.concatenate([low, high]), np.tile(heights, 2)
            panel.plot(*ends, "|", ms=6, mew=1.5, color=colour)
        panel.axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
        # Of all columns, so that those that differ most are seen to.
        lows, highs = np.concatenate([q[[0, -1]] for _, q in quantiles], axis=1)
        least, most = -_usual_reach(-lows), _usual_reach(highs)
        if lows.min() < least or highs.max() > most:
            note += "\n(lines that meet the frame go on beyond it)"
        panel.set_xlim(least, most)
        label_features(panel, [self.columns.names[j] for j in chosen])
        label = (
            "value, in standard deviations from the mean of its column\n"
            "(line: 5 to 95 %, bar: the middle half, gap: the median)"
        )
        label_below(axes, ax, label + note)
        legend_outside(axes, ax, ncols=2)
        return axes


def _usual_reach(ends):
    """How far an axis goes: to where lines end, less outliers by Tukey's outer fence.

    A column that hardly varies among the rows may vary by hundreds of its standard
    deviations among samples; its line goes on beyond the frame.
    """
    lower, upper = np.quantile(ends, [0.25, 0.75])
    usual = ends[ends <= upper + 3 * (upper - lower)]
    return max(LEAST_REACH, 1.05 * usual.max())
