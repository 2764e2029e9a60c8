"""Inference: functions of rows, in blocks of one size.

A float32 product of one row differs from the same row among many in its last digits.
So every block has the same number of rows, whatever is asked; the last one is padded.
Together with products that treat all rows of a block alike (:mod:`skae.networks`), a
row's result does not depend on its company, bit for bit.
"""

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from skae.device import made_on_cpu, one_thread_unless, widest_dtype
from skae.rows import BLOCK_SIZE, as_array, floating_type, measured

__all__ = ["map_blocks", "rows_at_once"]

# Blocks have a multiple of so many rows, and at most LARGEST_BLOCK, or WHOLE_BLOCK
# where there are no other rows to come.
ROW_MULTIPLE = 64
LARGEST_BLOCK = 256
WHOLE_BLOCK = 1024

# Blocks of fewer numbers gain nothing by several threads.
SMALL_BLOCK = 2**14


def block_rows(n_columns, most_rows=LARGEST_BLOCK):
    """Rows per block, by the width of rows or results alone, and at most so many."""
    n_multiples = BLOCK_SIZE // (ROW_MULTIPLE * n_columns)
    return ROW_MULTIPLE * min(max(n_multiples, 1), most_rows // ROW_MULTIPLE)


def rows_at_once(n_rows):
    """Rows per block, at most, where nobody asks for fewer than these."""
    return min(-(-n_rows // ROW_MULTIPLE) * ROW_MULTIPLE, WHOLE_BLOCK)


@made_on_cpu()
def map_blocks(
    function,
    X,
    origin,
    device,
    *,
    beside=None,
    n_outputs=1,
    most_rows=LARGEST_BLOCK,
):
    """Apply a function of a block of rows to all rows.

    Parameters
    ----------
    function : callable
        From a tensor of shape (n_rows, n_columns) to one of n_rows rows.

    X : ndarray, CSR or tensor of shape (n_samples, n_columns)

    origin : ndarray of shape (n_columns,) or 0
        Subtracted in the precision of X.

    device : torch.device

    beside : ndarray of shape (n_samples, n_beside), optional
        More columns, as they are: the numbers of the rows' classes.

    n_outputs : int, default=1
        Width of a result, about. Blocks of wide rows or results have fewer rows, and
        from ``SMALL_BLOCK`` numbers on use several threads.

    most_rows : int, default=LARGEST_BLOCK
        Of a block. A single row costs as much as a block: fewer are for a function
        that is dear and gains nothing by many; for more see :func:`rows_at_once`.

    Returns
    -------
    ndarray with n_samples rows, or a tensor where X lies if it is one
        float32 for float32 and uint8, else float64.
    """
    origin = np.asarray(origin, dtype=floating_type(X))
    computed = torch.float32 if origin.dtype == np.float32 else widest_dtype(device)
    width = max(X.shape[1], n_outputs)
    is_small = block_rows(width) * width < SMALL_BLOCK
    n_rows = block_rows(width, most_rows)
    mapped: Any = None
    with one_thread_unless(not is_small):
        for begin in range(0, X.shape[0], n_rows):
            block = measured(X[begin : begin + n_rows], origin).contiguous()
            whole = block.to(device, computed)
            if beside is not None:
                more = torch.from_numpy(beside[begin : begin + n_rows])
                whole = torch.cat([whole, more.to(whole)], dim=1)
            if len(block) < n_rows:
                whole = functional.pad(whole, (0, 0, 0, n_rows - len(block)))
            with torch.inference_mode(), torch.autocast(device.type, enabled=False):
                result = function(whole)[: len(block)]
            if mapped is None:
                mapped = block.new_empty(X.shape[0], *result.shape[1:])
            mapped[begin : begin + len(block)] = result
    return mapped if isinstance(X, torch.Tensor) else as_array(mapped)
