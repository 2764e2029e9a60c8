"""Which arithmetic is fast, by the kind of the processor."""

import platform

import pytest
import torch

from skae import device, processor

AVX512_BF16, AMX = "_is_avx512_bf16_supported", "_is_amx_tile_supported"


@pytest.fixture
def processor_with(monkeypatch):
    """Make a processor of a maker with some units; its answers are its own."""

    def make(maker, *units):
        monkeypatch.setattr(processor, "_is_intels", lambda: maker == "Intel")
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
        for unit in (AVX512_BF16, AMX):
            has_unit = unit in units
            monkeypatch.setattr(torch.cpu, unit, lambda has_unit=has_unit: has_unit)
        capability = "AVX512" if units else "AVX2"
        monkeypatch.setattr(
            torch.backends.cpu, "get_cpu_capability", lambda: capability
        )
        forget()

    yield make
    monkeypatch.undo()
    forget()


def forget():
    processor.has_fast_bfloat16.cache_clear()
    processor.is_half_unused.cache_clear()


@pytest.mark.parametrize(
    ("maker", "units", "is_faster"),
    [
        ("Intel", (AVX512_BF16, AMX), True),
        ("Intel", (AVX512_BF16,), False),  # a virtual machine hides AMX
        ("Intel", (), False),
        ("AMD", (AVX512_BF16,), True),
        ("AMD", (), False),
    ],
)
def test_bfloat16_is_used_where_it_is_faster(processor_with, maker, units, is_faster):
    processor_with(maker, *units)
    dtype = device.compute_dtype("auto", torch.device("cpu"))
    assert dtype == (torch.bfloat16 if is_faster else torch.float32)
    assert device.compute_dtype("float32", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    ("maker", "units", "is_unused"),
    [
        ("Intel", (AVX512_BF16,), False),
        ("AMD", (AVX512_BF16,), True),
        ("AMD", (), False),
    ],
)
def test_half_of_avx512_is_unused_on_others_processors(
    processor_with, maker, units, is_unused
):
    processor_with(maker, *units)
    assert processor.is_half_unused() == is_unused


def test_without_onednn_bfloat16_is_not_used(processor_with, monkeypatch):
    processor_with("AMD", AVX512_BF16)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not processor.has_fast_bfloat16()


@pytest.mark.parametrize(
    ("name", "is_intels"),
    [
        ("Intel64 Family 6 Model 207 Stepping 2, GenuineIntel", True),
        ("AMD64 Family 25 Model 17 Stepping 1, AuthenticAMD", False),
        ("arm", False),
    ],
)
def test_the_maker_is_told_where_there_is_no_proc(name, is_intels, monkeypatch):
    def absent(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(processor, "open", absent, raising=False)
    monkeypatch.setattr(platform, "processor", lambda: name)
    assert processor._is_intels() == is_intels
