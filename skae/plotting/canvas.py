"""The canvas: axes, colours, and the few kinds of drawing that Displays share.

Colours are those of Okabe and Ito, told apart by colour-blind people too, on light and
on dark paper. An estimator is blue and what it is compared with is vermilion,
everywhere. matplotlib is imported when something is drawn.
"""

from functools import partial
from itertools import pairwise

import numpy as np

__all__ = [
    "ESTIMATOR",
    "LINE",
    "MOST_FEATURES",
    "NEUTRAL",
    "PALETTE",
    "REFERENCE",
    "WIDTH",
    "check_matplotlib",
    "clear_unused",
    "colour_bar",
    "count_in_factors",
    "draw_heat",
    "draw_profiles",
    "height_of_lines",
    "keep_within",
    "label_below",
    "label_features",
    "label_lines",
    "lay_out",
    "legend_outside",
    "lines_beside",
    "lit",
    "main_features",
    "panels",
    "plain",
    "room_across",
    "root_figure",
    "rounded",
    "shades",
    "shortened",
    "thin_out",
    "title_above",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ESTIMATOR, REFERENCE = PALETTE[:2]
NEUTRAL = "0.5"  # as far from white as from black

# Features of a table that fit into one picture with their names.
MOST_FEATURES = 30

# Letters of a name that are written, and of these its last: long names often differ
# by their ends.
LONGEST_NAME = 28
LAST_LETTERS = 10

# Numbers of each decade that an axis has, fewer where there is less room.
FACTORS = ((1, 2, 3, 5), (1, 3), (1,))

# Inches.
WIDTH = 7.0
LINE = 0.22
PAD = 0.1

# Lines that a title above panels, that of a legend and numbers below take together.
LINES_AROUND = 3


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


def _check_axes(ax):
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
        return np.array([[_check_axes(ax)]])
    place = _check_axes(ax).get_subplotspec()
    if place is None:
        raise ValueError(
            "ax has no place in a grid, so it cannot be divided; make it by "
            "plt.subplots or figure.add_subplot."
        )
    ax.set_axis_off()
    figure = ax.figure.add_subfigure(place, facecolor="none")
    return figure.subplots(n_rows, n_columns, **shared)


def root_figure(ax):
    """Give the figure that axes are in, however deep."""
    figure = ax.figure
    while figure.figure is not figure:
        figure = figure.figure
    return figure


def lay_out(panel):
    """Give axes their places in the figure, so that sizes in it can be asked for."""
    root_figure(panel).draw_without_rendering()


def count_in_factors(panel, side, values):
    """Give an axis, "x" or "y", a logarithmic scale with its numbers written out."""
    from matplotlib.ticker import LogLocator, NullFormatter

    panel.set(**{f"{side}scale": "log"})
    axis = getattr(panel, f"{side}axis")
    low, high = np.min(values), np.max(values)
    decades = np.log10(high / low)
    choices = FACTORS[int(decades >= 2) + int(decades >= 3) :]
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=20))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter("{x:g}")
    if decades < 3:
        # A number on either side of all values; whole decades would take much room.
        # A logarithm is rounded, so that a power is looked at on either side, too.
        powers = np.arange(np.floor(np.log10(low)) - 1, np.ceil(np.log10(high)) + 2)
        ticks = np.multiply.outer(10.0**powers, choices[0]).ravel()
        ends = ticks[ticks <= low].max(), ticks[ticks >= high].min()
        ends = (*axis.get_view_interval(), *ends)
        panel.set(**{f"{side}lim": (min(ends), max(ends))})
    for written in choices:
        axis.set_major_locator(LogLocator(subs=written))
        if not _is_crowded(axis):
            break


def _is_crowded(axis):
    """Whether labels of an axis run into one another."""
    lay_out(axis.axes)
    boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
    return any(one.overlaps(other) for one, other in pairwise(boxes))


def clear_unused(axes, n_used):
    """Leave panels of a grid empty; those above them bear the numbers of their axis."""
    for panel in axes.flat[n_used:]:
        panel.set_axis_off()
    for panel in axes.flat[n_used - axes.shape[1] : n_used]:
        panel.tick_params(axis="x", labelbottom=True)


