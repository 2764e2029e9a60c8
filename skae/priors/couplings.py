"""Couplings: invertible maps of codes whose volume is known, starting at the identity.

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

from skae.networks import MLP

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
    knots : torch.Tensor of shape (3, N_BINS + 1, ...)
        Where they are, in x and in y, and the slope there, which is 1 at both ends.
        Knots come first: what runs along the last axis is many values, not a few knots.
    """

    knots: torch.Tensor

    @classmethod
    def from_numbers(cls, numbers):
        """Make splines from any ``3 N_BINS - 1`` numbers; zeros make the identity."""
        numbers = numbers.movedim(-1, 0).contiguous()
        bins, slopes = numbers.split([2 * N_BINS, N_BINS - 1])
        shares = bins.unflatten(0, (2, N_BINS)).softmax(1)
        shares = LEAST_BIN + (1 - N_BINS * LEAST_BIN) * shares
        edges = 2 * BOUND * shares.cumsum(1)[:, :-1] - BOUND
        slopes = functional.softplus(slopes + UNIT_SLOPE) + LEAST_SLOPE
        inner = torch.cat([edges, slopes[None]])
        # Filled where they are: what Python brings, a GPU is waited for.
        ends = inner.new_full((2, 1, *inner.shape[2:]), BOUND)
        slope = inner.new_ones((1, 1, *inner.shape[2:]))
        first, last = (torch.cat([side, slope]) for side in (-ends, ends))
        return cls(torch.cat([first, inner, last], dim=1))

    def __call__(self, x):
        """Bend values; also give the logarithm of the slope."""
        inside = x.abs() < BOUND
        x0, x1, y0, y1, d0, d1 = self._bin(x, self.knots[0])
        width, height = x1 - x0, y1 - y0
        t = ((x - x0) / width).clamp(0, 1)
        s, rest = height / width, 1 - t
        both, square = t * rest, t * t
        below = s + (d0 + d1 - 2 * s) * both
        y = y0 + height * (s * square + d0 * both) / below
        above = d1 * square + 2 * s * both + d0 * (rest * rest)
        log_slope = (above * (s / below) ** 2).log()
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)

    def inverse(self, y):
        """Undo the bending: the root between 0 and 1 of a quadratic in t."""
        x0, x1, y0, y1, d0, d1 = self._bin(y, self.knots[1])
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
        left = (value > edges[1:-1]).sum(0)
        ends = torch.stack([left, left + 1]).expand(3, 2, *left.shape)
        return self.knots.gather(1, ends).flatten(0, 1).unbind()


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
        first = parity if n_components > 1 else 0
        self.bent, self.rest = slice(first, None, 2), slice(1 - first, None, 2)
        n_rest = len(range(n_components)[self.rest])
        self.n_bent = n_components - n_rest
        n_numbers = self.n_bent * (3 * N_BINS - 1)
        self.constant = nn.Parameter(torch.zeros(n_numbers, dtype=torch.float32))
        self.network = None
        if n_rest > 0:
            self.network = MLP((n_hidden,)).build(n_rest, n_numbers)

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
        shape = self.n_bent, 3 * N_BINS - 1
        return Spline.from_numbers(numbers.to(z.dtype).unflatten(1, shape))

    def _merged(self, z, bent):
        z = z.clone()
        z[:, self.bent] = bent
        return z
