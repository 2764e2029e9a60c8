"""Lettering: titles, labels, numbers and legends, in the room that there is."""

from functools import partial
from itertools import pairwise

import numpy as np

from .canvas import check_axes, lay_out, place_of, root_figure

__all__ = [
    "LINE",
    "count_in_factors",
    "height_of_lines",
    "keep_within",
    "label_below",
    "label_features",
    "label_lines",
    "legend_outside",
    "lines_beside",
    "main_features",
    "plain",
    "rounded",
    "shortened",
    "thin_out",
    "title_above",
]

# Features of a table that fit into one picture with their names.
MOST_FEATURES = 30

# Letters of a name that are written, and of these its last: long names often differ
# by their ends.
LONGEST_NAME = 28
LAST_LETTERS = 10

# Numbers of each decade that an axis has, fewer where there is less room.
FACTORS = ((1, 2, 3, 5), (1, 3), (1,))

# Inches from a line to the next.
LINE = 0.22

# Lines that a title above panels, that of a legend and numbers below take together.
LINES_AROUND = 3


def title_above(axes, ax, title):
    """Write one title above all panels, which were asked for on ``ax`` or None."""
    if axes.flat[0] is ax:
        # The one panel may have a title of its own.
        titles = filter(None, (title, ax.get_title()))
        keep_within(ax.set_title("\n".join(titles)), ax)
    else:
        axes.flat[0].figure.suptitle(title, fontsize="large", wrap=True)


def label_below(axes, ax, label):
    """Write one label below all panels, which were asked for on ``ax`` or None."""
    if axes.flat[0] is ax:
        # To the left is the room that names of features take.
        keep_within(ax.set_xlabel(label, loc="right"), ax)
    else:
        axes.flat[0].figure.supxlabel(label, fontsize="medium", wrap=True)


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
    low, high = getattr(place_of(placed), bounds)
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
    height = place_of(panel).height / root_figure(panel).dpi
    return max(1, int(height / LINE) - LINES_AROUND)


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


def label_lines(ax, labels):
    """Write labels down the vertical axis, the first on top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def label_features(ax, names):
    """Write names of features down the vertical axis, the first on top."""
    label_lines(ax, list(map(shortened, names)))


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
        height = check_axes(ax).get_window_extent().height / root_figure(ax).dpi
        most = max(1, min(most, int(height / LINE)))
    chosen = np.argsort(-importance, kind="stable")[:most]
    if len(chosen) == len(importance):
        return chosen, ""
    return chosen, f"\n(the {len(chosen)} of {len(importance)} columns {meaning})"


def rounded(number, n_digits):
    """Write a number as axes do, to so many digits; an exponent begins at a million.

    Examples
    --------
    >>> from skae.plotting.lettering import rounded
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
