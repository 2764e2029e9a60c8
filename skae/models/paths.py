"""Paths: a fixed linear map with a trained network beside it.

    y = offset + A (x - center) + gain * f((x - center) * unit)

The linear map is PCA's and stays what it is; whatever can be learned better than PCA
is learned by the network, in units in which inputs and corrections are near 1. With
the network at zero the path *is* the linear map, in the precision of its rows.

A network beside a linear map sees no further, once trained, than the rows that it was
trained on (or some way beyond), column by column: what it makes up there could spoil
without limit what the linear map does for a far row.
"""

import numpy as np
import torch
from torch import nn

from skae.networks import Perceptron

__all__ = ["Path", "reciprocal"]

# A network sees further than its rows by this share of their range, or rounding would
# decide whether those at the edge are within it.
MARGIN = 1e-5

# What varies by less than this is constant to a network: float32 holds no more.
LEAST_SCALE = 1e-30

# Nothing is further than this to a network: float32 holds its square, and what layers
# make of it.
HORIZON = 1e15


class Path(nn.Module):
    """A fixed linear map corrected by a network.

    Parameters
    ----------
    network : nn.Module
        Maps ``n_inputs`` to ``n_outputs``, in float32.

    linear : nn.Module or None
        The linear map ``A``, with a buffer ``weight``; None for a network alone.

    n_inputs, n_outputs : int

    has_center, has_offset : bool
        Whether there are a center and an offset; otherwise they are zero.
    """

    def __init__(
        self,
        network,
        linear,
        n_inputs,
        n_outputs,
        *,
        has_center,
        has_offset,
    ):
        super().__init__()
        self.network = network
        self.linear = linear
        self.center = (
            nn.Buffer(torch.zeros(n_inputs, dtype=torch.float64))
            if has_center
            else None
        )
        self.offset = (
            nn.Buffer(torch.zeros(n_outputs, dtype=torch.float64))
            if has_offset
            else None
        )
        self.unit = nn.Buffer(torch.ones(n_inputs, dtype=torch.float32))
        self.gain = nn.Buffer(torch.ones(n_outputs, dtype=torch.float32))
        empty = torch.empty(n_inputs, dtype=torch.float32)
        self.lowest, self.highest = nn.Buffer(empty), nn.Buffer(empty.clone())
        self.unlimit()

    def set_start(self, *, weight=None, center=0.0, offset=0.0, unit=1.0, gain=1.0):
        """Set the linear map and the units, leaving the network as it is."""
        values = {"center": center, "offset": offset, "unit": unit, "gain": gain}
        for name, value in values.items():
            buffer = getattr(self, name)
            if buffer is not None:
                buffer.copy_(torch.as_tensor(value).expand_as(buffer))
        if self.linear is not None:
            self.linear.weight.copy_(torch.as_tensor(weight))

    def forward(self, x):
        """Map rows; the result has their type."""
        x = self._centred(x)
        correction = self.network(self._inner(x)).to(torch.float32)
        return self._corrected(x, correction)

    def _centred(self, x):
        return x if self.center is None else x - self.center.to(x.dtype)

    def _inner(self, x):
        """Give what the network sees of centred rows."""
        # In the rows' own type first, where they may be beyond float32.
        inner = (x * self.unit).to(torch.float32)
        return inner if self.training else inner.clamp(self.lowest, self.highest)

    def linear_part(self, x):
        """Map rows by the linear map alone."""
        x = self._centred(x)
        return self._corrected(x, x.new_zeros(len(x), len(self.gain)))

    def unlimit(self):
        """Let the network see everything."""
        self.lowest.fill_(-HORIZON)
        self.highest.fill_(HORIZON)

    @property
    def is_limited(self):
        """Whether there is something that the network does not see."""
        return bool((self.highest < HORIZON).any())

    def limit(self, blocks, beyond=0.0):
        """Let the network see no further than some rows.

        Rows by which it was limited before count too.

        Parameters
        ----------
        blocks : iterable of tensors

        beyond : float, default=0.0
            How much further it sees on either side, in ranges of the rows.
        """
        if self.linear is None:
            return
        lowest = torch.full_like(self.lowest, HORIZON)
        highest = -lowest
        for x in blocks:
            inner = (self._centred(x) * self.unit).to(torch.float32)
            lowest = lowest.minimum(inner.amin(0))
            highest = highest.maximum(inner.amax(0))
        margin = max(MARGIN, beyond) * (highest - lowest)
        lowest, highest = lowest - margin, highest + margin
        is_first = self.highest >= HORIZON
        self.lowest.copy_(torch.where(is_first, lowest, self.lowest.minimum(lowest)))
        self.highest.copy_(
            torch.where(is_first, highest, self.highest.maximum(highest))
        )

    def _corrected(self, x, correction):
        y = (correction * self.gain).to(x.dtype)
        if self.linear is not None:
            with torch.autocast(x.device.type, enabled=False):
                y = y + self.linear(x)
        return y if self.offset is None else y + self.offset.to(x.dtype)

    @property
    def readout(self):
        """The network's last layer; None where the network does not show it."""
        return self.network.readout if self.has_perceptron else None

    @property
    def has_perceptron(self):
        """Whether the network is skae's own; a user's may have names like its."""
        return isinstance(self.network, Perceptron)

    def with_hidden(self, x):
        """Map rows; also give the network's last hidden layer."""
        x = self._centred(x)
        hidden = self.network.hidden(self._inner(x))
        return self._corrected(x, self.network.readout(hidden)), hidden

    def written_out(self, working):
        """Give the derivative, written out, with the weights of a training."""
        return _WrittenPath(self, working)


class _WrittenPath:
    """A path in a training: what does nothing is left out."""

    def __init__(self, path, working):
        self.network = path.network.written_out(working)
        self.center = _unless(path.center, 0.0)
        self.unit = _unless(path.unit, 1.0)
        self.gain = _unless(path.gain, 1.0)
        self.offset = _unless(path.offset, 0.0)
        self.slopes = self.transposed = None
        if path.linear is not None:
            self.slopes = path.linear.weight.float()
            self.transposed = self.slopes.t()

    def forward(self, x):
        """Map rows, and keep what :meth:`backward` needs."""
        if self.center is not None:
            x = x - self.center
        y = self.network.forward(x if self.unit is None else x * self.unit)
        if self.gain is not None:
            y.mul_(self.gain)
        if self.slopes is not None:
            y.addmm_(x, self.transposed)
        return y if self.offset is None else y.add_(self.offset)

    def backward(self, slope, *, needs_input=False):
        """Set the network's gradient; return the slope in the rows if it is needed."""
        inner = slope if self.gain is None else slope * self.gain
        inner = self.network.backward(inner, needs_input=needs_input)
        if not needs_input:
            return None
        if self.unit is not None:
            inner.mul_(self.unit)
        return inner if self.slopes is None else inner.addmm_(slope, self.slopes)


def _unless(buffer, neutral):
    """Give a buffer in float32; None where it does nothing."""
    if buffer is None or (buffer == neutral).all():
        return None
    return buffer.to(torch.float32)


def reciprocal(scale):
    """``1 / scale``, and 0 where that is next to 0: what does not vary says nothing."""
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > LEAST_SCALE)
