"""The engine: minimises a model's loss over rows.

It knows no model. It asks one for three losses,

    batch_loss(x, row_factor, generator)        that is minimised
    row_losses(x, generator, passes, weight)    by which rows judge
    loss_unit                                   that counts as 1

The loss of a row is its mean over so many passes, if the model draws; it goes by the
weights of the rows, if the model compares them. Everything else is here: epochs are run
(by :mod:`skae.training.steps`), judged, and kept or run again, at a pace (of
:mod:`skae.training.pace`) that says when to end.
"""

import math
import sys
from dataclasses import dataclass, field, replace

import torch

from skae.device import generator_from, limited_threads, widest_dtype

from .pace import DECAY, Pace, Replay
from .steps import Steps, evaluating

__all__ = [
    "Settings",
    "TrainingResult",
    "mean_loss",
    "n_threads",
    "replay",
    "row_losses",
    "train",
]


# A loss so many units above the start's has diverged; training then goes on from the
# weights that were kept, by smaller steps.
DIVERGED = 100.0
MAX_RETRIES = 3

# Products of so many multiplications gain by bfloat16; of fewer, what its conversions
# cost is more than it saves.
LOWERED_PRODUCT = 2**22

# Products of so many gain by several threads, a seventh and more. Of fewer they gain
# next to nothing, and lose many times that where others are at work: each waits for a
# thread that another program holds up.
SHARED_PRODUCT = 2**24


@dataclass(frozen=True)
class Settings:
    """How to train; every field is resolved.

    Attributes
    ----------
    solver : str, type or functools.partial
    learning_rate : float or None
        None is the own default of an optimizer class.
    alpha : float or None
        Weight decay of the matrices, as the optimizer understands it; None is the own
        default of an optimizer class.
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
    alpha: float | None
    batch_size: int
    max_iter: int
    tol: float
    patience: int
    dtype: torch.dtype
    validation_passes: int = 1
    warmup: float = 0.0
    descent: float = 0.0

    def for_epochs(self, n_epochs):
        """Train for so many epochs, and leave the learning rate alone."""
        return replace(
            self, max_iter=n_epochs, patience=sys.maxsize, warmup=0.0, descent=0.0
        )

    def at_final_rate(self):
        """Train by steps as small as those by which a training ends."""
        rate = self.learning_rate
        return self if rate is None else replace(self, learning_rate=DECAY * rate)

    def planned_rate(self, n_before):
        """Learning rate of the epoch after so many, as a share of the first's."""
        n_falling = self.descent * self.max_iter
        n_left = self.max_iter - n_before
        return min(n_left / n_falling, 1.0) if n_falling else 1.0


@dataclass
class TrainingResult:
    """What happened in a training; losses are means over rows.

    Attributes
    ----------
    most_epochs : int
        Number of epochs that it may run.
    loss_curve : list of float
        Training loss of each epoch.
    validation_curve : list of float
        Validation loss at the start and after each epoch; empty without validation.
    learning_rates : list of float
        Learning rate of each epoch that led to the kept weights, for :func:`replay`;
        those after which training went back are not among them.
    best_epoch : int
        Number of epochs after which the kept weights were reached; 0 is the start.
    best_loss : float
        Loss of the kept weights on the rows that judge.
    interrupted, diverged : bool
        Whether the user ended it; whether even small steps gave no finite loss.
    state : dict
        Optimizer and random streams, for going on later.
    """

    most_epochs: int = 0
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


def _largest_product(model, batch_size):
    """Multiplications of the largest product; shapes choose kernels, never timings."""
    largest = max((p.numel() for p in model.parameters() if p.ndim >= 2), default=0)
    return batch_size * largest


def n_threads(model, n_rows):
    """Threads that pay for so many rows."""
    is_shared = _largest_product(model, n_rows) >= SHARED_PRODUCT
    return torch.get_num_threads() if is_shared else 1


