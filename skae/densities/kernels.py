"""Kernels: a Gaussian about each of some codes, all of one covariance.

    p(z) = 1/m sum_j N(z; c_j, H)

H is that under which each code is likeliest by the Gaussians about the others. With
r_ij the share of Gaussian j in their density at code i it obeys

    H = 1/m sum_ij r_ij (c_i - c_j) (c_i - c_j)'

which, put into itself again and again, is expectation and maximisation (Leiva-Murillo &
Artés-Rodríguez, 2012). Where rows come in near-copies it is narrow in all directions,
and where codes lie near a surface it is narrow across it.
"""

from typing import NamedTuple

import numpy as np

from skae.normal import LOG_2PI, whitened

__all__ = ["KernelSearch", "relative_weights"]

# Steps at most, and what a code has to gain by one, in nats, for another.
N_STEPS = 50
TOLERANCE = 1e-3

# Variance that a Gaussian has in any direction, codes being standardised.
LEAST_VARIANCE = 1e-6

# The logarithm of a share that changes no sum. To find that smaller ones are too small
# for a number takes four times as long.
NEGLIGIBLE = -100.0


class Kernels(NamedTuple):
    """A Gaussian about each of some codes.

    Attributes
    ----------
    codes : ndarray of shape (n_codes, n_components)

    covariance : ndarray of shape (n_components, n_components)
        That of each.
    """

    codes: np.ndarray
    covariance: np.ndarray

    def score_samples(self, codes):
        """Log-density of codes."""
        root = np.linalg.cholesky(self.covariance)
        logs = _log_products(whitened(root, codes), whitened(root, self.codes))
        _, total, largest = relative_weights(logs)
        logs = largest + np.log(total) - _squares(whitened(root, codes)) / 2
        return logs + _log_constant(root, len(self.codes))


class KernelSearch:
    """Finds the covariance by which each code is likeliest, given all others.

    The first search begins at Scott's rule, each other at what the one before found.
    """

    def __init__(self):
        self._covariance = None

    def __call__(self, codes, rows, *, is_diagonal):
        """Find the covariance about each of some codes.

        Parameters
        ----------
        codes : ndarray of shape (n_codes, n_components)
            Standardised.

        rows : ndarray of int of shape (n_codes,)
            Number of the row that each code is of; the others are those of other rows.
            Where there are none the covariance is the least that there is.

        is_diagonal : bool
            Whether the components are independent.

        Returns
        -------
        Kernels
        """
        n_codes, n_components = codes.shape
        is_same_row = np.nonzero(rows[:, None] == rows)
        if len(is_same_row[0]) == n_codes**2:
            return Kernels(codes, LEAST_VARIANCE * np.eye(n_components))
        covariance = self._covariance
        if covariance is None:
            covariance = np.eye(n_components) * n_codes ** (-2 / (n_components + 4))
        score = -np.inf
        for _ in range(N_STEPS):
            if is_diagonal:
                covariance = np.diag(np.diag(covariance))
            kept, before = covariance, score
            score, covariance = _step(codes, is_same_row, kept)
            if score - before < TOLERANCE:
                break
        self._covariance = kept
        return Kernels(codes, kept)


def _step(codes, is_same_row, covariance):
    """Mean log-density of codes given the others, and the next covariance."""
    root = np.linalg.cholesky(covariance)
    white = whitened(root, codes)
    logs = _log_products(white, white)
    logs[is_same_row] = -np.inf
    weights, total, largest = relative_weights(logs)
    logs = largest + np.log(total) - _squares(white) / 2
    score = logs.mean() + _log_constant(root, len(codes))
    following = _mean_square(codes, weights, total)
    return score, following + LEAST_VARIANCE * np.eye(len(root))


def _squares(white):
    return (white**2).sum(axis=1)


def _log_constant(root, n_codes):
    """Logarithm of what each Gaussian is multiplied by."""
    volume = np.log(np.diag(root)).sum() + len(root) * LOG_2PI / 2
    return -volume - np.log(n_codes)


def _log_products(white, centres):
    """``z'c - c^2 / 2``: log-densities but for what is the same for all Gaussians."""
    offset = _squares(centres)[:, None] / -2
    codes = np.hstack([white, np.ones((len(white), 1))])
    return codes @ np.hstack([centres, offset]).T


def relative_weights(logs):
    """Exponentials of each row over the largest, in place of logs; sum, and largest."""
    largest = logs.max(axis=1)
    logs -= largest[:, None]
    weights = np.exp(np.maximum(logs, NEGLIGIBLE, out=logs), out=logs)
    return weights, weights.sum(axis=1), largest


def _mean_square(codes, weights, total):
    """Mean of ``(c_i - c_j) (c_i - c_j)'`` over i, and over j by its weight."""
    both = codes.T @ ((weights @ codes) / total[:, None])
    own = codes.T @ (codes * (1 + (1 / total) @ weights)[:, None])
    return (own - both - both.T) / len(codes)
