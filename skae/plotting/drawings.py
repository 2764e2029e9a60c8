"""Drawings that Displays share: rows as lines, rows as a table, a bar of colours."""

import numpy as np

from .colours import lit
from .lettering import keep_within, label_features

__all__ = ["colour_bar", "draw_heat", "draw_profiles"]


def draw_profiles(ax, positions, profiles, **style):
    """Draw one line per row."""
    style = style | {"color": lit(ax, style["color"])}
    ax.plot(positions, np.transpose(profiles), **style)
    ax.margins(x=0.01)


def draw_heat(ax, values, names, limit):
    """Draw a table of standardised values: a row per feature, blue low and red high."""
    image = ax.imshow(
        values, "RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="none"
    )
    label_features(ax, names)
    ax.spines[:].set_visible(False)
    return image


def colour_bar(image, axes, label, **kwargs):
    """Add a colour bar beside axes."""
    first = np.ravel(axes)[0]
    bar = first.figure.colorbar(image, ax=axes, label=label, **kwargs)
    keep_within(bar.ax.yaxis.label, bar.ax, beside=first)
    bar.outline.set_visible(False)
    bar.solids.set_alpha(1)
    return bar
