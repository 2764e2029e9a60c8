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
factor analysis (:mod:`skae.start.factors`), its posterior diagonal too. For the
columns' deviations it is PCA of the standardised columns.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch

from skae._sklearn import is_constant_feature
from skae.device import one_thread_unless
from skae.rows import RESIDENT_BYTES, weighted_mean, weighted_moments

from .axes import principal_axes, scaled_rows
from .factors import noise_of_columns

__all__ = ["SMALLEST_DEVIATION", "LinearMaps", "fit_linear_maps", "moments"]

# Fewer multiplications than this gain nothing by several threads.
LARGE_START = 10**7

# Deviations that float32 holds, of which networks are, and of which it holds the
# squares, where the rows are float32 too.
LARGEST, LARGEST_SQUARED, SMALLEST_SQUARED = 1e36, 1e18, 1e-18

# Deviation of a column in a unit of its own, at least: float32 still divides by a
# thousandth, its noise.
SMALLEST_DEVIATION = 1e-35

# What float32 makes of numbers: an error that is uniform over eps times each, and so of
# this variance, by their squares.
ROUNDING = float(np.finfo(np.float32).eps) ** 2 / 12

# What PCA leaves has to be so many times what float32 rows lose by rounding, or nothing
# could be learned from them, nor judged by them.
VISIBLE = 100.0

# Where it is less, the noise variance is this share of the mean column variance: by
# the noise that PCA leaves, float32's own errors would look like gains and losses. What
# a column has of its own is always at least this share of its variance.
NOISE_FLOOR = 1e-7

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

    def of_first_rows(self):
        """Say what the first rows of a stream do: a constant column may vary later."""
        unseen = _unseen_variance(self.variance, self.n_rows)
        varied = np.where(self.variance > 0, self.variance, unseen)
        return replace(self, variance=varied)

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
    def leaves_rounding(self):
        """Whether PCA leaves hardly more than what rows lose as float32."""
        rounding = ROUNDING * self.scaled_variance.sum()
        return self.discarded_variance <= VISIBLE * rounding

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
        if self.leaves_rounding:
            return self.learnable_variance
        return ROUNDING * self.scaled_variance.sum() / self.n_columns

    @property
    def learnable_variance(self):
        """Variance of a scaled column below which float32 shows nothing to learn."""
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
    X,
    weight,
    n_components,
    *,
    view=None,
    units="one",
    least_noise=None,
    ties=None,
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

    least_noise : float or ndarray of shape (n_features,), optional
        Share of a column's variance that is noise to factor analysis, at least; needed
        where that is asked for.

    ties : ndarray of int of shape (n_features,), optional
        Number of each column's noise, which those of one number have in common. None
        gives each its own.

    Returns
    -------
    LinearMaps
    """
    with one_thread_unless(X.shape[0] * X.shape[1] * min(X.shape) >= LARGE_START):
        return _linear_maps(X, weight, n_components, view, units, least_noise, ties)


def _linear_maps(X, weight, n_components, view, units, least_noise, ties):
    n_rows = float(weight.sum())
    weight = weight.astype(np.float64) / n_rows
    seen = X if view is None else view(X)
    if seen is not X and _is_small_and_wide(seen):
        seen = seen[:]  # its columns will be looked at a few at a time, more than once
    center, variance = moments(seen, weight)
    mean = center if seen is X else weighted_mean(X, weight)
    scale, own_noise = np.ones(X.shape[1]), None
    if units != "one":
        variance = _of_any_unit(variance)
        scale = _deviations(variance, n_rows)
        seen = scaled_rows(seen, scale)
    if units == "noise" and n_components is not None:
        least = np.where(variance > 0, least_noise, np.nan)
        own = np.arange(len(scale)), np.ones(len(scale))
        group, unit = own if ties is None else (ties, scale**2)
        psi = noise_of_columns(
            seen,
            weight,
            center / scale,
            n_components,
            least=least,
            group=group,
            unit=unit,
        )
        seen = scaled_rows(seen, np.sqrt(psi))
        scale, own_noise = scale * np.sqrt(psi), 1.0
    if n_components is None:
        components, spectrum = np.zeros((0, X.shape[1])), np.zeros(0)
    else:
        components, spectrum = principal_axes(
            seen, weight, center / scale, n_components, variance / scale**2
        )
    spectrum = np.maximum(spectrum, 0.0)
    return LinearMaps(
        n_rows, mean, center, variance, scale, components, spectrum, own_noise
    )


def _is_small_and_wide(X):
    """Whether rows have more columns than they are, and are dense cheaply."""
    is_wide = not sp.issparse(X) and X.shape[1] > X.shape[0]
    return is_wide and X.shape[0] * X.shape[1] * X.dtype.itemsize <= RESIDENT_BYTES


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
    with np.errstate(over="ignore"):  # of the square of a mean, where none vary
        variance[is_constant_feature(variance, mean, X.shape[0])] = 0.0
    if is_narrow and 0 < variance.sum() < SMALLEST_SQUARED**2:
        raise ValueError(
            "X: its values vary by so little that float32 does not hold the squares; "
            "divide the columns by their largest values first, or give float64."
        )
    return mean, variance


def _of_any_unit(variance):
    """Take columns by whose deviation float32 cannot divide for constant ones.

    Unless that were all, which are then left to the linear maps.
    """
    is_told = variance >= SMALLEST_DEVIATION**2
    return np.where(is_told, variance, 0.0) if is_told.any() else variance


def _deviations(variance, n_rows):
    """Deviation of each column."""
    unseen = _unseen_variance(variance, n_rows)
    return np.sqrt(np.where(variance > 0, variance, unseen))


def _unseen_variance(variance, n_rows):
    """Variance of a column that never varied.

    As if one row more had been seen, at the others' mean deviation.
    """
    return variance.mean() / (n_rows + 1) or SMALLEST_NOISE
