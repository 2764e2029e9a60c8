"""Gaussian rows of many columns, given by few coordinates; see :mod:`skae.wide`."""

import numpy as np

from .gaussian import Gaussian, _GaussianModule

__all__ = ["Coordinates"]

# What counts as 1 to a network of coordinates, as a share of their root mean square:
# the leading ones stand out, as they should, and the others are not lost.
COORDINATE_SPREAD = 0.5


class Coordinates(Gaussian):
    """Gaussian rows given by their coordinates in the space that they span.

    Squared errors and the noise are those of all columns. The coordinates are principal
    components, and the networks correct each by as much as PCA might leave in it.

    Parameters
    ----------
    n_columns : int
        Columns that the rows have.
    """

    def __init__(self, n_columns):
        self.n_columns = n_columns

    def build(self, n_features):
        """Make the module."""
        return _CoordinatesModule(self.n_columns)


class _CoordinatesModule(_GaussianModule):
    """The same log-probability, of more columns than there are coordinates."""

    def __init__(self, n_columns):
        super().__init__()
        self.n_columns = n_columns

    def _n_columns(self, x):
        return self.n_columns

    def spread(self, maps):
        return COORDINATE_SPREAD * super().spread(maps)

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        start = super().start(maps, loadings, code_scale, shrinkage)
        largest = np.sort(maps.variance)[::-1][maps.n_components :][:1].sum()
        return start._replace(gain=np.sqrt(np.minimum(maps.variance, largest)))
