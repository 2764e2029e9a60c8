"""Losses: that of a batch with its gradient, by autograd or as a model has it written.

To the steps of a training both are the same,

    loss_and_grad(x, row_factor, generator)       of a batch; sets the gradient
    row_losses(x, generator, passes, weight)      of each row, as it is judged
    needs_training_mode                           whether layers behave as in training

and a model that ``has_derivative`` is spared of autograd, whose bookkeeping takes
longer than the arithmetic of small layers.
"""

from contextlib import contextmanager

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from .weights import WorkingWeights

__all__ = ["AutogradLoss", "WrittenLoss"]


class AutogradLoss:
    """The loss of a model, with its gradient by autograd.

    Parameters
    ----------
    model : nn.Module

    parameters : FlatParameters

    dtype : torch.dtype
        Of the products.
    """

    needs_training_mode = True

    def __init__(self, model, parameters, dtype):
        self.model, self.parameters, self.dtype = model, parameters, dtype

    def row_losses(self, x, generator, passes=1, weight=None):
        """Loss of each row by the weights as they are, in float32."""
        return self.model.row_losses(x, generator, passes, weight)

    def loss_and_grad(self, x, row_factor, generator):
        """Give the loss of a batch; set its gradient."""
        self.parameters.clear_gradient()
        with (
            _frozen_norms(self.model, x),
            torch.enable_grad(),
            torch.autocast(
                x.device.type, self.dtype, enabled=self.dtype != torch.float32
            ),
        ):
            loss = self.model.batch_loss(x, row_factor, generator)
        loss.backward()
        return loss.detach()


@contextmanager
def _frozen_norms(model, x):
    """Keep layers that measure a batch from a batch of one row, which has no spread."""
    norms = []
    if len(x) == 1:
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    for norm in norms:
        norm.eval()
    yield
    for norm in norms:
        norm.train()


class WrittenLoss:
    """The loss of a model, with the gradient that the model has written out.

    Parameters
    ----------
    model : nn.Module

    parameters : FlatParameters

    dtype : torch.dtype
        Of the products.

    batch_size : int
        Rows of a batch, by which kernels are chosen.
    """

    # What is written out is the derivative of the model as it is used.
    needs_training_mode = False

    def __init__(self, model, parameters, dtype, batch_size):
        self.model = model
        self.working = WorkingWeights(parameters, dtype, batch_size)
        self.derivative = model.written_out(self.working)

    def row_losses(self, x, generator, passes=1, weight=None):
        """Loss of each row by the weights as they are, in float32.

        What the derivative has ready finds one pass sooner.
        """
        if passes == 1 and self.working.dtype == torch.float32:
            return self.derivative.row_losses(x, generator)
        return self.model.row_losses(x, generator, passes, weight)

    def loss_and_grad(self, x, row_factor, generator):
        """Give the loss of a batch; set its gradient."""
        with torch.no_grad():
            self.working.refresh()
            loss = self.derivative.loss_and_grad(x, row_factor, generator)
            self.working.return_gradients()
        return loss
