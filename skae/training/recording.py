"""Recordings: what a GPU is told once and does again at a word.

A step of a small network is some sixty short operations, and starting each of them from
Python takes longer than it takes the GPU. Recorded as a graph, they start as one.
"""

import gc
from contextlib import contextmanager
from functools import cache, partial

import torch

from skae.device import STREAM_LOCK

__all__ = ["RecordedStep", "Recording"]


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
