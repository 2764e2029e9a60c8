"""Paths: a fixed linear map with a trained network beside it.

    y = offset + A (x - center) + gain * f((x - center) * unit)

The linear map is PCA's and stays what it is; whatever can be learned better than PCA
is learned by the network, in units in which inputs and corrections are near 1. With
the network at zero the path *is* the linear map, in the precision of its rows.
"""

import numpy as np
import torch
from torch import nn

__all__ = ["Path", "reciprocal"]


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

    dtype : torch.dtype, default=torch.float64
        Of the center and the offset.
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
        dtype=torch.float64,
    ):
        super().__init__()
        self.network = network
        self.linear = linear
        self.center = (
            nn.Buffer(torch.zeros(n_inputs, dtype=dtype)) if has_center else None
        )
        self.offset = (
            nn.Buffer(torch.zeros(n_outputs, dtype=dtype)) if has_offset else None
        )
        self.unit = nn.Buffer(torch.ones(n_inputs, dtype=torch.float32))
        self.gain = nn.Buffer(torch.ones(n_outputs, dtype=torch.float32))

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
        correction = self.network(x.to(torch.float32) * self.unit).to(torch.float32)
        return self._corrected(x, correction)

    def _centred(self, x):
        return x if self.center is None else x - self.center.to(x.dtype)

    def _corrected(self, x, correction):
        y = (correction * self.gain).to(x.dtype)
        if self.linear is not None:
            with torch.autocast(x.device.type, enabled=False):
                y = y + self.linear(x)
        return y if self.offset is None else y + self.offset.to(x.dtype)

    @property
    def is_traceable(self):
        """Whether the network has its derivative written out."""
        return hasattr(self.network, "traced")

    def traced(self, x, working):
        """Map rows, and keep what :meth:`backward` needs."""
        x = self._centred(x)
        correction, trace = self.network.traced(x * self.unit, working)
        return self._corrected(x, correction), trace

    def backward(self, trace, slope, working, *, needs_input=False):
        """Set the network's gradient; return the slope in the rows if it is needed."""
        inner = self.network.backward(
            trace, slope * self.gain, working, needs_input=needs_input
        )
        if not needs_input:
            return None
        inner = inner * self.unit
        if self.linear is None:
            return inner
        return inner + slope @ self.linear.weight.to(slope.dtype)


def reciprocal(scale):
    """``1 / scale``, and 0 where the scale is 0: what does not vary says nothing."""
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
