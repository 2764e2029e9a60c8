"""The width: how many components rows ask for, found without a whole fit for each.

From the start a network is trained for a moment at one width after another, each on
the same rows and judged on the same others. A width is left for the next where that
improves the loss by more than its noise: by more than two standard errors, and, where
the loss is an error, by that more than as many directions of white noise would,

    e_k (k' - k) / (p - k)        from k to k' components of p columns that vary,

since the error of any rows falls to nothing as the code grows as wide as they are.
"""

import sys
from dataclasses import replace

import numpy as np

from .engine import train
from .readout import Readout, has_readout

__all__ = ["WIDTHS", "find_width"]

# Widths that are tried.
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

# Rows that are looked at, and updates that a network is trained for, at most.
MOST_ROWS = 6000
UPDATES = 600

# Standard errors that a gain has to be above noise.
STANDARD_ERRORS = 2.0

# Strength at which the last layer of a network is solved; see :mod:`skae.readout`.
STRENGTH = 0.1

# The search ends where so many widths in a row were no better than their noise.
PATIENCE = 2


def find_width(task):
    """Find the smallest width beyond which nothing but noise is gained.

    Parameters
    ----------
    task : Task
        Of any width.

    Returns
    -------
    int
    """
    order = np.random.RandomState(task.seed).permutation(task.X.shape[0])[:MOST_ROWS]
    if len(order) < 3:
        return 1
    n_judges = len(order) // 3
    kept, held_out = np.sort(order[n_judges:]), np.sort(order[:n_judges])
    widths = [k for k in WIDTHS if k <= min(len(kept), task.X.shape[1])]
    maps = task.of_width(widths[-1]).maps(kept)
    n_varied = np.count_nonzero(maps.variance) + maps.n_silent
    rows, valid = task.subset(kept, maps), task.subset(held_out, maps)

    def losses_of(width):
        return _losses_after_a_moment(task.of_width(width), maps, rows, valid)

    best, losses, n_worse = widths[0], losses_of(widths[0]), 0
    for width in widths[1:]:
        others = losses_of(width)
        noise = 0.0
        if task.blueprint.variational is None:
            noise = valid.mean(losses) * (width - best) / max(n_varied - best, 1)
        if _gain(losses - others, valid) > noise:
            best, losses, n_worse = width, others, 0
        else:
            n_worse += 1
        if n_worse == PATIENCE:
            break
    return best


def _losses_after_a_moment(task, maps, rows, valid):
    """Loss of each judging row, after a moment of training on others."""
    maps = maps.leading(task.blueprint.n_components)
    model = task.begin(maps, rows)
    n_epochs = max(1, round(UPDATES * task.settings.batch_size / len(rows)))
    settings = replace(
        task.settings,
        max_iter=min(n_epochs, task.settings.max_iter),
        patience=sys.maxsize,
        warmup=0.0,
        descent=0.0,
    )
    start_loss = valid.mean(task.row_losses(model, valid))
    train(model, rows, settings, seed=task.seed, start_loss=start_loss, valid=valid)
    if has_readout(model):
        Readout(model, rows).set(STRENGTH)
    return task.row_losses(model, valid)


def _gain(gain, rows):
    """Mean gain of rows, less its standard errors."""
    mean, error = rows.mean_and_error(gain)
    return mean - STANDARD_ERRORS * error