def thin_out(axis):
    """Leave out the labels of an axis that those before them would run into."""
    lay_out(axis.axes)
    labels, end = [], -np.inf
    for label in axis.get_ticklabels():
        box = label.get_window_extent()
        is_free = box.x0 > end
        labels.append(label.get_text() if is_free else "")
        if is_free:
            end = box.x1 + box.height / 2
    axis.set_ticklabels(labels)


def label_below(axes, ax, label):
    """Write one label below all panels, which were asked for on ``ax`` or None."""
    if axes.flat[0] is ax:
        # To the left is the room that names of features take.
        keep_within(ax.set_xlabel(label, loc="right"), ax)
    else:
        axes.flat[0].figure.supxlabel(label, fontsize="medium", wrap=True)


def title_above(axes, ax, title):
    """Write one title above all panels, which were asked for on ``ax`` or None."""
    if axes.flat[0] is ax:
        # The one panel may have a title of its own.
        titles = filter(None, (title, ax.get_title()))
        keep_within(ax.set_title("\n".join(titles)), ax)
    else:
        axes.flat[0].figure.suptitle(title, fontsize="large", wrap=True)


def keep_within(text, panel, beside=None):
    """Break a text of axes into lines that end before neighbouring axes begin.

    A colour bar has the place of the panel that it is beside.
    """
    text.set_wrap(True)
    # By itself matplotlib breaks lines at the edges of the figure alone.
    text._get_wrap_line_width = partial(_room, text, panel, beside or panel)


def _room(text, panel, placed):
    """Pixels that a line of a text has, as the axes are laid out when it is drawn."""
    is_upright = text.get_rotation() == 90
    bounds = "intervaly" if is_upright else "intervalx"
    low, high = getattr(_cell(placed), bounds)
    box = panel.get_window_extent()
    least = np.ptp(getattr(box, bounds))
    if is_upright:
        titles = (placed.title, *placed.figure.texts)
        low, high = _between(titles, box, low, high)
    where = text.get_transform().transform(text.get_position())[int(is_upright)]
    if text.get_horizontalalignment() == "right":
        return max(least, where - low)
    return max(least, 2 * min(where - low, high - where))


def _between(titles, box, low, high):
    """Pixels, of those from low to high, between what is written below and above."""
    lines = [title.get_window_extent() for title in titles if title.get_text()]
    below = [line.y1 for line in lines if line.y1 <= box.y0]
    above = [line.y0 for line in lines if line.y0 >= box.y1]
    return max([low, *below]), min([high, *above])


def _cell(panel):
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


def legend_outside(axes, ax, place="above", ncols=1, **options):
    """Put the first panel's legend above all, where it hides nothing.

    Parameters
    ----------
    axes : ndarray of Axes

    ax : Axes or None
        What the panels were asked for on. One that was given holds its legend.

    place : {"above", "within"}, default="above"
        Of axes that were given: above them, or where there is room among curves.

    ncols : int, default=1
        Columns in a figure of its own, fewer where these are wider than it.

    **options : dict
        For the legend.
    """
    first = axes.flat[0]
    handles, labels = first.get_legend_handles_labels()
    options = {"frameon": False, "handles": handles, "labels": labels, **options}
    if first is ax:
        above = {"loc": "lower right", "bbox_to_anchor": (1, 1)}
        where = above if place == "above" else {}
        first.legend(**{**options, **where})
        return
    figure = first.figure
    if figure is not root_figure(first):
        lay_out(first)
    for n in range(ncols, 0, -1):
        legend = figure.legend(loc="outside upper left", ncols=n, **options)
        if legend.get_window_extent().width <= figure.bbox.width:
            return
        if n > 1:
            legend.remove()


def height_of_lines(n_lines):
    """Inches that a figure needs for a legend of so many lines beside its panels."""
    return LINE * (n_lines + LINES_AROUND + 0.5)


