"""Rows: any input as float32 batches on the device, measured from an origin.

The origin (the column means for a Gaussian) is subtracted in the input's own
precision, before anything becomes float32: a column with mean 1e8 and unit spread
keeps its digits.

Rows are read where they lie: an array, a memory map, a sparse matrix or a tensor on
any device is never copied whole, unless it is small, or goes to a GPU that has room
for it. What is too large to keep is read one batch ahead of the training.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch

from .device import CopyStream, generator_from, widest_dtype

__all__ = [
    "BLOCK_SIZE",
    "RESIDENT_BYTES",
    "DrawnRows",
    "Rows",
    "SeenRows",
    "as_array",
    "block_slices",
    "centred_rows",
    "dense_blocks",
    "evenly",
    "few_if_wide",
    "floating_type",
    "is_mostly_zero",
    "measured",
    "placed",
    "sparse_blocks",
    "stacked",
    "take_rows",
    "weighted_mean",
    "weighted_moments",
]

# Rows that take at most so many bytes as float32 are copied once, measured from the
# origin; larger ones stay where and as they are and are converted batch by batch.
RESIDENT_BYTES = 2**27

# Dense rows that would take more bytes than this as float32 are shuffled in runs of
# neighbours, so that a disk is read in pieces: runs of about RUN_BYTES in random order,
# then the rows of many runs, RESIDENT_BYTES together, among themselves.
SHUFFLED_BYTES = 2**30
RUN_BYTES = 2**18

# Share of a GPU's free memory that rows may take, in their own type.
DEVICE_SHARE = 0.5

# Share of nonzero values up to which a sparse matrix is multiplied as such.
SPARSE_SHARE = 0.3

# Degrees of freedom of a mean, at least: one row has none, and no error either.
LEAST_FREE = 1e-9

# About how many numbers one block holds when rows are walked through.
BLOCK_SIZE = 2**20

# Most numbers in rows that are handled together. Of very wide rows at least
# FEWEST_TOGETHER are: the model, as wide, takes more memory than they do.
NUMBERS_TOGETHER = 2**22
FEWEST_TOGETHER = 64


class Rows:
    """Weighted rows, served as float32 batches measured from an origin.

    Parameters
    ----------
    X : ndarray, CSR or tensor of shape (n_samples, n_features)

    weight : ndarray of shape (n_samples,)

    origin : ndarray of shape (n_features,)
        What is subtracted from each row, in the precision of X.

    device : torch.device
        Where the batches are wanted.

    labels : ndarray of int of shape (n_samples,), optional
        Stand beside the rows, as one more column.
    """

    def __init__(self, X, weight, origin, device, labels=None):
        self.n_features = X.shape[1]
        self.device = device
        relative = np.asarray(weight / weight.mean(), np.float32)
        self.weight = torch.from_numpy(relative)
        self.weight = self.weight.to(device)
        self._X = X
        self._given_weight = weight
        self._labels = labels
        self._origin = origin.astype(floating_type(X))
        self._copies = CopyStream(device)
        self._resident = None
        if _float32_bytes(X) <= RESIDENT_BYTES:
            self._resident = self._take(slice(None))

    def __len__(self):
        return self._X.shape[0]

    def _read(self, index):
        """Measure some rows from the origin, where they lie."""
        block = measured(self._X[index], self._origin).to(torch.float32)
        if self._labels is not None:
            labels = torch.from_numpy(self._labels[index]).to(block)
            block = torch.cat([block, labels[:, None]], dim=1)
        return block

    def _begin_copy(self, index):
        """Read rows by number, and begin to copy them to the device."""
        return self._copies.begin(lambda: self._read(index))

    def _take(self, index):
        """Read rows by number, and have them on the device."""
        return self._copies.end(*self._begin_copy(index))

    def take(self, index):
        """Rows by number, as a float32 tensor on the device.

        Parameters
        ----------
        index : slice, or torch.Tensor of int64
            On the CPU, unless the rows lie on the device.
        """
        if self._resident is None:
            return self._take(index if isinstance(index, slice) else index.numpy())
        if isinstance(index, slice):
            return self._resident[index]
        return self._resident.index_select(0, index.to(self.device))

    def some(self, size):
        """Take so many rows at most, at equal steps, with their weights."""
        index = torch.from_numpy(evenly(len(self), size))
        return self.take(index), self.weight[index.to(self.device)]

    def mean(self, values):
        """Weighted mean of one value per row."""
        return (values @ self.weight.to(values.dtype)).item() / len(self)

    @property
    def n_effective(self):
        """So many rows of equal weight tell as much (Kish, 1965)."""
        return len(self) ** 2 / self.weight.square().sum().item()

    def mean_and_error(self, values):
        """Weighted mean of one value per row, and its standard error.

        A row that weighs as many is one draw all the same: its deviation counts with
        the square of its weight.
        """
        mean, n_rows = self.mean(values), self.n_effective
        squares = self.mean(self.weight * (values - mean) ** 2) / len(self)
        return mean, (squares * n_rows / max(n_rows - 1, LEAST_FREE)) ** 0.5

    def blocks(self):
        """Walk through all rows, some at a time."""
        return (block for block, _ in self.weighted_blocks())

    def weighted_blocks(self):
        """Walk through all rows and their weights, which are 1 on average."""
        for some in self._slices():
            yield self.take(some), self.weight[some]

    def counted_blocks(self):
        """Walk through all rows and how many times each counts, in the widest type."""
        dtype = widest_dtype(self.device)
        for some in self._slices():
            count = self._given_weight[some]
            yield self.take(some), torch.tensor(count, dtype=dtype, device=self.device)

    def _slices(self):
        size = max(1, BLOCK_SIZE // self.n_features)
        return (slice(i, i + size) for i in range(0, len(self), size))

    def order(self, generator):
        """Shuffled row numbers; those of very many rows stay near their neighbours."""
        if sp.issparse(self._X) or _float32_bytes(self._X) <= SHUFFLED_BYTES:
            return torch.randperm(len(self), generator=generator)
        run = max(1, RUN_BYTES // (4 * self.n_features))
        window = max(run, RESIDENT_BYTES // (4 * self.n_features))
        runs = torch.randperm(-(-len(self) // run), generator=generator)
        order = (runs[:, None] * run + torch.arange(run)).flatten()
        windows = order[order < len(self)].split(window)
        return torch.cat(
            [some[torch.randperm(len(some), generator=generator)] for some in windows]
        )

    def batches(self, size, generator):
        """Walk through all rows in random order: pairs of rows and their weights.

        No batch has a single row if there are more. Small batches are views of a few
        that are gathered together.
        """
        order = self.order(generator)
        sizes = _batch_sizes(len(order), size)
        n_together = max(1, BLOCK_SIZE // (size * self.n_features))
        groups = [sizes[i : i + n_together] for i in range(0, len(sizes), n_together)]
        totals = [sum(group) for group in groups]
        there = order.to(self.device)  # once, since a GPU is waited for
        weights = self.weight.index_select(0, there).split(totals)
        indices = (order if self._resident is None else there).split(totals)
        for group, weight, x in zip(groups, weights, self._taken(indices), strict=True):
            yield from zip(x.split(group), weight.split(group), strict=True)

    def _taken(self, indices):
        """Take rows by many lists of numbers, reading ahead what is not at hand."""
        if self._resident is not None:
            yield from map(self.take, indices)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._begin_copy, indices[0].numpy())
            for index in indices[1:]:
                here, ahead = ahead, reader.submit(self._begin_copy, index.numpy())
                yield self._copies.end(*here.result())
            yield self._copies.end(*ahead.result())


def _batch_sizes(n_rows, size):
    """Sizes of the batches; a single last row joins the batch before it."""
    n_full, rest = divmod(n_rows, size)
    if rest == 1 and n_full:
        return [size] * (n_full - 1) + [size + 1]
    return [size] * n_full + [rest] * (rest > 0)


class DrawnRows:
    """Rows that stand for draws, by the same draws at each walk through them.

    Parameters
    ----------
    rows : Rows

    drawn : callable
        From a batch and a generator to what is drawn.

    seed : int
    """

    def __init__(self, rows, drawn, seed):
        self._rows, self._drawn, self._seed = rows, drawn, seed

    def _generator(self):
        return generator_from(self._seed, self._rows.device)

    def some(self, size):
        """Take so many rows at most, at equal steps, with their weights."""
        x, weight = self._rows.some(size)
        return self._drawn(x, self._generator()), weight

    def blocks(self):
        """Walk through all rows, some at a time."""
        return (block for block, _ in self.counted_blocks())

    def counted_blocks(self):
        """Walk through all rows and how many times each counts."""
        generator = self._generator()
        for x, weight in self._rows.counted_blocks():
            yield self._drawn(x, generator), weight


class RowView:
    """Some rows of a large matrix, read when they are asked for."""

    def __init__(self, X, index):
        self._X, self._index = X, index
        self.shape = (len(index), X.shape[1])
        self.dtype = X.dtype

    def __getitem__(self, where):
        rows, columns = _rows_and_columns(where)
        return self._X[self._index[rows], columns]


class SeenRows:
    """Dense rows as something else in float64, when they are asked for.

    Parameters
    ----------
    X : ndarray or tensor of shape (n_samples, n_features)

    see : callable
        From numbers, their rows and their columns, as indices, to what is seen of them.

    by_column : bool, default=True
        Whether what is seen of a column does not depend on the others; otherwise whole
        rows are looked at.
    """

    def __init__(self, X, see, *, by_column=True):
        self._X, self._see, self._by_column = X, see, by_column
        self.shape = X.shape
        self.dtype = np.dtype(np.float64)

    def __getitem__(self, where):
        rows, columns = _rows_and_columns(where)
        looked_at = columns if self._by_column else slice(None)
        values = np.asarray(as_array(self._X[rows, looked_at]), dtype=np.float64)
        seen = self._see(values, rows, columns)
        return seen if self._by_column else seen[:, columns]


def _rows_and_columns(where):
    """Say which rows and which columns an index in brackets means."""
    return where if isinstance(where, tuple) else (where, slice(None))


def evenly(n_rows, most):
    """Numbers of so many rows at most, at equal steps."""
    return np.linspace(0, n_rows - 1, min(n_rows, most)).astype(np.int64)


def take_rows(X, index):
    """Rows by number: copied where that is cheap, or they are sparse, else a view."""
    is_sparse = sp.issparse(X)
    is_small = len(index) * X.shape[1] * X.dtype.itemsize <= RESIDENT_BYTES
    if is_small and not is_sparse:
        return X[index]
    if len(index) == X.shape[0] and (np.diff(index) > 0).all():
        return X
    return X[index] if is_sparse else RowView(X, index)


def stacked(above, below):
    """Put rows below others; they are sparse where either are."""
    above, below = as_array(above), as_array(below)
    if sp.issparse(above) or sp.issparse(below):
        return sp.vstack([sp.csr_array(above), sp.csr_array(below)], format="csr")
    return np.vstack([above[:], below[:]])


def placed(X, device):
    """Bring large dense rows to a GPU, in their own type, if it has room for them."""
    is_there = isinstance(X, torch.Tensor) and X.device.type != "cpu"
    if device.type != "cuda" or sp.issparse(X) or is_there:
        return X
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    room = DEVICE_SHARE * (free + kept)
    dtype = _copied(X[:0]).dtype
    if not RESIDENT_BYTES < X.shape[0] * X.shape[1] * dtype.itemsize <= room:
        return X
    there = torch.empty(X.shape, dtype=dtype, device=device)
    for where in block_slices(X):
        there[where] = _copied(X[where])
    return there


def _copied(block):
    """Copy some rows to a tensor of their type, as NumPy has it, on the CPU."""
    return torch.from_numpy(as_array(block).copy())


def as_array(X):
    """Rows as NumPy or SciPy has them; a tensor on the CPU shares its memory."""
    if not isinstance(X, torch.Tensor):
        return X
    X = X.detach().resolve_conj().resolve_neg().cpu()
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy()


def _dense(block):
    """Make some rows a dense array of a floating type."""
    block = as_array(block)
    if sp.issparse(block):
        block = block.toarray()
    return np.asarray(block, dtype=floating_type(block))


def measured(block, origin):
    """Measure rows from an origin, in its precision, as a tensor where they lie."""
    if isinstance(block, torch.Tensor):
        origin = torch.from_numpy(origin).to(block.device)
        return block.to(origin.dtype) - origin
    return torch.from_numpy(_dense(block) - origin)


def floating_type(X):
    """Type in which rows are centred, and in which results come back.

    uint8 gives float32, since images are kept small; any other integer gives float64,
    as in scikit-learn's PCA.
    """
    narrow = (np.float32, np.uint8, torch.float32, torch.uint8)
    return np.float32 if X.dtype in narrow else np.float64


def _float32_bytes(X):
    return 4 * X.shape[0] * X.shape[1]


def block_slices(X):
    """Walk through the rows of a matrix as slices of about ``BLOCK_SIZE`` numbers."""
    size = max(1, BLOCK_SIZE // X.shape[1])
    for start in range(0, X.shape[0], size):
        yield slice(start, start + size)


def few_if_wide(n_rows, n_columns):
    """So many rows, or fewer of so many columns that they would fill the memory."""
    return min(n_rows, max(NUMBERS_TOGETHER // n_columns, FEWEST_TOGETHER))


def dense_blocks(X):
    """Walk through a matrix of any kind: pairs of a slice and a dense float64 block."""
    for where in block_slices(X):
        yield where, _dense(X[where]).astype(np.float64, copy=False)


def sparse_blocks(X):
    """Walk through sparse rows: pairs of a slice and about ``BLOCK_SIZE`` values."""
    size = max(1, BLOCK_SIZE * X.shape[0] // max(1, X.nnz))
    for start in range(0, X.shape[0], size):
        where = slice(start, start + size)
        block = X[where].copy()
        block.sum_duplicates()
        yield where, block


def weighted_mean(X, weight):
    """Column means of a weighted set, in float64."""
    total = np.zeros(X.shape[1])
    for where, block in (sparse_blocks if is_mostly_zero(X) else dense_blocks)(X):
        total += weight[where] @ block
    return total / weight.sum()


def weighted_moments(X, weight):
    """Column means and variances of a weighted set, divided by the sum of weights.

    Returns
    -------
    mean, variance : ndarray of shape (n_features,)
        In float64. The variance is found in a second pass, about the mean.
    """
    mean = weighted_mean(X, weight)
    squares = _sparse_squares if is_mostly_zero(X) else _dense_squares
    return mean, squares(X, weight, mean) / weight.sum()


def _dense_squares(X, weight, mean):
    """Weighted sum of the squares of each column about its mean."""
    total = np.zeros(X.shape[1])
    for where, block in dense_blocks(X):
        block = block - mean
        total += weight[where] @ (block * block)
    return total


def _sparse_squares(X, weight, mean):
    """Weighted sum of the squares of each column about its mean m.

    With x the values that are stored, and w the weights of their rows,

        sum w (x - m)^2 + (sum_i w_i - sum w) m^2,

    the second of the zeros that are not. Where those weigh no more than what rounding
    leaves of the weights, they count for nothing: with the square of a mean far from 0
    they would be all.
    """
    n_rows, n_columns = X.shape
    squares, seen = np.zeros(n_columns), np.zeros(n_columns)
    for where, block in sparse_blocks(X):
        column, row = block.indices, np.repeat(weight[where], np.diff(block.indptr))
        error = block.data - mean[column]
        squares += np.bincount(column, row * error * error, n_columns)
        seen += np.bincount(column, row, n_columns)
    total = weight.sum()
    unseen = total - seen
    unseen[unseen <= n_rows * np.finfo(np.float64).eps * total] = 0.0
    return squares + unseen * mean**2


def is_mostly_zero(X):
    """Whether products with the zeros left out pay, and are exact enough.

    They are not centred, and cancel where the means are far larger than the spreads;
    then few of the values are zero.
    """
    return sp.issparse(X) and X.nnz < SPARSE_SHARE * X.shape[0] * X.shape[1]


def centred_rows(X, mean, root):
    """All rows about a mean, in float64, scaled by the roots of their weights."""
    A = np.empty(X.shape)
    for where, block in dense_blocks(X):
        A[where] = root[where, None] * (block - mean)
    return A
