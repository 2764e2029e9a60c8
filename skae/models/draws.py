"""Draws of codes: a table of them, and how many are decoded together."""

import math

import numpy as np
import torch
from scipy.stats import norm, qmc

from skae.normal import whitened

__all__ = ["MOST_ROWS", "draw_table", "most_draws", "most_rows"]

# Numbers that the decoded draws of some rows may take.
DECODED_NUMBERS = 2**22

# At most so many rows are decoded together, whatever the number of rows: results must
# not depend on it.
MOST_ROWS = 64

# A scrambled Sobol point, a multiple of 2**-30, may be 0, whose quantile is not finite.
LEAST_UNIFORM = 2.0**-31

# Draws for each component from which on a table of them has exact moments.
ENOUGH_DRAWS = 4


def draw_table(n_draws, n_components, seed):
    """Draw from the standard normal so that the draws cover their space evenly.

    Where there are enough, their mean is 0 and their covariance the identity, so that
    means over them of whatever is quadratic in a code are exact.
    """
    sobol = qmc.Sobol(n_components, rng=seed)
    uniform = sobol.random_base2(math.ceil(math.log2(n_draws)))[:n_draws]
    draws = norm.ppf(np.maximum(uniform, LEAST_UNIFORM))
    if n_draws >= ENOUGH_DRAWS * n_components:
        draws -= draws.mean(axis=0)
        root = np.linalg.cholesky(draws.T @ draws / n_draws)
        draws = whitened(root, draws)
    return torch.from_numpy(np.ascontiguousarray(draws))


def most_draws(x, n_each=1):
    """Draws, or sets of so many, that are decoded together for each of some rows."""
    return max(1, DECODED_NUMBERS // (x.numel() * n_each))


def most_rows(n_numbers):
    """Rows that are decoded together, each to so many numbers: a power of 2."""
    size = MOST_ROWS
    while size > 1 and size * n_numbers > DECODED_NUMBERS:
        size //= 2
    return size
