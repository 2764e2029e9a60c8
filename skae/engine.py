"""The engine: minimises a model's loss over rows.

It knows no model. It asks one for ``row_losses(x, generator, passes)``, the loss of
each row (its mean over so many passes, if the model draws), and for ``loss_unit``, the
loss that counts as 1; everything else (batches, optimizer, learning rate, stopping, the
best weights) is here. The gradient is autograd's, or, for a model that
``is_traceable``, what it has ``written_out``.

What is trained on may differ from what is judged: a model may offer
``batch_loss(x, row_factor, generator)`` in place of the sum of its rows' losses, and
``warm_up(progress)``, which is told how far the first epochs have come.
"""

import math
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from operator import mul

import torch

from .device import generator_from, limited_threads, wide_dtype
from .solvers import (
    FlatParameters,
    Restraint,
    Working,
    load_state,
    make_optimizer,
    name_of,
)

__all__ = ["Settings", "TrainingResult", "mean_loss", "row_losses", "train"]


# When the validation loss stops improving, the learning rate is multiplied by
# DECAY, from the best weights on, at most MAX_DECAYS times; besides, it may fall from
# epoch to epoch as planned.
DECAY = 0.2
MAX_DECAYS = 1

# A loss so many units above the start's has diverged; training then goes on from the
# weights that were kept, by smaller steps.
DIVERGED = 100.0
PROBED_ROWS = 64
RETRY_FACTOR = 0.1
MAX_RETRIES = 3

# Products of fewer multiplications than this gain nothing by several threads, nor by
# bfloat16, whose conversions cost more than it saves.
LARGE_PRODUCT = 2**22


@dataclass(frozen=True)
class Settings:
    """How to train; every field is resolved.

    Attributes
    ----------
    solver : str, type or functools.partial
    learning_rate : float or None
        None is the own default of an optimizer class.
    alpha : float
        Weight decay of the matrices, as the optimizer understands it.
    batch_size : int
    max_iter : int
        Largest number of epochs.
    tol : float
        Improvement, in units of the loss, that counts for ``patience``.
    patience : int
        Epochs without improvement after which the learning rate is lowered, or
        training ends.
    dtype : torch.dtype
        Of the matrix products.
    validation_passes : int
        How often the validation rows are walked through for one loss, for a model
        that draws.
    warmup : float
        Share of the epochs, at the beginning, over which the model is warmed up. What
        they give is judged, but they do not end the training.
    descent : float
        Share of the epochs, at the end, over which the learning rate falls along a
        line, to be 0 after the last.
    """

    solver: object
    learning_rate: float | None
    alpha: float
    batch_size: int
    max_iter: int
    tol: float
    patience: int
    dtype: torch.dtype
    validation_passes: int = 1
    warmup: float = 0.0
    descent: float = 0.0

    def for_one_epoch(self):
        """Train for one epoch, and leave the learning rate alone."""
        return replace(self, max_iter=1, patience=sys.maxsize, warmup=0.0, descent=0.0)

    def planned_rate(self, n_before):
        """Learning rate of the epoch after so many, as a share of the first's."""
        n_falling = self.descent * self.max_iter
        n_left = self.max_iter - n_before
        return min(n_left / n_falling, 1.0) if n_falling else 1.0


@dataclass
class TrainingResult:
    """What happened in :func:`train`; losses are means over rows.

    Attributes
    ----------
    loss_curve : list of float
        Training loss of each epoch.
    validation_curve : list of float
        Validation loss at the start and after each epoch; empty without validation.
    learning_rates : list of float
        Learning rate of each epoch that led to the kept weights, to be replayed by a
        refit; those after which training went back are not among them.
    best_epoch : int
        Number of epochs after which the kept weights were reached; 0 is the start.
    best_loss : float
        Loss of the kept weights on the rows that judge.
    interrupted, diverged : bool
        Whether the user ended it; whether even small steps gave no finite loss.
    state : dict
        Optimizer and random streams, for going on later.
    """

    loss_curve: list = field(default_factory=list)
    validation_curve: list = field(default_factory=list)
    learning_rates: list = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = math.inf
    interrupted: bool = False
    diverged: bool = False
    state: dict = field(default_factory=dict)

    @property
    def n_epochs(self):
        """Number of epochs run."""
        return len(self.loss_curve)


def _has_large_products(model, batch_size):
    """Whether several threads, or bfloat16, pay; by shape, never by timing."""
    largest = max((p.numel() for p in model.parameters() if p.ndim >= 2), default=0)
    return batch_size * largest >= LARGE_PRODUCT


def row_losses(model, rows, seed=0, passes=1):
    """Loss of each row, as wide as can be, by the same draws whenever asked."""
    n_threads = torch.get_num_threads() if _has_large_products(model, len(rows)) else 1
    with limited_threads(n_threads):
        return _row_losses(model, rows, seed, passes)