def lines_beside(panel):
    """Count the lines that a legend can have beside a panel."""
    height = _cell(panel).height / root_figure(panel).dpi
    return max(1, int(height / LINE) - LINES_AROUND)


def room_across(ax):
    """Inches from side to side that are there for axes."""
    return _cell(_check_axes(ax)).width / root_figure(ax).dpi


def draw_profiles(ax, positions, profiles, **style):
    """Draw one line per row."""
    style = style | {"color": lit(ax, style["color"])}
    ax.plot(positions, np.transpose(profiles), **style)
    ax.margins(x=0.01)


def lit(ax, colour):
    """Mix a colour with white where the paper is dark: lines and dots are thin."""
    from matplotlib.colors import to_rgb

    white = 0.4 if is_dark(ax) else 0.0
    return tuple((1 - white) * np.array(to_rgb(colour)) + white)


def draw_heat(ax, values, names, limit):
    """Draw a table of standardised values: a row per feature, blue low and red high."""
    image = ax.imshow(
        values, "RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="none"
    )
    label_features(ax, names)
    ax.spines[:].set_visible(False)
    return image


def shades(ax, n_shades=256):
    """Colours from low to high: those of viridis, less the end that paper hides."""
    plt = check_matplotlib()
    low, high = (0.25, 1.0) if is_dark(ax) else (0.0, 0.9)
    return plt.get_cmap("viridis")(np.linspace(low, high, n_shades))


def is_dark(ax):
    """Whether what is drawn on is nearer to black than to white."""
    from matplotlib.colors import to_rgb

    figure = root_figure(ax)
    paper = [p.get_facecolor() for p in (ax, figure)]
    seen = next((colour for colour in paper if colour[3] > 0.5), (1, 1, 1, 1))
    return bool(np.mean(to_rgb(seen)) < 0.5)


def colour_bar(image, axes, label, **kwargs):
    """Add a colour bar beside axes."""
    first = np.ravel(axes)[0]
    bar = first.figure.colorbar(image, ax=axes, label=label, **kwargs)
    keep_within(bar.ax.yaxis.label, bar.ax, beside=first)
    bar.outline.set_visible(False)
    bar.solids.set_alpha(1)
    return bar


def rounded(number, n_digits):
    """Write a number as axes do, to so many digits; an exponent begins at a million.

    Examples
    --------
    >>> from skae.plotting.canvas import rounded
    >>> rounded(1274.6, 3), rounded(0.1234, 2)
    ('1270', '0.12')
    """
    return f"{float(f'{number:.{n_digits}g}'):g}".replace("-", "\N{MINUS SIGN}")


def plain(text):
    """Write a name as it is: its dollars begin no formula."""
    return str(text).replace("$", r"\$")


def shortened(name):
    """Write a long name as it is, but for its middle."""
    if len(name) <= LONGEST_NAME:
        return plain(name)
    first = name[: LONGEST_NAME - 1 - LAST_LETTERS]
    return plain(f"{first}…{name[-LAST_LETTERS:]}")


def label_features(ax, names):
    """Write names of features down the vertical axis, the first on top."""
    label_lines(ax, list(map(shortened, names)))


def label_lines(ax, labels):
    """Write labels down the vertical axis, the first on top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def main_features(ax, importance, meaning):
    """Choose the features that one picture holds.

    Parameters
    ----------
    ax : Axes or None
        Where they are to be drawn; a figure of its own is made for as many.

    importance : ndarray of shape (n_features,)

    meaning : str
        What the important ones are: "with the largest errors".

    Returns
    -------
    chosen : ndarray of int
        At most ``MOST_FEATURES``, the most important first.

    note : str
        To be written below, where some are left out.
    """
    most = MOST_FEATURES
    if ax is not None:
        height = _check_axes(ax).get_window_extent().height / root_figure(ax).dpi
        most = max(1, min(most, int(height / LINE)))
    chosen = np.argsort(-importance, kind="stable")[:most]
    if len(chosen) == len(importance):
        return chosen, ""
    return chosen, f"\n(the {len(chosen)} of {len(importance)} columns {meaning})"
