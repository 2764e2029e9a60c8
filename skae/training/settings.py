"""How to train, and what happened in a training."""

import math
import sys
from dataclasses import dataclass, field, replace

import torch

from .pace import DECAY

__all__ = ["Settings", "TrainingResult"]


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
    start_share : float
        Of the start in the density by which rows judge, where a loss is minus the
        logarithm of one; see :func:`~skae.training.judges.beside_start`.
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
    start_share: float = 0.0
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
        Learning rate of each epoch that led to the kept weights, for
        :func:`~skae.training.engine.replay`; those after which training went back are
        not among them.
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
