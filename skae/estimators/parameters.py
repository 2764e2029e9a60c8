"""Parameters: what may be asked for, by itself and of the rows at hand."""

import functools
import numbers

import numpy as np
import torch
from sklearn.utils import check_scalar

from skae._sklearn import HasMethods, Interval, RealNotInt, StrOptions
from skae.fitting.task import FEWEST_ROWS
from skae.integers import is_integer
from skae.likelihoods import LIKELIHOODS
from skae.networks import ACTIVATIONS
from skae.training.solvers import SOLVERS

__all__ = [
    "PARAMETER_CONSTRAINTS",
    "check_count",
    "check_flag",
    "check_n_components",
    "refuse_auto_components",
]

PARAMETER_CONSTRAINTS: dict = {
    "n_components": [
        StrOptions({"auto"}),
        Interval(numbers.Integral, 1, None, closed="left"),
        Interval(RealNotInt, 0, 1, closed="neither"),
    ],
    "hidden_layer_sizes": [StrOptions({"auto"}), "array-like", numbers.Integral],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "encoder": [HasMethods("build"), callable, None],
    "decoder": [HasMethods("build"), callable, None],
    "init": [StrOptions({"pca", "random"})],
    "likelihood": [StrOptions({"auto", *LIKELIHOODS}), HasMethods("build"), list],
    "solver": [StrOptions(set(SOLVERS)), type, functools.partial],
    "learning_rate_init": [
        StrOptions({"auto"}),
        Interval(numbers.Real, 0, None, closed="neither"),
    ],
    "alpha": [StrOptions({"auto"}), Interval(numbers.Real, 0, None, closed="left")],
    "batch_size": [
        StrOptions({"auto"}),
        Interval(numbers.Integral, 1, None, closed="left"),
    ],
    "max_iter": [
        StrOptions({"auto"}),
        Interval(numbers.Integral, 0, None, closed="left"),
    ],
    "tol": [Interval(numbers.Real, 0, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [
        StrOptions({"auto"}),
        Interval(numbers.Real, 0, 1, closed="neither"),
    ],
    "n_iter_no_change": [
        StrOptions({"auto"}),
        Interval(numbers.Integral, 1, None, closed="left"),
    ],
    "precision": [StrOptions({"auto", "float32"})],
    "device": [str, torch.device],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def check_count(value, name):
    """Check a number of something."""
    if not is_integer(value):
        raise TypeError(f"{name}={value!r} must be an integer of 1 or more.")
    return check_scalar(int(value), name, numbers.Integral, min_val=1)


def check_flag(value, name):
    """Check whether something is asked for; any text would say that it is."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={value!r} must be True or False.")
    return bool(value)


def check_n_components(estimator, X):
    """Check the size of the code against the rows."""
    wanted, limit = estimator.n_components, min(X.shape)
    if isinstance(wanted, bool | np.bool_):
        raise ValueError(
            f"n_components={wanted!r} must be an integer of 1 or more, a float "
            "between 0 and 1, or 'auto'."
        )
    if isinstance(wanted, str):
        return _check_auto_components(estimator, X)
    if estimator.init == "pca" and wanted > limit:
        raise ValueError(
            f"n_components={wanted!r} must be at most min(n_samples, n_features)="
            f"{limit} with init='pca'; choose fewer, or init='random'."
        )


def _check_auto_components(estimator, X):
    if estimator.init != "pca":
        raise ValueError(
            "n_components='auto' tries one number after another from PCA on; give a "
            "number, or set init='pca'."
        )
    if X.shape[0] < FEWEST_ROWS:
        raise ValueError(
            f"n_components='auto' holds rows out, and {X.shape[0]} are too few; give a "
            f"number, or {FEWEST_ROWS} rows or more."
        )


def refuse_auto_components(estimator):
    """Refuse a number that is to be found, where the rows come one part at a time."""
    if isinstance(estimator.n_components, str):
        raise ValueError(
            f"n_components={estimator.n_components!r} needs all rows at once; give "
            "partial_fit a number, or use fit."
        )
