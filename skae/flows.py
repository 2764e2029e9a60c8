"""Flows: invertible maps of codes whose volume is known, starting at the identity.

A coupling leaves every other component as it is and bends the rest, each by a monotone
rational quadratic spline (Durkan et al., 2019) on [-BOUND, BOUND], the identity beyond:
between the knots (x_0, y_0) and (x_1, y_1), with slopes d_0 and d_1 there,

    y = y_0 + (y_1 - y_0) (s t^2 + d_0 t (1 - t)) / (s + c t (1 - t))

    t = (x - x_0) / (x_1 - x_0)    s = (y_1 - y_0) / (x_1 - x_0)    c = d_0 + d_1 - 2 s
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from .networks import MLP

__all__ = ["Coupling", "Spline"]

BOUND = 5.0
N_BINS = 8

# A bin is at least this share of [-BOUND, BOUND], and a slope at least this.
LEAST_BIN = 1e-3
LEAST_SLOPE = 1e-3

# What becomes a slope of 1.
UNIT_SLOPE = math.log(math.expm1(1 - LEAST_SLOPE))


class Spline(NamedTuple):
    """Knots of a monotone spline for each value.

    Attributes
    ----------
    x, y : torch.Tensor of shape (..., N_BINS + 1)
        Where the knots are.

    slope : torch.Tensor of shape (..., N_BINS + 1)
        Of the spline at the knots; 1 at both ends.
    """

    x: torch.Tensor
    y: torch.Tensor
    slope: torch.Tensor

    @classmethod
    def from_numbers(cls, numbers):
        """Make splines from any ``3 N_BINS - 1`` numbers; zeros make the identity."""
        widths, heights, slopes = numbers.split([N_BINS, N_BINS, N_BINS - 1], dim=-1)
        inner = functional.softplus(slopes + UNIT_SLOPE) + LEAST_SLOPE
        slope = functional.pad(inner, (1, 1), value=1.0)
        return cls(_edges(widths), _edges(heights), slope)

    def __call__(self, x):
        """Bend values; also give the logarithm of the slope."""
        inside = x.abs() < BOUND
        x0, x1, y0, y1, d0, d1 = self._bin(x, self.x)
        t = ((x - x0) / (x1 - x0)).clamp(0, 1)
        s = (y1 - y0) / (x1 - x0)
        both = t * (1 - t)
        below = s + (d0 + d1 - 2 * s) * both
        y = y0 + (y1 - y0) * (s * t.square() + d0 * both) / below
        above = d1 * t.square() + 2 * s * both + d0 * (1 - t).square()
        log_slope = 2 * s.log() + above.log() - 2 * below.log()
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)

    def inverse(self, y):
        """Undo the bending: the root between 0 and 1 of a quadratic in t."""
        x0, x1, y0, y1, d0, d1 = self._bin(y, self.y)
        s = (y1 - y0) / (x1 - x0)
        rise, curve = y - y0, d0 + d1 - 2 * s
        a = (y1 - y0) * (s - d0) + rise * curve
        b = (y1 - y0) * d0 - rise * curve
        c = -s * rise
        root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
        x = x0 + (x1 - x0) * 2 * c / (-b - root)
        return torch.where(y.abs() < BOUND, x, y)

    def _bin(self, value, edges):
        """Give the ends of a value's bin: both coordinates, and the slopes."""
        inner = edges[..., 1:-1].contiguous()
        left = torch.searchsorted(inner, value[..., None].contiguous())
        ends = torch.cat([left, left + 1], dim=-1)
        found = [field.gather(-1, ends).unbind(-1) for field in self]
        return [end for pair in found for end in pair]


def _edges(numbers):
    """Edges of bins whose widths follow from any numbers; equal ones from equal."""
    shares = LEAST_BIN + (1 - N_BINS * LEAST_BIN) * numbers.softmax(-1)
    inner = 2 * BOUND * shares.cumsum(-1)[..., :-1] - BOUND
    return functional.pad(
        functional.pad(inner, (1, 0), value=-BOUND), (0, 1), value=BOUND
    )


class Coupling(nn.Module):
    """Bends every other component by splines that follow from the rest.

    Parameters
    ----------
    n_components : int
        Of a single one the spline follows from nothing.

    n_hidden : int
        Width of the hidden layer.

    parity : {0, 1}
        Which of the components are bent.
    """

    def __init__(self, n_components, n_hidden, parity):
        super().__init__()
        self.bent = list(range(parity if n_components > 1 else 0, n_components, 2))
        self.rest = sorted(set(range(n_components)) - set(self.bent))
        n_numbers = len(self.bent) * (3 * N_BINS - 1)
        self.constant = nn.Parameter(torch.zeros(n_numbers, dtype=torch.float32))
        self.network = None
        if self.rest:
            self.network = MLP((n_hidden,)).build(len(self.rest), n_numbers)

    def forward(self, z):
        """Bend codes; also give the logarithm of the change of volume."""
        bent, log_slope = self._spline(z)(z[:, self.bent])
        return self._merged(z, bent), log_slope.sum(-1)

    def inverse(self, u):
        """Undo :meth:`forward`."""
        return self._merged(u, self._spline(u).inverse(u[:, self.bent]))

    def _spline(self, z):
        numbers = self.constant.expand(len(z), -1)
        if self.network is not None:
            correction = self.network(z[:, self.rest].to(torch.float32))
            numbers = numbers + correction.to(torch.float32)
        shape = len(self.bent), 3 * N_BINS - 1
        return Spline.from_numbers(numbers.to(z.dtype).unflatten(1, shape))

    def _merged(self, z, bent):
        z = z.clone()
        z[:, self.bent] = bent
        return z