def _row_losses(model, rows, seed, passes):
    generator = generator_from(seed, rows.device)
    with torch.no_grad(), _evaluating(model):
        losses = [model.row_losses(x, generator, passes) for x in rows.blocks()]
    return torch.cat(losses).to(wide_dtype(rows.device))


@contextmanager
def _evaluating(model):
    """Let a model be used as it will be, not as it is trained."""
    was_training = model.training
    if was_training:
        model.eval()
    yield
    if was_training:
        model.train()


def mean_loss(model, rows, seed=0, passes=1):
    """Weighted mean of :func:`row_losses`."""
    return rows.mean(row_losses(model, rows, seed, passes))


@dataclass
class _Plateau:
    """When to lower the learning rate, and when to end: the loss has stood still."""

    reference: float = math.inf
    waited: int = 0
    n_decays: int = 0

    def observe(self, loss, tolerance):
        if loss < self.reference - tolerance:
            self.reference, self.waited = loss, 0
        else:
            self.waited += 1


class _Loop:
    """One training run: its batches, optimizer, random streams and kept weights."""

    def __init__(self, model, rows, settings, seed, state):
        self.model, self.rows, self.settings = model, rows, settings
        self.parameters = FlatParameters(model)
        self.optimizer = make_optimizer(settings, self.parameters)
        self.restraint = self._restraint()
        self.shuffle = generator_from(seed)
        self.draws = generator_from(seed + 1, rows.device)
        self.plateau = _Plateau()
        self.unit = model.loss_unit.item()
        if state:
            # Of no use to another solver, which begins anew.
            if state["solver"] == name_of(settings.solver):
                load_state(self.optimizer, state["optimizer"], settings)
                self.restraint = self._restraint(**state["restraint"])
            self.shuffle.set_state(state["shuffle"])
            # A GPU's stream cannot go on elsewhere; there the draws begin anew.
            if state["draws"].shape == self.draws.get_state().shape:
                self.draws.set_state(state["draws"])
            self.plateau = _Plateau(**state["plateau"])
        self.full_rate = self.rate  # of which the planned rates are shares
        self.working, self.derivative = self._write_out()
        self.kept = self.parameters.copy()

    def _restraint(self, **state):
        """Make what shortens long gradients; None for a user's own optimizer."""
        if not isinstance(self.settings.solver, str):
            return None
        return Restraint(self.parameters.gradient, **state)

    def _write_out(self):
        """Give the derivative of a model that has it written out; else None."""
        if not getattr(self.model, "is_traceable", False):
            return None, None
        dtype, batch_size = self.settings.dtype, self.settings.batch_size
        working = Working(self.parameters, dtype, batch_size)
        return working, self.model.written_out(working)

    @property
    def rate(self):
        return self.optimizer.param_groups[0]["lr"]

    @rate.setter
    def rate(self, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state(self):
        return {
            "solver": name_of(self.settings.solver),
            "optimizer": self.optimizer.state_dict(),
            "restraint": self.restraint.state() if self.restraint else {},
            "shuffle": self.shuffle.get_state(),
            "draws": self.draws.get_state(),
            "plateau": asdict(self.plateau),
        }

    def keep(self):
        """Remember the weights as they are."""
        self.kept = self.parameters.copy()

    def go_back(self):
        """Return to the weights that were kept."""
        self.parameters.restore(self.kept)

    def retry_smaller(self):
        """Return to the weights that were kept, with a smaller and fresh optimizer."""
        rate = self.rate * RETRY_FACTOR
        self.full_rate *= RETRY_FACTOR
        self.go_back()
        self.optimizer = make_optimizer(self.settings, self.parameters)
        self.restraint = self._restraint()
        self.rate = rate

    def probe(self):
        """Mean loss of a few rows, by the same draws whenever asked."""
        x = self.rows.take(slice(PROBED_ROWS))
        draws = generator_from(0, self.rows.device)
        with torch.no_grad(), _evaluating(self.model):
            if self.derivative is None:
                return self.model.row_losses(x, draws).mean().item()
            self.working.lower()
            return self.derivative.row_losses(x, draws).mean().item()

    def epoch(self, n_before, n_warm):
        """Go through the rows once; return their mean loss on the way.

        Parameters
        ----------
        n_before : int
            Epochs before this one.

        n_warm : float
            Epochs over which the model is warmed up.
        """
        losses, sizes, n_seen = [], [], 0
        with torch.no_grad():
            for x, weight in self.rows.batches(self.settings.batch_size, self.shuffle):
                if n_warm:
                    self.warm_up(n_before + n_seen / len(self.rows), n_warm)
                size = x.shape[0]
                n_seen += size
                row_factor = weight * (1 / (size * self.unit))
                slope = partial(self.loss_and_grad, x, row_factor)
                losses.append(self.optimizer.step(slope))
                sizes.append(size)
        means = torch.stack(losses).tolist()
        return sum(map(mul, means, sizes)) / len(self.rows) * self.unit

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

    def warm_up(self, n_epochs, n_warm):
        """Tell the model how far its warm-up has come."""
        if hasattr(self.model, "warm_up"):
            self.model.warm_up(min(n_epochs / n_warm, 1.0) if n_warm else 1.0)

    def written_out(self, x, row_factor):
        """Loss of a batch, with the gradient that the model has written out."""
        with torch.no_grad():
            self.working.lower()
            loss = self.derivative.loss_and_grad(x, row_factor, self.draws)
            self.working.lift()
        return loss


def train(
    model,
    rows,
    settings,
    *,
    seed,
    start_loss,
    valid=None,
    learning_rates=None,
    observer=None,
    state=None,
):
    """Minimise the mean loss of a model over rows, in place.

    Parameters
    ----------
    model : nn.Module
        With ``row_losses(x, generator, passes)`` and ``loss_unit``.

    rows : Rows
        Trained on.

    settings : Settings

    seed : int
        Of the order of the rows and of the model's draws.

    start_loss : float
        About where the loss begins. What goes far beyond it has diverged.

    valid : Rows, optional
        If given, the weights that are best on them are kept, those at the start
        among the candidates, and training ends when they are long past. If not, the
        last weights are kept, and training ends when the training loss stands still.

    learning_rates : list of float, optional
        Rates of another run to be replayed, one epoch each, in place of stopping.

    observer : object, optional
        Its ``begin()`` is called before each epoch and ``end(result)`` after it; a
        true answer ends the training.

    state : dict, optional
        :attr:`TrainingResult.state` of a run to be continued.

    Returns
    -------
    TrainingResult
    """
    result = TrainingResult()
    if state:
        settings = replace(settings, warmup=0.0)  # no schedule starts over
    if _has_large_products(model, settings.batch_size):
        n_threads = torch.get_num_threads()
    else:
        n_threads, settings = 1, replace(settings, dtype=torch.float32)
    with limited_threads(n_threads):
        loop = _Loop(model, rows, settings, seed, state)
        # A derivative that is written out is that of the model as it is used.
        model.train(loop.derivative is None)
        try:
            if valid is not None:
                result.best_loss = _validate(loop, valid, seed)
                result.validation_curve.append(result.best_loss)
                loop.plateau.observe(result.best_loss, 0.0)
            _run(loop, result, valid, learning_rates, observer, seed, start_loss)
        except KeyboardInterrupt:
            result.interrupted = True
        finally:
            loop.go_back()
            loop.parameters.release()
            loop.warm_up(1.0, 0.0)
            model.eval()
        result.state = loop.state()
    return result


def _validate(loop, valid, seed):
    return mean_loss(loop.model, valid, seed, loop.settings.validation_passes)


def _run(loop, result, valid, learning_rates, observer, seed, start_loss):
    """Run the epochs of :func:`train`, recording each in the result."""
    settings = loop.settings
    replayed = iter(learning_rates or ())
    n_epochs = settings.max_iter if learning_rates is None else len(learning_rates)
    n_warm = settings.warmup * n_epochs
    limit = start_loss + DIVERGED * loop.unit
    # The loss of an epoch is taken on the way; where nothing judges what the last step
    # made of the weights, a few rows do.
    probe = loop.probe() if valid is None else 0.0
    probe_limit = probe + DIVERGED * max(loop.unit, abs(probe))
    n_retries, path = 0, []  # the learning rates that led to the weights as they are
    while result.n_epochs < n_epochs:
        if learning_rates is None:
            loop.rate = loop.full_rate * settings.planned_rate(result.n_epochs)
        elif n_retries == 0:
            loop.rate = next(replayed)
        if observer is not None and n_retries == 0:
            observer.begin()
        rate = loop.rate
        loss = loop.epoch(result.n_epochs, n_warm)
        judged = loss if valid is None else _validate(loop, valid, seed)
        is_sound = loss < limit and judged < limit  # NaN is not
        if valid is None:
            is_sound = is_sound and loop.probe() < probe_limit
        if not is_sound:
            if n_retries == MAX_RETRIES:
                result.diverged = True
                loop.go_back()
                if observer is not None:
                    observer.end(result)
                return
            n_retries += 1
            loop.retry_smaller()
            path = list(result.learning_rates)
            continue
        result.loss_curve.append(loss)
        path.append(rate)
        if valid is not None:
            result.validation_curve.append(judged)
        if valid is None or judged < result.best_loss:
            result.best_loss, result.best_epoch = judged, result.n_epochs
            result.learning_rates = list(path)
            loop.keep()
        if result.n_epochs <= n_warm:
            loop.plateau.reference = judged
        else:
            loop.plateau.observe(judged, settings.tol * loop.unit)
        n_retries = 0
        if observer is not None and observer.end(result):
            return
        if learning_rates is None and loop.plateau.waited >= settings.patience:
            if loop.plateau.n_decays == MAX_DECAYS:
                return
            loop.plateau.n_decays += 1
            loop.plateau.waited = 0
            loop.full_rate *= DECAY
            loop.go_back()
            path = list(result.learning_rates)