def row_losses(model, rows, seed=0, passes=1):
    """Loss of each row, in the widest type, by the same draws whenever asked."""
    with limited_threads(n_threads(model, len(rows))):
        return _row_losses(model, model, rows, seed, passes)


def _row_losses(model, judge, rows, seed, passes):
    """Losses of the rows of a model by itself, or by what stands for it."""
    generator = generator_from(seed, rows.device)
    # In one vector: a tensor of each block, kept among what every block allocates and
    # frees, would leave gaps that fit nothing, and memory would grow.
    losses = torch.empty(len(rows), dtype=widest_dtype(rows.device), device=rows.device)
    n_seen = 0
    with torch.no_grad(), evaluating(model):
        for x, weight in rows.weighted_blocks():
            some = slice(n_seen, n_seen + len(x))
            losses[some] = judge.row_losses(x, generator, passes, weight)
            n_seen += len(x)
    return losses


def mean_loss(model, rows, seed=0, passes=1):
    """Weighted mean of :func:`row_losses`."""
    return rows.mean(row_losses(model, rows, seed, passes))


class _HeldOut:
    """Rows that are not trained on judge the weights, of which the best are kept."""

    def __init__(self, steps, start_loss, rows, seed):
        self.steps, self.limit = steps, start_loss + DIVERGED * steps.unit
        self.rows, self.draws = rows, (seed, steps.settings.validation_passes)

    def mean_loss(self, judge):
        """Mean loss of the rows that judge, by the model or what stands for it."""
        losses = _row_losses(self.steps.model, judge, self.rows, *self.draws)
        return self.rows.mean(losses)

    def begin(self, result, pace):
        """Judge the start, which is among the candidates, as it will be elsewhere."""
        result.best_loss = self.mean_loss(self.steps.model)
        result.validation_curve.append(result.best_loss)
        pace.begin(result.best_loss)
        pace.plateau.observe(result.best_loss, 0.0)

    def judge(self, loss):
        """Give the loss by which an epoch is judged; None where it has diverged."""
        judged = self.mean_loss(self.steps.loss)
        return judged if loss < self.limit and judged < self.limit else None

    def enter(self, result, judged):
        """Enter a loss; say whether its weights are to be kept."""
        result.validation_curve.append(judged)
        return judged < result.best_loss


class _OnTheWay:
    """Without such rows the loss that an epoch saw on its way judges it.

    What its last step made of the weights is seen by a few rows.
    """

    def __init__(self, steps, start_loss):
        self.look, self.unit = steps.probe, steps.unit
        self.limit = start_loss + DIVERGED * steps.unit

    def begin(self, result, pace):
        """See what the few rows are at the start, as they are trained on.

        A call of a stream may have none but a far one, which is no divergence.
        """
        start = self.look()
        self.limit_of_few = start + DIVERGED * max(self.unit, abs(start))
        self.limit = max(self.limit, self.limit_of_few)

    def judge(self, loss):
        """Give the loss by which an epoch is judged; None where it has diverged."""
        if not (loss < self.limit and self.look() < self.limit_of_few):
            return None
        return loss

    def enter(self, result, judged):
        """Keep the last weights, whatever they gave."""
        return True


class _Unobserved:
    """Nobody looks on."""

    def begin(self):
        """Before each epoch."""

    def end(self, result):
        """After each epoch; nobody asks to stop."""
        return False


