"""Columns: what the numbers of a row are, and so how a row is drawn.

Rows are *images* where somebody says their shape, *profiles* (spectra, time series)
where neighbouring columns go together, and rows of a *table* otherwise, above all where
the columns have names.
"""

import math
from dataclasses import dataclass

import numpy as np

from skae._sklearn import is_constant_feature
from skae.transformers import column_names, dense, image_shape_of, some_rows

__all__ = ["Columns", "describe_columns"]

KINDS = ("images", "profiles", "table")

# Rows, and numbers in them, from which the mean, spread and order of the columns are
# found.
DESCRIBED_ROWS = 2_000
DESCRIBED_NUMBERS = 2**24

# A profile has at least so many points.
SHORTEST_PROFILE = 16

# Mean squared step from column to column, as a share of what it would be if columns
# had nothing to do with each other, below which rows are profiles.
SMOOTH = 0.1

# Channels that can be shown: grey, colour, colour with opacity.
CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Columns:
    """What is known of the columns of X.

    Attributes
    ----------
    kind : {"images", "profiles", "table"}
        How rows are drawn.

    names : list of str
        Of the columns.

    positions : ndarray of shape (n_features,)
        Where the points of a profile lie: the names, where these are numbers that
        grow or fall, otherwise 0, 1, 2, ..

    image_shape : tuple of int
        Height, width and channels of images; empty for other rows.

    mean, scale : ndarray of shape (n_features,)
        Mean and standard deviation of each column; 1 for a column of no spread.

    limits : tuple of (float, float)
        Least and largest value that an image shows as black and as white.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae.plotting.columns import Columns
    >>> X, _ = load_digits(return_X_y=True)
    >>> Columns.describe(X, None).kind
    'table'
    >>> Columns.describe(X, None, image_shape=(8, 8)).kind
    'images'
    """

    kind: str
    names: list
    positions: np.ndarray
    image_shape: tuple[int, ...]
    mean: np.ndarray
    scale: np.ndarray
    limits: tuple

    @classmethod
    def describe(cls, rows, names, *, kind="auto", image_shape=None):
        """Find out what the columns are.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)

        names : list of str or None
            Of the columns, where they have any.

        kind : {"auto", "images", "profiles", "table"}, default="auto"

        image_shape : tuple of int, default=None

        Returns
        -------
        Columns
        """
        kind, shape = _check_kind(kind, image_shape, rows.shape[1])
        positions = _positions(names, rows.shape[1])
        if kind == "auto":
            is_axis = names is None or positions is not None
            kind = "profiles" if is_axis and _is_smooth(rows) else "table"
        if positions is None:
            positions = np.arange(rows.shape[1])
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        is_constant = is_constant_feature(np.square(spread), mean, len(rows))
        return cls(
            kind=kind,
            names=names or [f"x{i}" for i in range(rows.shape[1])],
            positions=positions,
            image_shape=shape,
            mean=mean,
            scale=np.where(is_constant, 1.0, spread),
            limits=_limits(rows, shape),
        )

    def standardise(self, rows):
        """Measure rows from the mean, in standard deviations."""
        return (rows - self.mean) / self.scale

    def as_images(self, rows):
        """Give rows the shape of images: (..., height, width, channels)."""
        return rows.reshape(*rows.shape[:-1], *self.image_shape)


def describe_columns(estimator, X, *, kind="auto", image_shape=None):
    """Find out what the columns of X are, from some of its rows.

    Parameters
    ----------
    estimator : transformer
        It may know their names, and the shape of images.

    X : {ndarray, data frame, CSR} of shape (n_samples, n_features)

    kind, image_shape : as in :meth:`Columns.describe`

    Returns
    -------
    Columns
    """
    if image_shape is None and kind in ("auto", "images"):
        image_shape = image_shape_of(estimator, X.shape[1])
    n_rows = max(2, min(DESCRIBED_ROWS, DESCRIBED_NUMBERS // X.shape[1]))
    rows = dense(some_rows(X, n_rows)[1])
    names = column_names(estimator, X)
    return Columns.describe(rows, names, kind=kind, image_shape=image_shape)


def _check_kind(kind, image_shape, n_features):
    """Refuse what does not fit together; ``image_shape`` says that rows are images."""
    if kind not in ("auto", *KINDS):
        raise ValueError(
            f'kind={kind!r} must be "auto", "images", "profiles" or "table".'
        )
    if kind == "images" and image_shape is None:
        raise ValueError(
            'kind="images" needs image_shape: (height, width) or (height, width, '
            "channels)."
        )
    if image_shape is None:
        return kind, ()
    shape = _check_image_shape(image_shape, n_features)
    return ("images" if kind == "auto" else kind), shape


def _check_image_shape(image_shape, n_features):
    wrong = f"image_shape={image_shape!r}"
    try:
        sizes = tuple(int(length) for length in image_shape)
        is_shape = len(sizes) in (2, 3) and sizes == tuple(image_shape)
    except (TypeError, ValueError):
        is_shape = False
    if not is_shape or min(sizes) < 1:
        raise ValueError(f"{wrong}: give (height, width) or (height, width, channels).")
    shape = (*sizes, 1)[:3]
    if math.prod(shape) != n_features:
        raise ValueError(
            f"{wrong} has {math.prod(shape)} values, but the rows have {n_features} "
            "columns."
        )
    if shape[2] not in CHANNELS:
        raise ValueError(
            f"{wrong} has {shape[2]} channels; images with 1, 3 or 4 can be drawn, and "
            "the channels come last: (height, width, channels)."
        )
    return shape


def _positions(names, n_features):
    """Read names as positions along an axis; None where they are not."""
    try:
        positions = np.array(names, dtype=float)
    except (TypeError, ValueError):
        return None
    steps = np.diff(positions) if positions.shape == (n_features,) else np.zeros(1)
    return positions if np.all(steps > 0) or np.all(steps < 0) else None


def _is_smooth(rows):
    """Whether neighbouring columns go together, in their own units."""
    if rows.shape[1] < SHORTEST_PROFILE:
        return False
    centred = rows - rows.mean(axis=0)
    steps = np.square(np.diff(centred, axis=1)).mean()
    return bool(steps < SMOOTH * 2 * np.square(centred).mean())


def _limits(rows, image_shape):
    """Black and white: of colours the usual 0 to 1 or 0 to 255, if they fit."""
    low, high = float(rows.min()), float(rows.max())
    if image_shape and image_shape[2] > 1:
        for brightest in (1.0, 255.0):
            if 0 <= low and high <= brightest:
                return 0.0, brightest
    return low, high if high > low else low + 1.0
