"""What "auto" means: rules that follow the number of rows n and of columns p.

And, for the likelihood, what the columns hold.
"""

import math
from collections import deque

import numpy as np
import scipy.sparse as sp

from skae.rows import RESIDENT_BYTES, dense_blocks, sparse_blocks, weighted_moments

__all__ = [
    "auto_alpha",
    "auto_batch_size",
    "auto_hidden_layer_sizes",
    "auto_learning_rate",
    "auto_likelihood",
    "auto_max_iter",
    "auto_patience",
    "auto_reach",
    "auto_refinements",
    "auto_validation_rows",
]

# Number of updates that a fit may take before the largest number of epochs is reached.
UPDATES = 6000

# Number of updates that may pass without a gain.
IDLE_UPDATES = 300

# Number of values that a fit of so many rows may read.
VALUES, FEW_ROWS = 5 * 10**7, 2000

# Number of values, or of rows, from which on layers are wide; with so many values
# their weights decay.
MANY_VALUES = 5_000_000
MANY_ROWS = 10_000
WEIGHT_DECAY = 0.2

# Steps by which codes are refined, up to so many values.
REFINEMENTS, REFINED_VALUES = 5, 10**7

# How far beyond the codes of its rows a decoder sees, in their ranges, where there are
# so many rows for each column.
REACH, ROWS_PER_COLUMN = 10.0, 20

# Counts may vary less than Poisson's by so many deviations of what chance gives.
DEVIATIONS = 2.0

# Values of 2 or more that Poisson's counts would have had, in a column of 0 and 1 that
# may be one of them all the same: at most so many.
EXPECTED = 3.0

# Share of the whole columns that have to be counts where a table is of counts, and of
# all columns.
MOSTLY, SOME = 0.9, 0.1

# Likelihoods, and what they are of.
OF_KINDS = {
    "gaussian_diag": ("real", "whole"),
    "negative_binomial": ("count",),
    "bernoulli": ("flag", "rare"),
}


def auto_hidden_layer_sizes(n_rows, n_features):
    """Two layers, 256 and 128 wide.

    From 10,000 rows or 5 million values on, 512 and 256.
    """
    has_many = n_rows >= MANY_ROWS or n_rows * n_features >= MANY_VALUES
    return (512, 256) if has_many else (256, 128)


def auto_alpha(n_rows, n_features):
    """Let weights decay from 5 million values on; below, stopping early is enough."""
    return WEIGHT_DECAY if n_rows * n_features >= MANY_VALUES else 0.0


def auto_batch_size(n_rows):
    """Take a 16th of the rows as a power of two, between 32 and 256."""
    return min(max(2 ** round(math.log2(n_rows / 16)), 32), 256)


def auto_learning_rate(usual, n_features, *, decays):
    """Double a solver's usual rate for up to 100 columns, and where weights decay."""
    return 2 * usual if n_features <= 100 or decays else usual


def auto_validation_rows(n_rows, n_components):
    """Hold out a third of the rows, at most 500; a tenth, at most 5,000, above that.

    Fewer could not tell a network from its start, and where rows are few a second
    training uses them all. Where there is hardly a row for each component, those left
    could not tell a start either: two for each are left, if that is more than a tenth.
    """
    tenth, third = math.ceil(n_rows / 10), math.ceil(n_rows / 3)
    return min(max(tenth, min(third, n_rows - 2 * n_components, 500)), 5000)


def auto_max_iter(n_rows, n_features, batch_size):
    """As many epochs as make 6,000 updates, between 20 and 300; fewer of many columns.

    Up to 2,000 rows 50 million values may be read in all, and in proportion above.
    """
    n_batches = math.ceil(n_rows / batch_size)
    usual = min(max(math.ceil(UPDATES / n_batches), 20), 300)
    n_values = VALUES * max(1, n_rows / FEW_ROWS)
    return min(usual, max(3, round(n_values / (n_rows * n_features))))


def auto_patience(n_rows, batch_size):
    """As many epochs as make 300 updates, between 10 and 25.

    Epochs of few rows are of few updates, which give little to judge by.
    """
    n_batches = math.ceil(n_rows / batch_size)
    return min(max(math.ceil(IDLE_UPDATES / n_batches), 10), 25)


def auto_refinements(n_rows, n_features):
    """Five steps up to 10 million values; none of more.

    An encoder that has seen many rows puts others of their kind where it should, and of
    many columns a step takes long.
    """
    return REFINEMENTS if n_rows * n_features <= REFINED_VALUES else 0


def auto_reach(n_rows, n_features):
    """Let a decoder see beyond the codes of its rows, from 20 for each column on.

    Rows out there are then rebuilt better on most tables, if not those that PCA
    rebuilds exactly. Of fewer rows it has not learned how their columns go on.
    """
    return REACH if n_rows >= ROWS_PER_COLUMN * n_features else 0.0


