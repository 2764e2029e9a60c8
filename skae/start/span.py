"""The space that rows span: where there are more columns than rows, a small one.

About a mean, n weighted rows of p > n columns lie in a space of r <= n dimensions:

    A = diag(sqrt(w)) (X - mu)       A A' = U diag(l) U'       B = diag(1/sqrt(l)) U' A
    c = B (x - mu)                   x = mu + B' c             B B' = I

The rows of B are their principal axes, c their principal components, and distances
between rows are those between their c. As large as the rows, B is never formed: what
is said of coordinates is lifted to columns by a product with the rows.
"""

import numpy as np
import torch

from skae.rows import BLOCK_SIZE, centred_rows, is_mostly_zero

__all__ = ["DIRECT_SVD_SIZE", "Span", "orthonormal"]

# Up to so many multiplications the singular values of the rows themselves are taken,
# which keeps directions that their products, being squares, have lost.
DIRECT_SVD_SIZE = 10**8

# Share of the largest variance below which a direction is rounding, by the rows
# themselves and by their products.
LEAST_BY_ROWS = 1e-26
LEAST_BY_PRODUCTS = 1e-13


class Span:
    """The space that weighted rows span about a mean.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)

    weight : ndarray of shape (n_samples,)
        Above 0; of sum 1.

    mean : ndarray of shape (n_features,)

    Attributes
    ----------
    spectrum : ndarray of shape (n_dimensions,)
        Variance of the rows along each direction, largest first.
    """

    def __init__(self, X, weight, mean):
        self._X = X.astype(np.float64, copy=False) if is_mostly_zero(X) else X
        self.mean = mean
        self._root = np.sqrt(weight)
        if X.shape[0] ** 2 * X.shape[1] <= DIRECT_SVD_SIZE:
            spectrum, left = self._from_rows()
            least = LEAST_BY_ROWS
        else:
            spectrum, left = self._from_products()
            least = LEAST_BY_PRODUCTS
        n_dimensions = np.count_nonzero(spectrum > least * spectrum[0])
        self.spectrum = spectrum[:n_dimensions]
        self._left = left[:, :n_dimensions]

    def _from_rows(self):
        A = torch.from_numpy(centred_rows(self._X, self.mean, self._root))
        left, singular, _ = torch.linalg.svd(A, full_matrices=False)
        with np.errstate(over="ignore"):  # which is refused where moments are found
            return singular.numpy() ** 2, left.numpy()

    def _from_products(self):
        spectrum, left = torch.linalg.eigh(torch.from_numpy(self._products()))
        return spectrum.flip(0).numpy(), left.flip(1).numpy()

    def _products(self):
        """Find ``A A'``."""
        X, mean, root = self._X, self.mean, self._root
        if is_mostly_zero(X):
            cross = X @ mean
            G = (X @ X.T).toarray() - cross[:, None] - cross + mean @ mean
            return G * root[:, None] * root
        G = np.zeros((X.shape[0], X.shape[0]))
        for _, A in self._blocks():
            G += A @ A.T  # NumPy sees the symmetry, and does half of the work
        return G

    def _blocks(self):
        """Walk through ``A``, some columns after others: all are never copied."""
        n_rows, n_columns = self._X.shape
        width = max(BLOCK_SIZE // n_rows, 1)
        for begin in range(0, n_columns, width):
            some = slice(begin, begin + width)
            yield some, centred_rows(self._X[:, some], self.mean[some], self._root)

    @property
    def n_dimensions(self):
        """Dimensions of the space."""
        return len(self.spectrum)

    @property
    def coordinates(self):
        """``c`` of each row."""
        return self._left * np.sqrt(self.spectrum) / self._root[:, None]

    def lift(self, M):
        """``M B``: what a map of coordinates is as a map of columns.

        Parameters
        ----------
        M : ndarray of shape (n_outputs, n_dimensions)

        Returns
        -------
        ndarray of shape (n_outputs, n_features)
        """
        shares = (M / np.sqrt(self.spectrum)) @ self._left.T
        if is_mostly_zero(self._X):
            shares *= self._root
            return (self._X.T @ shares.T).T - np.outer(shares.sum(1), self.mean)
        lifted = np.empty((len(M), len(self.mean)))
        for some, A in self._blocks():
            lifted[:, some] = shares @ A
        return lifted

    def axes(self, n_components):
        """Find the leading principal axes, in rows."""
        n_components = min(n_components, self.n_dimensions)
        # Rounding leaves directions of little variance something in common.
        return orthonormal(self.lift(np.eye(n_components, self.n_dimensions)))


def orthonormal(directions):
    """Make each row orthogonal to those before it, of length 1, its sign kept."""
    axes, triangle = np.linalg.qr(directions.T)
    return (axes * np.where(np.diag(triangle) < 0, -1.0, 1.0)).T
