"""Rows: any input as float32 batches on the device, measured from an origin.

Rows are a *weighted set*. Before anything is learned, rows of weight 0 are dropped,
equal rows are merged with their weights added, and the result is put in an order that
depends on its content alone (:func:`merge_rows`). So a weight of 3 and three copies
are the same thing everywhere, in whatever order they came, and a duplicate never
stands on both sides of a validation split.

The origin (the column means for a Gaussian) is subtracted in the input's own
precision, before anything becomes float32: a column with mean 1e8 and unit spread
keeps its digits.
"""

from itertools import pairwise

import numpy as np
import scipy.sparse as sp
import torch

__all__ = ["Rows", "dense_blocks", "merge_rows", "take_rows", "weighted_moments"]

# Rows that take at most so many bytes as float32 are copied once, measured from the
# origin; larger ones stay where and as they are and are converted batch by batch.
RESIDENT_BYTES = 2**27

# About how many numbers one block holds when rows are walked through.
BLOCK_SIZE = 2**20


def merge_rows(X, weight):
    """Turn rows into a set: weight 0 dropped, equal rows merged, in canonical order.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)

    weight : ndarray of shape (n_samples,)

    Returns
    -------
    X, weight : the distinct rows, and the sum of the weights of each.
    """
    present = np.flatnonzero(weight)
    keys = _row_keys(X)[present]
    order = np.argsort(keys, kind="stable")
    keys, present = keys[order], present[order]
    is_first = np.ones(len(keys), dtype=bool)
    is_first[1:] = keys[1:] != keys[:-1]
    merged_weight = np.add.reduceat(weight[present], np.flatnonzero(is_first))
    return X[present[is_first]], merged_weight


def _row_keys(X):
    """One byte string per row: equal rows, equal strings."""
    if sp.issparse(X):
        X = sp.csr_array(X, copy=True)
        X.sum_duplicates()
        X.eliminate_zeros()
        ends = X.indptr
        keys = [
            X.indices[a:b].astype(np.int64).tobytes() + X.data[a:b].tobytes()
            for a, b in pairwise(ends)
        ]
        return np.array(keys, dtype=object)
    X = np.ascontiguousarray(X)
    if X.dtype.kind == "f":
        X = X + 0.0  # -0.0 and 0.0 are the same value
    return X.view(np.dtype((np.void, X.dtype.itemsize * X.shape[1]))).ravel()


class Rows:
    """A weighted set of rows, served as float32 batches measured from an origin.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)

    weight : ndarray of shape (n_samples,)

    origin : ndarray of shape (n_features,)
        What is subtracted from each row, in the precision of X.

    device : torch.device
        Where the batches are wanted.
    """

    def __init__(self, X, weight, origin, device):
        self.n_features = X.shape[1]
        self.device = device
        self.weight = torch.from_numpy(np.asarray(weight / weight.mean(), np.float32))
        self.weight = self.weight.to(device)
        self._X = X
        self._origin = origin.astype(floating_type(X.dtype))
        self._resident = None
        if X.shape[0] * X.shape[1] * 4 <= RESIDENT_BYTES:
            self._resident = self._read(slice(None))

    def __len__(self):
        return self._X.shape[0]

    def _read(self, index):
        block = dense_block(self._X, index) - self._origin
        return torch.from_numpy(block.astype(np.float32, copy=False)).to(self.device)

    def take(self, index):
        """Rows by number, as a float32 tensor on the device.

        Parameters
        ----------
        index : torch.Tensor of int64, on the CPU
        """
        if self._resident is not None:
            return self._resident.index_select(0, index.to(self.device))
        return self._read(index.numpy())

    def mean(self, values):
        """Weighted mean of one value per row."""
        return (values @ self.weight.to(values.dtype)).item() / len(self)

    def blocks(self):
        """Walk through all rows, some at a time."""
        size = max(1, BLOCK_SIZE // self.n_features)
        for index in torch.arange(len(self)).split(size):
            yield self.take(index)


class RowView:
    """Some rows of a large matrix, read when they are asked for."""

    def __init__(self, X, index):
        self._X, self._index = X, index
        self.shape = (len(index), X.shape[1])
        self.dtype = X.dtype

    def __getitem__(self, index):
        return self._X[self._index[index]]


def take_rows(X, index):
    """Rows by number: copied where that is cheap, else a view."""
    if sp.issparse(X) or len(index) * X.shape[1] * X.dtype.itemsize <= RESIDENT_BYTES:
        return X[index]
    return X if len(index) == X.shape[0] else RowView(X, index)


def dense_block(X, index):
    """Read some rows as a dense array of a floating type."""
    block = X[index]
    if sp.issparse(block):
        block = block.toarray()
    return np.asarray(block, dtype=floating_type(X.dtype))


def floating_type(dtype):
    """Type in which rows are centred, and in which results come back.

    uint8 gives float32, since images are kept small; any other integer gives float64,
    as in scikit-learn's PCA.
    """
    return np.float32 if dtype in (np.float32, np.uint8) else np.float64


def dense_blocks(X):
    """Walk through a matrix of any kind: pairs of a slice and a dense float64 block."""
    size = max(1, BLOCK_SIZE // X.shape[1])
    for start in range(0, X.shape[0], size):
        where = slice(start, start + size)
        yield where, dense_block(X, where).astype(np.float64, copy=False)


def weighted_moments(X, weight):
    """Column means and variances of a weighted set, divided by the sum of weights.

    Returns
    -------
    mean, variance : ndarray of shape (n_features,)
        In float64. The variance is found in a second pass, about the mean.
    """
    total = weight.sum()
    mean = np.zeros(X.shape[1])
    for where, block in dense_blocks(X):
        mean += weight[where] @ block
    mean /= total
    variance = np.zeros(X.shape[1])
    for where, block in dense_blocks(X):
        block = block - mean
        variance += weight[where] @ (block * block)
    return mean, variance / total
