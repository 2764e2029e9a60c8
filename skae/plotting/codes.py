"""Codes in two dimensions, beside PCA's."""

import numpy as np
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import type_of_target

from skae.labels import check_labels, holds_times
from skae.transformers import as_rows, check_component, encode, named_transformers

from .canvas import check_matplotlib, lay_out, panels, root_figure
from .colours import NEUTRAL, PALETTE, lit, shades
from .display import Display
from .drawings import colour_bar
from .lettering import height_of_lines, keep_within, lines_beside, plain, shortened

__all__ = ["CodeDisplay"]

# Classes that can be told apart; numbers of more values are drawn as a scale, and of
# names the rarest are drawn together.
MOST_CLASSES = 18
OTHERS = "all others"

# Ten classes have a colour each. The marker changes after fewer, so that it tells apart
# those that look alike to the colour-blind, and those that have one colour.
COLOURS = (*PALETTE, "#8C564B", "#BCBD22", "#6A3D9A", "#A50026")
MARKERS = "o^s"

# Fewer dots than these hide little of one another, so they need not be translucent.
FEW_DOTS = 500

# Width and height that the name of a class keeps free of others, in its own.
LABEL_ROOM = (1.2, 1.1)

# Points that a name is moved up by, in turn, until it is free of others; the name of a
# class of so few rows would hide them.
LABEL_SHIFTS = (0, 14, -14)
FEW_ROWS = 8


