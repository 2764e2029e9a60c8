"""Specs: the parts that an estimator's parameters ask for.

A part is asked for by its name, by a spec or, if it is a network, by a factory. What is
none of these is refused by the parameter's name.
"""

import functools
import inspect

import numpy as np
import torch
from sklearn.base import clone

from skae.integers import is_integer
from skae.likelihoods import LIKELIHOODS, PART_LIKELIHOODS, Likelihood, PerColumn
from skae.networks import MLP
from skae.priors import PRIORS, Prior
from skae.rows import as_array

from .auto import auto_hidden_layer_sizes, auto_likelihood
from .blueprint import Variational
from .factories import is_factory

__all__ = ["resolve_likelihood", "resolve_networks", "resolve_variational"]


def resolve_likelihood(estimator, rows, given):
    """Find a likelihood by its name, by column, or by a look at the columns.

    Parameters
    ----------
    estimator : BaseAutoencoder

    rows : WeightedSet

    given : {array-like, sparse matrix, tensor, DataFrame}
        The rows as the user has them, by which a callable selects columns.

    Returns
    -------
    likelihood spec
        A copy, whose columns are given by number.
    """
    likelihood, named = estimator.likelihood, LIKELIHOODS
    if isinstance(likelihood, str) and likelihood == "auto":
        likelihood = auto_likelihood(as_array(rows.X), rows.weight)
        if rows.labels is not None:
            named = PART_LIKELIHOODS  # totals of all rows are not those of a class
    if isinstance(likelihood, list):
        likelihood = PerColumn(likelihood)
    elif isinstance(likelihood, str):
        likelihood = named[likelihood]()
    _refuse_class("likelihood", likelihood)
    _refuse_other("likelihood", likelihood, Likelihood, LIKELIHOODS)
    names = getattr(estimator, "feature_names_in_", None)
    n_features = rows.X.shape[1]
    locate = functools.partial(_locate, given=given, names=names, n_features=n_features)
    if isinstance(likelihood, PerColumn):
        called = np.arange(n_features) if names is None else names
        return _resolve_columns(likelihood.parts, called, locate)
    return likelihood.bind(np.arange(n_features), locate)


def _resolve_columns(parts, called, locate):
    """Find the likelihood of each column, and see that every column has one."""
    resolved, count = [], np.zeros(len(called), dtype=int)
    for part in parts:
        spec, columns = _resolve_part(part)
        index = locate(columns)
        np.add.at(count, index, 1)
        if len(index) > 0:
            resolved.append((spec.bind(index, locate), index.tolist()))
    if (count != 1).any():
        wrong = {"none": count == 0, "several": count > 1}
        found = [
            f"{called[are_wrong].tolist()} have {n}"
            for n, are_wrong in wrong.items()
            if are_wrong.any()
        ]
        raise ValueError(
            "likelihood: every column has to have exactly one likelihood, but columns "
            f"{' and '.join(found)}."
        )
    is_whole = len(resolved) == 1 and resolved[0][1] == [*range(len(called))]
    return resolved[0][0] if is_whole else PerColumn(resolved)


def _resolve_part(part):
    """Find a likelihood of some columns, and say of which."""
    if not (isinstance(part, tuple | list) and len(part) == 2):
        raise ValueError(
            f"likelihood: {part!r} is no pair of a likelihood and its columns, as "
            "in [('gaussian', [0, 1]), ('bernoulli', ['smoker'])]."
        )
    spec, columns = part
    _refuse_class("likelihood", spec)
    if isinstance(spec, str) and spec in PART_LIKELIHOODS:
        spec = PART_LIKELIHOODS[spec]()
    if isinstance(spec, PerColumn) or not isinstance(spec, Likelihood):
        raise ValueError(
            f"likelihood: {spec!r} is no likelihood of columns; use one of "
            f"{sorted(LIKELIHOODS)}, or a spec such as Gaussian()."
        )
    return spec, columns


