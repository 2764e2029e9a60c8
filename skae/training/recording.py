"""Recordings: what a GPU is told once and does again at a word.

    Replayed        the steps of a training, until then taken by Python
    RecordedStep    a step of a batch
    Recording       any function

A step of a small network is some sixty short operations, and starting each of them from
Python takes longer than it takes the GPU. Recorded as a graph, they start as one.
"""

import gc
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch

from skae.device import STREAM_LOCK, generator_from

__all__ = ["RecordedStep", "Recording", "Replayed"]

# Steps by which a GPU loads what they need, before one is recorded.
LOADING_STEPS = 3


class Recording:
    """A function that has been recorded by a GPU, to be replayed.

    What it works on has to stay where it is, and whatever Python decides on its way is
    decided once. It has been run before, so that all that it needs is loaded; while it
    is recorded it is not run.

    Parameters
    ----------
    function : callable
        Returns a tensor, and waits for nothing on its way.

    generator : torch.Generator
        Of the GPU; replays draw what comes next in it.
    """

    # Kinds of device that record.
    devices = ("cuda",)

    def __init__(self, function, generator):
        device = generator.device
        # A process records one thing at a time; what is freed meanwhile would spoil it.
        with STREAM_LOCK, _nothing_collected(), torch.cuda.device(device):
            self._graph = torch.cuda.CUDAGraph()
            self._graph.register_generator_state(generator)
            stream = _recording_stream(torch.cuda.current_device())
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                self._graph.capture_begin(capture_error_mode="thread_local")
                try:
                    self._result = function()
                finally:
                    self._graph.capture_end()

    def replay(self):
        """Do it again; give what it returns now."""
        self._graph.replay()
        return self._result.clone()


@cache
def _recording_stream(number):
    """Give the stream of a GPU on which nothing else is done.

    Streams of high priority are others than those that copy.
    """
    return torch.cuda.Stream(number, priority=-1)


@contextmanager
def _nothing_collected():
    """Leave garbage, in which another graph may be, where it is."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class RecordedStep:
    """A training step of a batch, recorded.

    A smaller batch is filled up by rows of zeros and of factor 0, which count for
    nothing.

    Parameters
    ----------
    step : callable
        From rows and their factors to the loss of the batch.

    x : torch.Tensor of shape (n_rows, n_features)
        Some rows.

    size : int
        Rows of a batch, at most.

    generator : torch.Generator
    """

    def __init__(self, step, x, size, generator):
        self._slots = x.new_zeros((size, x.shape[1])), x.new_zeros(size)
        self._recording = Recording(partial(step, *self._slots), generator)

    def __call__(self, *batch):
        """Take a step with rows and their factors; give the loss of the batch."""
        for slot, given in zip(self._slots, batch, strict=True):
            slot[: len(given)].copy_(given)
            slot[len(given) :].zero_()
        return self._recording.replay()


class Replayed:
    """Steps of a training: taken by Python until a GPU has recorded one.

    Parameters
    ----------
    size : int
        Rows of a batch, as a rule.

    draws : torch.Generator
        What the first step draws from.

    is_recordable : bool
        Whether the device does all of a step, and Python nothing. A recording is not
        begun where it might fail: up to torch 2.12 one that failed leaves the memory of
        the whole process in disorder.

    Attributes
    ----------
    draws : torch.Generator
        What the next step draws from.
    """

    def __init__(self, size, draws, *, is_recordable):
        self.size, self.draws = size, draws
        self.is_recordable = is_recordable and draws.device.type in Recording.devices
        self.recorded: Any = None
        self.n_taken = 0

    def __call__(self, take, x, row_factor, *, is_settled):
        """Take a step, or replay it; give the loss of the batch.

        Parameters
        ----------
        take : callable
            From rows, their factors and a generator to the loss of the batch.

        x, row_factor : torch.Tensor
            The rows, and their factors.

        is_settled : bool
            Whether it does the same at each step from now on.
        """
        if self.is_recordable and is_settled and len(x) <= self.size:
            if self.recorded is None and self.n_taken >= LOADING_STEPS:
                self._record(take, x)
            if self.recorded is not None:
                return self.recorded(x, row_factor)
        self.n_taken += 1
        return take(x, row_factor, self.draws)

    def forget(self):
        """Give up what was recorded, since steps are others now."""
        self.recorded = None

    def _record(self, take, x):
        """Record a step of rows like these; where that fails, never again.

        The draws had been the recording's.
        """
        draws = self.draws.get_state()
        step = partial(take, draws=self.draws)
        try:
            self.recorded = RecordedStep(step, x, self.size, self.draws)
        except RuntimeError:
            self.is_recordable = False
            self.draws = generator_from(0, x.device)
            self.draws.set_state(draws)
