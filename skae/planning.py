"""Planning: every parameter of an estimator resolved, for the rows at hand.

Reads an estimator's parameters and never changes them; what "auto" means is in
:mod:`skae.auto`.
"""

import functools
import inspect
import math
import numbers
from dataclasses import replace

import numpy as np
import torch
from sklearn.base import clone

from .auto import (
    auto_alpha,
    auto_batch_size,
    auto_hidden_layer_sizes,
    auto_learning_rate,
    auto_likelihood,
    auto_max_iter,
    auto_patience,
    auto_validation_rows,
)
from .blueprint import Blueprint, Variational
from .device import compute_dtype, resolve_device
from .engine import Settings
from .likelihoods import LIKELIHOODS, PART_LIKELIHOODS, Gaussian, PerColumn
from .networks import MLP
from .priors import PRIORS, Vamp
from .rows import as_array, placed
from .solvers import SOLVERS
from .start import LARGEST_MATRIX, fit_linear_maps
from .task import FEWEST_ROWS, Task
from .wide import narrowed, spanned
from .width import find_width

__all__ = ["make_task", "resolve_likelihood"]

# How often the rows that judge are walked through after an epoch, at most, for a model
# that draws: more would cost more than a tenth of the epoch.
EPOCH_PASSES = 2

# Share of the epochs over which the learning rate falls, where rows judge and the end
# of the training is known.
DESCENT = 0.5


def make_task(
    estimator,
    X,
    weight,
    X_val=None,
    *,
    blueprint,
    likelihood,
    seed,
    is_judged,
    continues,
    labels=None,
    labels_val=None,
):
    """Say what an estimator's parameters ask for.

    Parameters
    ----------
    estimator : BaseAutoencoder

    X, weight : the weighted set of rows to learn from.

    X_val : rows of the user's own that judge, or None.

    blueprint : Blueprint or None
        Of a model that is to be trained further; None makes a new one.

    likelihood : likelihood spec
        What :func:`resolve_likelihood` found.

    seed : int

    is_judged : bool
        Whether rows may be held out.

    continues : bool
        Whether training will go on another day.

    labels, labels_val : ndarray of int or None
        Number of the class of each row of X and of X_val, where a model is told.

    Returns
    -------
    Task
    """
    device = resolve_device(estimator.device)
    can_turn = not continues and labels is None and _can_turn(estimator, likelihood)
    is_wide = can_turn and _is_wide(X, X_val)
    shape = (X.shape[0], _count_spanning(X, X_val) if is_wide else X.shape[1])
    is_known = blueprint is not None or estimator.n_components != "auto"
    if blueprint is None:
        shares = _class_shares(labels, weight)
        blueprint = make_blueprint(
            estimator, X, weight, likelihood, seed, shape, shares
        )
    n_judges, n_validation = _count_judges(estimator, X, X_val, blueprint, is_judged)
    settings = make_settings(estimator, shape, n_judges, device)
    if not continues and (n_validation or X_val is not None):
        settings = replace(settings, descent=DESCENT)
    task = Task(
        blueprint=blueprint,
        X=X if is_wide else placed(X, device),
        weight=weight,
        X_val=X_val,
        trains=_has_to_learn(blueprint, settings, X, n_validation),
        n_validation=n_validation,
        continues=continues,
        judging_passes=estimator._count_passes(n_judges),
        settings=settings,
        device=device,
        labels=labels,
        labels_val=labels_val,
    )
    if is_wide and (task.trains or not is_known):
        task = spanned(task)
    return task if is_known else _of_found_width(estimator, task)


def _count_judges(estimator, X, X_val, blueprint, is_judged):
    """Count the rows whose loss decides, and those to hold out for it."""
    n_rows = X.shape[0]
    if n_rows < FEWEST_ROWS and not blueprint.from_pca:
        return n_rows, 0  # there is no start to fall back on
    if X_val is not None:
        return X_val.shape[0], 0
    if not (is_judged and estimator.early_stopping):
        return n_rows, 0
    n_validation = _count_validation_rows(estimator, n_rows, blueprint)
    return n_validation, n_validation


