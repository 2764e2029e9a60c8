"""Planning: every parameter of an estimator resolved, for the rows at hand.

Reads an estimator's parameters and never changes them; what "auto" means is in
:mod:`skae.fitting.auto`, and which parts are asked for in :mod:`skae.fitting.specs`.
"""

import functools
import math
import numbers
from dataclasses import replace

import numpy as np
import torch

from skae.device import compute_dtype, resolve_device
from skae.likelihoods import Gaussian
from skae.networks import MLP
from skae.priors import Vamp
from skae.start.axes import LARGEST_MATRIX
from skae.start.maps import fit_linear_maps
from skae.training.settings import Settings
from skae.training.solvers import SOLVERS

from .auto import (
    auto_alpha,
    auto_batch_size,
    auto_learning_rate,
    auto_max_iter,
    auto_patience,
    auto_reach,
    auto_refinements,
    auto_validation_rows,
)
from .blueprint import Blueprint
from .coordinates import in_coordinates, with_span
from .factories import is_factory
from .n_components import find_n_components
from .specs import resolve_networks, resolve_variational
from .task import FEWEST_ROWS, Occasion, Task

__all__ = ["continued_task", "make_task"]

# How often the rows that judge are walked through after an epoch, at most, for a model
# that draws: more would cost more than a tenth of the epoch.
EPOCH_PASSES = 2

# Draws of the codes of the rows that judge, all told, by which it is decided what a fit
# returns.
VALIDATION_DRAWS = 4096

# Share of the epochs over which the learning rate falls, where rows judge and the end
# of the training is known.
DESCENT = 0.5


def make_task(estimator, rows, own_judges=None, *, likelihood, seed, occasion):
    """Say what an estimator's parameters ask for.

    Parameters
    ----------
    estimator : BaseAutoencoder

    rows : WeightedSet
        To learn from; with labels, where a model is told of classes.

    own_judges : WeightedSet, optional
        Rows of the user's own that judge.

    likelihood : likelihood spec
        What :func:`skae.fitting.specs.resolve_likelihood` found.

    seed : int

    occasion : Occasion

    Returns
    -------
    Task
    """
    variational = resolve_variational(estimator)
    has_span = (
        not occasion.continues
        and rows.labels is None
        and _is_rotation_invariant(estimator, likelihood, variational)
        and _has_more_columns(rows, own_judges)
    )
    n_columns = _count_spanning(rows, own_judges) if has_span else rows.X.shape[1]
    counted = len(rows), n_columns
    task = _task_of(
        estimator,
        make_blueprint(estimator, rows, counted, likelihood, variational, seed),
        rows,
        own_judges,
        counted,
        occasion,
    )
    is_known = estimator.n_components != "auto"
    if not has_span:
        task = task.placed()
    elif task.trains or not is_known:
        task = with_span(task)
    return task if is_known else _with_found_components(estimator, task)


def continued_task(estimator, blueprint, rows, own_judges=None, *, occasion):
    """Say what an estimator's parameters ask for where a model is trained further.

    What it is made of stays.

    Parameters
    ----------
    estimator : BaseAutoencoder

    blueprint : Blueprint
        Of the model.

    rows, own_judges, occasion
        As :func:`make_task` takes them.

    Returns
    -------
    Task
    """
    counted = rows.X.shape
    task = _task_of(estimator, blueprint, rows, own_judges, counted, occasion)
    return task.placed()


def _task_of(estimator, blueprint, rows, own_judges, counted, occasion):
    """Say how to train what a blueprint describes, on so many rows and columns."""
    device = resolve_device(estimator.device)
    n_judges, n_validation = _count_judges(
        estimator, len(rows), own_judges, blueprint, occasion
    )
    settings = make_settings(estimator, blueprint, counted, n_judges, device)
    if blueprint.is_variational and blueprint.starts_exact:
        # As in the density that is reported: of one row more. Here copies are none.
        settings = replace(settings, start_share=1 / (len(rows) + 1))
    is_judged = n_validation > 0 or own_judges is not None
    return Task(
        blueprint=blueprint,
        rows=rows,
        own_judges=own_judges,
        trains=_has_to_learn(blueprint, settings, len(rows), n_validation),
        n_validation=n_validation,
        occasion=occasion,
        judging_passes=_count_passes(blueprint.variational, n_judges),
        settings=_paced(estimator, settings, occasion, is_judged),
        device=device,
    )


