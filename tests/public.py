"""What skae offers to all."""

import importlib
import inspect

from torch import nn

ROOMS = (
    "skae",
    "skae.plotting",
    "skae.likelihoods",
    "skae.priors",
    "skae.networks",
    "skae.onnx",
    "skae.cli",
)


def public_names():
    """Functions, classes and specs; not the modules of torch that specs build."""
    names = []
    for room in ROOMS:
        try:
            module = importlib.import_module(room)
        except ImportError:  # an extra that is not installed
            continue
        names += [
            f"{room}.{name}" for name in module.__all__ if _is_public(module, name)
        ]
    return names


def _is_public(module, name):
    found = getattr(module, name)
    if not inspect.isclass(found):
        return inspect.isfunction(found)
    is_built = issubclass(found, nn.Module | tuple)
    return not is_built and found.__name__ not in ("Likelihood", "Prior")
