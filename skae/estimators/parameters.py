"""Parameters: what may be asked for, by itself and of the rows at hand."""

import functools
import numbers

import numpy as np
import torch

from skae._sklearn import HasMethods, Interval, RealNotInt, StrOptions
from skae.fitting.task import FEWEST_ROWS
from skae.integers import is_integer
from skae.likelihoods import LIKELIHOODS
from skae.networks import ACTIVATIONS
from skae.training.solvers import SOLVERS

__all__ = [
    "PARAMETER_CONSTRAINTS",
    "Count",
    "check_flag",
    "check_n_components",
    "refuse_auto_components",
]


class Count(Interval):
    """Integers of so many or more, where True is none.

    Parameters
    ----------
    least : int

    most : int, default=None
    """

    def __init__(self, least, most=None):
        closed = "left" if most is None else "both"
        super().__init__(numbers.Integral, least, most, closed=closed)

    def is_satisfied_by(self, val):
        """Whether a value is one of them."""
        return is_integer(val) and super().is_satisfied_by(val)


PARAMETER_CONSTRAINTS: dict = {
    "n_components": [
        StrOptions({"auto"}),
        Count(1),
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
    "batch_size": [StrOptions({"auto"}), Count(1)],
    "max_iter": [StrOptions({"auto"}), Count(0)],
    "tol": [Interval(numbers.Real, 0, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [
        StrOptions({"auto"}),
        Interval(numbers.Real, 0, 1, closed="neither"),
    ],
    "n_iter_no_change": [StrOptions({"auto"}), Count(1)],
    "precision": [StrOptions({"auto", "float32"})],
    "device": [str, torch.device],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def check_flag(value, name):
    """Check whether something is asked for; any text would say that it is."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={value!r} must be True or False.")
    return bool(value)


def check_n_components(estimator, X):
    """Check the size of the code against the rows."""
    wanted, limit = estimator.n_components, min(X.shape)
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
