"""Tables whose columns are continuous, so that a density of them can be compared.

Where a column has few values, or follows from the others, a density has no bound: the
model that puts a narrower peak there wins. So the tables are prepared as is usual for
densities of tables (Papamakarios, Pavlakou & Murray, 2017): discrete columns are left
out, and of two that are correlated by more than 0.98 the latter; to a column whose
values lie on a grid uniform noise of the grid's width is added, to training and test
rows alike. By that a log-density is a lower bound of the logarithm of the probability
of the grid's cell (Theis, van den Oord & Bethge, 2016).
"""

import numpy as np

__all__ = ["FEWEST_COLUMNS", "continuous"]

# A column is discrete if one value has more than this share of the training rows.
LARGEST_SHARE = 0.1

# Of two columns that are correlated by more than this one is left out.
LARGEST_CORRELATION = 0.98

# Tables of fewer columns than this are left out.
FEWEST_COLUMNS = 3


def continuous(X, X_test, seed):
    """Give the continuous columns of a table, standardised on the training rows.

    Parameters
    ----------
    X, X_test : ndarray of shape (n_rows, n_columns)
        Rows as they were measured.

    seed : int
        Of the noise.

    Returns
    -------
    X, X_test : ndarray of shape (n_rows, n_kept)
        There may be no column left.
    """
    kept: list = []
    for j in range(X.shape[1]):
        _, counts = np.unique(X[:, j], return_counts=True)
        is_discrete = counts.max() > LARGEST_SHARE * len(X)
        if not (is_discrete or _is_like_one_of(X, j, kept)):
            kept.append(j)
    rng = np.random.default_rng(seed)
    both = np.vstack([X, X_test])[:, kept]
    for column in both.T:
        column += _grid_of(column) * rng.random(len(column))
    train, test = both[: len(X)], both[len(X) :]
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / deviation, (test - mean) / deviation


def _is_like_one_of(X, j, kept):
    """Whether a column is nearly a multiple of another."""
    if not kept:
        return False
    correlations = np.corrcoef(X[:, [*kept, j]], rowvar=False)[-1, :-1]
    return bool((np.abs(correlations) > LARGEST_CORRELATION).any())


def _grid_of(column):
    """Width of the grid on which values lie; 0 where none repeats."""
    values = np.unique(column)
    return np.diff(values).min() if len(values) < len(column) else 0.0
