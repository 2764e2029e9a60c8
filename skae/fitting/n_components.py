"""How many components rows ask for, found without a whole fit for each number.

From the start a network is trained for a moment with one number of components after
another, each on the same rows and judged on the same others. A number is left for the
next where that improves the loss by more than its noise: by more than two standard
errors, and, where the loss is an error, by that more than as many directions of white
noise would,

    e_k (k' - k) / (p - k)        from k to k' components of p columns that vary,

since the error of any rows falls to nothing as the code grows to the size of a row.
Where the loss is minus a logarithm, a direction of noise is taken for a nat.
"""

import copy

import numpy as np

from skae.training.engine import train

from .readout import Readout, has_readout

__all__ = ["CANDIDATES", "find_n_components"]

# Numbers of components that are tried.
CANDIDATES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

# Rows that are looked at, and updates that a network is trained for, at most.
MOST_ROWS = 6000
UPDATES = 600

# Standard errors that a gain has to be above noise.
STANDARD_ERRORS = 2.0

# What a direction of noise is, where the loss is minus a logarithm: half of this where
# it is Gaussian, more where it has longer tails.
NATS = 1.0

# The search ends where so many numbers in a row were no better than their noise.
PATIENCE = 2


def find_n_components(task):
    """Find the smallest number beyond which nothing but noise is gained.

    Parameters
    ----------
    task : Task
        Of any number of components.

    Returns
    -------
    int
    """
    order = np.random.RandomState(task.seed).permutation(len(task.rows))[:MOST_ROWS]
    if len(order) < 3:
        return 1
    kept, held_out = task.split(np.sort(order), len(order) // 3)
    if held_out is None:
        return 1
    most = min(len(kept), task.rows.X.shape[1])
    candidates = [k for k in CANDIDATES if k <= most]
    maps = task.with_components(candidates[-1]).maps(kept)
    n_varied = np.count_nonzero(maps.variance) + maps.n_silent
    rows, valid = task.subset(kept, maps), task.judges(held_out, maps)

    def after_a_moment(k):
        return _after_a_moment(task.with_components(k), maps.leading(k), rows, valid)

    best, n_worse = candidates[0], 0
    model = after_a_moment(best)
    for k in candidates[1:]:
        larger = after_a_moment(k)
        gain, loss = _gain(task, model, larger, valid)
        if gain > _noise(task, loss, n_varied - best) * (k - best):
            best, model, n_worse = k, larger, 0
        else:
            n_worse += 1
        if n_worse == PATIENCE:
            break
    return best


def _after_a_moment(task, maps, rows, valid):
    """Train a model for a moment."""
    model = task.model_at(maps, rows)
    n_epochs = max(1, round(UPDATES * task.settings.batch_size / len(rows)))
    settings = task.settings.for_epochs(min(n_epochs, task.settings.max_iter))
    start_loss = valid.mean(task.row_losses(model, valid))
    seed = task.seed
    result = train(model, rows, settings, seed=seed, start_loss=start_loss, valid=valid)
    if result.interrupted:
        raise KeyboardInterrupt  # of no number is enough known
    if has_readout(model):
        # As in a fit: at one strength for all, rows few beside their columns would be
        # learned by heart, and more components have less to learn so.
        Readout(model, rows).set_best(lambda: valid.mean(task.row_losses(model, valid)))
    return model


def _gain(task, model, larger, valid):
    """Mean gain of a larger model, less its standard errors, and the other's loss.

    Where an autoencoder's noise is what its start leaves, a column that is all in the
    code would gain without bound: the larger model is judged by the other's noise.
    """
    losses = task.row_losses(model, valid)
    if not task.blueprint.is_variational:
        larger = copy.deepcopy(larger)
        larger.likelihood.load_state_dict(model.likelihood.state_dict())
    mean, error = valid.mean_and_error(losses - task.row_losses(larger, valid))
    return mean - STANDARD_ERRORS * error, valid.mean(losses)


def _noise(task, loss, n_left):
    """Loss that a direction of white noise is, of so many that are left."""
    if task.blueprint.is_variational:
        return 0.0
    is_error = task.blueprint.likelihood.has_squared_errors
    return loss / max(n_left, 1) if is_error else NATS
