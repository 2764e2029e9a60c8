"""Kernels: a Gaussian about each of some codes, all of one covariance.

    p(z) = 1/m sum_j N(z; c_j, H)

H is that under which each code is likeliest by the Gaussians about the others. With
r_ij the share of Gaussian j in their density at code i it obeys

    H = 1/m sum_ij r_ij (c_i - c_j) (c_i - c_j)'

which, put into itself again and again, is expectation and maximisation (Leiva-Murillo &
Artés-Rodríguez, 2012). Where rows come in near-copies it is narrow in all directions,
and where codes lie near a surface it is narrow across it.
"""

import numpy as np

__all__ = ["kernel_covariance"]

# Steps at most, and what a code has to gain by one, in nats, for another.
N_STEPS = 50
TOLERANCE = 1e-3

# Variance that a Gaussian has in any direction, codes being standardised.
LEAST_VARIANCE = 1e-6


def kernel_covariance(codes, rows, *, is_diagonal):
    """Find the covariance by which each code is likeliest, given all others.

    Parameters
    ----------
    codes : ndarray of shape (n_codes, n_components)
        Standardised, and of two rows at least.

    rows : ndarray of int of shape (n_codes,)
        Number of the row that each code is of; the others are those of other rows.

    is_diagonal : bool
        Whether the components are independent.

    Returns
    -------
    ndarray of shape (n_components, n_components)
    """
    n_codes, n_components = codes.shape
    is_same_row = rows[:, None] == rows
    # Scott's rule.
    covariance = np.eye(n_components) * n_codes ** (-2 / (n_components + 4))
    height = -np.inf
    for _ in range(N_STEPS):
        root = np.linalg.cholesky(covariance)
        share, heights = _shares(np.linalg.solve(root, codes.T).T, is_same_row)
        before, height = height, heights.mean() - np.log(np.diag(root)).sum()
        if height - before < TOLERANCE:
            break
        covariance = _mean_square(codes, share)
        if is_diagonal:
            covariance = np.diag(np.diag(covariance))
        covariance += LEAST_VARIANCE * np.eye(n_components)
    return covariance


def _shares(whitened, is_same_row):
    """Share of each other code in the density at a code, and its log-density."""
    squares = (whitened**2).sum(axis=1)
    logs = whitened @ whitened.T - squares / 2
    logs[is_same_row] = -np.inf
    largest = logs.max(axis=1, keepdims=True)
    weights = np.exp(logs - largest)
    total = weights.sum(axis=1, keepdims=True)
    return weights / total, largest[:, 0] + np.log(total[:, 0]) - squares / 2


def _mean_square(codes, share):
    """Mean of ``(c_i - c_j) (c_i - c_j)'`` over i, and over j by its share."""
    both = codes.T @ (share @ codes)
    own = codes.T @ (codes * (1 + share.sum(axis=0))[:, None])
    return (own - both - both.T) / len(codes)
