"""Axes: the principal axes of weighted rows, and those of columns on other scales.

Those of small rows are found from the rows themselves, those of others from the smaller
of the matrices of products, of columns ``A'A`` or of rows ``AA'``, with

    A = diag(sqrt(w)) (X - mu)

and where even that is too large to be formed by Lanczos iterations, which ask for
products with A alone.
"""

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from skae.rows import (
    SeenRows,
    centred_rows,
    dense_blocks,
    is_mostly_zero,
    sparse_blocks,
)

from .span import DIRECT_SVD_SIZE, Span, orthonormal

__all__ = [
    "LARGEST_MATRIX",
    "covariance",
    "peak_signs",
    "principal_axes",
    "scaled_axes",
    "scaled_rows",
]

# Largest side of a covariance (or Gram) matrix that is formed; beyond it the leading
# directions are found by Lanczos iterations on products with the rows.
LARGEST_MATRIX = 8000

# Numbers of components that are found so, one after the other, until they explain a
# share of the variance that is asked for.
SEARCHED = (32, 128, 512)

# Side of a matrix from which a few eigenvectors are found by themselves.
SMALL_MATRIX = 300


def scaled_rows(X, scale):
    """Rows of any kind, divided by a scale; those that are sparse stay so."""
    if sp.issparse(X):
        return (X.astype(np.float64) @ sp.diags_array(1 / scale)).tocsr()
    return SeenRows(X, lambda values, _, columns: values / scale[columns])


def principal_axes(X, weight, mean, n_components, variance):
    """Eigenvectors of the covariance, in rows, and eigenvalues, largest first.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)

    weight : ndarray of shape (n_samples,)
        Of sum 1.

    mean : ndarray of shape (n_features,)

    n_components : int or float
        Number of axes, or share of the variance that they have to explain.

    variance : ndarray of shape (n_features,)
        Of the columns.
    """
    n_samples, n_features = X.shape
    smaller = min(n_samples, n_features)
    if n_samples * n_features * smaller <= DIRECT_SVD_SIZE:
        axes, spectrum = _from_rows(X, weight, mean)
    elif smaller > LARGEST_MATRIX and isinstance(n_components, float):
        axes, spectrum = _of_share(X, weight, mean, n_components, variance)
    elif smaller > LARGEST_MATRIX:
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


def scaled_axes(X, weight, mean, n_components, C):
    """Make the function from a scale to the leading axes of rows divided by it.

    From the covariance C, or where there is none from the rows.
    """
    if C is not None:
        return lambda scale: _leading(C / np.outer(scale, scale), n_components)
    smaller = min(X.shape)
    is_sparse = is_mostly_zero(X) and _asks_for_few(smaller, n_components)
    if smaller > LARGEST_MATRIX or is_sparse:
        return lambda scale: _from_products(
            scaled_rows(X, scale), weight, mean / scale, n_components
        )
    A = centred_rows(X, mean, np.sqrt(weight))

    def of_rows(scale):
        B = A / scale
        left, spectrum = _leading(B @ B.T, n_components)
        axes = left @ B
        return axes / np.sqrt(np.maximum(spectrum, 1e-300))[:, None], spectrum

    return of_rows


def _asks_for_few(size, n_components):
    """Whether few eigenvectors of a matrix are found by themselves."""
    return size > SMALL_MATRIX and n_components < size // 4


def _leading(C, n_components):
    """Leading eigenvectors, in rows, and eigenvalues of a symmetric matrix."""
    n_components = min(n_components, len(C))
    if _asks_for_few(len(C), n_components):
        begin = np.random.RandomState(0).uniform(-1, 1, len(C))
        spectrum, axes = eigsh(C, k=n_components, v0=begin)
        return axes.T[::-1], spectrum[::-1]
    spectrum, axes = np.linalg.eigh(C)
    return axes.T[::-1][:n_components], spectrum[::-1][:n_components]


def _from_rows(X, weight, mean):
    A = torch.from_numpy(centred_rows(X, mean, np.sqrt(weight)))
    _, singular, axes = torch.linalg.svd(A, full_matrices=False)
    return axes.numpy(), singular.numpy() ** 2


def covariance(X, weight, mean):
    """Covariance of the columns of a weighted set of rows about a mean."""
    n_features = X.shape[1]
    C = np.zeros((n_features, n_features))
    if is_mostly_zero(X):
        for where, block in sparse_blocks(X):
            A = sp.diags_array(np.sqrt(weight[where])) @ block
            C += (A.T @ A).toarray()
        C -= np.outer(mean, mean)
        return C
    for where, block in dense_blocks(X):
        A = np.sqrt(weight[where, None]) * (block - mean)
        C += A.T @ A  # NumPy sees the symmetry, and does half of the work
    return C


def _from_covariance(X, weight, mean):
    C = covariance(X, weight, mean)
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


def _of_share(X, weight, mean, share, variance):
    """Find as many leading directions, and some more, as explain a share."""
    total, most = variance.sum(), SEARCHED[-1]
    for n_components in SEARCHED:
        axes, spectrum = _from_products(X, weight, mean, n_components)
        missing = share * total - spectrum.sum()
        if missing < 0:
            return axes, spectrum
        # No other direction has more variance than the last of these.
        if missing > (most - n_components) * spectrum[-1]:
            break
    raise ValueError(
        f"n_components={share!r}: of so many rows and columns, {X.shape[0]} x "
        f"{X.shape[1]}, at most {most} components are searched for, which do not "
        f"explain that share ({n_components} explain {spectrum.sum() / total:.3g}); "
        "give a number."
    )


def _completed(axes, spectrum, n_components):
    """More orthonormal directions, of no variance, where the rows have too few."""
    n_found, n_features = axes.shape
    full = orthonormal(np.vstack([axes, np.eye(n_components, n_features)]))
    spectrum = np.append(spectrum, np.zeros(n_components - n_found))
    return full[:n_components], spectrum


def peak_signs(axes):
    """Choose signs as scikit-learn does: the largest loading of an axis is positive."""
    peaks = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.where(peaks < 0, -1.0, 1.0)
