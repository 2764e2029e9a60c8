"""A task: what is to be learned, from which rows, and where it begins."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from skae.device import forked_stream, generator_from, limited_threads
from skae.rows import Rows, held_out, row_marks, take_rows
from skae.start.maps import fit_linear_maps
from skae.training.engine import Settings, n_threads, row_losses

__all__ = ["FEWEST_ROWS", "Task"]

# Fewer distinct rows than this are too few to hold any out, and the start is returned.
FEWEST_ROWS = 10

# Factors tried on a start that is not known to be exact, on at most so many rows.
SHRINKAGES = (1.0, 0.7, 0.4, 0.2, 0.0)
SHRINKAGE_ROWS = 2000


@dataclass(frozen=True)
class Task:
    """What is to be learned, from which rows.

    Attributes
    ----------
    blueprint : Blueprint
        Its ``build(device)`` makes a model with fresh networks, the same at each call;
        it also says whether to start from PCA, and what rows are measured from.
    X, weight : the weighted set of rows.
    X_val : rows of the user's own that judge, or None.
    trains : bool
        Whether there is anything to train.
    n_validation : int
        Number of rows to hold out; 0 trains on all of them, without a judge.
    continues : bool
        Whether training will go on another day: then the rows that judge stay
        unseen, and nothing is found or trained again from all rows.
    judging_passes : int
        How often the rows that judge are walked through to decide what is returned,
        for a model that draws; ``settings`` says how often after each epoch.
    settings : Settings
    device : torch.device
    labels, labels_val : ndarray of int or None
        Number of the class of each row of X and of X_val, where a model is told.
    span : Span or None
        The space that the rows span, where they are to be learned in its coordinates;
        see :mod:`skae.fitting.wide`.
    of_stream : bool
        Whether the rows are some of a stream, of which earlier ones still count.
    """

    blueprint: Any
    X: Any
    weight: np.ndarray
    X_val: Any
    trains: bool
    n_validation: int
    continues: bool
    judging_passes: int
    settings: Settings
    device: torch.device
    labels: np.ndarray | None = None
    labels_val: np.ndarray | None = None
    span: Any = None
    of_stream: bool = False

    @property
    def seed(self):
        """Seed of everything that is drawn."""
        return self.blueprint.seed

    def forked_stream(self, n_drawn=0):
        """Fork torch's global stream where modules of the user's may draw from it.

        What goes on, after so many draws, does not draw as it did at first.
        """
        networks = self.blueprint.encoder, self.blueprint.decoder
        if all(hasattr(network, "build") for network in networks):
            return nullcontext()
        return forked_stream(self.seed + n_drawn, self.device)

    def of_width(self, n_components):
        """Say the same for a code of another size."""
        return replace(
            self, blueprint=replace(self.blueprint, n_components=n_components)
        )

    def origin(self, maps):
        """Say what rows are measured from; their mean, where a likelihood asks."""
        return self.blueprint.likelihood.origin(maps.mean)

    def split(self, index, n_judges):
        """Hold about so many of some rows out; of equal ones all or none.

        Returns
        -------
        kept, judges : row numbers, in order; the second is None where all are equal.
        """
        X = self.X if len(index) == self.X.shape[0] else take_rows(self.X, index)
        order = np.random.RandomState(self.seed).permutation(len(index))
        kept, out = held_out(row_marks(X), self.weight[index], n_judges, order)
        return index[kept], index[out] if len(out) else None

    def maps(self, index):
        """Find the start of some rows."""
        X, weight = take_rows(self.X, index), self.weight[index]
        blueprint = self.blueprint
        n_components = blueprint.n_components if blueprint.from_pca else None
        maps = fit_linear_maps(
            X,
            weight,
            n_components,
            view=blueprint.likelihood.view,
            units=blueprint.units,
            least_noise=blueprint.likelihood.least_noise,
        )
        return maps.of_first_rows() if self.of_stream else maps

    def subset(self, index, maps):
        """Give some of the rows to the engine, measured from the origin of a start."""
        labels = None if self.labels is None else self.labels[index]
        return self._rows(take_rows(self.X, index), self.weight[index], maps, labels)

    def judges(self, index, maps):
        """Give rows that judge to the engine: the user's own, or else some of X.

        Copies of a row gain alike, so that many would seem to agree: they are merged.
        """
        if self.X_val is not None:
            X, labels = self.X_val, self.labels_val
            weight = np.ones(X.shape[0])
        else:
            X, weight = take_rows(self.X, index), self.weight[index]
            labels = None if self.labels is None else self.labels[index]
        marks = row_marks(X) if labels is None else row_marks(X) + 1j * labels
        _, first, copied = np.unique(marks, return_index=True, return_inverse=True)
        weight, order = np.bincount(copied, weights=weight), np.argsort(first)
        some = first[order]
        labels = None if labels is None else labels[some]
        return self._rows(take_rows(X, some), weight[order], maps, labels)

    def _rows(self, X, weight, maps, labels):
        return Rows(X, weight, self.origin(maps), self.device, labels)

    def begin(self, maps, rows):
        """Make a model that stands at a start."""
        model = self.blueprint.build(self.device)
        with limited_threads(n_threads(model, self.settings.batch_size)):
            self._set_start(model, maps, rows)
        return model.eval()

    def _set_start(self, model, maps, rows):
        model.meet(rows, anew=True)
        x, weight = rows.some(SHRINKAGE_ROWS)
        model.observe(x, weight)
        shrinkage = 1.0
        if self.blueprint.from_pca and not self.blueprint.likelihood.starts_exact:
            shrinkage = _best_shrinkage(self, model, maps, x, weight)
        model.set_start(maps, origin=self.origin(maps), shrinkage=shrinkage)
        if self.labels is not None:
            model.set_class_priors(rows)

    def row_losses(self, model, rows):
        """Loss of each row, as it is judged."""
        return row_losses(model, rows, self.seed, self.judging_passes)


def _best_shrinkage(task, model, maps, x, weight):
    """Factor on the start that suits some of the training rows best.

    All factors are judged by the same draws; where each pass takes a walk, by those of
    the few that an epoch has.
    """
    is_slow = model.compares_rows
    passes = task.settings.validation_passes if is_slow else task.judging_passes
    losses = []
    for shrinkage in SHRINKAGES:
        model.set_start(maps, origin=task.origin(maps), shrinkage=shrinkage)
        stream = generator_from(task.seed, task.device)
        with torch.no_grad():
            of_rows = model.eval().row_losses(x, stream, passes, weight)
        losses.append((of_rows @ weight).item())
    return SHRINKAGES[int(np.argmin(losses))]