def _paced(estimator, settings, occasion, is_judged):
    """Say for how long to train on an occasion, and how steps become smaller."""
    if occasion.of_stream:
        settings = settings.for_epochs(1)
    if occasion is Occasion.PART_AFTER_FIT and estimator.learning_rate_init == "auto":
        return settings.at_final_rate()
    if occasion is Occasion.WHOLE and is_judged:
        return replace(settings, descent=DESCENT)
    return settings


def _count_judges(estimator, n_rows, own_judges, blueprint, occasion):
    """Count the rows whose loss decides, and those to hold out for it."""
    if n_rows < FEWEST_ROWS and not blueprint.from_pca:
        return n_rows, 0  # there is no start to fall back on
    if own_judges is not None:
        return len(own_judges), 0
    if occasion.of_stream or not estimator.early_stopping:
        return n_rows, 0
    n_validation = _count_validation_rows(estimator, n_rows, blueprint)
    return n_validation, n_validation


def _has_to_learn(blueprint, settings, n_rows, n_validation):
    """Whether there is more to be found than the start, and rows enough to judge it."""
    has_too_few = n_validation > 0 and n_rows < FEWEST_ROWS
    return settings.max_iter > 0 and not _start_is_final(blueprint) and not has_too_few


def _with_found_components(estimator, task):
    """Find the number of components; how many rows judge depends on it, too."""
    searched = task if task.span is None else in_coordinates(task)
    with task.forked_stream():
        n_components = find_n_components(searched)
    found, n_validation = task.with_components(n_components), 0
    if task.n_validation:
        n_validation = _count_validation_rows(
            estimator, len(task.rows), found.blueprint
        )
    return replace(found, n_validation=n_validation)


def _has_more_columns(rows, own_judges):
    """Whether rows span a smaller space than their columns, that can be found."""
    n_columns = rows.X.shape[1]
    return _count_spanning(rows, own_judges) < min(n_columns, LARGEST_MATRIX)


def _count_spanning(rows, own_judges):
    """Rows, those that judge among them, and so dimensions of their space at most."""
    return len(rows) if own_judges is None else len(rows) + len(own_judges)


def _is_rotation_invariant(estimator, likelihood, variational):
    """Whether a model of rows is the same after any orthogonal change of columns."""
    if variational is not None and isinstance(variational.prior, Vamp):
        return False  # it is made of rows
    has_own_parts = estimator.encoder is not None or estimator.decoder is not None
    is_isotropic = type(likelihood) is Gaussian
    return is_isotropic and estimator.init == "pca" and not has_own_parts


def make_blueprint(estimator, rows, counted, likelihood, variational, seed):
    """Resolve the architecture, for so many rows and columns to learn from."""
    if rows.labels is not None and isinstance(variational.prior, Vamp):
        raise ValueError(
            "conditional=True: prior='vamp' is made of rows, which would need classes; "
            "use 'gmm' or 'flow'."
        )
    encoder, decoder = resolve_networks(estimator, counted)
    # What refines a row decodes all of its columns.
    n_refinements = _count_refinements(estimator, likelihood, variational, rows.X.shape)
    can_reach = n_refinements > 0 and likelihood.has_squared_errors
    return Blueprint(
        n_features=rows.X.shape[1],
        n_components=_resolve_n_components(estimator.n_components, rows, likelihood),
        encoder=encoder,
        decoder=decoder,
        likelihood=likelihood,
        from_pca=estimator.init == "pca",
        variational=variational,
        seed=seed,
        class_shares=_class_shares(rows),
        n_refinements=n_refinements,
        reach=auto_reach(*rows.X.shape) if can_reach else 0.0,
    )


def _count_refinements(estimator, likelihood, variational, shape):
    """Count the steps by which codes are refined."""
    if variational is not None:
        return 0
    if not isinstance(estimator.n_refinements, str):
        return int(estimator.n_refinements)
    # A factory's codes may be bounded, or whole numbers, on purpose.
    may_bound = is_factory(estimator.encoder) and estimator.init == "random"
    if may_bound or not likelihood.has_squared_errors:
        return 0
    return auto_refinements(*shape)


