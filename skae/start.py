"""The start: moments, scales and linear maps of PCA, its density, and factor analysis.

Everything is computed in float64 from a weighted set of rows, moments being divided
by the sum of the weights. With the covariance  C = V' diag(lambda) V  and k components
kept, PCA is

    code  z = V (x - mu)            row  x = mu + V' z

and probabilistic PCA at its maximum likelihood (Tipping & Bishop, 1999)

    sigma2 = (trace C - sum_k lambda) / (p - k)        w = sqrt(lambda - sigma2)
    x | z ~ N(mu + V' diag(w) z, sigma2 I)             z ~ N(0, I)
    z | x ~ N(diag(w / lambda) V (x - mu), diag(sigma2 / lambda))

The posterior is diagonal in PCA's basis, so a VAE with a diagonal posterior can start
exactly there.

With a scale s per column, all of this is done to rows divided by s. For the scale
sqrt(psi) of factor analysis and the noise 1 it is the maximum-likelihood solution of
factor analysis (:mod:`skae.factors`), its posterior diagonal too. For the columns'
deviations it is PCA of the standardised columns.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from ._sklearn import is_constant_feature
from .device import limited_threads
from .factors import noise_of_columns, own_variance
from .rows import (
    as_array,
    centred_rows,
    dense_blocks,
    is_mostly_zero,
    rows_and_columns,
    weighted_moments,
)
from .span import DIRECT_SVD_SIZE, Span

__all__ = ["LARGEST_MATRIX", "LinearMaps", "fit_linear_maps", "moments", "peak_signs"]

# Fewer multiplications than this gain nothing by several threads.
SMALL_START = 10**7

# Largest side of a covariance (or Gram) matrix that is formed; beyond it the leading
# directions are found by Lanczos iterations on products with the rows.
LARGEST_MATRIX = 8000

# Side of a matrix from which a few eigenvectors are found by themselves.
SMALL_MATRIX = 300

# Deviations that float32 holds, of which networks are, and of which it holds the
# squares, where the rows are float32 too.
LARGEST, LARGEST_SQUARED, SMALLEST_SQUARED = 1e36, 1e18, 1e-18

# The noise variance is at least this share of the mean column variance.
NOISE_FLOOR = 1e-7

# The same for a column of its own noise, as a share of its variance.
LEAST_NOISE = 1e-6

# The noise variance where no column varies.
SMALLEST_NOISE = 1e-12


@dataclass(frozen=True)
class LinearMaps:
    """What PCA knows about a weighted set of rows.

    Attributes
    ----------
    n_rows : float
        Sum of the weights.

    mean : ndarray of shape (n_features,)
        Of the columns.

    center, variance : ndarray of shape (n_features,)
        Mean and variance of the columns as the linear maps see them; the variance of a
        constant column is exactly 0.

    scale : ndarray of shape (n_features,)
        What columns are divided by before PCA; 1 for PCA as such.

    components : ndarray of shape (n_components, n_features)
        Principal axes of the scaled rows, with scikit-learn's signs.

    explained_variance : ndarray of shape (n_components,)
        Variance of each code, divided by the sum of weights.

    own_noise : float or None
        Noise variance of the scaled rows, where it is known; None finds it.

    n_silent : int
        Further columns, without any variance, of which nothing else is said.
    """

    n_rows: float
    mean: np.ndarray
    center: np.ndarray
    variance: np.ndarray
    scale: np.ndarray
    components: np.ndarray
    explained_variance: np.ndarray
    own_noise: float | None = None
    n_silent: int = 0

    def of_columns(self, columns):
        """Restrict what is known about columns to some of them."""
        return replace(
            self,
            mean=self.mean[columns],
            center=self.center[columns],
            variance=self.variance[columns],
            scale=self.scale[columns],
            components=self.components[:, columns],
            own_noise=self.noise_variance,
        )

    def leading(self, n_components):
        """Keep the leading components only."""
        return replace(
            self,
            components=self.components[:n_components],
            explained_variance=self.explained_variance[:n_components],
        )

    @property
    def n_components(self):
        """Number of components kept."""
        return len(self.components)

    @property
    def n_features(self):
        """Number of columns."""
        return len(self.mean)

    @property
    def n_columns(self):
        """Number of columns, the silent ones counted."""
        return self.n_features + self.n_silent

    @property
    def scaled_variance(self):
        """Variance of the scaled columns."""
        return self.variance / self.scale**2

    @property
    def discarded_variance(self):
        """Variance that PCA leaves: its mean squared error of a scaled row."""
        return max(self.scaled_variance.sum() - self.explained_variance.sum(), 0.0)

    @property
    def noise_variance(self):
        """Noise of the scaled rows, at maximum likelihood; at least a small floor."""
        if self.own_noise is not None:
            return self.own_noise
        n_discarded = self.n_columns - self.n_components
        noise = self.discarded_variance / n_discarded if n_discarded > 0 else 0.0
        return max(noise, self.noise_floor)

    @property
    def noise_excess(self):
        """PCA's noise by this one: of fewer degrees of freedom where rows are few."""
        k, n_columns = self.n_components, self.n_columns
        n_free = min(self.n_rows, n_columns) - k
        return (n_columns - k) / n_free if n_free > 0 else 1.0

    @property
    def noise_floor(self):
        """Smallest noise variance that a model of these rows may have."""
        mean = self.scaled_variance.sum() / self.n_columns
        return NOISE_FLOOR * mean or SMALLEST_NOISE

    @property
    def column_noise(self):
        """Noise variance of each column."""
        return self.noise_variance * self.scale**2

    @property
    def column_noise_floor(self):
        """Smallest noise variance that each column may have of its own."""
        return np.where(self.variance > 0, NOISE_FLOOR * self.variance, self.scale**2)

    @property
    def residual_variance(self):
        """Variance that PCA leaves in each column."""
        explained = self.explained_variance @ self.components**2
        return np.maximum(self.variance - explained * self.scale**2, 0.0)

    @property
    def code_scale(self):
        """Standard deviation of each code; 0 where a direction has no variance."""
        floor = np.finfo(np.float64).eps * self.scaled_variance.sum()
        inert = self.explained_variance <= floor
        return np.sqrt(np.where(inert, 0.0, self.explained_variance))

    @property
    def projection(self):
        """``V diag(1/s)``: from a row to PCA's code."""
        return self.components / self.scale

    @property
    def axes(self):
        """``diag(s) V'``: from PCA's code to a row."""
        return self.components.T * self.scale[:, None]

    @property
    def posterior_variance(self):
        """Variance of each code given its row, under probabilistic PCA."""
        noise = self.noise_variance
        return noise / np.maximum(self.explained_variance, noise)

    @property
    def weights(self):
        """``w``: the length of each loading of probabilistic PCA."""
        return np.sqrt(np.maximum(self.explained_variance - self.noise_variance, 0.0))

    @property
    def loadings(self):
        """``diag(s) V' diag(w)``: from a code of unit variance to a row."""
        return self.axes * self.weights

    @property
    def posterior_map(self):
        """``diag(w / lambda) V diag(1/s)``: from a row to its code's posterior mean."""
        floored = np.maximum(self.explained_variance, self.noise_variance)
        return (self.weights / floored)[:, None] * self.projection