def auto_likelihood(X, weight=None):
    """Look at the columns: a list of pairs of a likelihood's name and its columns.

    Columns that follow one another, are 0 or 1, and of which exactly one is 1 in each
    row, are a category; other columns of 0 and 1 are Bernoulli. Whole numbers from 0
    on that vary no less than Poisson's, but for chance, are counts. Anything else is
    Gaussian, with a noise per column.

    Where nothing but counts is left, and columns of 0 and 1 so rare that a 2 need not
    have been seen, all are counts: with a size per row, unless rows have classes.
    """
    kinds = _kinds(X, np.ones(X.shape[0]) if weight is None else weight)
    groups = _one_hot_groups(X, np.isin(kinds, ("flag", "rare")))
    kinds[[j for group in groups for j in group]] = "categorical"
    if _are_counts(kinds):
        return "negative_binomial"
    chosen = [
        (name, np.flatnonzero(np.isin(kinds, own)).tolist())
        for name, own in OF_KINDS.items()
        if np.isin(own, kinds).any()
    ]
    if len(chosen) == 1 and not groups:
        return chosen[0][0]
    return chosen + [("categorical", group) for group in groups]


def _n_rows(weight):
    """Count rows by their weights; by Kish's number where weights are shares."""
    relative = weight / weight.max()  # whose squares neither overflow nor vanish
    return max(weight.sum(), relative.sum() ** 2 / np.square(relative).sum())


def _are_counts(kinds):
    """Whether a table is one of counts, a few of which vary less by chance."""
    n_counts, n_whole = (kinds == "count").sum(), (kinds == "whole").sum()
    n_rare = (kinds == "rare").sum()
    is_all = n_counts + n_whole + n_rare == len(kinds)
    return is_all and n_counts >= max(MOSTLY * (n_counts + n_whole), SOME * len(kinds))


def _kinds(X, weight):
    """Say what columns hold: flags, rare events, counts, whole or real numbers."""
    n_rows = _n_rows(weight)
    n_not_zero, n_not_flags, n_not_whole = _counted(X)
    is_flag, is_real = n_not_flags == 0, n_not_whole > 0
    # Of columns that hold something else what follows says nothing.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        mean, variance = weighted_moments(X, weight / weight.max())
        # Of Poisson's counts, P(x >= 2) = 1 - exp(-m) - m exp(-m).
        n_beyond = n_rows * (-np.expm1(-mean) - mean * np.exp(-mean))
        # The variance of a variance of Poisson's counts, by the square of their mean.
        chance = np.sqrt(2 / n_rows + 1 / (n_rows * mean))
        is_varied = variance >= mean * (1 - DEVIATIONS * chance)
    is_rare, is_count = n_beyond < EXPECTED, is_varied & (n_not_zero < X.shape[0])
    return np.select(
        [is_flag & is_rare, is_flag, is_real, is_count],
        ["rare", "flag", "real", "count"],
        "whole",
    )


def _counted(X):
    """Count, in each column, what is not 0, neither 0 nor 1, and no whole number.

    A negative number is none either. Nothing of that is true of a zero, so of sparse
    rows those that are not stored are not looked at.
    """
    n_columns = X.shape[1]
    counts = np.zeros((3, n_columns), dtype=np.int64)
    if sp.issparse(X):
        for _, block in sparse_blocks(X):
            found = [block.indices[where] for where in _others(block.data)]
            counts += [np.bincount(column, minlength=n_columns) for column in found]
    else:
        for _, block in dense_blocks(X):
            counts += [where.sum(axis=0) for where in _others(block)]
    return counts


def _others(values):
    """Say which values are not 0, which are neither 0 nor 1, which are not whole."""
    is_other = values != 0
    yield is_other
    yield is_other & (values != 1)
    yield (values < 0) | (values != np.floor(values))


def _one_hot_groups(X, is_binary):
    """Find runs of binary columns of which exactly one is 1 in each row."""
    groups: list = []
    run: deque = deque()
    is_one = np.zeros(X.shape[0], dtype=bool)  # of some column of the run
    for j, ones in _ones(X, is_binary):
        is_next = bool(run) and run[-1][0] == j - 1
        while run and (not is_next or is_one[ones].any()):
            is_one[run.popleft()[1]] = False
        run.append((j, ones))
        is_one[ones] = True
        if len(run) > 1 and is_one.all():
            groups.append([number for number, _ in run])
            run.clear()
            is_one[:] = False
    return groups


def _ones(X, is_binary):
    """Walk through binary columns: pairs of a number, and the rows that have a 1.

    Of dense rows as many columns are copied at a time as are kept; one by one, each
    would be read from all over the memory.
    """
    if sp.issparse(X):
        by_column = sp.csc_array(X)
        by_column.sum_duplicates()
        by_column.eliminate_zeros()
        rows_of = np.split(by_column.indices, by_column.indptr[1:-1])
        yield from ((j, rows_of[j]) for j in np.flatnonzero(is_binary))
        return
    width = max(1, RESIDENT_BYTES // (X.shape[0] * X.dtype.itemsize))
    for begin in range(0, X.shape[1], width):
        binary = np.flatnonzero(is_binary[begin : begin + width])
        if len(binary):
            some = np.array(X[:, begin : begin + width], order="F")
            yield from ((begin + j, np.flatnonzero(some[:, j])) for j in binary)
