"""Factories: functions of the user's that make networks, and what is accepted of them.

A model is built several times over: from the start of some rows and of all, and
wherever it is opened. So a factory makes a network anew at each call, and the network
has to be one that can be used, trained and stored.
"""

from itertools import chain
from weakref import WeakValueDictionary

import torch
from torch import nn

from skae.training.weights import KeptBuffers

__all__ = ["from_factory", "is_factory", "remember_parameters"]

# Parameters of models that factories made networks for, by their numbers as objects:
# tensors that are compared give tensors. Models are built one at a time, in any thread.
_OF_MODELS: WeakValueDictionary[int, nn.Parameter] = WeakValueDictionary()


def is_factory(network):
    """Whether a network is given by a function of the user's, not by a spec."""
    return callable(network) and not hasattr(network, "build")


def from_factory(factory, role, n_inputs, n_outputs):
    """Call a factory of the user's and see that what it makes fits.

    Parameters
    ----------
    factory : callable

    role : {"encoder", "decoder"}

    n_inputs, n_outputs : int

    Returns
    -------
    nn.Module
    """
    network = factory(n_inputs, n_outputs)
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"{role}={factory!r} returned {type(network).__name__}; a factory is "
            "called as factory(n_inputs, n_outputs) and returns a torch.nn.Module."
        )
    made = f"{role}={factory!r} made a module"
    _refuse_parameters_of_others(network, made)
    _refuse_complex_weights(network, made)
    _refuse_other_state(network, made)
    network = network.to(torch.float32)
    n_rows = 3 if n_outputs == 2 else 2  # or rows might be taken for columns
    rows = torch.linspace(-1, 1, n_rows * n_inputs, dtype=torch.float32)
    rows = rows.view(n_rows, n_inputs)
    _try_out(network.eval(), made, rows, n_outputs)
    if any(p.requires_grad for p in network.parameters()):
        # An encoder is trained by the codes that a decoder is given.
        _try_to_train(network.train(), made, rows.requires_grad_(role == "decoder"))
    return network.eval()


def remember_parameters(model):
    """Let no other model be made of the parameters of this one.

    Its encoder and its decoder may share some.
    """
    _OF_MODELS.update((id(p), p) for p in model.parameters())


def _refuse_parameters_of_others(network, made):
    """Refuse to train parameters of a model that is there, which would change."""
    for name, p in network.named_parameters():
        if p.requires_grad and _OF_MODELS.get(id(p)) is p:
            raise ValueError(
                f"{made} whose {name} is that of a model made before, which would "
                "change with it; make new layers at each call."
            )


def _refuse_complex_weights(network, made):
    """Refuse what would lose its imaginary part: weights are of float32."""
    for name, tensor in chain(network.named_parameters(), network.named_buffers()):
        if tensor.dtype.is_complex:
            raise ValueError(
                f"{made} whose {name} is of {tensor.dtype}; keep real and imaginary "
                "parts in a last axis, and take torch.view_as_complex in forward."
            )


def _refuse_other_state(network, made):
    """Refuse what cannot be stored: weights travel as arrays."""
    for name, value in network.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"{made} with {name} in its state_dict, a {type(value).__name__}; keep "
                "it in a buffer, or have it made with the module."
            )


def _try_out(network, made, rows, n_outputs):
    """See that a network of the user's turns rows into rows."""
    n_rows, n_inputs = rows.shape
    try:
        with torch.no_grad():
            y = network(rows.clone())  # which it may overwrite
    except Exception as error:
        raise ValueError(
            f"{made} that fails on rows of {n_inputs} values: {error}"
        ) from error
    if not isinstance(y, torch.Tensor) or y.layout != torch.strided:
        raise TypeError(f"{made} that returns {type(y).__name__}, not a dense tensor.")
    if y.shape != (n_rows, n_outputs):
        raise ValueError(
            f"{made} that turns {n_rows} rows of {n_inputs} values into shape "
            f"{tuple(y.shape)}; it has to be ({n_rows}, {n_outputs})."
        )
    if not (y.is_floating_point() and torch.isfinite(y).all()):
        raise ValueError(f"{made} that turns rows into what is no finite number.")


def _try_to_train(network, made, rows):
    """See that a network has a gradient, and leave no trace of it."""
    buffers = KeptBuffers(network)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            network(rows.clone()).sum().backward()
    except Exception as error:
        raise ValueError(f"{made} that cannot be trained: {error}") from error
    buffers.put_back()
    network.zero_grad()