class CodeDisplay(Display):
    """Two components of the codes, coloured by y, beside those of PCA.

    Parameters
    ----------
    codes : dict of str to ndarray of shape (n_samples, n_components)
        By the name of who made them.

    y : ndarray of shape (n_samples,), default=None
        Classes, which get a colour each, or numbers, which get a scale.

    components : tuple of (int, int), default=(0, 1)
        What is drawn to the right, and up.

    y_name : str, default="y"
        What y is called in the picture.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes

    figure_ : matplotlib Figure

    See Also
    --------
    TraversalDisplay : What a component stands for.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import AutoencoderTransformer
    >>> from skae.plotting import CodeDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = AutoencoderTransformer(2, max_iter=2, random_state=0).fit(X)
    >>> display = CodeDisplay.from_estimator(model, X, y)
    >>> list(display.codes)
    ['Autoencoder', 'PCA fitted to X']
    """

    def __init__(self, codes, y=None, *, components=(0, 1), y_name="y"):
        self.codes = codes
        self.y = y
        self.components = components
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        reference="pca",
        components=(0, 1),
        name=None,
        ax=None,
    ):
        """Encode rows and plot their codes.

        Parameters
        ----------
        estimator : fitted transformer with ``inverse_transform``
            Gives the codes.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to encode.

        y : array-like of shape (n_samples,), default=None
            Colours: classes, or numbers on a scale.

        reference : "pca", fitted transformer or None, default="pca"
            Whose codes are shown beside: ``"pca"`` is fitted to X, with as many
            components as the estimator, in its place in a Pipeline.

        components : tuple of (int, int), default=(0, 1)
            Which two components to draw. Where the code has one only, it is drawn
            to the right, and the height of a dot means nothing.

        name : str, default=None
            Of the estimator, in the picture; by default from the class.

        ax : matplotlib Axes, default=None
            Where to draw, divided as needed; by default a new figure.

        Returns
        -------
        CodeDisplay
        """
        check_matplotlib()
        X = as_rows(X)
        named = named_transformers(estimator, X, reference, name)
        y_name = _name_of(y)
        if y is not None:
            y = _check_y(y)
            check_consistent_length(X, y)
        display = cls(
            {name: encode(transformer, X) for name, transformer in named.items()},
            y,
            components=_check_components(components),
            y_name=y_name,
        )
        return display.plot(ax=ax)

    def _draw(self, ax):
        points = list(map(self._points, self.codes))
        is_scale = self.y is not None and self._is_scale()
        classes = {} if self.y is None or is_scale else _classes(self.y)
        size = (4.2 * len(points) + 1.0, max(4.2, height_of_lines(len(classes))))
        axes = panels(ax, 1, len(points), size)
        for panel, name in zip(axes.flat, self.codes, strict=True):
            self._name_axes(panel, name)
        if is_scale:
            self._draw_scale(axes.ravel(), points)
        elif classes:
            self._draw_classes(axes.ravel(), points, classes)
        else:
            for panel, xy in zip(axes.flat, points, strict=True):
                _scatter(panel, xy, len(xy), color=lit(panel, PALETTE[0]))
        return axes

    def _points(self, name):
        """Where the rows are drawn."""
        codes = self.codes[name]
        n_components = codes.shape[1]
        if n_components == 1:
            # The golden ratio spreads numbers evenly, however many there are.
            heights = np.arange(len(codes)) * (np.sqrt(5) - 1) / 2 % 1
            return np.column_stack([codes[:, 0], heights])
        for component in self.components:
            check_component(component, n_components, "components", f" of {name}")
        return codes[:, list(self.components)]

    def _name_axes(self, panel, name):
        n_components = self.codes[name].shape[1]
        across, up = self.components
        if n_components == 1:
            panel.set(title=plain(name), xlabel="the only component", yticks=[])
            panel.set_ylabel("height means nothing:\nit keeps dots apart")
            return
        some = f", 2 of {n_components} components" if n_components > 2 else ""
        title = plain(name) + some
        panel.set(xlabel=f"component {across}", ylabel=f"component {up}")
        keep_within(panel.set_title(title), panel)

    def _is_scale(self):
        kind = type_of_target(self.y, input_name="y")
        is_number = np.asarray(self.y).dtype.kind in "iuf"
        many = is_number and len(np.unique(self.y)) > MOST_CLASSES
        return kind == "continuous" or many

    def _draw_scale(self, axes, points):
        from matplotlib.colors import ListedColormap, Normalize

        # One of all panels, as the bar widens that of a constant y.
        shared = {"cmap": ListedColormap(shades(axes[0])), "norm": Normalize()}
        for panel, xy in zip(axes, points, strict=True):
            dots = _scatter(panel, xy, len(xy), c=self.y, **shared)
        colour_bar(dots, axes, plain(self.y_name))

    def _draw_classes(self, axes, points, classes):
        for panel, xy in zip(axes, points, strict=True):
            handles = []
            for i, (label, chosen) in enumerate(classes.items()):
                colour = NEUTRAL if label is None else COLOURS[i % len(COLOURS)]
                style = {
                    "color": lit(panel, colour),
                    "marker": MARKERS[i // len(PALETTE)],
                }
                handles.append(_scatter(panel, xy[chosen], len(xy), **style))
            panel.margins(0.1)
        labels = [OTHERS if c is None else shortened(c) for c in classes]
        self._draw_legend(axes[-1], handles, labels)
        lay_out(axes[0])  # else the names would not know where they are
        for panel, xy in zip(axes, points, strict=True):
            _label_classes(panel, xy, classes)

    def _draw_legend(self, panel, handles, labels):
        """Name the classes beside a panel, in as many columns as they need there."""
        legend = panel.legend(
            handles,
            labels,
            title=shortened(self.y_name),
            loc="upper left",
            bbox_to_anchor=(1, 1),
            frameon=False,
            ncols=-(-len(labels) // lines_beside(panel)),
        )
        for handle in legend.legend_handles:
            handle.set(alpha=1, sizes=[36])


def _name_of(y):
    """Name y: a series by its name, a table by that of its one column."""
    name = getattr(y, "name", None)
    if name is None and len(getattr(y, "columns", ())) == 1:
        name = y.columns[0]
    return "y" if name is None else str(name)


def _check_y(y):
    """Take classes or numbers as an array of one dimension."""
    y = column_or_1d(np.asarray(y))
    if holds_times(y):
        raise ValueError(
            "y: dates and times have no colours; give numbers, such as the days since "
            "the first, or classes, such as the years."
        )
    check_labels(y)
    assert_all_finite(y, input_name="y")
    return y


def _classes(y):
    """Which rows are of each class, by its name; the rarest together, by None."""
    values, counts = np.unique(y, return_counts=True)
    if len(values) > MOST_CLASSES:
        values = np.sort(values[np.argsort(-counts)[: MOST_CLASSES - 1]])
    members = {str(value): y == value for value in values}
    rest = ~np.any(list(members.values()), axis=0)
    return members | ({None: rest} if rest.any() else {})


def _check_components(components):
    # As objects: True, which is refused later, would become 1.
    components = tuple(np.ravel(np.asarray(components, dtype=object)).tolist())
    if len(components) != 2:
        raise ValueError(f"components={components!r} must be two integers.")
    return components


def _scatter(panel, xy, n_dots, **style):
    """Draw dots that are the smaller the more there are in all."""
    size = np.clip(12_000 / n_dots, 4, 24)
    style |= {"alpha": 1 if n_dots < FEW_DOTS else 0.75, "linewidths": 0}
    return panel.scatter(*xy.T, s=size, rasterized=True, **style)


def _label_classes(panel, xy, classes):
    """Write the name of a class near its middle, unless others are in its way."""
    from matplotlib.patheffects import withStroke

    halo = withStroke(linewidth=3, foreground=panel.get_facecolor())
    style = {"ha": "center", "va": "center", "weight": "bold", "path_effects": [halo]}
    taken: list = []
    for label, chosen in classes.items():
        if label is None:
            continue
        middle = np.median(xy[chosen], axis=0)
        place = {"xytext": (0, 0), "textcoords": "offset points", "in_layout": False}
        name = panel.annotate(shortened(label), middle, **place, **style)
        _place(name, panel, taken, LABEL_SHIFTS[int(chosen.sum() < FEW_ROWS) :])


def _place(name, panel, taken, shifts):
    """Move a name to where it is in the panel and free of others, or leave it out."""
    frame, points = panel.get_window_extent(), 72 / root_figure(panel).dpi
    for shift in shifts:
        name.set_position((0, shift))
        room = name.get_window_extent().expanded(*LABEL_ROOM)
        aside = max(frame.x0 - room.x0, 0) + min(frame.x1 - room.x1, 0)
        room = room.translated(aside, 0)
        is_within = frame.y0 < room.y0 and room.y1 < frame.y1
        fits = room.width < frame.width and is_within
        if fits and not any(room.overlaps(other) for other in taken):
            name.set_position((aside * points, shift))
            taken.append(room)
            return
    name.remove()
