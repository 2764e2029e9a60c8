"""Reporting: each epoch of a fit, and warnings at the line that asked for it.

Ctrl-C too: it ends a fit with a warning, or with what it is a part of.
"""

import copy
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from .storage import StoredModule

__all__ = ["Reporter", "ended_by_ctrl_c", "report_ctrl_c", "say", "warn"]

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


def report_ctrl_c():
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


def warn(message, category=UserWarning):
    """Warn at the line that called scikit-learn or skae, whichever was first."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package(frame) in OWN_PACKAGES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]
