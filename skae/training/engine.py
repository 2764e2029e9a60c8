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

from dataclasses import replace

import torch

from skae.device import limited_threads

from .judges import HeldOut, OnTheWay
from .pace import Pace, Replay
from .settings import TrainingResult
from .sizes import LOWERED_PRODUCT, largest_product, n_threads
from .steps import Steps

__all__ = ["replay", "train"]

# How often an epoch that diverged is run again, by smaller steps each time.
MAX_RETRIES = 3


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
    of_start=None,
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

    of_start : torch.Tensor, optional
        Loss of each of those at the start that has a share in what they judge by; by
        default as this training begins.

    observer : object, optional
        Its ``begin()`` is called before each epoch and ``end(result)`` after it; a
        true answer ends the training.

    state : dict, optional
        :attr:`~skae.training.settings.TrainingResult.state` of a run to be continued.

    Returns
    -------
    TrainingResult
    """
    if state is not None:
        settings = replace(settings, warmup=0.0)  # no schedule starts over
    plateau = state["plateau"] if state else {}

    def pace_of(steps):
        return Pace(settings, steps.rate, steps.unit, plateau)

    def judge_of(steps):
        if valid is None:
            return OnTheWay(steps, start_loss)
        return HeldOut(steps, start_loss, valid, seed, of_start)

    given = model, rows, settings, seed, state
    return _trained(given, start_loss, pace_of, judge_of, observer)


def replay(model, rows, settings, learning_rates, *, seed, start_loss, observer=None):
    """Minimise as another training did, an epoch at each of its rates; nothing judges.

    Parameters
    ----------
    model : nn.Module

    rows : Rows

    settings : Settings
        Their warm-up is in shares of these epochs.

    learning_rates : list of float
        :attr:`~skae.training.settings.TrainingResult.learning_rates` of the other.

    seed : int

    start_loss : float

    observer : object, optional
        The rest is as for :func:`train`.

    Returns
    -------
    TrainingResult
    """

    def pace_of(steps):
        return Replay(settings, learning_rates, steps.unit)

    def judge_of(steps):
        return OnTheWay(steps, start_loss)

    given = model, rows, settings, seed, None
    return _trained(given, start_loss, pace_of, judge_of, observer)


def _trained(given, start_loss, pace_of, judge_of, observer):
    """Run what is given in steps, at a pace and by a judge that are made for them."""
    model, _, settings, *_ = given
    result = TrainingResult(best_loss=start_loss)
    if not _can_learn(model):
        return result
    with limited_threads(n_threads(model, settings.batch_size)):
        steps = _steps(*given)
        _run(steps, pace_of(steps), judge_of(steps), observer, result)
    return result


def _can_learn(model):
    """Whether there is anything to train; a user's networks may have nothing."""
    return any(p.requires_grad for p in model.parameters())


def _steps(model, rows, settings, seed, state):
    """Make the steps of a training, whose small products are in float32."""
    if largest_product(model, settings.batch_size) < LOWERED_PRODUCT:
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
            steps.begin_anew()  # what its optimizer remembers is of no use either
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
