"""Steps: the weights of one training, and how batches change them.

A step asks for a batch's loss and its gradient, clips that, and lets the optimizer move
the weights. Where the gradient is written out and the model ``is_recordable``, a GPU
records a step, and replays it. A model may offer ``warm_up(progress)``, which is told
how far the first epochs have come.
"""

from contextlib import contextmanager
from functools import partial
from operator import mul
from typing import Any

import torch

from skae.device import generator_from

from .clipping import Clipping
from .losses import AutogradLoss, WrittenLoss
from .recording import RecordedStep, Recording
from .solvers import (
    FusedAdam,
    hyperparameters,
    load_state,
    make_optimizer,
    solver_name,
    switches,
)
from .weights import FlatParameters

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
    learning_rates : list of float
        Learning rate of each epoch that led to the weights as they are.
    """

    def __init__(self, model, rows, settings, seed, state):
        self.model, self.rows, self.settings = model, rows, settings
        has_derivative = getattr(model, "has_derivative", False)
        # Neither a user's network nor a user's optimizer need expect such matrices.
        column_major = has_derivative and isinstance(settings.solver, str)
        self.parameters = FlatParameters(model, column_major=column_major)
        self.optimizer = make_optimizer(settings, self.parameters)
        self.made_with = hyperparameters(self.optimizer)
        self.clipping = self._clipping()
        self.shuffle = generator_from(seed)
        self.draws = generator_from(seed + 1, rows.device)
        self.unit = model.loss_unit.item()
        if state:
            self._go_on(state)
        self.loss = self._loss(has_derivative)
        self.recorded: Any = None
        self.is_recordable, self.n_taken = self._can_be_recorded(), 0
        self.learning_rates = []
        self.keep()

    def _go_on(self, state):
        """Go on where another training ended."""
        # Of no use to another solver, which begins anew.
        is_same = state["solver"] == solver_name(self.settings.solver)
        if is_same and switches(state["made_with"]) == switches(self.made_with):
            load_state(
                self.optimizer, state["optimizer"], self.settings, state["made_with"]
            )
            self.clipping = self._clipping(**state["clipping"])
        self.shuffle.set_state(state["shuffle"])
        # A GPU's stream cannot go on elsewhere; there the draws begin anew.
        if state["draws"].shape == self.draws.get_state().shape:
            self.draws.set_state(state["draws"])

    def _clipping(self, **state):
        """Make what clips long gradients; None for a user's own optimizer."""
        if not isinstance(self.settings.solver, str):
            return None
        return Clipping(self.parameters.gradient, **state)

    def _loss(self, has_derivative):
        """Make what gives a batch's loss and gradient: written out, if it can be."""
        dtype = self.settings.dtype
        if has_derivative:
            batch_size = self.settings.batch_size
            return WrittenLoss(self.model, self.parameters, dtype, batch_size)
        return AutogradLoss(self.model, self.parameters, dtype)

    def _can_be_recorded(self):
        """Whether a device that records does all of a step, and Python nothing.

        A recording is not begun where it might fail: up to torch 2.12 one that failed
        leaves the memory of the whole process in disorder.
        """
        return (
            self.rows.device.type in Recording.devices
            and getattr(self.model, "is_recordable", False)
            and isinstance(self.loss, WrittenLoss)
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
            "solver": solver_name(self.settings.solver),
            "optimizer": self.optimizer.state_dict(),
            "made_with": self.made_with,
            "clipping": self.clipping.state() if self.clipping else {},
            "shuffle": self.shuffle.get_state(),
            "draws": self.draws.get_state(),
        }

    def keep(self):
        """Remember the weights as they are, and how they were reached."""
        self._kept = self.parameters.copy(), list(self.learning_rates)

    def go_back(self):
        """Return to the weights that were kept."""
        weights, learning_rates = self._kept
        self.parameters.restore(weights)
        self.learning_rates = list(learning_rates)

    def end(self):
        """Leave the model with the weights that were kept, in memory of its own."""
        self.go_back()
        self.parameters.release()
        self.warm_up(1.0)

    def begin_anew(self):
        """Return to the weights that were kept, with a fresh optimizer."""
        self.go_back()
        self.optimizer = make_optimizer(self.settings, self.parameters)
        self.clipping = self._clipping()
        self.recorded = None

    def probe(self):
        """Mean loss of a few rows, by the same draws whenever asked."""
        x = self.rows.take(slice(PROBED_ROWS))
        draws = generator_from(0, self.rows.device)
        with torch.no_grad(), evaluating(self.model):
            return self.loss.row_losses(x, draws).mean().item()

    def epoch(self, n_before, n_warm):
        """Go through the rows once; return their mean loss on the way.

        Parameters
        ----------
        n_before : int
            Epochs before this one.

        n_warm : float
            Epochs over which the model is warmed up.
        """
        self.learning_rates.append(self.rate)
        rows, batch_size = self.rows, self.settings.batch_size
        # In one vector: a tensor of each, kept among what every step allocates and
        # frees, would leave gaps that fit nothing, and memory would grow.
        n_steps = -(-len(rows) // batch_size)
        losses = torch.empty(n_steps, dtype=torch.float32, device=rows.device)
        sizes: list[int] = []
        n_seen = 0
        with torch.no_grad():
            for x, weight in rows.batches(batch_size, self.shuffle):
                if n_warm:
                    self.warm_up((n_before + n_seen / len(rows)) / n_warm)
                size = x.shape[0]
                n_seen += size
                row_factor = weight * (1 / (size * self.unit))
                take = self.step_of(x, is_warmed_up=n_before >= n_warm)
                losses[len(sizes)] = take(x, row_factor)
                sizes.append(size)
        means = losses[: len(sizes)].tolist()
        return sum(map(mul, means, sizes)) / len(rows) * self.unit

    def step_of(self, x, *, is_warmed_up):
        """Give what takes a step of a batch: a recording, if there may be one."""
        may_be_recorded = (
            self.is_recordable
            and is_warmed_up
            and self.clipping.is_active
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
        return self.optimizer.step(partial(self.loss_and_grad, x, row_factor))

    def replay(self, x, row_factor):
        """Do the same by the recording."""
        self.optimizer.follow_rate()
        return self.recorded(x, row_factor)

    def _record(self, x):
        """Record a step of rows like these; where that fails, never again.

        The draws had been the recording's.
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
        loss = self.loss.loss_and_grad(x, row_factor, self.draws)
        if self.clipping is not None:
            self.clipping.clip()
        return loss

    def warm_up(self, progress):
        """Tell the model how far its warm-up has come."""
        if hasattr(self.model, "warm_up"):
            self.model.warm_up(min(progress, 1.0))