def fit_linear_maps(
    X, weight, n_components, *, view=None, units="one", least_noise=LEAST_NOISE
):
    """Find PCA of a weighted set of rows.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)

    weight : ndarray of shape (n_samples,)

    n_components : int, float or None
        Number of components; a float is the share of the variance to reach; None
        finds the moments only.

    view : callable, optional
        From the rows to what PCA is taken of.

    units : {"one", "deviations", "noise"}, default="one"
        Scale of the columns: none, their deviations, or factor analysis's noise.

    least_noise : float or ndarray of shape (n_features,)
        Share of a column's variance that is noise to factor analysis, at least.

    Returns
    -------
    LinearMaps
    """
    arguments = X, weight, n_components, view, units, least_noise
    if X.shape[0] * X.shape[1] * min(X.shape) < SMALL_START:
        with limited_threads(1):
            return _fit_linear_maps(*arguments)
    return _fit_linear_maps(*arguments)


def _fit_linear_maps(X, weight, n_components, view, units, least_noise):
    n_rows = float(weight.sum())
    weight = weight.astype(np.float64) / n_rows
    seen = X if view is None else view(X)
    if seen is not X and not sp.issparse(seen) and X.shape[1] > X.shape[0]:
        seen = seen[:]  # its columns will be looked at a few at a time
    center, variance = moments(seen, weight)
    mean = center if seen is X else weighted_moments(X, weight)[0]
    scale, own_noise = np.ones(X.shape[1]), None
    if units != "one":
        scale = _deviations(variance, n_rows)
        seen = _Scaled.of(seen, scale)
    if units == "noise" and n_components is not None:
        least = np.where(variance > 0, least_noise, np.nan)
        psi = _noise(seen, weight, center / scale, least, n_components)
        seen = _Scaled.of(seen, np.sqrt(psi))
        scale, own_noise = scale * np.sqrt(psi), 1.0
    if n_components is None:
        components, spectrum = np.zeros((0, X.shape[1])), np.zeros(0)
    else:
        components, spectrum = _principal_axes(
            seen, weight, center / scale, n_components, variance / scale**2
        )
    spectrum = np.maximum(spectrum, 0.0)
    return LinearMaps(
        n_rows, mean, center, variance, scale, components, spectrum, own_noise
    )


