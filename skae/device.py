"""Where and how the arithmetic is done: devices, precision, threads, random streams.

Everything here is scoped: a function either answers a question or is a context that
puts back what it found. skae never seeds or reads a global random stream, and leaves
no torch setting behind.
"""

import numbers
import os
import threading
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache

import numpy as np
import torch

from .processor import has_fast_bfloat16

__all__ = [
    "STREAM_LOCK",
    "CopyStream",
    "compute_dtype",
    "forked_stream",
    "generator_from",
    "limited_threads",
    "lock_of_process",
    "made_on_cpu",
    "one_thread_unless",
    "resolve_device",
    "seed_from",
    "widest_dtype",
]

ACCELERATORS = ("cuda", "mps", "xpu")


def lock_of_process(make=threading.Lock):
    """Make a lock that is open in a forked child, where nobody is left to open it."""
    lock = make()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)
    return lock


# torch has one global stream per device; two threads that fork it at once would
# put back each other's state.
STREAM_LOCK = lock_of_process(threading.RLock)


def _is_available(kind):
    if kind == "mps":
        return torch.backends.mps.is_available()
    backend = getattr(torch, kind, None)
    return backend is not None and backend.is_available()


def resolve_device(device, *, fall_back=False):
    """Turn the ``device`` parameter into a :class:`torch.device` that is present.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` is the first of cuda, mps, xpu that is there, else the CPU.

    fall_back : bool, default=False
        Whether an absent device means the CPU instead of an error: a model fitted on
        a GPU is opened on a laptop.

    Returns
    -------
    torch.device
    """
    if isinstance(device, str) and device == "auto":
        present = [kind for kind in ACCELERATORS if _is_available(kind)]
        return torch.device(present[0] if present else "cpu")
    remedy = f"use 'auto', 'cpu' or one of {ACCELERATORS} that this machine has"
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is not a device; {remedy}.") from error
    if found.type == "cpu":
        return found
    if found.type in ACCELERATORS and _is_available(found.type):
        count = 1 if found.type == "mps" else getattr(torch, found.type).device_count()
        if (found.index or 0) < count:
            return found
    if fall_back:
        return torch.device("cpu")
    raise ValueError(f"device={device!r} is not available here; {remedy}.")


def compute_dtype(precision, device):
    """Type of the matrix products of training: float32, or bfloat16 where it pays.

    It pays where the hardware has fast units for it; elsewhere bfloat16 is emulated
    and slower than float32. Weights, sums and everything after training are float32.
    """
    if precision == "float32":
        return torch.float32
    if device.type == "cuda":
        has_units = torch.cuda.get_device_capability(device) >= (8, 0)
    elif device.type == "cpu":
        has_units = has_fast_bfloat16()
    else:
        has_units = False
    return torch.bfloat16 if has_units else torch.float32


def widest_dtype(device):
    """Widest floating type of a device: some GPUs, as Apple's, have no float64."""
    has_float64 = device.type != "mps"
    if device.type == "xpu":
        has_float64 = getattr(torch.xpu.get_device_properties(device), "has_fp64", True)
    return torch.float64 if has_float64 else torch.float32


def seed_from(random_state):
    """Draw one seed from scikit-learn's ``random_state``.

    None takes fresh entropy instead of NumPy's global stream, which stays untouched.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    is_whole = isinstance(random_state, numbers.Integral)
    if is_whole and 0 <= int(random_state) < 2**32:
        return int(random_state)
    raise ValueError(
        f"random_state={random_state!r} must be None, an integer from 0 to 2**32 - 1, "
        "or a numpy.random.RandomState."
    )


def generator_from(seed, device="cpu"):
    """Give a :class:`torch.Generator` of its own to whoever needs random numbers."""
    return torch.Generator(device=device).manual_seed(seed)


@contextmanager
def made_on_cpu():
    """Have torch make tensors on the CPU where no device is named, as it does unasked.

    They can be trained, too. A user's ``torch.set_default_device``, and the inference
    mode and the lower precision about a call, are for code of their own.
    """
    is_default = torch.get_default_device().type == "cpu"
    lowered = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(nullcontext() if is_default else torch.device("cpu"))
        for kind in lowered:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def forked_stream(seed, device):
    """Seed torch's global stream for code that takes no generator, then restore it.

    ``torch.manual_seed`` would seed the streams of all devices, and load torch's
    compiler.
    """
    is_on_gpu = device.type == "cuda"
    with STREAM_LOCK, torch.random.fork_rng(devices=[device] if is_on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if is_on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def limited_threads(n_threads):
    """Use at most so many threads; never more than the caller, or joblib, allows."""
    before = torch.get_num_threads()
    after = min(before, n_threads)
    try:
        if after != before:
            torch.set_num_threads(after)
        yield
    finally:
        if after != before:
            torch.set_num_threads(before)


def one_thread_unless(is_large):
    """Use one thread where several would only wait for each other."""
    return nullcontext() if is_large else limited_threads(1)


class CopyStream:
    """Copies tensors to a device while it is computing.

    A GPU copies on a stream of its own, for which the one that computes has to wait
    before it uses what was copied.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device):
        self.device, self._stream = device, None
        if device.type == "cuda":
            is_current = device.index is None
            number = torch.cuda.current_device() if is_current else device.index
            self._stream = _copy_stream(number)
            # What is to be copied may still be on its way to be computed.
            self._stream.wait_stream(torch.cuda.current_stream(device))

    def begin(self, read):
        """Call what reads a tensor, in whatever thread, and begin to copy it.

        Returns
        -------
        tensor, event : to be given to :meth:`end`.
        """
        if self._stream is None:
            return read().to(self.device), None
        with torch.cuda.stream(self._stream):
            tensor = read()
            if tensor.device.type == "cpu":
                tensor = tensor.pin_memory()
            tensor = tensor.to(self.device, non_blocking=True)
            return tensor, self._stream.record_event()

    def end(self, tensor, event):
        """Give a copy to the stream that computes, which waits for it."""
        if event is not None:
            computing = torch.cuda.current_stream(self.device)
            computing.wait_event(event)
            tensor.record_stream(computing)
        return tensor


@cache
def _copy_stream(number):
    """Give the one stream of a GPU; each would keep freed memory for itself."""
    return torch.cuda.Stream(number)
