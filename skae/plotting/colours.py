"""Colours: those of Okabe and Ito, told apart by colour-blind people too.

They are seen on light and on dark paper. An estimator is blue and what it is compared
with is vermilion, everywhere.
"""

import numpy as np

from .canvas import check_matplotlib, root_figure

__all__ = ["ESTIMATOR", "NEUTRAL", "PALETTE", "REFERENCE", "lit", "shades"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ESTIMATOR, REFERENCE = PALETTE[:2]
NEUTRAL = "0.5"  # as far from white as from black


def lit(ax, colour):
    """Mix a colour with white where the paper is dark: lines and dots are thin."""
    from matplotlib.colors import to_rgb

    white = 0.4 if _is_dark(ax) else 0.0
    return tuple((1 - white) * np.array(to_rgb(colour)) + white)


def shades(ax, n_shades=256):
    """Colours from low to high: those of viridis, less the end that paper hides."""
    plt = check_matplotlib()
    low, high = (0.25, 1.0) if _is_dark(ax) else (0.0, 0.9)
    return plt.get_cmap("viridis")(np.linspace(low, high, n_shades))


def _is_dark(ax):
    """Whether what is drawn on is nearer to black than to white."""
    from matplotlib.colors import to_rgb

    figure = root_figure(ax)
    paper = [p.get_facecolor() for p in (ax, figure)]
    seen = next((colour for colour in paper if colour[3] > 0.5), (1, 1, 1, 1))
    return bool(np.mean(to_rgb(seen)) < 0.5)
