"""What would make a program wait for a GPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class NothingIsWaitedFor(TorchDispatchMode):
    """Refuses, on the CPU, operations that would make a program wait for a GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in {"_local_scalar_dense", "nonzero", "masked_select", "equal"}
        if name.startswith("index"):
            tensors = [t for t in tree_leaves(args) if isinstance(t, torch.Tensor)]
            assert all(t.dtype != torch.bool for t in tensors)
        return function(*args, **kwargs or {})