def train(
    model,
    rows,
    settings,
    *,
    seed,
    start_loss,
    valid=None,
    observer=None,
    state=None,
):
    """Minimise the mean loss of a model over rows, in place.

    Parameters
    ----------
    model : nn.Module
        With ``batch_loss``, ``row_losses`` and ``loss_unit``.

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

    observer : object, optional
        Its ``begin()`` is called before each epoch and ``end(result)`` after it; a
        true answer ends the training.

    state : dict, optional
        :attr:`TrainingResult.state` of a run to be continued.

    Returns
    -------
    TrainingResult
    """
    result = TrainingResult(best_loss=start_loss)
    if not _can_learn(model):
        return result
    if state is not None:
        settings = replace(settings, warmup=0.0)  # no schedule starts over
    plateau = state["plateau"] if state else {}
    with limited_threads(n_threads(model, settings.batch_size)):
        steps = _steps(model, rows, settings, seed, state)
        pace = Pace(settings, steps.rate, steps.unit, plateau)
        judge: _HeldOut | _OnTheWay
        if valid is None:
            judge = _OnTheWay(steps, start_loss)
        else:
            judge = _HeldOut(steps, start_loss, valid, seed)
        _run(steps, pace, judge, observer, result)
    return result


def replay(model, rows, settings, learning_rates, *, seed, start_loss, observer=None):
    """Minimise as another training did, an epoch at each of its rates; nothing judges.

    Parameters
    ----------
    model : nn.Module

    rows : Rows

    settings : Settings
        Their warm-up is in shares of these epochs.

    learning_rates : list of float
        :attr:`TrainingResult.learning_rates` of the other.

    seed : int

    start_loss : float

    observer : object, optional
        The rest is as for :func:`train`.

    Returns
    -------
    TrainingResult
    """
    result = TrainingResult(best_loss=start_loss)
    if not _can_learn(model):
        return result
    with limited_threads(n_threads(model, settings.batch_size)):
        steps = _steps(model, rows, settings, seed, None)
        pace = Replay(settings, learning_rates, steps.unit)
        judge = _OnTheWay(steps, start_loss)
        _run(steps, pace, judge, observer, result)
    return result


def _can_learn(model):
    """Whether there is anything to train; a user's networks may have nothing."""
    return any(p.requires_grad for p in model.parameters())


def _steps(model, rows, settings, seed, state):
    """Make the steps of a training, whose small products are in float32."""
    if _largest_product(model, settings.batch_size) < LOWERED_PRODUCT:
        settings = replace(settings, dtype=torch.float32)
    return Steps(model, rows, settings, seed, state)


def _run(steps, pace, judge, observer, result):
    """Run epochs until their pace ends, and leave the model with the best weights."""
    result.most_epochs = pace.n_epochs
    steps.model.train(steps.loss.needs_training_mode)
    try:
        judge.begin(result, pace)
        _run_epochs(steps, pace, judge, observer or _Unobserved(), result)
    except KeyboardInterrupt:
        result.interrupted = True
    finally:
        steps.end()
        steps.model.eval()
    result.learning_rates = steps.learning_rates
    result.state = steps.state() | {"plateau": pace.state()}


def _run_epochs(steps, pace, judge, observer, result):
    """Run epochs, and keep the weights that the judge prefers."""
    while result.n_epochs < pace.n_epochs:
        observer.begin()
        epoch = _run_epoch(steps, pace, judge, result.n_epochs)
        if epoch is None:
            result.diverged = True
            steps.go_back()
            observer.end(result)
            return
        loss, judged = epoch
        result.loss_curve.append(loss)
        if judge.enter(result, judged):
            result.best_loss, result.best_epoch = judged, result.n_epochs
            steps.keep()
        pace.observe(judged, result.n_epochs)
        if observer.end(result) or pace.is_over:
            return
        if pace.stands_still:
            pace.lower()
            steps.go_back()


def _run_epoch(steps, pace, judge, n_before):
    """Give an epoch's loss and that by which it is judged, by smaller steps if need be.

    None where even those led to a loss that is far too large, or not a number.
    """
    for n_retries in range(MAX_RETRIES + 1):
        if n_retries > 0:
            pace.slow_down(n_before)
            steps.begin_anew()
        steps.rate = pace.rate(n_before)
        loss = steps.epoch(n_before, pace.n_warm)
        judged = judge.judge(loss)
        if judged is not None:
            return loss, judged
    return None
