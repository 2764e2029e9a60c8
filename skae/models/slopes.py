"""Slopes: by autograd, wherever they are asked for, of rows each by itself."""

import torch

__all__ = ["value_and_slope"]


def value_and_slope(function, x, at):
    """Value for each row of a function, and its slope in the latter argument.

    Where the value does not depend on it the slope is 0.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x, at = x.clone(), at.detach().clone().requires_grad_()
        values = function(x, at)
        (slope,) = torch.autograd.grad(values.sum(), at, materialize_grads=True)
    return values.detach(), slope
