"""Images: many of them as one picture, in a grid."""

import numpy as np

from .colours import NEUTRAL

__all__ = ["draw_images", "shape_drawn"]

# An image is drawn at most so many times as wide as high, or as high as wide: its
# pixels are stretched, as nobody sees anything in a picture that is a line.
LONGEST = 4.0


def shape_drawn(height, width):
    """Height of an image, over its width, as it is drawn."""
    return float(np.clip(height / width, 1 / LONGEST, LONGEST))


def draw_images(ax, images, limits, cmap="gray"):
    """Draw a grid of images as one picture.

    Parameters
    ----------
    ax : Axes

    images : ndarray of shape (n_rows, n_columns, height, width, channels)
        NaN is left empty.

    limits : tuple of (float, float)
        What is black and what is white.

    cmap : str, default="gray"
        Of images with one channel.

    Returns
    -------
    image : AxesImage

    x_middles, y_middles : ndarray
        Where the middles of the columns and rows of the grid lie.
    """
    n_rows, n_columns, height, width, n_channels = images.shape
    stretch = shape_drawn(height, width) * width / height
    gap = 0.05 * max(height * stretch, width)
    across, down = (max(1, round(length)) for length in (gap, gap / stretch))
    padding = [(0, 0), (0, 0), (0, down), (0, across), (0, 0)]
    padded = np.pad(images, padding, constant_values=np.nan)
    picture = padded.transpose(0, 2, 1, 3, 4).reshape(
        n_rows * (height + down), n_columns * (width + across), n_channels
    )[:-down, :-across]
    # Between the pixels of images that are stretched, shades would be invented.
    how = {"aspect": stretch, "interpolation": "nearest" if stretch != 1 else None}
    if n_channels == 1:
        low, high = limits
        image = ax.imshow(picture[..., 0], cmap, vmin=low, vmax=high, **how)
    else:
        image = ax.imshow(_as_colours(picture, limits), **how)
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    lefts = np.arange(n_columns) * (width + across)
    tops = np.arange(n_rows) * (height + down)
    is_there = np.isfinite(images).any(axis=(2, 3, 4))
    corners = [(lefts[j], tops[i]) for i, j in np.argwhere(is_there)]
    _frame(ax, corners, width, height)
    return image, lefts + (width - 1) / 2, tops + (height - 1) / 2


def _frame(ax, corners, width, height):
    """Draw the edges of images, which some have in common with paper."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    # The middle of the first pixel is at 0.
    frames = [Rectangle((x - 0.5, y - 0.5), width, height) for x, y in corners]
    style: dict = {"facecolor": "none", "edgecolor": NEUTRAL, "linewidth": 0.5}
    edges = PatchCollection(frames, clip_on=False, **style)
    ax.add_collection(edges, autolim=False)


def _as_colours(picture, limits):
    """Scale channels to 0 .. 1, and make what is NaN transparent."""
    low, high = limits
    colours = np.clip((picture - low) / (high - low), 0, 1)
    is_there = np.isfinite(picture).all(axis=-1, keepdims=True)
    if colours.shape[-1] == 3:
        colours = np.concatenate([colours, is_there], axis=-1)
    return np.where(is_there, colours, 0.0)
