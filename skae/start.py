"""The start: moments, scales and the linear maps of PCA and probabilistic PCA.

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
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from ._sklearn import is_constant_feature
from .device import limited_threads
from .rows import dense_blocks, weighted_moments

__all__ = ["LinearMaps", "fit_linear_maps"]

# Up to so many multiplications the singular values of the rows themselves are taken,
# which keeps directions that the covariance, having squared them, has lost.
DIRECT_SVD_SIZE = 10**8

# Fewer multiplications than this gain nothing by several threads.
SMALL_START = 10**7

# Largest side of a covariance (or Gram) matrix that is formed; beyond it the leading
# directions are found by Lanczos iterations on products with the rows.
LARGEST_MATRIX = 8000

# Share of nonzero values up to which a sparse matrix is multiplied as such.
SPARSE_SHARE = 0.3

# The noise variance is at least this share of the mean column variance.
NOISE_FLOOR = 1e-7

# The noise variance where no column varies.
SMALLEST_NOISE = 1e-12


@dataclass(frozen=True)
class LinearMaps:
    """What PCA knows about a weighted set of rows.

    Attributes
    ----------
    mean, variance : ndarray of shape (n_features,)
        Of the columns; the variance of a constant column is exactly 0.

    components : ndarray of shape (n_components, n_features)
        Principal axes, with scikit-learn's signs.

    explained_variance : ndarray of shape (n_components,)
        Variance of each code, divided by the sum of weights.
    """

    mean: np.ndarray
    variance: np.ndarray
    components: np.ndarray
    explained_variance: np.ndarray

    @property
    def n_components(self):
        """Number of components kept."""
        return len(self.components)

    @property
    def n_features(self):
        """Number of columns."""
        return len(self.mean)

    @property
    def discarded_variance(self):
        """Variance that PCA leaves: its mean squared error of a row."""
        return max(self.variance.sum() - self.explained_variance.sum(), 0.0)

    @property
    def noise_variance(self):
        """Maximum-likelihood noise of probabilistic PCA, at least a small floor."""
        n_discarded = self.n_features - self.n_components
        noise = self.discarded_variance / n_discarded if n_discarded > 0 else 0.0
        return max(noise, self.noise_floor)

    @property
    def noise_floor(self):
        """Smallest noise variance that a model of these rows may have."""
        return NOISE_FLOOR * self.variance.mean() or SMALLEST_NOISE

    @property
    def residual_variance(self):
        """Variance that PCA leaves in each column."""
        explained = self.explained_variance @ self.components**2
        return np.maximum(self.variance - explained, 0.0)

    @property
    def code_scale(self):
        """Standard deviation of each code; 0 where a direction has no variance."""
        floor = np.finfo(np.float64).eps * self.variance.sum()
        inert = self.explained_variance <= floor
        return np.sqrt(np.where(inert, 0.0, self.explained_variance))

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
        """``V' diag(w)``: from a code of unit variance to a row."""
        return self.components.T * self.weights

    @property
    def posterior_map(self):
        """``diag(w / lambda) V``: from a row to the posterior mean of its code."""
        floored = np.maximum(self.explained_variance, self.noise_variance)
        return (self.weights / floored)[:, None] * self.components


def fit_linear_maps(X, weight, n_components):
    """Find PCA of a weighted set of rows.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)

    weight : ndarray of shape (n_samples,)

    n_components : int, float or None
        Number of components; a float is the share of the variance to reach; None
        finds the moments only.

    Returns
    -------
    LinearMaps
    """
    if X.shape[0] * X.shape[1] * min(X.shape) < SMALL_START:
        with limited_threads(1):
            return _fit_linear_maps(X, weight, n_components)
    return _fit_linear_maps(X, weight, n_components)


def _fit_linear_maps(X, weight, n_components):
    weight = weight.astype(np.float64) / weight.sum()
    mean, variance = weighted_moments(X, weight)
    variance[is_constant_feature(variance, mean, X.shape[0])] = 0.0
    if n_components is None:
        components, spectrum = np.zeros((0, X.shape[1])), np.zeros(0)
    else:
        components, spectrum = _principal_axes(X, weight, mean, n_components)
        n_components = _resolve_share(n_components, spectrum, variance)
    return LinearMaps(
        mean,
        variance,
        components[:n_components],
        np.maximum(spectrum[:n_components], 0.0),
    )


