"""Clipping: what keeps a gradient from being far longer than usual.

Its length is that of the whole gradient (its norm), as is usual where gradients are
clipped; how long it may be follows from a running mean.
"""

import math
from functools import reduce

import torch

__all__ = ["Clipping"]

# A gradient is at most so many times as long as usual; what is usual is a mean over
# about so many steps. The first of them, far from where they lead, are long themselves
# and slow Adam down, as they should.
LONGEST = 2.5
USUAL_STEPS = 50

# What keeps a length of 0 from dividing by 0.
TINY = 1e-30


class Clipping:
    """Clips a gradient that is far longer than usual.

    A row far from all others makes one such, which would send the weights anywhere and
    be remembered by the optimizer for long.

    Parameters
    ----------
    gradient : list of Tensor
        In place of which the clipped one is put.

    usual : float, default=0.0
        The usual length, where it is known.

    n_seen : int, default=0
        Gradients of which that is the mean.
    """

    def __init__(self, gradient, usual=0.0, n_seen=0):
        self.gradient, self.n_seen = gradient, n_seen
        # On a CPU it costs nothing to look; for a GPU everything would wait.
        self.is_seen = gradient[0].device.type == "cpu"
        self.usual = usual
        if not self.is_seen:
            self.usual = gradient[0].new_tensor(usual, dtype=torch.float32)

    def state(self):
        """Give what going on later takes."""
        return {"usual": float(self.usual), "n_seen": self.n_seen}

    @property
    def is_active(self):
        """Whether it knows what is usual, and does the same at each step."""
        return self.n_seen >= USUAL_STEPS

    def clip(self):
        """Measure the gradient, and shorten it if it is too long."""
        length = self._length()
        allowed = self._allowed(length) if self.is_active else length
        if allowed is not length:
            for part in self.gradient:
                part.mul_(allowed / (length + TINY))
        self._count(allowed)

    def _count(self, length):
        """Count a length in what is usual; one beyond float32 says nothing."""
        self.n_seen += 1
        change = (length - self.usual) / min(self.n_seen, USUAL_STEPS)
        if self.is_seen:
            self.usual += change if math.isfinite(change) else 0.0
        else:
            self.usual += torch.nan_to_num(change, 0.0, 0.0, 0.0)

    def _length(self):
        """Length of the gradient: a number on a CPU, else a tensor."""
        lengths = [torch.linalg.vector_norm(part) for part in self.gradient]
        if self.is_seen:
            return math.hypot(*(length.item() for length in lengths))
        return reduce(torch.hypot, (length.float() for length in lengths))

    def _allowed(self, length):
        """How long a gradient of some length may be: no longer than it is."""
        longest = LONGEST * self.usual
        # Where there was nothing to learn so far, any length is unusual.
        if self.is_seen:
            return longest if 0 < longest < length else length
        return torch.where(longest > 0, longest, length).minimum(length)
