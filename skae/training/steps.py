"""Steps: the weights of one training, and how batches change them.

The gradient is autograd's, or, for a model that ``is_traceable``, what it has
``written_out``; of the latter a GPU records a step, and replays it. A model may offer
``batch_loss(x, row_factor, generator)`` in place of the sum of its rows' losses, and
``warm_up(progress)``, which is told how far the first epochs have come.
"""

from contextlib import contextmanager
from functools import partial
from operator import mul
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from skae.device import generator_from

from .recording import RecordedStep, Recording
from .solvers import (
    SOLVERS,
    FusedAdam,
    Restraint,
    hyperparameters,
    load_state,
    make_optimizer,
    name_of,
    switches,
)
from .weights import FlatParameters, Working

__all__ = ["Steps", "evaluating"]

# So many rows tell whether a step led far astray.
PROBED_ROWS = 64

# Steps by which a GPU loads what they need, before one is recorded.
LOADING_STEPS = 3


@contextmanager
def evaluating(model):
    """Let a model be used as it will be, not as it is trained."""
    was_training = model.training
    if was_training:
        model.eval()
    yield
    if was_training:
        model.train()


@contextmanager
def _spared_of_one(model, x):
    """Keep layers that measure a batch from a batch of one row, which has no spread."""
    norms = []
    if len(x) == 1:
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    for norm in norms:
        norm.eval()
    yield
    for norm in norms:
        norm.train()


