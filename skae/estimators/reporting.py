"""Reporting: each epoch of a fit, what came of it, and warnings at the line that asked.

Ctrl-C too: it ends a fit with a warning, or with what it is a part of.
"""

import copy
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skae.fitting.significance import CONFIDENCE
from skae.fitting.task import FEWEST_ROWS
from skae.start.maps import SMALLEST_DEVIATION

from .storage import StoredModule

__all__ = ["Reporter", "ended_by_ctrl_c", "report", "say", "warn"]

# Between a user's line and a warning lie wrappers of scikit-learn's, more or fewer by
# the method that was called.
OWN_PACKAGES = ("skae", "sklearn")

_is_part = ContextVar("is_part", default=False)


@contextmanager
def ended_by_ctrl_c():
    """Let Ctrl-C in a fit, wherever within, end what the fit is a part of."""
    token = _is_part.set(True)
    try:
        yield
    finally:
        _is_part.reset(token)


def _report_ctrl_c():
    """Say that Ctrl-C has ended a training, unless it is to end more than that."""
    if _is_part.get():
        raise KeyboardInterrupt
    warn("Training interrupted by user: the best weights so far are kept.")


class Reporter:
    """Shows each epoch to scikit-learn's callbacks, and to the terminal if asked."""

    def __init__(self, estimator, task, context, hooks):
        self.estimator, self.task = estimator, task
        self.context, self.hooks = context, hooks

    def begin(self):
        """Announce an epoch."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.hooks)

    def end(self, result, learned):
        """Show what an epoch gave; true if somebody asks to stop."""
        if self.estimator.verbose:
            self._print(result)

        def attributes():
            now = learned()
            # A copy: the model is in the middle of its training.
            stored = StoredModule(self.task.blueprint, str(self.task.device), now.model)
            copied = replace(now, model=copy.deepcopy(stored).module)
            return self.estimator._outcome(self.task, copied)

        return self.epoch.call_on_fit_task_end(
            **self.hooks, reconstruction_attributes=attributes
        )

    def _print(self, result):
        if result.diverged:
            return
        judged = result.validation_curve
        if judged and result.n_epochs == 1:
            say(self.estimator, f"Start, validation loss = {judged[0]:.6g}")
        is_second = self.task.n_validation > 0 and not judged
        line = "Again, on all rows: epoch" if is_second else "Epoch"
        line += f" {result.n_epochs} of at most {result.most_epochs}"
        line += f", loss = {result.loss_curve[-1]:.6g}"
        if judged:
            line += f", validation loss = {judged[-1]:.6g}"
        say(self.estimator, line)


def say(estimator, line):
    """Tell the terminal, by name, what an estimator is about."""
    print(f"[{type(estimator).__name__}] {line}")


def report(estimator, task, learned):
    """Say what the user should know about a training."""
    result = learned.result
    if result.interrupted:
        _report_ctrl_c()
    if result.diverged:
        warn(_of_divergence(task, learned), ConvergenceWarning)
    if learned.pca_loss is not None and result.best_loss > learned.pca_loss:
        warn(
            f"On the rows held out the network's loss is {result.best_loss:.4g}, "
            f"and that of PCA {learned.pca_loss:.4g}: start there by init='pca', "
            "or train longer.",
            ConvergenceWarning,
        )
    if estimator.verbose and learned.is_start:
        say(estimator, _of_start(task, learned))


def _of_start(task, learned):
    """Say why the start is what was found."""
    if learned.n_epochs or learned.result.interrupted:
        return _of_judgement(learned.judged_loss, learned.start_loss)
    if task.trains:
        return "PCA leaves no more than rounding: this is the start."
    n_rows = len(task.rows)
    if task.n_validation and n_rows < FEWEST_ROWS:
        return f"{n_rows} distinct rows are too few to judge by: this is the start."
    return "Nothing was to be trained: this is the start."


def _of_judgement(judged, start):
    """Say why what training gave was not kept, by its loss and that of the start.

    It was judged as it would be used, its last layer solved and codes refined: not by
    the loss of any epoch.
    """
    if judged is None:
        return "No epoch was kept: this is the start."
    if not judged < start:
        return (
            "No epoch was better for the rows that judge than the start, which is kept."
        )
    return (
        f"It is not sure at {CONFIDENCE:.0%} that the network as it would be used "
        f"(validation loss {judged:.4g}) is better than the start ({start:.4g}), which "
        "is kept."
    )


def _of_divergence(task, learned):
    """Say why a training diverged, and what to do."""
    variance, held = learned.maps.variance.sum(), np.finfo(np.float32)
    smallest = held.tiny if task.blueprint.units == "one" else SMALLEST_DEVIATION**2
    if not smallest < variance < held.max:
        return (
            "Nothing was learned beyond the start: rows deviate by "
            f"{variance**0.5:.1g}, whose square float32 cannot hold; rescale them, as "
            "by a StandardScaler."
        )
    is_invisible = learned.maps.noise_variance < learned.maps.learnable_variance
    if is_invisible and learned.result.best_epoch == 0:
        return (
            "Nothing was learned beyond the start: PCA leaves less of the variance "
            "than float32 can show; rescale columns that have nearly all of it, or "
            "take likelihood='gaussian_diag'."
        )
    return (
        "Training diverged even at small steps, and the best weights before that are "
        "kept; use a smaller learning_rate_init."
    )


def warn(message, category=UserWarning):
    """Warn at the line that called scikit-learn or skae, whichever was first."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package(frame) in OWN_PACKAGES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]
