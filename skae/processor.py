"""The processor: which arithmetic it does fast, whatever it says it can.

A fixed rule of its kind, never a timing: the same seed gives the same bits again.
"""

import platform
from functools import cache

import torch

__all__ = ["has_fast_bfloat16", "is_half_unused"]


@cache
def has_fast_bfloat16():
    """Whether products of bfloat16 take less time than those of float32.

    Intel's units for them are those of AMX. Where a virtual machine hides these, its
    AVX-512 takes nearly twice as long for bfloat16 as for float32; that of others is
    faster.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    if torch.cpu._is_amx_tile_supported():
        return True
    return torch.cpu._is_avx512_bf16_supported() and not _is_intels()


@cache
def is_half_unused():
    """Whether torch's default library for products leaves half of AVX-512 unused.

    It does on processors that are not Intel's.
    """
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and not _is_intels()


def _is_intels():
    """Whether Intel made the processor."""
    try:
        with open("/proc/cpuinfo") as lines:
            makers = [line for line in lines if line.startswith("vendor_id")]
    except OSError:
        makers = [platform.processor()]
    return any("Intel" in maker for maker in makers)