class Steps:
    """The weights of one training, its optimizer and its random streams.

    Parameters
    ----------
    model : nn.Module
        As :func:`skae.training.engine.train` has it.

    rows : Rows
        Trained on.

    settings : Settings

    seed : int
        Of the order of the rows and of the model's draws.

    state : dict or None
        :meth:`state` of a training to be continued.

    Attributes
    ----------
    path : list of float
        Learning rate of each epoch that led to the weights as they are.
    """

    def __init__(self, model, rows, settings, seed, state):
        self.model, self.rows, self.settings = model, rows, settings
        is_traceable = getattr(model, "is_traceable", False)
        # Neither a user's network nor a user's optimizer need expect turned matrices.
        turns = is_traceable and isinstance(settings.solver, str)
        self.parameters = FlatParameters(model, turns=turns)
        self.optimizer = make_optimizer(settings, self.parameters)
        self.made_with = hyperparameters(self.optimizer)
        self.restraint = self._restraint()
        self.shuffle = generator_from(seed)
        self.draws = generator_from(seed + 1, rows.device)
        self.unit = model.loss_unit.item()
        if state:
            self._go_on(state)
        self.working, self.derivative = self._write_out(is_traceable)
        self.recorded: Any = None
        self.is_recordable, self.n_taken = self._can_be_recorded(), 0
        self.path = []
        self.keep()

    def _go_on(self, state):
        """Go on where another training ended."""
        # Of no use to another solver, which begins anew.
        is_same = state["solver"] == name_of(self.settings.solver)
        if is_same and switches(state["made_with"]) == switches(self.made_with):
            load_state(
                self.optimizer, state["optimizer"], self.settings, state["made_with"]
            )
            self.restraint = self._restraint(**state["restraint"])
        self.shuffle.set_state(state["shuffle"])
        # A GPU's stream cannot go on elsewhere; there the draws begin anew.
        if state["draws"].shape == self.draws.get_state().shape:
            self.draws.set_state(state["draws"])

    def _restraint(self, **state):
        """Make what shortens long gradients; None for a user's own optimizer."""
        if not isinstance(self.settings.solver, str):
            return None
        return Restraint(self.parameters.gradient, **state)

    def _write_out(self, is_traceable):
        """Give the derivative of a model that has it written out; else None."""
        if not is_traceable:
            return None, None
        dtype, batch_size = self.settings.dtype, self.settings.batch_size
        working = Working(self.parameters, dtype, batch_size)
        return working, self.model.written_out(working)

    def _can_be_recorded(self):
        """Whether a device that records does all of a step, and Python nothing."""
        return (
            self.rows.device.type in Recording.devices
            and self.derivative is not None
            and isinstance(self.optimizer, FusedAdam)
        )

    @property
    def rate(self):
        """Learning rate."""
        return self.optimizer.param_groups[0]["lr"]

    @rate.setter
    def rate(self, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state(self):
        """Give what going on later takes."""
        return {
            "solver": name_of(self.settings.solver),
            "optimizer": self.optimizer.state_dict(),
            "made_with": self.made_with,
            "restraint": self.restraint.state() if self.restraint else {},
            "shuffle": self.shuffle.get_state(),
            "draws": self.draws.get_state(),
        }

    def keep(self):
        """Remember the weights as they are, and how they were reached."""
        self._kept = self.parameters.copy(), list(self.path)

    def go_back(self):
        """Return to the weights that were kept."""
        weights, path = self._kept
        self.parameters.restore(weights)
        self.path = list(path)

    def end(self):
        """Leave the model with the weights that were kept, in memory of its own."""
        self.go_back()
        self.parameters.release()
        self.warm_up(1.0)

    def begin_anew(self):
        """Return to the weights that were kept, with a fresh optimizer."""
        self.go_back()
        self.optimizer = make_optimizer(self.settings, self.parameters)
        self.restraint = self._restraint()
        self.recorded = None

    def probe(self):
        """Mean loss of a few rows, by the same draws whenever asked."""
        x = self.rows.take(slice(PROBED_ROWS))
        draws = generator_from(0, self.rows.device)
        with torch.no_grad(), evaluating(self.model):
            return self.row_losses(x, draws).mean().item()

    def row_losses(self, x, generator, passes=1, weight=None):
        """Loss of each row by the weights as they are, in float32.

        What the written-out derivative has ready finds one pass sooner.
        """
        is_ready = self.derivative is not None and self.working.dtype == torch.float32
        if is_ready and passes == 1:
            return self.derivative.row_losses(x, generator)
        return self.model.row_losses(x, generator, passes, weight)

    def epoch(self, n_before, n_warm):
        """Go through the rows once; return their mean loss on the way.

        Parameters
        ----------
        n_before : int
            Epochs before this one.

        n_warm : float
            Epochs over which the model is warmed up.
        """
        self.path.append(self.rate)
        losses, sizes, n_seen = [], [], 0
        with torch.no_grad():
            for x, weight in self.rows.batches(self.settings.batch_size, self.shuffle):
                if n_warm:
                    self.warm_up((n_before + n_seen / len(self.rows)) / n_warm)
                size = x.shape[0]
                n_seen += size
                row_factor = weight * (1 / (size * self.unit))
                take = self.step_of(x, is_warmed_up=n_before >= n_warm)
                losses.append(take(x, row_factor))
                sizes.append(size)
        means = torch.stack(losses).tolist()
        return sum(map(mul, means, sizes)) / len(self.rows) * self.unit

    def step_of(self, x, *, is_warmed_up):
        """Give what takes a step of a batch: a recording, if there may be one."""
        may_be_recorded = (
            self.is_recordable
            and is_warmed_up
            and self.restraint.is_settled
            and self.n_taken >= LOADING_STEPS
            and len(x) <= self.settings.batch_size
        )
        if not may_be_recorded:
            return self.take
        if self.recorded is None:
            self._record(x)
        return self.replay if self.recorded is not None else self.take

    def take(self, x, row_factor):
        """Take a step; give the loss of the batch before it."""
        self.n_taken += 1
        closure = partial(self.loss_and_grad, x, row_factor)
        if isinstance(self.settings.solver, str):
            return self.optimizer.step(closure)
        return self._take_own(closure)

    def _take_own(self, closure):
        """Take a step by an optimizer of the user's; give the loss before it.

        It may call for the loss several times, and return what it likes.
        """
        losses, is_ours = [], False

        def asked():
            nonlocal is_ours
            is_ours = True
            self.parameters.attach_gradients()
            losses.append(closure())
            is_ours = False
            return losses[-1]

        solver = self.settings.solver
        try:
            self.optimizer.step(asked)
        except Exception as error:
            if is_ours:
                raise
            raise ValueError(
                f"solver={solver!r} fails at its step: {error}; use another class, or "
                f"one of {sorted(SOLVERS)}."
            ) from error
        if not losses:
            raise ValueError(
                f"solver={solver!r} has a step that does not call its closure, by "
                "which it is given the loss and the gradient."
            )
        return losses[0]

    def replay(self, x, row_factor):
        """Do the same by the recording."""
        self.optimizer.follow_rate()
        return self.recorded(x, row_factor)

    def _record(self, x):
        """Record a step of rows like these; where that fails, never again.

        No part of skae waits on its way, which is what fails; a likelihood of a user's
        own may. The draws had been the recording's.
        """
        draws = self.draws.get_state()
        try:
            size = self.settings.batch_size
            self.recorded = RecordedStep(self._recordable_step, x, size, self.draws)
        except RuntimeError:
            self.is_recordable = False
            self.draws = generator_from(0, self.rows.device)
            self.draws.set_state(draws)

    def _recordable_step(self, x, row_factor):
        """Do what is recorded of a step: all but what has to be done before."""
        loss = self.loss_and_grad(x, row_factor)
        self.optimizer.move()
        return loss

    def loss_and_grad(self, x, row_factor):
        """Loss of a batch; its gradient is set, and no longer than it may be."""
        if self.derivative is None:
            loss = self.autograd(x, row_factor)
        else:
            loss = self.written_out(x, row_factor)
        if self.restraint is not None:
            self.restraint.shorten()
        return loss

    def autograd(self, x, row_factor):
        """Loss of a batch, with its gradient by autograd."""
        dtype = self.settings.dtype
        self.parameters.clear_gradient()
        with (
            _spared_of_one(self.model, x),
            torch.enable_grad(),
            torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32),
        ):
            loss = self.batch_loss(x, row_factor)
        loss.backward()
        return loss.detach()

    def batch_loss(self, x, row_factor):
        """Loss of a batch, as the model wants it to be trained on."""
        if hasattr(self.model, "batch_loss"):
            return self.model.batch_loss(x, row_factor, self.draws)
        return self.model.row_losses(x, self.draws) @ row_factor

    def warm_up(self, progress):
        """Tell the model how far its warm-up has come."""
        if hasattr(self.model, "warm_up"):
            self.model.warm_up(min(progress, 1.0))

    def written_out(self, x, row_factor):
        """Loss of a batch, with the gradient that the model has written out."""
        with torch.no_grad():
            self.working.lower()
            loss = self.derivative.loss_and_grad(x, row_factor, self.draws)
            self.working.lift()
        return loss