def _resolve_n_components(n_components, rows, likelihood):
    """Find the number of components; 1 where it is to be found later."""
    if isinstance(n_components, str):
        return 1
    if isinstance(n_components, numbers.Integral):
        return int(n_components)
    units = "deviations" if likelihood.has_column_noise else "one"
    maps = fit_linear_maps(
        rows.X, rows.weight, float(n_components), view=likelihood.view, units=units
    )
    return maps.n_components


def _class_shares(rows):
    """Share of each class, by weight."""
    if rows.labels is None:
        return None
    total = np.bincount(rows.labels, weights=rows.weight)
    return tuple((total / total.sum()).tolist())


def make_settings(estimator, blueprint, counted, n_judges, device):
    """Resolve how to train on so many rows and columns."""
    (n_rows, n_features), variational = counted, blueprint.variational
    batch_size, max_iter = estimator.batch_size, estimator.max_iter
    rate, patience = estimator.learning_rate_init, estimator.n_iter_no_change
    if isinstance(batch_size, str):
        batch_size = auto_batch_size(n_rows)
    if isinstance(max_iter, str):
        max_iter = auto_max_iter(n_rows, n_features, batch_size)
    if isinstance(patience, str):
        patience = auto_patience(n_rows, batch_size)
    solver = _check_solver(estimator.solver)
    decays = solver == "adamw" and not blueprint.is_variational
    decay = auto_alpha(n_rows, n_features) if decays else 0.0
    if isinstance(rate, str):
        rate = None
        if isinstance(solver, str):
            usual = SOLVERS[solver].learning_rate
            rate = auto_learning_rate(usual, n_features, decays=decay > 0)
    return Settings(
        solver=solver,
        learning_rate=rate,
        alpha=_resolve_alpha(estimator.alpha, solver, decay),
        batch_size=min(int(batch_size), n_rows),
        max_iter=int(max_iter),
        tol=float(estimator.tol),
        patience=int(patience),
        dtype=compute_dtype(estimator.precision, device),
        validation_passes=min(_count_passes(variational, n_judges), EPOCH_PASSES),
        warmup=float(estimator.kl_warmup) if blueprint.is_variational else 0.0,
    )


def _count_passes(variational, n_judges):
    """Say how often to walk through the rows that judge for one loss."""
    if variational is None:
        return 1
    n_draws = n_judges * variational.n_importance_samples
    return min(max(VALIDATION_DRAWS // n_draws, 1), 32)


def _resolve_alpha(alpha, solver, decay):
    """Find the weight decay; None leaves it to an optimizer class of the user's."""
    if not isinstance(alpha, str):
        return float(alpha)
    return decay if isinstance(solver, str) else None


def _start_is_final(blueprint):
    """Whether the start is the best that the architecture allows."""
    is_linear = all(
        isinstance(spec, MLP) and np.size(spec.hidden_layer_sizes) == 0
        for spec in (blueprint.encoder, blueprint.decoder)
    )
    return (
        is_linear
        and blueprint.class_shares is None
        and blueprint.starts_exact
        and (not blueprint.is_variational or blueprint.variational.keeps_start)
    )


def _count_validation_rows(estimator, n_rows, blueprint):
    if isinstance(estimator.validation_fraction, str):
        return auto_validation_rows(n_rows, blueprint.n_components)
    n_validation = max(1, math.ceil(estimator.validation_fraction * n_rows))
    if n_validation >= n_rows >= FEWEST_ROWS:
        raise ValueError(
            f"validation_fraction={estimator.validation_fraction!r} of {n_rows} "
            "distinct rows leaves none to train on; make it smaller, or set "
            "early_stopping=False."
        )
    return n_validation


def _check_solver(solver):
    """See that a solver is a name or makes a torch optimizer."""
    if isinstance(solver, str):
        return solver
    made = solver.func if isinstance(solver, functools.partial) else solver
    if not (isinstance(made, type) and issubclass(made, torch.optim.Optimizer)):
        raise ValueError(
            f"solver={solver!r} is no torch.optim.Optimizer class; use one of "
            f"{sorted(SOLVERS)}, a class such as torch.optim.NAdam, or a "
            "functools.partial of one."
        )
    return solver
