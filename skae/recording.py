"""Recordings: what a GPU is told once and does again at a word.

A step of a small network is some sixty short operations, and starting each of them from
Python takes longer than it takes the GPU. Recorded as a graph, they start as one.
"""

from functools import partial

import torch

__all__ = ["RecordedStep", "Recording"]


class Recording:
    """A function that has been recorded by a GPU, to be replayed.

    What it works on has to stay where it is, and whatever Python decides on its way is
    decided once. It is not run while it is recorded.

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
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(generator)
        aside = torch.cuda.Stream(device)
        # Other threads may be at work on the same GPU.
        alone = {"stream": aside, "capture_error_mode": "thread_local"}
        with torch.cuda.device(device), torch.cuda.graph(self._graph, **alone):
            self._result = function()

    def replay(self):
        """Do it again; give what it returns now."""
        self._graph.replay()
        return self._result.clone()


class RecordedStep:
    """A training step of a batch, recorded.

    A smaller batch is filled up by rows of factor 0, which count for nothing.

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
        self._x = x.new_zeros((size, x.shape[1]))
        self._row_factor = x.new_zeros(size)
        slots = self._x, self._row_factor
        self._recording = Recording(partial(step, *slots), generator)

    def __call__(self, x, row_factor):
        """Take a step; give the loss of the batch."""
        size = len(x)
        self._x[:size].copy_(x)
        self._row_factor[:size].copy_(row_factor)
        self._row_factor[size:].zero_()
        return self._recording.replay()
