"""How many: the codes that a density is fitted to, and the Gaussians they support."""

import numpy as np

__all__ = [
    "MAX_CODES",
    "MAX_KERNELS",
    "MIXTURE_SIZES",
    "at_steps",
    "most_gaussians",
    "most_parts",
    "representatives",
]

# Codes that an estimator keeps, to fit a density to them when it is asked for one.
MAX_CODES = 10_000

# Codes that may have a Gaussian each.
MAX_KERNELS = 1000

# Numbers of Gaussians that are tried, one after the other.
MIXTURE_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

# A Gaussian is supported by at least so many codes. All searches together may find so
# many, and one for so many of ``MAX_CODES`` per component.
CODES_PER_GAUSSIAN, MOST_PARTS, CODES_PER_COMPONENT = 2, 160, 5


def most_gaussians(n_components, n_codes):
    """Largest number of Gaussians that are fitted to so many codes."""
    supported = min(n_codes // CODES_PER_GAUSSIAN, most_parts(n_components))
    return max(size for size in MIXTURE_SIZES if size <= max(1, supported))


def most_parts(n_components):
    """Largest number of Gaussians that several searches may find in all."""
    supported = max(1, MAX_CODES // (CODES_PER_COMPONENT * n_components))
    return min(supported, MOST_PARTS)


def representatives(weight):
    """Numbers of at most ``MAX_CODES`` rows that stand for weighted ones.

    Integer weights repeat a row; otherwise, and beyond the limit, rows are taken at
    equal steps of the cumulated weight, the lightest first: as many as there are rows,
    or as they weigh together.
    """
    total = weight.sum()
    if total <= MAX_CODES and np.all(weight == np.round(weight)):
        return np.repeat(np.arange(len(weight)), weight.astype(int))
    n_marks = min(MAX_CODES, max(len(weight), round(total)))
    marks = (np.arange(n_marks) + 0.5) * (total / n_marks)
    order = np.argsort(weight, kind="stable")
    chosen = np.searchsorted(np.cumsum(weight[order]), marks)
    return np.sort(order[np.minimum(chosen, len(weight) - 1)])


def at_steps(n_codes, most, shift=0.0):
    """Numbers of at most so many codes, at equal steps, shifted by a share of one."""
    if n_codes <= most:
        return np.arange(n_codes)
    return ((np.arange(most) + shift) * (n_codes / most)).astype(int)