def _has_to_learn(blueprint, settings, X, n_validation):
    """Whether there is more to be found than the start, and rows enough to judge it."""
    has_too_few = n_validation > 0 and X.shape[0] < FEWEST_ROWS
    return settings.max_iter > 0 and not _start_is_final(blueprint) and not has_too_few


def _of_found_width(estimator, task):
    """Find the width of a task; how many rows judge depends on it, too."""
    n_components = find_width(task if task.span is None else narrowed(task))
    blueprint = replace(task.blueprint, n_components=n_components)
    n_validation = 0
    if task.n_validation:
        n_validation = _count_validation_rows(estimator, task.X.shape[0], blueprint)
    return replace(task, blueprint=blueprint, n_validation=n_validation)


def _is_wide(X, X_val):
    """Whether rows span a smaller space than their columns, that can be found."""
    return _count_spanning(X, X_val) < min(X.shape[1], LARGEST_MATRIX)


def _count_spanning(X, X_val):
    """Rows, those that judge among them, and so dimensions of their space at most."""
    return X.shape[0] if X_val is None else X.shape[0] + X_val.shape[0]


def _can_turn(estimator, likelihood):
    """Whether a model of rows is the same after any orthogonal change of columns."""
    variational = resolve_variational(estimator)
    if variational is not None and isinstance(variational.prior, Vamp):
        return False  # it is made of rows
    has_own_parts = estimator.encoder is not None or estimator.decoder is not None
    is_isotropic = type(likelihood) is Gaussian
    return is_isotropic and estimator.init == "pca" and not has_own_parts


def make_blueprint(estimator, X, weight, likelihood, seed, shape, class_shares=None):
    """Resolve the architecture, for so many rows and columns to learn from."""
    variational = resolve_variational(estimator)
    if class_shares is not None and isinstance(variational.prior, Vamp):
        raise ValueError(
            "conditional=True: prior='vamp' is made of rows, which would need classes; "
            "use 'gmm' or 'flow'."
        )
    encoder, decoder = resolve_networks(estimator, shape)
    return Blueprint(
        n_features=X.shape[1],
        n_components=_resolve_width(estimator.n_components, X, weight, likelihood),
        encoder=encoder,
        decoder=decoder,
        likelihood=likelihood,
        from_pca=estimator.init == "pca",
        variational=variational,
        seed=seed,
        class_shares=class_shares,
        n_refinements=estimator._count_refinements(likelihood, shape),
    )


def resolve_networks(estimator, shape):
    """Find the encoder and the decoder, which mirrors it unless it is given."""
    widths = estimator.hidden_layer_sizes
    if isinstance(widths, str):
        widths = auto_hidden_layer_sizes(*shape)
    perceptron = MLP(widths, estimator.activation)
    perceptron.check("")
    for name in ("encoder", "decoder"):
        part = getattr(estimator, name)
        refuse_class(name, part)
        refuse_module(name, part)
        refuse_signature(name, part)
        if hasattr(part, "check"):
            part.check(f"{name}__")
    encoder = _unshared(estimator.encoder) or perceptron
    mirrored = encoder if hasattr(encoder, "build") else perceptron
    return encoder, _unshared(estimator.decoder) or mirrored


def _resolve_width(n_components, X, weight, likelihood):
    """Find the size of the code; 1 where it is to be found later."""
    if isinstance(n_components, str):
        return 1
    if isinstance(n_components, numbers.Integral):
        return int(n_components)
    units = "deviations" if likelihood.has_column_noise else "one"
    share = float(n_components)
    maps = fit_linear_maps(X, weight, share, view=likelihood.view, units=units)
    return maps.n_components


def _class_shares(labels, weight):
    """Share of each class, by weight."""
    if labels is None:
        return None
    total = np.bincount(labels, weights=weight)
    return tuple((total / total.sum()).tolist())