def _locate(columns, *, given, names, n_features):
    """Numbers of columns that are given by number, name, slice, mask or callable."""
    if callable(columns):
        columns = columns(given)
    if isinstance(columns, slice):
        return _locate_slice(columns, names, n_features)
    chosen = np.atleast_1d(np.asarray(columns, dtype=object))
    if len(chosen) == n_features and all(
        isinstance(c, bool | np.bool_) for c in chosen
    ):
        return np.flatnonzero(chosen.astype(bool))
    return np.array([_locate_one(c, names, n_features) for c in chosen], dtype=int)


def _locate_slice(columns, names, n_features):
    """Numbers of the columns of a slice; both ends are in it where they are names."""
    start, stop = columns.start, columns.stop
    if isinstance(start, str):
        start = _locate_one(start, names, n_features)
    if isinstance(stop, str):
        stop = _locate_one(stop, names, n_features) + 1
    try:
        return np.arange(n_features)[slice(start, stop, columns.step)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"likelihood: columns {columns!r}: {error}.") from error


def _locate_one(column, names, n_features):
    if isinstance(column, str):
        found = [] if names is None else list(np.flatnonzero(names == column))
        if len(found) == 1:
            return found[0]
        known = "X has no column names" if names is None else f"names are {list(names)}"
        raise ValueError(f"likelihood: there is no column {column!r}; {known}.")
    if is_integer(column):
        if -n_features <= column < n_features:
            return column % n_features
    raise ValueError(
        f"likelihood: there is no column {column!r}; columns are numbers below "
        f"{n_features}, names, a slice, a mask of {n_features} truth values, or a "
        "callable that gives these."
    )


def resolve_networks(estimator, counted):
    """Find the encoder, and the decoder, which mirrors it unless it is given.

    "auto" counts so many rows and columns.
    """
    widths = estimator.hidden_layer_sizes
    if isinstance(widths, str):
        widths = auto_hidden_layer_sizes(*counted)
    perceptron = _unshared(MLP(widths, estimator.activation))
    perceptron.check("")
    for name in ("encoder", "decoder"):
        part = getattr(estimator, name)
        _refuse_class(name, part)
        _refuse_no_network(name, part)
        _refuse_module(name, part)
        _refuse_signature(name, part)
        if hasattr(part, "check"):
            part.check(f"{name}__")
    encoder = _unshared(estimator.encoder) or perceptron
    mirrored = perceptron if is_factory(encoder) else encoder
    return encoder, _unshared(estimator.decoder) or mirrored


def resolve_variational(estimator):
    """Find what makes a model variational; None where nothing does."""
    if not estimator._is_variational:
        return None
    prior = estimator.prior
    _refuse_class("prior", prior)
    if isinstance(prior, str):
        prior = PRIORS["posterior" if prior == "auto" else prior]()
    _refuse_other("prior", prior, Prior, PRIORS)
    prior = clone(prior)
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


def _unshared(spec):
    """Copy a spec, so that later ``set_params`` do not reach it."""
    return clone(spec) if hasattr(spec, "get_params") else spec


def _refuse_class(name, part):
    """Refuse a spec that is a class; its settings are those of an instance."""
    if isinstance(part, type) and hasattr(part, "build"):
        raise TypeError(
            f"{name}={part.__name__} is a class; give an instance, as in "
            f"{name}={part.__name__}(...)."
        )


def _refuse_other(name, part, kind, named):
    """Refuse a spec of something else than is asked for."""
    if not isinstance(part, kind):
        raise TypeError(
            f"{name}={part!r} is no {name}; use one of {sorted(named)}, or an instance "
            f"of skae.{name}s.{kind.__name__}."
        )


def _refuse_no_network(name, part):
    """Refuse a spec of something else than a network."""
    if isinstance(part, Likelihood | Prior):
        raise TypeError(
            f"{name}={part!r} is no network; give a spec such as MLP(), or a factory, "
            f"called as {name}(n_inputs, n_outputs)."
        )


def _refuse_module(name, part):
    """Refuse a network that is made already; each fit makes its own."""
    if isinstance(part, torch.nn.Module):
        made = type(part).__name__
        raise TypeError(
            f"{name} is a {made}, already made; give a factory that makes it, called "
            f"as {name}(n_inputs, n_outputs)."
        )


def _refuse_signature(name, part):
    """Refuse a factory that takes other arguments than it will be given."""
    if not is_factory(part):
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
