"""Sizes of products: which threads and which precision pay for them.

Shapes choose, never timings, so that the same rows give the same bits.
"""

import torch

__all__ = ["LOWERED_PRODUCT", "largest_product", "n_threads"]

# Products of so many multiplications gain by bfloat16; of fewer, what its conversions
# cost is more than it saves.
LOWERED_PRODUCT = 2**22

# Products of so many gain by several threads, a seventh and more. Of fewer they gain
# next to nothing, and lose many times that where others are at work: each waits for a
# thread that another program holds up.
SHARED_PRODUCT = 2**24


def largest_product(model, batch_size):
    """Multiplications of the largest product of a batch."""
    largest = max((p.numel() for p in model.parameters() if p.ndim >= 2), default=0)
    return batch_size * largest


def n_threads(model, n_rows):
    """Threads that pay for so many rows."""
    is_shared = largest_product(model, n_rows) >= SHARED_PRODUCT
    return torch.get_num_threads() if is_shared else 1