def make_settings(estimator, shape, n_judges, device):
    """Resolve how to train."""
    n_rows, n_features = shape
    batch_size, max_iter = estimator.batch_size, estimator.max_iter
    rate, patience = estimator.learning_rate_init, estimator.n_iter_no_change
    if isinstance(batch_size, str):
        batch_size = auto_batch_size(n_rows)
    if isinstance(max_iter, str):
        max_iter = auto_max_iter(n_rows, n_features, batch_size)
    if isinstance(patience, str):
        patience = auto_patience(n_rows, batch_size)
    solver = _check_solver(estimator.solver)
    decays = solver == "adamw" and not estimator._is_variational
    decay = auto_alpha(n_rows, n_features) if decays else 0.0
    if isinstance(rate, str):
        rate = None
        if isinstance(solver, str):
            usual = SOLVERS[solver].learning_rate
            rate = auto_learning_rate(usual, n_features, decays=decay > 0)
    return Settings(
        solver=solver,
        learning_rate=rate,
        alpha=decay if isinstance(estimator.alpha, str) else float(estimator.alpha),
        batch_size=min(int(batch_size), n_rows),
        max_iter=int(max_iter),
        tol=float(estimator.tol),
        patience=int(patience),
        dtype=compute_dtype(estimator.precision, device),
        validation_passes=min(estimator._count_passes(n_judges), EPOCH_PASSES),
        warmup=estimator._warmup,
    )


def refuse_class(name, part):
    """Refuse a spec that is a class; its settings are those of an instance."""
    if isinstance(part, type) and hasattr(part, "build"):
        raise TypeError(
            f"{name}={part.__name__} is a class; give an instance, as in "
            f"{name}={part.__name__}(...)."
        )


def refuse_module(name, part):
    """Refuse a network that is made already; each fit makes its own."""
    if isinstance(part, torch.nn.Module):
        made = type(part).__name__
        raise TypeError(
            f"{name} is a {made}, already made; give a factory that makes it, called "
            f"as {name}(n_inputs, n_outputs)."
        )


def refuse_signature(name, part):
    """Refuse a factory that takes other arguments than it will be given."""
    if part is None or hasattr(part, "build"):
        return
    try:
        signature = inspect.signature(part)
    except ValueError:
        return  # written in C, it does not say what it takes
    try:
        signature.bind("n_inputs", "n_outputs")
    except TypeError as error:
        raise TypeError(
            f"{name}={part!r} takes {signature}; a factory is called as "
            f"{name}(n_inputs, n_outputs) and returns a torch.nn.Module."
        ) from error


def resolve_variational(estimator):
    """Find what makes a model variational; None where nothing does."""
    if not estimator._is_variational:
        return None
    prior = estimator.prior
    refuse_class("prior", prior)
    if isinstance(prior, str):
        prior = PRIORS["posterior" if prior == "auto" else prior]()
    else:
        prior = clone(prior)
    prior.check("prior__")
    variational = Variational(
        posterior=estimator.posterior,
        prior=prior,
        divergence=estimator.divergence,
        beta=float(estimator.beta),
        free_bits=float(estimator.free_bits),
        n_importance_samples=int(estimator.n_importance_samples),
    )
    variational.check()
    return variational


def resolve_likelihood(estimator, X):
    """Find a likelihood by its name, by column, or by a look at the columns.

    Parameters
    ----------
    estimator : BaseAutoencoder

    X : {ndarray, CSR, tensor} of shape (n_samples, n_features)

    Returns
    -------
    likelihood spec
        A copy, whose columns are given by number.
    """
    likelihood = estimator.likelihood
    if isinstance(likelihood, str) and likelihood == "auto":
        likelihood = auto_likelihood(as_array(X))
    if isinstance(likelihood, list):
        likelihood = PerColumn(likelihood)
    elif isinstance(likelihood, str):
        likelihood = LIKELIHOODS[likelihood]()
    refuse_class("likelihood", likelihood)
    names = getattr(estimator, "feature_names_in_", None)
    locate = functools.partial(_locate, names=names, n_features=X.shape[1])
    if isinstance(likelihood, PerColumn):
        return _resolve_columns(likelihood.parts, X.shape[1], locate)
    if hasattr(likelihood, "bind"):
        return likelihood.bind(np.arange(X.shape[1]), locate)
    return clone(likelihood)