def _resolve_share(n_components, spectrum, variance):
    """As many components as PCA needs to explain a share of the variance."""
    if n_components is None or not isinstance(n_components, float):
        return n_components
    share = np.cumsum(spectrum) / max(variance.sum(), np.finfo(float).tiny)
    enough = int(np.searchsorted(share, n_components, side="right")) + 1
    return min(enough, len(spectrum))


def _principal_axes(X, weight, mean, n_components):
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
        axes, spectrum = _from_gram(X, weight, mean)
    wanted = n_features if isinstance(n_components, float) else n_components
    if len(axes) < min(wanted, n_features) and not isinstance(n_components, float):
        axes, spectrum = _completed(axes, spectrum, n_components)
    return _with_positive_peaks(axes), spectrum


def _from_rows(X, weight, mean):
    A = _centred_rows(X, mean, np.sqrt(weight))
    _, singular, axes = torch.linalg.svd(A, full_matrices=False)
    return axes.numpy(), singular.numpy() ** 2


def _is_mostly_zero(X):
    """Whether products with the zeros left out pay, and are exact enough.

    They are not centred, and cancel where the means are far larger than the spreads;
    then few of the values are zero.
    """
    return sp.issparse(X) and X.nnz < SPARSE_SHARE * X.shape[0] * X.shape[1]


def _centred_rows(X, mean, root):
    """All rows about their mean, scaled by the roots of their weights."""
    blocks = [root[where, None] * (block - mean) for where, block in dense_blocks(X)]
    return torch.from_numpy(np.concatenate(blocks))


def _from_covariance(X, weight, mean):
    n_features = X.shape[1]
    if _is_mostly_zero(X):
        X = X.astype(np.float64)
        C = (X.T @ sp.diags_array(weight) @ X).toarray() - np.outer(mean, mean)
    else:
        C = np.zeros((n_features, n_features))
        for where, block in dense_blocks(X):
            A = np.sqrt(weight[where, None]) * (block - mean)
            C += A.T @ A  # NumPy sees the symmetry, and does half of the work
    spectrum, axes = torch.linalg.eigh(torch.from_numpy(C))
    return axes.T.flip(0).numpy(), spectrum.flip(0).numpy()


def _from_gram(X, weight, mean):
    """From the n x n products of the rows, where there are fewer rows than columns."""
    root = np.sqrt(weight)
    is_mostly_zero = _is_mostly_zero(X)
    if is_mostly_zero:
        X = X.astype(np.float64)
        cross = X @ mean
        G = (X @ X.T).toarray() - cross[:, None] - cross + mean @ mean
        G *= root[:, None] * root
    else:
        A = _centred_rows(X, mean, root)
        G = (A @ A.T).numpy()
    spectrum, left = torch.linalg.eigh(torch.from_numpy(G))
    left = left.flip(1).numpy()
    if is_mostly_zero:
        left = left * root[:, None]
        axes = (X.T @ left) - np.outer(mean, left.sum(0))
    else:
        axes = (A.T @ torch.from_numpy(left.copy())).numpy()
    # Orthonormal whatever the rank: a direction of no variance is completed.
    axes, triangle = torch.linalg.qr(torch.from_numpy(axes))
    axes = axes * torch.where(triangle.diagonal() < 0, -1.0, 1.0)
    return axes.T.numpy(), spectrum.flip(0).numpy()


def _from_products(X, weight, mean, n_components):
    """Find the leading directions of a matrix too large to form, by Lanczos."""
    n_features = X.shape[1]

    def multiply(v):
        v = v.ravel()
        if _is_mostly_zero(X):
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


def _with_positive_peaks(axes):
    """Choose signs as scikit-learn does: the largest loading of an axis is positive."""
    peaks = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(peaks < 0, -1.0, 1.0)