def moments(X, weight):
    """Column means and variances; the variance of a constant column is exactly 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, variance = weighted_moments(X, weight)
    is_narrow = X.dtype in (np.float32, torch.float32)
    largest = LARGEST_SQUARED if is_narrow else LARGEST
    if not variance.sum() < largest**2:
        raise ValueError(
            "X: its values, or their squares, are beyond what float32 holds; divide "
            "the columns by their largest values first."
        )
    variance[is_constant_feature(variance, mean, X.shape[0])] = 0.0
    if is_narrow and 0 < variance.sum() < SMALLEST_SQUARED**2:
        raise ValueError(
            "X: its values vary by so little that float32 does not hold the squares; "
            "divide the columns by their largest values first, or give float64."
        )
    return mean, variance


def _deviations(variance, n_rows):
    """Deviation of each column.

    Of one that never varied, as if one row more had been seen, at the others' mean
    deviation.
    """
    unseen = variance.mean() / (n_rows + 1) or SMALLEST_NOISE
    return np.sqrt(np.where(variance > 0, variance, unseen))


class _Scaled:
    """Dense rows divided by a scale, when they are asked for."""

    def __init__(self, X, scale):
        self._X, self._scale = X, scale
        self.shape = X.shape
        self.dtype = np.dtype(np.float64)

    def __getitem__(self, where):
        rows, columns = rows_and_columns(where)
        values = np.asarray(as_array(self._X[rows, columns]), dtype=np.float64)
        return values / self._scale[columns]

    @classmethod
    def of(cls, X, scale):
        """Rows of any kind, scaled; those that are sparse stay so."""
        if sp.issparse(X):
            return (X.astype(np.float64) @ sp.diags_array(1 / scale)).tocsr()
        return cls(X, scale)


def _noise(X, weight, mean, least, n_components):
    """Factor analysis's noise of standardised columns, at least so much each.

    Columns without a bound are constant, and left at 1.
    """
    psi = np.ones(len(mean))
    is_varied = np.isfinite(least)
    if is_varied.any():
        C = own = None
        if X.shape[1] <= min(X.shape[0], LARGEST_MATRIX):
            C = _covariance(X, weight, mean)
            varied = C[np.ix_(is_varied, is_varied)]
            own = own_variance(varied, least[is_varied])
        leading = _leading_axes(X, weight, mean, n_components, C)

        def of_varied(scale):
            whole = np.ones(len(mean))
            whole[is_varied] = scale
            axes, spectrum = leading(whole)
            return axes[:, is_varied], spectrum

        psi[is_varied] = noise_of_columns(of_varied, least[is_varied], own)
    return psi


def _leading_axes(X, weight, mean, n_components, C):
    """Make the function from a scale to the leading axes of rows divided by it.

    From the covariance C, or where there is none from the rows.
    """
    if C is not None:
        return lambda scale: _leading(C / np.outer(scale, scale), n_components)
    if min(X.shape) > LARGEST_MATRIX:
        return lambda scale: _from_products(
            _Scaled.of(X, scale), weight, mean / scale, n_components
        )
    A = centred_rows(X, mean, np.sqrt(weight))

    def of_rows(scale):
        B = A / scale
        left, spectrum = _leading(B @ B.T, n_components)
        axes = left @ B
        return axes / np.sqrt(np.maximum(spectrum, 1e-300))[:, None], spectrum

    return of_rows


def _leading(C, n_components):
    """Leading eigenvectors, in rows, and eigenvalues of a symmetric matrix."""
    n_components = min(n_components, len(C))
    if len(C) > SMALL_MATRIX and n_components < len(C) // 4:
        begin = np.random.RandomState(0).uniform(-1, 1, len(C))
        spectrum, axes = eigsh(C, k=n_components, v0=begin)
        return axes.T[::-1], spectrum[::-1]
    spectrum, axes = np.linalg.eigh(C)
    return axes.T[::-1][:n_components], spectrum[::-1][:n_components]


def _principal_axes(X, weight, mean, n_components, variance):
    """Eigenvectors of the covariance, in rows, and eigenvalues, largest first."""
    n_samples, n_features = X.shape
    smaller = min(n_samples, n_features)
    if n_samples * n_features * smaller <= DIRECT_SVD_SIZE:
        axes, spectrum = _from_rows(X, weight, mean)
    elif smaller > LARGEST_MATRIX and not isinstance(n_components, float):
        axes, spectrum = _from_products(X, weight, mean, n_components)
    elif n_features <= n_samples:
        axes, spectrum = _from_covariance(X, weight, mean)
    else:
        span = Span(X, weight, mean)
        n_components = _resolve_share(n_components, span.spectrum, variance)
        axes, spectrum = span.axes(n_components), span.spectrum
    n_components = _resolve_share(n_components, spectrum, variance)
    if len(axes) < n_components:
        axes, spectrum = _completed(axes, spectrum[: len(axes)], n_components)
    axes, spectrum = axes[:n_components], spectrum[:n_components]
    return axes * peak_signs(axes), spectrum


def _resolve_share(n_components, spectrum, variance):
    """As many components as PCA needs to explain a share of the variance."""
    if not isinstance(n_components, float):
        return n_components
    share = np.cumsum(spectrum) / max(variance.sum(), np.finfo(float).tiny)
    enough = int(np.searchsorted(share, n_components, side="right")) + 1
    return min(enough, len(spectrum))


def _from_rows(X, weight, mean):
    A = torch.from_numpy(centred_rows(X, mean, np.sqrt(weight)))
    _, singular, axes = torch.linalg.svd(A, full_matrices=False)
    return axes.numpy(), singular.numpy() ** 2


def _covariance(X, weight, mean):
    n_features = X.shape[1]
    if is_mostly_zero(X):
        X = X.astype(np.float64)
        return (X.T @ sp.diags_array(weight) @ X).toarray() - np.outer(mean, mean)
    C = np.zeros((n_features, n_features))
    for where, block in dense_blocks(X):
        A = np.sqrt(weight[where, None]) * (block - mean)
        C += A.T @ A  # NumPy sees the symmetry, and does half of the work
    return C


def _from_covariance(X, weight, mean):
    C = _covariance(X, weight, mean)
    spectrum, axes = torch.linalg.eigh(torch.from_numpy(C))
    return axes.T.flip(0).numpy(), spectrum.flip(0).numpy()


def _from_products(X, weight, mean, n_components):
    """Find the leading directions of a matrix too large to form, by Lanczos."""
    n_features = X.shape[1]

    def multiply(v):
        v = v.ravel()
        if is_mostly_zero(X):
            y = weight * (X @ v - mean @ v)
            return X.T @ y - mean * y.sum()
        total = np.zeros(n_features)
        for where, block in dense_blocks(X):
            A = block - mean
            total += (weight[where] * (A @ v)) @ A
        return total

    C = LinearOperator((n_features, n_features), matvec=multiply, dtype=np.float64)
    begin = np.random.RandomState(0).uniform(-1, 1, n_features)
    spectrum, axes = eigsh(C, k=n_components, v0=begin)
    return axes.T[::-1], spectrum[::-1]


def _completed(axes, spectrum, n_components):
    """More orthonormal directions, of no variance, where the rows have too few."""
    n_found, n_features = axes.shape
    basis = np.vstack([axes, np.eye(n_components, n_features)])
    full, triangle = np.linalg.qr(basis.T)
    full = (full * np.where(np.diag(triangle) < 0, -1.0, 1.0)).T
    spectrum = np.append(spectrum, np.zeros(n_components - n_found))
    return full[:n_components], spectrum


def peak_signs(axes):
    """Choose signs as scikit-learn does: the largest loading of an axis is positive."""
    peaks = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.where(peaks < 0, -1.0, 1.0)
