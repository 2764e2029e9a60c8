"""What would make a program wait for a GPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skae.training.clipping import Clipping

# What needs a number that a GPU has found, or brings it one that Python has.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "lift_fresh"}


class NothingIsWaitedFor(TorchDispatchMode):
    """Refuses, on the CPU, operations that would make a program wait for a GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in WAITS
        if name.startswith("index"):
            tensors = [t for t in tree_leaves(args) if isinstance(t, torch.Tensor)]
            assert all(t.dtype != torch.bool for t in tensors)
        return function(*args, **kwargs or {})


class UnseenClipping(Clipping):
    """As on a GPU, where numbers stay tensors."""

    def __init__(self, gradient, usual=0.0, n_seen=0):
        super().__init__(gradient, torch.tensor(usual), n_seen)
        self.is_seen = False

    def clip(self):
        with NothingIsWaitedFor():
            super().clip()
