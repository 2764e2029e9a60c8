"""Products: by which library, and so that a row's does not depend on its position."""

from typing import Any

import torch
from torch.nn import functional

from skae.processor import is_half_unused

__all__ = [
    "is_onednn_faster",
    "linear_by_onednn",
    "padded",
    "product_by_onednn",
    "rowwise_linear",
]

# Widths that matrix kernels treat alike wherever a row stands in its block.
LANES = 16

# Float32 products of so many multiplications are oneDNN's where torch has it and its
# default library leaves half of the processor unused. Elsewhere most of oneDNN's take a
# tenth to a half longer. Below, what it takes to call oneDNN is more than it saves.
LARGE_PRODUCT = 2**21
_onednn_linear: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def is_onednn_faster(n_multiplications, dtype, device):
    """Whether products of a size are oneDNN's, where nobody differentiates them."""
    return (
        n_multiplications >= LARGE_PRODUCT
        and dtype == torch.float32
        and device.type == "cpu"
        and is_half_unused()
        and _onednn_linear is not None
    )


def linear_by_onednn(x, weight, bias=None):
    """Compute ``x W' + b``."""
    return _onednn_linear(x, weight, bias, "none", [], "")


def product_by_onednn(a, b, out=None):
    """Compute ``a b``."""
    product = _onednn_linear(a, b.t(), None, "none", [], "")
    return product if out is None else out.copy_(product)


def padded(values, *, rows_too=False):
    """Fill rows up by zeros, so that each begins at a boundary of the lanes.

    From there on kernels sum in another order, and a row's result would depend on
    where it stands. ``rows_too`` adds rows of zeros, for what products have as columns.
    """
    beside = -values.shape[-1] % LANES
    below = -values.shape[-2] % LANES if rows_too else 0
    if not (beside or below):
        return values
    return functional.pad(values, (0, beside, 0, below))


def rowwise_linear(x, weight, bias):
    """Compute ``x W' + b`` so that a row's result does not depend on its position.

    Matrix kernels handle the remainder of a width that is no multiple of their lanes
    by other code. With both widths padded by zeros every row of a block takes the same
    path, bit for bit.
    """
    y = _linear(padded(x), padded(weight, rows_too=True))[..., : len(weight)]
    return y if bias is None else y + bias


def _linear(x, weight):
    """Compute ``x W'``."""
    is_faster = is_onednn_faster(x.numel() * len(weight), x.dtype, x.device)
    if is_faster and not torch.is_grad_enabled():
        return linear_by_onednn(x, weight)
    return functional.linear(x, weight)