def _resolve_columns(parts, n_features, locate):
    """Find the likelihood of each column, and see that every column has one."""
    resolved, count = [], np.zeros(n_features, dtype=int)
    for part in parts:
        if not (isinstance(part, tuple | list) and len(part) == 2):
            raise ValueError(
                f"likelihood: {part!r} is no pair of a likelihood and its columns, as "
                "in [('gaussian', [0, 1]), ('bernoulli', ['smoker'])]."
            )
        spec, columns = part
        refuse_class("likelihood", spec)
        if isinstance(spec, str) and spec in PART_LIKELIHOODS:
            spec = PART_LIKELIHOODS[spec]()
        if isinstance(spec, PerColumn) or not hasattr(spec, "build"):
            raise ValueError(
                f"likelihood: {spec!r} is no likelihood of columns; use one of "
                f"{sorted(LIKELIHOODS)}, or a spec such as Gaussian()."
            )
        numbers = locate(columns)
        np.add.at(count, numbers, 1)
        if len(numbers) > 0:
            resolved.append((spec.bind(numbers, locate), numbers.tolist()))
    if (count != 1).any():
        wrong = {
            "none": np.flatnonzero(count == 0),
            "several": np.flatnonzero(count > 1),
        }
        found = [
            f"{columns.tolist()} have {n}"
            for n, columns in wrong.items()
            if len(columns)
        ]
        raise ValueError(
            "likelihood: every column has to have exactly one likelihood, but columns "
            f"{' and '.join(found)}."
        )
    return resolved[0][0] if len(resolved) == 1 else PerColumn(resolved)


def _locate(columns, *, names, n_features):
    """Numbers of columns that are given by number, name, slice or mask."""
    if isinstance(columns, slice):
        return np.arange(n_features)[columns]
    chosen = np.atleast_1d(np.asarray(columns, dtype=object))
    if len(chosen) == n_features and all(
        isinstance(c, bool | np.bool_) for c in chosen
    ):
        return np.flatnonzero(chosen.astype(bool))
    return np.array([_locate_one(c, names, n_features) for c in chosen], dtype=int)


def _locate_one(column, names, n_features):
    if isinstance(column, str):
        found = [] if names is None else list(np.flatnonzero(names == column))
        if len(found) == 1:
            return found[0]
        known = "X has no column names" if names is None else f"names are {list(names)}"
        raise ValueError(f"likelihood: there is no column {column!r}; {known}.")
    if isinstance(column, numbers.Integral) and not isinstance(column, bool | np.bool_):
        if -n_features <= column < n_features:
            return column % n_features
    raise ValueError(
        f"likelihood: there is no column {column!r}; columns are numbers below "
        f"{n_features}, names, a slice, or a mask of {n_features} truth values."
    )


def _unshared(spec):
    """Copy a spec, so that later ``set_params`` do not reach it."""
    return clone(spec) if hasattr(spec, "get_params") else spec


def _start_is_final(blueprint):
    """Whether the start is the best that the architecture allows."""
    is_linear = all(
        isinstance(spec, MLP) and np.size(spec.hidden_layer_sizes) == 0
        for spec in (blueprint.encoder, blueprint.decoder)
    )
    return (
        is_linear
        and blueprint.from_pca
        and blueprint.class_shares is None
        and blueprint.likelihood.starts_exact
        and (blueprint.variational is None or blueprint.variational.keeps_start)
    )


def _count_validation_rows(estimator, n_rows, blueprint):
    if isinstance(estimator.validation_fraction, str):
        return auto_validation_rows(n_rows, blueprint.n_components)
    n_validation = max(1, math.ceil(estimator.validation_fraction * n_rows))
    if n_validation >= n_rows:
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
