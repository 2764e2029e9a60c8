"""Storage: a fitted module that travels as NumPy arrays.

A module is pickled, copied or sent to a worker as its blueprint and its arrays, and
is built again on first use, on the device found there. One mechanism serves pickle,
joblib, deepcopy and the way from a GPU to a machine without one; a pickle holds no
tensor and no device.
"""

import numpy as np
import torch

from skae.device import lock_of_process, made_on_cpu, resolve_device

__all__ = ["StoredModule", "to_arrays", "to_tensors"]

# One lock for all, since a lock cannot be pickled. Nothing is built while it is held:
# building takes the lock of the random stream.
_REBUILD = lock_of_process()


class StoredModule:
    """A module, or what it takes to build it.

    Parameters
    ----------
    blueprint : object
        Its ``build()`` makes the module with weights of any value. Holds plain values
        and specs only.

    device : str
        The ``device`` parameter of the estimator, resolved where the module is built.

    module : nn.Module
        The module as it is now.
    """

    def __init__(self, blueprint, device, module):
        self.blueprint = blueprint
        self.device = device
        self._module = module
        self._arrays = None

    @property
    def module(self):
        """The module, built if need be; threads that build it at once share one."""
        if self._module is None:
            built = self._build(self._arrays)
            with _REBUILD:
                if self._module is None:
                    self._module = built
                self._arrays = None
        return self._module

    @property
    def arrays(self):
        """The arrays that the module is to be built from; None once it is there."""
        return self._arrays if self._module is None else None

    @made_on_cpu()
    def _build(self, arrays):
        if arrays is None:  # another thread has been faster
            return None
        module = self.blueprint.build(resolve_device(self.device, fall_back=True))
        module.load_state_dict(to_tensors(arrays))
        return module.eval()

    def __getstate__(self):
        # In this order: the arrays go only when the module is there.
        arrays, module = self._arrays, self._module
        if module is not None:
            arrays = to_arrays(module.state_dict())
        return {
            "blueprint": self.blueprint,
            "device": self.device,
            "arrays": arrays,
        }

    def __setstate__(self, state):
        self.blueprint = state["blueprint"]
        self.device = state["device"]
        self._arrays = state["arrays"]
        self._module = None


def to_arrays(tree):
    """Copy nested containers with every tensor as an array; bfloat16 as float32."""
    if isinstance(tree, torch.Tensor):
        tensor = tree.detach().cpu()
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.float()
        return tensor.numpy().copy()
    if isinstance(tree, dict):
        return {key: to_arrays(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map(to_arrays, tree))
    return tree


def to_tensors(tree):
    """Undo :func:`to_arrays`; arrays that are read-only are copied."""
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(np.array(tree))
    if isinstance(tree, dict):
        return {key: to_tensors(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map(to_tensors, tree))
    return tree
