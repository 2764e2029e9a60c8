"""A task: what is to be learned, from which rows, and where it begins."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import torch

from skae.device import forked_stream, generator_from, limited_threads
from skae.rows import DrawnRows, Rows, few_if_wide, placed
from skae.start.maps import fit_linear_maps
from skae.training.judges import row_losses
from skae.training.settings import Settings
from skae.training.sizes import n_threads
from skae.weighted import WeightedSet

__all__ = ["FEWEST_ROWS", "Occasion", "Task"]

# Fewer distinct rows than this are too few to hold any out, and the start is returned.
FEWEST_ROWS = 10

# Factors tried on a start that is not known to be exact, on at most so many rows.
SHRINKAGES = (1.0, 0.7, 0.4, 0.2, 0.0)
SHRINKAGE_ROWS = 2000


class Occasion(Enum):
    """When rows are learned from: once and for all, or to be gone on from.

    Attributes
    ----------
    WHOLE
        A fit after which nothing comes.
    RESUMABLE
        A fit that may go on another day.
    PART
        An epoch of some rows of a stream.
    PART_AFTER_FIT
        The same, where a fit has ended by small steps, which are not undone.
    """

    WHOLE = "whole"
    RESUMABLE = "resumable"
    PART = "part"
    PART_AFTER_FIT = "part after fit"

    @property
    def continues(self):
        """Whether training will go on another day.

        Then the rows that judge stay unseen, and nothing is found or trained again
        from all rows.
        """
        return self is not Occasion.WHOLE

    @property
    def of_stream(self):
        """Whether rows are some of a stream, of which earlier ones still count.

        None of them judge.
        """
        return self in (Occasion.PART, Occasion.PART_AFTER_FIT)


@dataclass(frozen=True)
class Task:
    """What is to be learned, from which rows.

    Attributes
    ----------
    blueprint : Blueprint
        Its ``build(device)`` makes a model with fresh networks, the same at each call;
        it also says whether to start from PCA, and what rows are measured from.
    rows : WeightedSet
        Their labels are there where a model is told of classes.
    own_judges : WeightedSet or None
        Rows of the user's own that judge.
    trains : bool
        Whether there is anything to train.
    n_validation : int
        Number of rows to hold out; 0 trains on all of them, without a judge.
    occasion : Occasion
    judging_passes : int
        How often the rows that judge are walked through to decide what is returned,
        for a model that draws; ``settings`` says how often after each epoch.
    settings : Settings
    device : torch.device
    span : Span or None
        The space that the rows span, where they are to be learned in its coordinates;
        see :mod:`skae.fitting.coordinates`.
    """

    blueprint: Any
    rows: WeightedSet
    own_judges: WeightedSet | None
    trains: bool
    n_validation: int
    occasion: Occasion
    judging_passes: int
    settings: Settings
    device: torch.device
    span: Any = None

    @property
    def seed(self):
        """Seed of everything that is drawn."""
        return self.blueprint.seed

    @property
    def everything(self):
        """Numbers of all rows, in order."""
        return np.arange(len(self.rows))

    def forked_stream(self, n_drawn=0):
        """Fork torch's global stream where modules of the user's may draw from it.

        What goes on, after so many draws, does not draw as it did at first.
        """
        if not self.blueprint.has_factory:
            return nullcontext()
        return forked_stream(self.seed + n_drawn, self.device)

    def with_components(self, n_components):
        """Say the same with another number of components."""
        return replace(
            self, blueprint=replace(self.blueprint, n_components=n_components)
        )

    def placed(self):
        """Say the same with large rows on a GPU, if it has room for them."""
        X = placed(self.rows.X, self.device)
        return replace(self, rows=replace(self.rows, X=X))

    def origin(self, maps):
        """Say what rows are measured from; their mean, where a likelihood asks."""
        return self.blueprint.likelihood.origin(maps.mean)

    def split(self, index, n_judges):
        """Hold about so many of some rows out; of equal ones all or none.

        Returns
        -------
        kept, judges : row numbers, in order; the second is None where all are equal.
        """
        some = self.rows if len(index) == len(self.rows) else self.rows.take(index)
        order = np.random.RandomState(self.seed).permutation(len(index))
        kept, out = some.split(n_judges, order)
        return index[kept], index[out] if len(out) else None

    def maps(self, index):
        """Find the start of some rows."""
        some, blueprint = self.rows.take(index), self.blueprint
        n_components = blueprint.n_components if blueprint.from_pca else None
        maps = fit_linear_maps(
            some.X,
            some.weight,
            n_components,
            view=blueprint.likelihood.view,
            units=blueprint.units,
            least_noise=blueprint.likelihood.least_noise,
            ties=blueprint.likelihood.tied_noise,
        )
        return maps.of_first_rows() if self.occasion.of_stream else maps

    def subset(self, index, maps):
        """Give some of the rows to the engine, measured from the origin of a start."""
        return self._served(self.rows.take(index), maps)

    def judges(self, index, maps):
        """Give rows that judge to the engine: the user's own, or else some of ours.

        Copies of a row gain alike, so that many would seem to agree: they are merged.

        Returns
        -------
        Rows or None
            None where nothing judges.
        """
        judges = self.own_judges
        if judges is None and index is not None:
            judges = self.rows.take(index)
        return None if judges is None else self._served(judges.without_copies(), maps)

    def _served(self, rows, maps):
        origin = self.origin(maps)
        return Rows(rows.X, rows.weight, origin, self.device, rows.labels)

    def model_at(self, maps, rows):
        """Make a model that stands at a start."""
        model = self.blueprint.build(self.device)
        with limited_threads(n_threads(model, self.settings.batch_size)):
            self._set_start(model, maps, rows)
        return model.eval()

    def _set_start(self, model, maps, rows):
        model.fit_totals(rows, anew=True)
        n_rows = few_if_wide(SHRINKAGE_ROWS, rows.n_features)
        model.initialize_from(*self.as_learned(rows, model).some(n_rows))
        shrinkage = 1.0
        if self.blueprint.from_pca and not self.blueprint.starts_exact:
            shrinkage = _best_shrinkage(self, model, maps, *rows.some(n_rows))
        model.set_start(maps, origin=self.origin(maps), shrinkage=shrinkage)
        if self.rows.labels is not None:
            model.set_classes(self.as_learned(rows, model))

    def as_learned(self, rows, model):
        """Give rows as a model learns from them, where they stand for draws."""
        return DrawnRows(rows, model.drawn, self.seed)

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
