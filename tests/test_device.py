"""Devices: which are there, and in what they compute."""

import types

import pytest
import torch

from skae.device import resolve_device, widest_dtype
from skae.likelihoods import base

HAS, HAS_NOT = (types.SimpleNamespace(has_fp64=has) for has in (True, False))
OLD = types.SimpleNamespace()  # of a torch that does not say


@pytest.fixture
def two_xpus(monkeypatch):
    """A machine with two GPUs of Intel's."""
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 2)


def test_each_gpu_of_intels_can_be_named(two_xpus):
    for name in ("xpu", "xpu:0", "xpu:1"):
        assert resolve_device(name) == torch.device(name)
    with pytest.raises(ValueError, match="'xpu:2' is not available"):
        resolve_device("xpu:2")


@pytest.mark.parametrize(
    ("properties", "dtype"),
    [(HAS, torch.float64), (HAS_NOT, torch.float32), (OLD, torch.float64)],
)
def test_not_every_gpu_of_intels_has_float64(properties, dtype, monkeypatch):
    monkeypatch.setattr(torch.xpu, "get_device_properties", lambda _: properties)
    assert widest_dtype(torch.device("xpu")) == dtype


def test_other_devices_have_float64_unless_they_are_apples():
    assert widest_dtype(torch.device("cpu")) == torch.float64
    assert widest_dtype(torch.device("cuda")) == torch.float64
    assert widest_dtype(torch.device("mps")) == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_likelihoods_compute_as_wide_as_a_device_can(dtype, monkeypatch):
    monkeypatch.setattr(base, "widest_dtype", lambda device: dtype)
    assert base.widest(torch.ones(2)).dtype == dtype
