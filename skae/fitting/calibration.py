"""Calibration: the noise of an autoencoder, from what it leaves of its rows.

What it minimises knows of no noise, or of that of its start alone; but draws of it are
to vary as the rows do.
"""

from functools import partial

import torch

from skae.device import widest_dtype
from skae.likelihoods.remainder import Remainder
from skae.rows import evenly, few_if_wide

__all__ = ["calibrate"]

# Rows by which it is told how large errors are in one column and in another, at most.
MEASURED_ROWS = 2000


def calibrate(task, learned, share):
    """Let the likelihood of an autoencoder take its noise from what is left of rows.

    Parameters
    ----------
    task : Task

    learned : Learned
        Its model is changed.

    share : float
        Of these rows among all that count.
    """
    if learned.is_start and task.blueprint.starts_exact:
        return  # it has PCA's, in closed form
    learned.model.likelihood.calibrate(
        Remainder(
            partial(_deviance, task, learned),
            learned.maps.noise_floor,
            share,
            partial(_rebuilt, task, learned),
        )
    )


def _deviance(task, learned):
    """Mean loss of rows per degree of freedom, as the model is used: its codes refined.

    Where nothing judged, that which an epoch saw on its way is of other codes.
    """
    n_free = max(task.blueprint.n_features - task.blueprint.n_components, 1)
    if learned.result.validation_curve:
        return learned.result.best_loss / n_free
    rows = _some_rows(task, learned)
    return rows.mean(task.row_losses(learned.model, rows)) / n_free


def _some_rows(task, learned):
    n_rows = few_if_wide(MEASURED_ROWS, task.blueprint.n_features)
    return task.subset(evenly(len(task.rows), n_rows), learned.maps)


def _rebuilt(task, learned):
    """Give some rows, as they are learned, their means and their weights."""
    rows = _some_rows(task, learned)
    x, weight = task.as_learned(rows, learned.model).some(len(rows))
    with torch.no_grad():
        mean = learned.model(x)
    x, mean, weight = (each.to(widest_dtype(x.device)) for each in (x, mean, weight))
    return x, mean, weight / weight.sum()
