"""The canvas: a figure or a part of one, its panels, and the places that they have.

matplotlib is imported when something is drawn.
"""

import numpy as np

__all__ = [
    "WIDTH",
    "check_axes",
    "check_matplotlib",
    "clear_unused",
    "lay_out",
    "panels",
    "place_of",
    "room_across",
    "root_figure",
]

# Inches.
WIDTH = 7.0
PAD = 0.1


def check_matplotlib():
    """Import matplotlib's pyplot, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "The Displays of skae.plotting draw with matplotlib, which is not "
            'installed: pip install "skae[plot]"'
        ) from error
    return plt


def check_axes(ax):
    """Refuse what is no axes to draw on."""
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be one matplotlib Axes or None, not {type(ax)!r}.")
    return ax


def panels(ax, n_rows, n_columns, size, *, sharex=False, sharey=False):
    """Give a grid of axes: in a figure of its own, or within the bounds of ``ax``.

    Parameters
    ----------
    ax : Axes or None

    n_rows, n_columns : int

    size : tuple of float
        Width and height in inches of a figure of its own.

    sharex, sharey : bool or {"row", "col"}, default=False

    Returns
    -------
    ndarray of Axes, of shape (n_rows, n_columns)
    """
    shared = {"sharex": sharex, "sharey": sharey, "squeeze": False}
    if ax is None:
        plt = check_matplotlib()
        figure = plt.figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(w_pad=PAD, h_pad=PAD)
        return figure.subplots(n_rows, n_columns, **shared)
    if n_rows * n_columns == 1:
        return np.array([[check_axes(ax)]])
    place = check_axes(ax).get_subplotspec()
    if place is None:
        raise ValueError(
            "ax has no place in a grid, so it cannot be divided; make it by "
            "plt.subplots or figure.add_subplot."
        )
    ax.set_axis_off()
    figure = ax.figure.add_subfigure(place, facecolor="none")
    return figure.subplots(n_rows, n_columns, **shared)


def clear_unused(axes, n_used):
    """Leave panels of a grid empty; those above them bear the numbers of their axis."""
    for panel in axes.flat[n_used:]:
        panel.set_axis_off()
    for panel in axes.flat[n_used - axes.shape[1] : n_used]:
        panel.tick_params(axis="x", labelbottom=True)


def root_figure(ax):
    """Give the figure that axes are in, however deep."""
    figure = ax.figure
    while figure.figure is not figure:
        figure = figure.figure
    return figure


def lay_out(panel):
    """Give axes their places in the figure, so that sizes in it can be asked for."""
    root_figure(panel).draw_without_rendering()


def place_of(panel):
    """Give the part of the figure, in pixels, that is there for axes."""
    from matplotlib.transforms import Bbox

    place = panel.get_subplotspec()
    if place is None:
        return panel.figure.bbox
    n_rows, n_columns = place.get_gridspec().get_geometry()
    columns, rows = place.colspan, place.rowspan
    cell = Bbox.from_extents(
        columns.start / n_columns,
        1 - rows.stop / n_rows,
        columns.stop / n_columns,
        1 - rows.start / n_rows,
    )
    return cell.transformed(panel.figure.transSubfigure)


def room_across(ax):
    """Inches from side to side that are there for axes."""
    return place_of(check_axes(ax)).width / root_figure(ax).dpi
