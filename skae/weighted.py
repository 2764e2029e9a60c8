"""A weighted set: rows, how many times each counts, and of which class it is.

Before anything is learned, rows of weight 0 are dropped, equal rows are merged with
their weights added, and the result is put in an order that depends on its content
alone (:meth:`WeightedSet.distinct`). So a weight of 3 and three copies are the same
thing everywhere, in whatever order they came. Very many rows without weights are taken
as they come; of these, too, a duplicate never stands on both sides of a validation
split (:meth:`WeightedSet.split`).
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from .rows import (
    BLOCK_SIZE,
    RESIDENT_BYTES,
    as_array,
    block_slices,
    dense_blocks,
    sparse_blocks,
    take_rows,
)

__all__ = ["WeightedSet"]

# Without weights, sets of more rows than this are taken as they come: merging and
# sorting them would cost more than it gives.
CANONICAL_ROWS = 10_000

# A row whose copies, or weight, are more than this share of the rows to hold out is
# held out last.
MANY_COPIES = 0.1


@dataclass(frozen=True, eq=False)
class WeightedSet:
    """Rows, each of which counts so many times.

    Attributes
    ----------
    X : ndarray, CSR or tensor of shape (n_samples, n_features)

    weight : ndarray of shape (n_samples,)

    labels : ndarray of int of shape (n_samples,) or None
        Number of the class of each row. Equal rows of different classes are different
        rows.
    """

    X: Any
    weight: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self):
        return self.X.shape[0]

    @property
    def total(self):
        """How many rows they stand for."""
        return float(self.weight.sum())

    def take(self, index):
        """Take some rows by number: copied where that is cheap, else a view."""
        labels = None if self.labels is None else self.labels[index]
        return WeightedSet(take_rows(self.X, index), self.weight[index], labels)

    def present(self):
        """Drop weight 0."""
        return self if self.weight.all() else self.take(np.flatnonzero(self.weight))

    def merged(self, *, has_weights):
        """Take very many rows as they come, unless the user gave weights.

        Others are :meth:`distinct`.
        """
        if len(self) > CANONICAL_ROWS and not has_weights:
            return self.present()
        return self.distinct()

    def distinct(self):
        """Drop weight 0, merge equal rows, and put them in canonical order."""
        here = replace(self, X=as_array(self.X))
        keys, weight, labels = _row_keys(here.X), self.weight, self.labels
        order = np.argsort(keys, kind="stable")
        if labels is not None:
            order = order[np.argsort(labels[order], kind="stable")]
        order = order[weight[order] != 0]
        is_first = _differs_from_last(keys, order)
        if labels is not None:
            is_first[1:] |= np.diff(labels[order]) != 0
        total = np.add.reduceat(weight[order], np.flatnonzero(is_first))
        return replace(here.take(order[is_first]), weight=total)

    def without_copies(self):
        """Merge equal rows, and leave them in the order in which they first come."""
        marks = _row_marks(self.X)
        if self.labels is not None:
            marks = marks + self.labels
        _, first, copied = np.unique(marks, return_index=True, return_inverse=True)
        total, order = np.bincount(copied, weights=self.weight), np.argsort(first)
        return replace(self.take(first[order]), weight=total[order])

    def split(self, n_held_out, order):
        """Hold about so many out, the first in an order; of equal ones all or none.

        Parameters
        ----------
        n_held_out : int

        order : ndarray of int of shape (n_samples,)
            All row numbers. A row of so many copies, or of such a weight, that it would
            judge in place of all others is held out after those.

        Returns
        -------
        kept, out : row numbers, sorted; the second is empty where all rows are equal.
        """
        _, first, group, sizes = np.unique(
            _row_marks(self.X)[order],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        if len(first) == 1:
            return np.sort(order), order[:0]
        copies = np.bincount(group, weights=self.weight[order] / self.weight.mean())
        is_late = copies > MANY_COPIES * n_held_out
        ends = np.cumsum(sizes[np.lexsort((first, is_late))])
        order = order[np.lexsort((first[group], is_late[group]))]
        n_out = ends[max(np.searchsorted(ends, n_held_out, "right") - 1, 0)]
        return np.sort(order[n_out:]), np.sort(order[:n_out])


def _row_marks(X):
    """Give each row a number: equal rows the same, and others practically never.

    It takes one pass through rows of any kind, which are not copied. What is hashed are
    bytes: in a sum of values a column of 1e18 would be all that is seen. Each process
    has other numbers, so that all to be asked of them is which are equal.
    """
    if sp.issparse(X):
        rows = _sparse_bytes(X)
    else:  # of which -0.0 becomes 0.0
        rows = (row.tobytes() for _, block in dense_blocks(X) for row in block + 0.0)
    return np.fromiter(map(hash, rows), np.int64, X.shape[0])


def _differs_from_last(keys, order):
    """Say of each row, in order, whether it is another than the one before it."""
    differs = np.ones(len(order), dtype=bool)
    n_at_once = max(1, BLOCK_SIZE // keys.itemsize)
    for begin in range(1, len(order), n_at_once):
        some = keys[order[begin - 1 : begin + n_at_once]]
        differs[begin : begin + n_at_once] = some[1:] != some[:-1]
    return differs


def _row_keys(X):
    """One key per row: equal rows, equal keys, in the order of the rows' bytes."""
    if sp.issparse(X):
        return np.array(list(_sparse_bytes(X)), dtype=object)
    if X.flags.c_contiguous and not _has_negative_zeros(X):
        return _bytes_of_rows(X)
    return _row_ranks(X)


def _sparse_bytes(X):
    """Walk through sparse rows as bytes, which have the order of their dense copies.

    Of two rows the first column in which they differ decides, and there a zero, whose
    bytes are 0, comes first. All together are as large as the rows.
    """
    place = f">u{X.indices.itemsize}"
    kind = np.dtype([("columns_left", place), ("value", X.dtype)])
    for _, block in sparse_blocks(X):
        block.eliminate_zeros()
        entries = np.empty(block.nnz, dtype=kind)
        entries["columns_left"] = X.shape[1] - block.indices
        entries["value"] = block.data
        together, ends = entries.tobytes(), kind.itemsize * block.indptr.astype(int)
        yield from (together[a:b] for a, b in pairwise(ends))


def _row_ranks(X):
    """Give rows numbers in the order of their bytes; -0.0 is 0.0, and equal rows equal.

    Some columns are copied after others, and no more than tell all rows apart.
    """
    rank = np.zeros(len(X), dtype=np.int64)
    width = max(1, RESIDENT_BYTES // (len(X) * X.dtype.itemsize))
    for begin in range(0, X.shape[1], width):
        some = np.array(X[:, begin : begin + width], order="C")
        some += 0  # -0.0 becomes 0.0
        rank = _ranks(rank * len(X) + _ranks(_bytes_of_rows(some)))
        if rank.max() == len(X) - 1:
            break
    return rank


def _ranks(keys):
    """Give keys numbers in their order, equal ones the same."""
    order = np.argsort(keys, kind="stable")
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[order] = np.cumsum(_differs_from_last(keys, order)) - 1
    return ranks


def _bytes_of_rows(X):
    """View each row as one string of bytes."""
    return X.view(np.dtype((np.void, X.dtype.itemsize * X.shape[1]))).ravel()


def _has_negative_zeros(X):
    if X.dtype.kind != "f":
        return False
    blocks = map(X.__getitem__, block_slices(X))
    return any((np.signbit(block) & (block == 0)).any() for block in blocks)
