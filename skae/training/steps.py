"""Steps: the weights of one training, and how batches change them.

A step asks for a batch's loss and its gradient, clips that, and lets the optimizer move
the weights. Where the gradient is written out and the model ``is_recordable``, a GPU
records a step, and replays it. A model may offer ``warm_up(progress)``, which is told
how far the first epochs have come.
"""

from contextlib import contextmanager
from functools import partial
from operator import mul

import torch

from skae.device import generator_from

from .clipping import Clipping
from .losses import AutogradLoss, WrittenLoss
from .recording import Replayed
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
        self.unit = model.loss_unit.item()
        self.loss = self._loss(has_derivative)
        self.replayed = self._replayed(generator_from(seed + 1, rows.device))
        if state:
            self._go_on(state)
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
        draws = self.replayed.draws
        if state["draws"].shape == draws.get_state().shape:
            draws.set_state(state["draws"])

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

    def _replayed(self, draws):
        """Make what takes steps: Python does, and a GPU alone once it can."""
        is_recordable = (
            getattr(self.model, "is_recordable", False)
            and isinstance(self.loss, WrittenLoss)
            and isinstance(self.optimizer, FusedAdam)
        )
        size = self.settings.batch_size
        return Replayed(size, draws, is_recordable=is_recordable)

    @property
    def rate(self):
        """Learning rate."""
        return self.optimizer.param_groups[0]["lr"]

    @rate.setter
    def rate(self, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if isinstance(self.optimizer, FusedAdam):
            self.optimizer.follow_rate()

    def state(self):
        """Give what going on later takes."""
        return {
            "solver": solver_name(self.settings.solver),
            "optimizer": self.optimizer.state_dict(),
            "made_with": self.made_with,
            "clipping": self.clipping.state() if self.clipping else {},
            "shuffle": self.shuffle.get_state(),
            "draws": self.replayed.draws.get_state(),
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
        self.replayed.forget()

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
                losses[len(sizes)] = self.step(x, row_factor, n_before >= n_warm)
                sizes.append(size)
        means = losses[: len(sizes)].tolist()
        return sum(map(mul, means, sizes)) / len(rows) * self.unit

    def step(self, x, row_factor, is_warmed_up):
        """Take a step, or replay one; give the loss of the batch before it."""
        is_clipping = self.clipping is None or self.clipping.is_active
        is_settled = is_warmed_up and is_clipping
        return self.replayed(self.take, x, row_factor, is_settled=is_settled)

    def take(self, x, row_factor, draws):
        """Take a step by Python."""
        return self.optimizer.step(partial(self.loss_and_grad, x, row_factor, draws))

    def loss_and_grad(self, x, row_factor, draws):
        """Loss of a batch; its gradient is set, and no longer than it may be."""
        loss = self.loss.loss_and_grad(x, row_factor, draws)
        if self.clipping is not None:
            self.clipping.clip()
        return loss

    def warm_up(self, progress):
        """Tell the model how far its warm-up has come."""
        if hasattr(self.model, "warm_up"):
            self.model.warm_up(min(progress, 1.0))
