"""What a component of the code stands for: rows decoded along it."""

import numbers
from dataclasses import replace

import numpy as np
from sklearn.utils import check_scalar

from skae.transformers import (
    as_rows,
    check_component,
    check_transformer,
    dense,
    encode,
    name_of_codes,
)

from .canvas import WIDTH, check_matplotlib, clear_unused, panels
from .colours import shades
from .columns import describe_columns
from .display import RowsDisplay
from .drawings import colour_bar, draw_heat
from .images import draw_images, shape_drawn
from .lettering import (
    LINE,
    keep_within,
    label_below,
    main_features,
    plain,
    rounded,
    title_above,
)

__all__ = ["TraversalDisplay"]

# Standard deviations of a column that are no more than rounding where rows are float32,
# a thousand deviations or so from 0.
ROUNDING = 1e-4

# Lines of a table, at least, beside which what its colours mean can be written.
FEWEST_LINES = 10


class TraversalDisplay(RowsDisplay):
    """Rows decoded along lines through the codes.

    One component at a time goes from a low to a high quantile of the codes, in equal
    steps; all others stay at their medians.

    Parameters
    ----------
    decoded : ndarray of shape (n_lines, n_steps, n_features)
        Rows along the line of each component; where these are relative, less the row
        at the medians.

    components : list of int
        The component of each line.

    code_values : ndarray of shape (n_lines, n_steps)
        What that component is at each step.

    quantiles : tuple of (float, float)
        From where to where each line goes.

    columns : Columns
        What the columns are; see :class:`skae.plotting.columns.Columns`.

    relative : bool, default=False
        Whether rows are what they differ by from the row at the medians.

    estimator_name : str, default=None
        Written in the title.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes

    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.plotting import TraversalDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> display = TraversalDisplay.from_estimator(
    ...     PCA(4).fit(X), X, components=[0, 1], image_shape=(8, 8)
    ... )
    >>> display.decoded.shape
    (2, 9, 64)
    """

    def __init__(
        self,
        decoded,
        *,
        components,
        code_values,
        quantiles,
        columns,
        relative=False,
        estimator_name=None,
    ):
        self.decoded = decoded
        self.components = components
        self.code_values = code_values
        self.quantiles = quantiles
        self.columns = columns
        self.relative = relative
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        components=0,
        n_steps=9,
        quantiles=(0.05, 0.95),
        relative=False,
        image_shape=None,
        kind="auto",
        name=None,
        ax=None,
    ):
        """Decode rows along one component of the codes, or several, and plot them.

        Parameters
        ----------
        estimator : fitted transformer with ``inverse_transform``
            Encodes and decodes.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows whose codes say where the lines begin, end and cross.

        components : int or list of int, default=0
            Component to follow; of several, one line each.

        n_steps : int, default=9
            Rows decoded along each line.

        quantiles : tuple of (float, float), default=(0.05, 0.95)
            Of the codes of X: from where to where each line goes.

        relative : bool, default=False
            Whether to draw only what rows differ by from the row where all codes are
            at their medians. Changes that are small beside it are seen: those of
            profiles at a scale for each component; in images no change is grey.

        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels), where rows are images. A
            convolutional estimator knows it itself.

        kind : {"auto", "images", "profiles", "table"}, default="auto"
            As in :meth:`ReconstructionDisplay.from_estimator`.

        name : str, default=None
            Of the estimator, in the picture; by default from the class.

        ax : matplotlib Axes, default=None
            Where to draw, divided as needed; by default a new figure.

        Returns
        -------
        TraversalDisplay
        """
        check_matplotlib()
        check_scalar(n_steps, "n_steps", numbers.Integral, min_val=2)
        check_scalar(relative, "relative", (bool, np.bool_))
        ends = _check_quantiles(quantiles)
        check_transformer(estimator)
        X = as_rows(X)
        columns = describe_columns(estimator, X, kind=kind, image_shape=image_shape)
        codes = encode(estimator, X)
        components = _check_components(components, codes.shape[1])
        lines, values = _lines(codes, components, ends, n_steps)
        decoded = _decoded(estimator, lines)
        if relative:
            middle = _decoded(estimator, np.median(codes, axis=0))
            decoded = _changes(decoded, middle, columns.scale)
            columns = _of_changes(columns, np.abs(decoded).max())
        display = cls(
            decoded,
            components=components,
            code_values=values,
            quantiles=ends,
            columns=columns,
            relative=relative,
            estimator_name=name_of_codes(estimator, name),
        )
        return display.plot(ax=ax)

    @property
    def _ends(self):
        """How the ends of a line are called."""
        return [f"{100 * q:g} % quantile" for q in self.quantiles]

    @property
    def _title(self):
        name = plain(self.estimator_name)
        drawn = f"Decoded by {name}"
        if self.relative:
            drawn = f"Change of what {name} decodes"
        return f"{drawn}, as one component of the code grows"

    def _draw_images(self, ax):
        """Draw a line of images per component."""
        images = self.columns.as_images(self.decoded)
        n_lines, n_steps, height, width, _ = images.shape
        line = WIDTH / n_steps * shape_drawn(height, width)
        size = (WIDTH + 1.2, max(1.6, n_lines * line + 0.8))
        axes = panels(ax, 1, 1, size)
        panel = axes[0, 0]
        _, x_middles, y_middles = draw_images(panel, images, self.columns.limits)
        panel.set_yticks(y_middles, [f"component {i}" for i in self.components])
        panel.set_xticks(x_middles[[0, -1]], self._ends)
        label = "code of the component, all others at their medians"
        keep_within(panel.set_xlabel(label), panel)
        title_above(axes, panel, self._title)
        return axes

    def _draw_profiles(self, ax):
        """Draw a panel per component, its lines coloured from low to high."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap

        n_lines, n_steps, _ = self.decoded.shape
        size = (max(6.4, 3.4 * min(n_lines, 3) + 1.2), 3.0 * -(-n_lines // 3))
        n_columns = min(n_lines, 3)
        shared = {"sharex": True, "sharey": not self.relative}
        axes = panels(ax, -(-n_lines // 3), n_columns, size, **shared)
        colours = shades(axes.flat[0], n_steps)
        for panel, number, rows in zip(
            axes.flat, self.components, self.decoded, strict=False
        ):
            for row, colour in zip(rows, colours, strict=True):
                panel.plot(self.columns.positions, row, color=colour)
            panel.margins(x=0.01)
            title = panel.set_title(f"component {number}", fontsize="medium")
            keep_within(title, panel)
        clear_unused(axes, n_lines)
        label = "code of the component,\nothers at their medians"
        steps = ScalarMappable(cmap=ListedColormap(colours))
        bar = colour_bar(steps, axes, label, ticks=[0, 1])
        bar.set_ticklabels(self._ends)
        label_below(axes, ax, "position of the column")
        title_above(axes, ax, self._title)
        return axes

    def _draw_table(self, ax):
        """Draw a table per component: a row per feature, a column per step."""
        values = self.columns.standardise(self.decoded)
        change = np.ptp(values, axis=1).max(axis=0)
        chosen, note = main_features(ax, change, "that change most")
        chosen = np.sort(chosen)
        limit = np.abs(values[..., chosen]).max()
        limit = limit if limit > ROUNDING else 1.0
        n_lines, n_steps, _ = values.shape
        n_names = max(len(chosen), FEWEST_LINES)
        size = (max(6.4, 2.4 + 2.2 * n_lines), 1.4 + LINE * n_names)
        axes = panels(ax, 1, n_lines, size, sharey=True)
        names = [self.columns.names[j] for j in chosen]
        for panel, number, table, code in zip(
            axes.flat, self.components, values, self.code_values, strict=True
        ):
            image = draw_heat(panel, table[:, chosen].T, names, limit)
            ends = [rounded(end, 3) for end in code[[0, -1]]]
            panel.set_xticks([0, n_steps - 1], ends)
            title = panel.set_title(f"component {number}", fontsize="medium")
            keep_within(title, panel)
        unit = (
            "change, in standard deviations\nof its column"
            if self.relative
            else "value, in standard deviations\nfrom the mean of its column"
        )
        colour_bar(image, axes, unit)
        label = "code of the component, from the {} to the {}".format(*self._ends)
        label_below(axes, ax, f"{label}\n(others at their medians){note}")
        title_above(axes, ax, self._title)
        return axes


def _check_components(components, n_components):
    components = np.ravel(np.asarray(components, dtype=object)).tolist()  # True stays
    if not components:
        raise ValueError("components=[]: give at least one.")
    for number in components:
        check_component(number, n_components, "components")
    return components


def _lines(codes, components, ends, n_steps):
    """Codes along a line for each component, and what that component is at each step.

    All other components stay at their medians.
    """
    low, high = np.quantile(codes[:, components], ends, axis=0)
    values = np.linspace(low, high, n_steps, axis=1)
    lines = np.tile(np.median(codes, axis=0), (len(components), n_steps, 1))
    for line, number, value in zip(lines, components, values, strict=True):
        line[:, number] = value
    return lines, values


def _decoded(estimator, codes):
    """Decode codes, wherever along lines they are."""
    rows = dense(estimator.inverse_transform(codes.reshape(-1, codes.shape[-1])))
    return rows.reshape(*codes.shape[:-1], -1)


def _changes(rows, middle, scale):
    """Give what rows differ by from the middle one, if it is more than rounding."""
    changes = rows - middle
    # Else a component that does nothing would be seen to do something.
    changes[np.abs(changes) < ROUNDING * scale] = 0.0
    return changes


def _of_changes(columns, largest):
    """Describe columns of changes, of which 0 is none."""
    limit = largest or 1.0
    return replace(columns, mean=np.zeros_like(columns.mean), limits=(-limit, limit))


def _check_quantiles(quantiles):
    try:
        low, high = map(float, quantiles)
        is_right = 0 <= low < high <= 1
    except (TypeError, ValueError):
        is_right = False
    if not is_right:
        raise ValueError(
            f"quantiles={quantiles!r} must be two numbers between 0 and 1, the lower "
            "first."
        )
    return low, high
