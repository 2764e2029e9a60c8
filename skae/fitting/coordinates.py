"""Coordinates: in which rows of more columns than rows are learned, then unfolded.

n rows of p > n columns lie in a space of fewer than n dimensions
(:mod:`skae.start.span`):

    x = mu + B' c        c = B (x - mu)        |x - x'| = |c - c'|

So a Gaussian model of the c is one of the rows, its squared errors the same, at the
price of n columns in place of p. A network sees what does not depend on how many
columns there are; what it has learned is unfolded, its first layer W to W B and its
last to B' W, into a model of the columns like any other.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from skae.likelihoods.gaussian import Coordinates
from skae.models.paths import reciprocal
from skae.rows import as_array, stacked, weighted_mean
from skae.start.axes import peak_signs
from skae.start.maps import LinearMaps, moments
from skae.start.span import Span

from .learning import learn
from .task import Task

__all__ = ["carry_out", "in_coordinates", "with_span"]


@dataclass(frozen=True, kw_only=True)
class CoordinateTask(Task):
    """A task in coordinates of the space that the rows span.

    Attributes
    ----------
    of_columns : Task
        What it stands for.
    """

    of_columns: Task

    def maps(self, index):
        """Find the start of some rows, with signs as the columns ask for."""
        maps = super().maps(index)
        return replace(
            maps,
            components=maps.components * peak_signs(self.span.lift(maps.components)),
            n_silent=len(self.span.mean) - maps.n_features,
        )

    def unfolded(self, learned):
        """Say what was learned of the columns."""
        index = learned.index
        rows = self.of_columns.rows.take(index)
        mean, variance = moments(as_array(rows.X), rows.weight)
        maps = LinearMaps(
            n_rows=learned.maps.n_rows,
            mean=mean,
            center=mean,
            variance=variance,
            scale=np.ones(len(mean)),
            components=self.span.lift(learned.maps.components),
            explained_variance=learned.maps.explained_variance,
        )
        model = self.of_columns.blueprint.build(self.of_columns.device)
        model.set_start(maps, origin=mean)
        if learned.model.encoder.is_limited:
            model.limit(self.of_columns.subset(index, maps))
        unfold(learned.model, model, self.span)
        return replace(learned, model=model.eval(), maps=maps)


def with_span(task):
    """Say the same with the space that the rows span, those that judge among them.

    Parameters
    ----------
    task : Task
        With fewer rows than columns.

    Returns
    -------
    Task
    """
    X = as_array(task.rows.X)
    if task.own_judges is not None:
        X = stacked(X, task.own_judges.X)
    weight = np.full(X.shape[0], 1 / X.shape[0])
    return replace(task, span=Span(X, weight, weighted_mean(X, weight)))


def in_coordinates(task):
    """Say the same of the coordinates of rows.

    Rows that judge enter the coordinates alone, as the rows of any orthogonal change
    do: the start is still that of the rows that train.

    Parameters
    ----------
    task : Task
        With a span.

    Returns
    -------
    CoordinateTask
    """
    n_rows, n_columns = task.rows.X.shape
    blueprint = replace(
        task.blueprint,
        n_features=task.span.n_dimensions,
        likelihood=Coordinates(n_columns),
    )
    C = task.span.coordinates
    parts = {name: getattr(task, name) for name in Task.__dataclass_fields__}
    parts |= {"blueprint": blueprint, "rows": replace(task.rows, X=C[:n_rows])}
    if task.own_judges is not None:
        parts["own_judges"] = replace(task.own_judges, X=C[n_rows:])
    return CoordinateTask(**parts, of_columns=task)


def carry_out(task, *, observer=None):
    """Carry out a task, in coordinates where its rows have a span.

    See :func:`skae.fitting.learning.learn`.
    """
    span = task.span if task.trains else None
    if span is None or span.n_dimensions < task.blueprint.n_components:
        return learn(task, observer=observer)
    folded = in_coordinates(task)
    if observer is not None:
        observer = _Unfolding(observer, folded)
    return folded.unfolded(learn(folded, observer=observer))


class _Unfolding:
    """Shows an observer, where it asks, what has been learned of the columns."""

    def __init__(self, observer, task):
        self.begin = observer.begin
        self._end, self._task = observer.end, task

    def end(self, result, learned):
        return self._end(result, lambda: self._task.unfolded(learned()))


def unfold(learned, model, span):
    """Set a model of columns, at its start, to what one of coordinates has learned."""
    state = model.state_dict()
    # There are more columns than coordinates: what is theirs has another shape.
    state |= {
        name: value
        for name, value in learned.state_dict().items()
        if value.shape == state[name].shape
    }
    model.load_state_dict(state)
    with torch.no_grad():
        first, unit = learned.encoder.network[0], learned.encoder.unit
        weight = span.lift(_numbers(first.weight * unit))
        weight *= reciprocal(_numbers(model.encoder.unit))
        model.encoder.network[0].weight.copy_(torch.from_numpy(weight))

        last, gain = learned.decoder.readout, learned.decoder.gain
        both = torch.cat([last.weight.T, last.bias[None]]) * gain
        both = span.lift(_numbers(both)) * reciprocal(_numbers(model.decoder.gain))
        model.decoder.readout.weight.copy_(torch.from_numpy(both[:-1].T))
        model.decoder.readout.bias.copy_(torch.from_numpy(both[-1]))


def _numbers(tensor):
    return tensor.cpu().double().numpy()
