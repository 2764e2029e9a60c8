"""Learning: who judges, and what is returned.

What is judged on validation rows, the start included, has been computed from the
training rows alone: a start that has seen the validation rows looks better on them
than anything honest can. What is returned uses all rows:

    1. hold out some rows; find the start of the others; train from it; solve the
       last layer, as strongly as the held-out rows ask for
    2. the start wins on the held-out rows    -> the start of all rows
       the network wins, and rows are few     -> train again, from the start of all
                                                 rows, for the epochs found, and solve
                                                 the last layer as strongly
       the network wins, and rows are many    -> the network

Rows of the user's own (``X_val``) never enter a start, so with them all of X trains.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from skae.device import limited_threads
from skae.rows import evenly
from skae.start.maps import LinearMaps
from skae.training.engine import replay, train
from skae.training.judges import beside_start, row_losses
from skae.training.settings import TrainingResult
from skae.training.sizes import n_threads

from .readout import Readout, has_readout
from .significance import gains_surely

__all__ = ["Learned", "learn", "most_epochs", "resume"]

# Up to so many rows, those held out are worth a second training that uses them too.
REFIT_ROWS = 10_000

# Training rows by which a start is measured where none are held out, at most.
START_ROWS = 10_000

# A second training is refused if its training loss is lower than the first's by more
# than this share of the gap between the first's training and judged loss (two standard
# errors added).
REFIT_SHARE = 0.5


@dataclass
class Learned:
    """What came of a task.

    Attributes
    ----------
    model : nn.Module
    maps : LinearMaps
        Those that the model started from.
    result : TrainingResult
        Of the training that was judged.
    start_loss : float
        Of the start, on the rows that judge.
    n_epochs : int
        Epochs run in all.
    readout_strength : float or None
        At which the last layer was solved; None where it is as training left it.
    judged_loss : float or None
        Of what training gave, on the rows that judge; None where nothing judged it.
    is_better : bool
        Whether the rows that judge can tell the result from the start.
    pca_loss : float or None
        Of PCA, on the rows that judge a network that did not start there.
    index : ndarray of int or None
        Numbers of the rows that it was trained on.
    """

    model: nn.Module
    maps: LinearMaps
    result: TrainingResult
    start_loss: float
    n_epochs: int = 0
    readout_strength: float | None = None
    judged_loss: float | None = None
    is_better: bool = False
    pca_loss: float | None = None
    index: Any = None

    @property
    def is_start(self):
        """Whether the model is the start itself."""
        return self.result.best_epoch == 0 and self.readout_strength is None


def learn(task, *, observer=None):
    """Carry out a task.

    Parameters
    ----------
    task : Task

    observer : object, optional
        Its ``begin()`` is called before each epoch and ``end(result, learned)`` after
        it, where ``learned()`` is what has been learned so far; a true answer ends the
        training.

    Returns
    -------
    Learned
    """
    kept, held_out = _split(task)
    maps = task.maps(kept) if task.trains else None
    if maps is None or _leaves_rounding(task, maps):
        return _start_of_all_rows(task)
    training = _Training.from_start(task, kept, maps, observer)
    valid = task.judges(held_out, maps)
    learned = training.run(valid)
    if valid is not None:
        if not task.blueprint.from_pca:
            learned.pca_loss = _pca_loss(task, kept, held_out)
        if not (learned.is_better or task.occasion.continues):
            return _back_at_start(task, learned)
    if training.is_ended or not _is_refitted(task):
        return learned
    try:
        return _refitted(task, learned, held_out, observer)
    except KeyboardInterrupt:  # not among its epochs, where the engine hears it
        learned.result.interrupted = True
        return learned


def resume(task, model, maps, state, *, observer=None):
    """Go on training a model where it stopped; it is changed in place."""
    kept, held_out = _split(task)
    training = _Training(task, kept, maps, task.subset(kept, maps), model, observer)
    model.fit_totals(training.rows, anew=not task.occasion.of_stream)
    valid, start = task.judges(held_out, maps), None
    if valid is not None and task.settings.start_share > 0:
        start = task.model_at(maps, training.rows)
    return training.run(valid, state, start)


def most_epochs(task):
    """Give the largest number of epochs that a task can take."""
    if not task.trains:
        return 0
    return task.settings.max_iter * (2 if _is_refitted(task) else 1)


def _is_refitted(task):
    """Whether a network that won is trained again, from all rows."""
    holds_out = task.n_validation > 0
    return holds_out and not task.occasion.continues and len(task.rows) <= REFIT_ROWS


def _split(task):
    """Row numbers that train and row numbers that judge, each in order."""
    if not task.n_validation:
        return task.everything, None
    return task.split(task.everything, task.n_validation)


def _leaves_rounding(task, maps):
    """Whether a start that is PCA leaves no more than what rows lose as float32."""
    blueprint = task.blueprint
    is_pca = blueprint.from_pca and blueprint.likelihood.has_squared_errors
    if not is_pca or blueprint.is_variational or task.occasion.continues:
        return False
    return maps.leaves_rounding


def _some_of(index):
    """At most ``START_ROWS`` row numbers, at equal steps."""
    return index[evenly(len(index), START_ROWS)]


def _start_of_all_rows(task):
    """Find the start of all rows, and train nothing."""
    maps = task.maps(task.everything)
    model = task.model_at(maps, task.subset(task.everything, maps))
    rows = task.subset(_some_of(task.everything), maps)
    loss = rows.mean(task.row_losses(model, rows))
    result = TrainingResult(best_loss=loss)
    return Learned(model, maps, result, loss, index=task.everything)


def _back_at_start(task, learned):
    """Return the start of all rows in place of what training gave."""
    started = _start_of_all_rows(task)
    result = replace(learned.result, best_epoch=0, best_loss=learned.start_loss)
    return replace(
        learned,
        model=started.model,
        maps=started.maps,
        index=started.index,
        result=result,
        readout_strength=None,
    )


def _pca_loss(task, kept, held_out):
    """Loss of PCA on the rows that judge; None where it has not so many components."""
    if task.blueprint.n_components > min(len(kept), task.rows.X.shape[1]):
        return None
    linear = replace(task, blueprint=task.blueprint.linear())
    maps = linear.maps(kept)
    model = linear.model_at(maps, linear.subset(kept, maps))
    valid = linear.judges(held_out, maps)
    return valid.mean(linear.row_losses(model, valid))


def _refitted(task, learned, held_out, observer):
    """Train again from the start of all rows, for the epochs that were best.

    On the rows that judged, which it has now seen, the result must not be worse than
    the network that had not, and on the others not so much better that it has gone on
    where the first was stopped; otherwise that network stays.
    """
    maps = task.maps(task.everything)
    training = _Training.from_start(task, task.everything, maps, observer)
    training.n_before = learned.n_epochs
    again = training.rerun(learned)
    learned.result.interrupted |= again.result.interrupted
    learned.n_epochs = again.n_epochs
    is_whole = again.result.n_epochs == len(learned.result.learning_rates)
    if not is_whole or _is_elsewhere(task, learned, again, held_out):
        return learned
    return replace(learned, model=again.model, maps=maps, index=again.index)


def _is_elsewhere(task, learned, again, held_out):
    """Whether a second training is worse, or beyond where the first was stopped.

    Chance, a step that went wrong and was made good, can lead the first elsewhere for
    the same epochs; then nothing has judged where the second is. The mean loss of the
    first on the rows that judge, and its standard error, say what can be told.
    """
    measured = _measure(task, learned, again)
    (judged, error), (seen, _) = measured(held_out)
    (first, _), (second, _) = measured(learned.index)
    gap = abs(judged - first) + 2 * error
    return seen > judged or first - second > REFIT_SHARE * gap


def _measure(task, learned, again):
    """Give what measures two networks on some rows, as those that judge would.

    Returns
    -------
    callable
        From row numbers to the mean loss of each network, and its standard error.
    """
    share, start = task.settings.start_share, None
    if share > 0:
        start = task.model_at(learned.maps, task.subset(learned.index, learned.maps))

    def measured(index):
        before = None
        if start is not None:
            before = task.row_losses(start, task.subset(index, learned.maps))
        for each in (learned, again):
            rows = task.subset(index, each.maps)
            losses = task.row_losses(each.model, rows)
            yield rows.mean_and_error(beside_start(losses, before, share))

    return measured


class _Training:
    """One training of a model, from the start of some rows, and who judges it.

    To the engine it is the observer: it shows another what has been learned, and
    remembers its wish to stop.
    """

    def __init__(self, task, index, maps, rows, model, observer):
        self.task, self.index, self.maps = task, index, maps
        self.rows, self.model, self.observer = rows, model, observer
        self.start_loss, self.is_ended = math.inf, False
        self.n_before = 0  # epochs that an earlier training ran

    @classmethod
    def from_start(cls, task, index, maps, observer):
        """Begin with a model that stands at the start of some rows."""
        rows = task.subset(index, maps)
        return cls(task, index, maps, rows, task.model_at(maps, rows), observer)

    def run(self, valid, state=None, start=None):
        """Train, and say what came of it by the rows that judge.

        Parameters
        ----------
        valid : Rows or None
            None where nothing judges.

        state : dict, optional
            Of an earlier training, to be continued.

        start : nn.Module, optional
            Where that began; by default it is where this one begins.

        Returns
        -------
        Learned
        """
        judges = self._some_rows() if valid is None else valid
        of_start = now = self._losses(self.model, judges)
        if start is not None:
            of_start = self._losses(start, judges)
        before, as_epochs = self._beside(now, of_start)
        self.start_loss = judges.mean(as_epochs)
        if self.task.own_judges is not None and not math.isfinite(self.start_loss):
            self._refuse_if_judges_fault()
        minimise = partial(train, valid=valid, of_start=of_start[1], state=state)
        learned = self._trained(minimise)
        if valid is not None:
            self._judge(learned, valid, before, of_start)
        return learned

    def _judge(self, learned, valid, before, of_start):
        """Solve the last layer, and compare what rows lose with what they lost before.

        The network now sees no further than it will, too.
        """
        can_solve = not (self.task.occasion.continues or learned.result.interrupted)
        if can_solve and has_readout(self.model):
            learned.readout_strength = self._solve_readout(valid)
        after, as_epochs = self._beside(self._losses(self.model, valid), of_start)
        learned.judged_loss = learned.result.best_loss = valid.mean(as_epochs)
        learned.is_better = gains_surely(before - after, valid)

    def rerun(self, learned):
        """Train as another was, up to what was kept of it; nothing judges."""
        self.start_loss = learned.start_loss
        rates = learned.result.learning_rates
        again = self._trained(partial(replay, learning_rates=rates))
        if learned.readout_strength is not None:
            Readout(self.model, self.rows).set(learned.readout_strength)
        return again

    def _trained(self, minimise):
        """Train the model, and take from the rows what follows a training."""
        task, model = self.task, self.model
        if not task.occasion.of_stream:
            model.prepare_training()  # codes move while a network is trained
        result = minimise(
            model,
            self.rows,
            task.settings,
            seed=task.seed,
            start_loss=self.start_loss,
            observer=self,
        )
        with limited_threads(n_threads(model, task.settings.batch_size)):
            model.prepare_inference(task.as_learned(self.rows, model))
        self.is_ended |= result.interrupted
        return self._learned(result)

    def _learned(self, result):
        """Say what a training has given so far."""
        return Learned(
            self.model,
            self.maps,
            result,
            self.start_loss,
            self.n_before + result.n_epochs,
            index=self.index,
        )

    def _some_rows(self):
        """Take some of the rows that train, by which a start is measured."""
        return self.task.subset(_some_of(self.index), self.maps)

    def _losses(self, model, rows):
        """Loss of each row; again, by the draws of an epoch, which may be fewer."""
        losses, passes = self.task.row_losses(model, rows), self.task.judging_passes
        of_epochs = self.task.settings.validation_passes
        if of_epochs == passes:
            return losses, losses
        return losses, row_losses(model, rows, self.task.seed, of_epochs)

    def _beside(self, losses, of_start):
        """Give both as rows judge by them, who know what they lost at the start."""
        share = self.task.settings.start_share
        pairs = zip(losses, of_start, strict=True)
        return [beside_start(of_rows, start, share) for of_rows, start in pairs]

    def _refuse_if_judges_fault(self):
        """Refuse rows of the user's own that have no loss, if it is their fault."""
        rows = self._some_rows()
        if math.isfinite(rows.mean(self.task.row_losses(self.model, rows))):
            raise ValueError(
                "X_val, the rows that judge: its values, or their squares, are beyond "
                "what float32 holds; leave those rows out."
            )

    def _solve_readout(self, valid):
        """Solve the last layer, if that is better for the rows that judge."""

        def loss():
            return valid.mean(self.task.row_losses(self.model, valid))

        return Readout(self.model, self.rows).set_best(loss)

    def begin(self):
        """Tell the observer of an epoch."""
        if self.observer is not None:
            self.observer.begin()

    def end(self, result):
        """Show the observer what an epoch gave; true if it asks to stop."""
        if self.observer is not None:
            learned = partial(self._learned, result)
            self.is_ended = bool(self.observer.end(result, learned))
        return self.is_ended
