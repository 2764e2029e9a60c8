"""What a GPU records, on the CPU: operations one after the other, to be done again."""

import torch
from torch.utils._pytree import tree_leaves, tree_map
from waiting import NothingIsWaitedFor

from skae.training.recording import Recording
from skae.training.solvers import FusedAdam


def tensors_in(tree):
    """Tensors among arguments or results."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class _Log(NothingIsWaitedFor):
    """Writes down what is done, with which memory, and what that held before."""

    def __init__(self):
        super().__init__()
        self.entries, self.before, self.made = [], {}, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for tensor in tensors_in((args, kwargs)):
            memory = tensor.untyped_storage()
            if memory.data_ptr() not in self.made | set(self.before):
                self.before[memory.data_ptr()] = memory, memory.clone()
        result = super().__torch_dispatch__(function, types, args, kwargs)
        self.entries.append((function, args, kwargs, result))
        known = set(self.before)
        self.made |= {t.untyped_storage().data_ptr() for t in tensors_in(result)}
        self.made -= known
        return result


class RecordingOnCPU(Recording):
    """Operations are done again with the arguments that they had, numbers included."""

    devices = ("cpu",)
    n_made = n_replayed = 0

    def __init__(self, function, generator):
        type(self).n_made += 1
        draws = generator.get_state()
        with torch.no_grad(), _Log() as log:
            self._result = function()
        # A GPU does nothing while it records.
        for memory, before in log.before.values():
            memory.copy_(before)
        generator.set_state(draws)
        self._log = log

    def replay(self):
        """Do all of it again, with what came of what was done before."""
        type(self).n_replayed += 1
        now = {}

        def current(leaf):
            return now.get(id(leaf), leaf)

        for function, args, kwargs, then in self._log.entries:
            result = function(*tree_map(current, args), **tree_map(current, kwargs))
            pairs = zip(tensors_in(then), tensors_in(result), strict=True)
            now |= {id(old): new for old, new in pairs}
        return now.get(id(self._result), self._result).clone()


class FusedAdamThere(FusedAdam):
    """Reads the rate where the weights are, as on a GPU."""

    def __init__(self, groups, lr, kernel):
        super().__init__(groups, lr, kernel)
        self.rate = torch.zeros((), dtype=torch.float32)
        self.follow_rate()
