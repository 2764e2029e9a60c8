"""Mixtures of Gaussians, found by expectation and maximisation.

The log-density of a Gaussian is linear in what it needs to know of a code,

    s(z) = (1, z_i, z_i z_j)        or, of independent components, (1, z_i, z_i^2)

and its likeliest parameters follow from the mean of s(z). So a step is two products of
matrices: one gives the densities of all codes under all Gaussians, the other the means
that each Gaussian has of its share of the codes.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["GaussianParts", "likeliest_parts", "log_sum"]

# Steps at most, and the gain of the mean log-density below which no more are taken.
N_STEPS = 100
TOLERANCE = 1e-3

# Variance that a Gaussian has in any direction, codes being standardised.
LEAST_VARIANCE = 1e-6

# Codes that a Gaussian has at least, to divide by.
LEAST_COUNT = 10 * np.finfo(float).eps

# Numbers of all s(z) from which on they are found anew at each step, in pieces.
MANY_NUMBERS = 2**23

LOG_2PI = np.log(2 * np.pi)


class GaussianParts(NamedTuple):
    """A mixture of Gaussians.

    Attributes
    ----------
    shares : ndarray of shape (n_parts,)

    means : ndarray of shape (n_parts, n_components)

    covariances : ndarray of shape (n_parts, n_components, n_components)
        Or variances, of shape (n_parts, n_components).

    height : float
        Mean log-density of the codes that it was fitted to, a step before the last.
    """

    shares: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    height: float

    def log_density(self, codes):
        """Log-density of codes."""
        inverse = self._inverse_roots()
        logs = np.empty((len(codes), len(self.shares)))
        for number, (mean, root) in enumerate(zip(self.means, inverse, strict=True)):
            away = codes - mean
            away = away * root if root.ndim == 1 else away @ root.T
            logs[:, number] = (away**2).sum(axis=1) / -2
        return log_sum(logs + self._log_heights(inverse))[0]

    def slopes(self, i, j):
        """Log-density of each part as a linear function of (1, z, z_i z_j)."""
        inverse = self._inverse_roots()
        if inverse.ndim == 2:
            squares = inverse**2
            pulled = squares * self.means
        else:
            precision = np.swapaxes(inverse, 1, 2) @ inverse
            squares = precision[:, i, j] * np.where(i == j, 1.0, 2.0)
            pulled = (precision @ self.means[..., None])[..., 0]
        constant = self._log_heights(inverse) - (pulled * self.means).sum(axis=1) / 2
        return np.hstack([constant[:, None], pulled, squares / -2])

    def _inverse_roots(self):
        """Give the maps to the standard normal; factors, of independent components."""
        if self.covariances.ndim == 2:
            return 1 / np.sqrt(self.covariances)
        return np.linalg.inv(np.linalg.cholesky(self.covariances))

    def _log_heights(self, inverse):
        """Log-density of each part where it is highest, its share included."""
        if inverse.ndim == 3:
            inverse = np.diagonal(inverse, axis1=1, axis2=2)
        constant = self.means.shape[1] * LOG_2PI / 2
        return np.log(self.shares) + np.log(inverse).sum(axis=1) - constant


def likeliest_parts(codes, labels, n_parts, *, is_diagonal):
    """Find Gaussians under which codes are likeliest, from where labels put them.

    Parameters
    ----------
    codes : ndarray of shape (n_codes, n_components)
        Standardised.

    labels : ndarray of int of shape (n_codes,)
        Number of the Gaussian in which each code begins.

    n_parts : int

    is_diagonal : bool
        Whether the components are independent in each Gaussian.

    Returns
    -------
    GaussianParts
    """
    if n_parts == 1:
        return _likeliest_part(codes, is_diagonal=is_diagonal)
    statistics = _Statistics(codes, is_diagonal=is_diagonal)
    parts = statistics.likeliest(statistics.sums(np.eye(n_parts)[labels]), -np.inf)
    for _ in range(N_STEPS):
        before = parts.height
        parts = statistics.likeliest(*statistics.shared(parts))
        if abs(parts.height - before) < TOLERANCE:
            break
    return parts


def _likeliest_part(codes, *, is_diagonal):
    """Find the one Gaussian, of any number of components."""
    mean = codes.mean(axis=0)
    away = codes - mean
    if is_diagonal:
        covariance = (away**2).mean(axis=0) + LEAST_VARIANCE
    else:
        covariance = away.T @ away / len(codes) + LEAST_VARIANCE * np.eye(len(mean))
    parts = GaussianParts(np.ones(1), mean[None], covariance[None], np.nan)
    return parts._replace(height=parts.log_density(codes).mean())


class _Statistics:
    """What Gaussians need to know of codes: (1, z, z_i z_j) for pairs (i, j)."""

    def __init__(self, codes, *, is_diagonal):
        self.n_codes, self.n_components = codes.shape
        self.is_diagonal = is_diagonal
        each = np.arange(self.n_components)
        self.pairs = (each, each) if is_diagonal else np.triu_indices(self.n_components)
        n_numbers = self.n_codes * (1 + self.n_components + len(self.pairs[0]))
        self.pieces = np.array_split(codes, 1 + n_numbers // MANY_NUMBERS)
        self.kept = self._of(codes) if len(self.pieces) == 1 else None

    def _of(self, codes):
        i, j = self.pairs
        return np.hstack([np.ones((len(codes), 1)), codes, codes[:, i] * codes[:, j]])

    def __iter__(self):
        if self.kept is not None:
            return iter([self.kept])
        return map(self._of, self.pieces)

    def sums(self, shares):
        """Sum over codes, of which each Gaussian has some share."""
        split = np.array_split(shares, len(self.pieces))
        return sum(own.T @ some for own, some in zip(split, self, strict=True))

    def shared(self, parts):
        """Share codes between Gaussians by their densities: sums, and their mean."""
        slopes, sums, height = parts.slopes(*self.pairs), 0.0, 0.0
        for some in self:
            logs, shares = log_sum(some @ slopes.T)
            sums = sums + shares.T @ some
            height += logs.sum() / self.n_codes
        return sums, height

    def likeliest(self, sums, height):
        """Find the likeliest Gaussians of codes by their sums."""
        counts = sums[:, 0] + LEAST_COUNT
        means = sums[:, 1 : self.n_components + 1] / counts[:, None]
        squares = sums[:, self.n_components + 1 :] / counts[:, None]
        i, j = self.pairs
        spread = squares - means[:, i] * means[:, j]
        if self.is_diagonal:
            covariances = np.maximum(spread, 0) + LEAST_VARIANCE
        else:
            covariances = np.zeros((len(sums), self.n_components, self.n_components))
            covariances[:, i, j] = covariances[:, j, i] = spread
            covariances += LEAST_VARIANCE * np.eye(self.n_components)
        return GaussianParts(counts / counts.sum(), means, covariances, height)


def log_sum(logs):
    """Logarithm of the sum of each row's exponentials, and the share of each."""
    largest = logs.max(axis=1, keepdims=True)
    shares = np.exp(logs - largest)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    return (largest + np.log(total))[:, 0], shares
