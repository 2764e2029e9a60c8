"""Opening: what is accepted of a stored estimator, before anything of it runs.

A file says what it holds, and a file can be damaged or made up. What it says has to
agree with its blueprint: the networks are outlined, at no cost in memory, and every
array is held against that. What a factory of the user's makes is known only once it
is called, and is compared on first use.
"""

import math
from numbers import Real

import numpy as np
import scipy.sparse as sp
from torch import nn

from skae.densities.codes import CodeMixture
from skae.fitting.blueprint import Blueprint
from skae.integers import is_integer
from skae.priors import AggregatePosterior
from skae.start.maps import LinearMaps

from .storage import StoredModule

__all__ = ["CHECKS", "TRAINING", "check_opened"]

# Kinds of numbers that arrays hold: floating point, integers of either sign, booleans.
NUMERIC_KINDS = "fiub"

# Of the floats that a model of skae's own parts holds.
NARROWEST_BYTES = 4


def check_opened(estimator):
    """Refuse a fitted estimator whose state is not what ``fit`` leaves behind.

    Parameters
    ----------
    estimator : BaseAutoencoder
        As it was opened; nothing of it has been called.
    """
    is_fitted = hasattr(estimator, "_stored")
    try:
        for name in estimator._hidden_state if is_fitted else ("_waiting",):
            CHECKS[name](estimator, name)
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(_refusal(f"{error}.")) from error


def _check_stored(estimator, name):
    stored = getattr(estimator, name)
    _expect(isinstance(stored, StoredModule), name, "a StoredModule")
    blueprint = stored.blueprint
    _expect(isinstance(blueprint, Blueprint), "blueprint", "a Blueprint")
    try:
        blueprint.check()
    except ValueError as error:
        raise ValueError(_refusal(str(error))) from error
    _check_arrays(stored)
    for public, expected in (
        ("n_features_in_", blueprint.n_features),
        ("n_components_", blueprint.n_components),
    ):
        _expect(getattr(estimator, public, None) == expected, public, expected)
    _check_array(estimator, "mean_", (blueprint.n_features,))
    for public in ("n_iter_", "best_epoch_"):
        is_count = is_integer(getattr(estimator, public, None), 0)
        _expect(is_count, public, "an integer of 0 or more")
    for public in ("start_loss_", "best_loss_"):
        is_number = isinstance(getattr(estimator, public, None), Real)
        _expect(is_number, public, "a number")
    for public in ("loss_curve_", "validation_loss_curve_"):
        _expect(isinstance(getattr(estimator, public, None), list), public, "a list")
    if blueprint.class_shares is not None:
        n_classes = len(getattr(estimator, "classes_", ()))
        is_right = n_classes == len(blueprint.class_shares)
        _expect(is_right, "classes_", f"{len(blueprint.class_shares)} classes")


def _check_arrays(stored):
    """Hold the arrays of a module against those that its blueprint gives it."""
    _expect(isinstance(stored.device, str), "device", "a string")
    arrays = stored.arrays
    if arrays is None:
        _expect(isinstance(stored.module, nn.Module), "module", "an nn.Module")
        return
    _expect(isinstance(arrays, dict), "arrays", "a dict of arrays")
    for name, array in arrays.items():
        is_numeric = isinstance(array, np.ndarray) and array.dtype.kind in NUMERIC_KINDS
        _expect(is_numeric, f"arrays[{name!r}]", "an array of numbers")
    outline = stored.blueprint.outline()
    if outline is None:
        return
    _expect(arrays.keys() == outline.keys(), "arrays", f"named {sorted(outline)}")
    for name, tensor in outline.items():
        array, shape = arrays[name], tuple(tensor.shape)
        called, kind = f"arrays[{name!r}]", f"of a type like {tensor.dtype}"
        is_float = array.dtype.kind == "f"
        _expect(array.shape == shape, called, f"of shape {shape}")
        _expect(is_float == tensor.is_floating_point(), called, kind)
        # A GPU without float64 has narrower buffers, but none in 16 bits.
        _expect(not is_float or array.dtype.itemsize >= NARROWEST_BYTES, called, kind)
        _expect_no_nan(array, called)


def _check_start(estimator, name):
    _expect(isinstance(getattr(estimator, name, None), LinearMaps), name, "LinearMaps")
    start, n_features = getattr(estimator, name), estimator.n_features_in_
    for field in ("n_rows", "own_noise", "n_silent"):
        value = getattr(start, field)
        is_unknown = value is None and field == "own_noise"
        is_right = is_unknown or (
            isinstance(value, Real) and 0 <= float(value) < math.inf
        )
        _expect(is_right, f"{name}.{field}", "a number, finite and not below 0")
    _check_array(start, "mean", (n_features,))
    _check_array(start, "center", (n_features,))
    _check_array(start, "variance", (n_features,))
    _check_array(start, "scale", (n_features,))
    _check_array(start, "components", (None, n_features))
    _check_array(start, "explained_variance", (len(start.components),))


def _check_training(estimator, name):
    training = getattr(estimator, name, None)
    _expect(isinstance(training, dict), name, "a dict")
    if not training:
        return
    _expect(training.keys() == TRAINING.keys(), name, f"of {sorted(TRAINING)}")
    for part, kind in TRAINING.items():
        is_kind = isinstance(training[part], kind)
        _expect(is_kind, f"{name}[{part!r}]", f"of type {kind.__name__}")
    for part in ("plateau", "clipping"):
        for field, value in training[part].items():
            is_right = isinstance(value, Real)
            is_right = is_right and (field == "reference" or not value < 0)
            _expect(is_right, f"{name}[{part!r}][{field!r}]", "a number from 0")


def _check_n_seen(estimator, name):
    n_seen = getattr(estimator, name, None)
    is_count = isinstance(n_seen, float) and 0 < n_seen < math.inf
    _expect(is_count, name, "a number above 0")


def _check_after_fit(estimator, name):
    _expect(isinstance(getattr(estimator, name, False), bool), name, "a bool")


def _check_waiting(estimator, name):
    if not hasattr(estimator, name):
        return
    waiting = getattr(estimator, name)
    n_features = getattr(estimator, "n_features_in_", None)
    is_pair = isinstance(waiting, tuple) and len(waiting) == 2
    _expect(is_pair, name, "rows and their weights")
    rows, weight = waiting
    are_rows = _are_numbers(rows) and rows.shape[1:] == (n_features,)
    _expect(are_rows, name, f"finite rows of {n_features} columns")
    _expect_floats(weight, name, rows.shape[:1])
    are_weights = len(weight) > 0 and 0 <= weight.min() <= weight.max() < math.inf
    _expect(are_weights, name, "rows with weights from 0")


def _are_numbers(rows):
    """Whether rows are finite, and where they are sparse lie in their columns."""
    values = rows
    if sp.issparse(rows) and rows.format == "csr":
        try:
            rows.check_format(full_check=True)
        except ValueError:
            return False
        values = rows.data
    is_array = isinstance(values, np.ndarray) and values.dtype.kind in NUMERIC_KINDS
    return is_array and bool(np.isfinite(values).all())


def _check_code_moment(estimator, name):
    _check_array(estimator, name, (estimator.n_components_,))


def _check_codes(estimator, name):
    _check_array(estimator, name, (None, estimator.n_components_))


def _check_density(estimator, name):
    from sklearn.mixture import GaussianMixture  # slow, and seldom needed

    density, n_components = getattr(estimator, name, None), estimator.n_components_
    if density is None:
        return
    _expect(isinstance(density, CodeMixture), name, "a CodeMixture")
    _check_array(density, "mean", (n_components,))
    _check_array(density, "scale", (n_components,))
    for part in ("mixture", "kernels"):
        mixture = getattr(density, part, None)
        if mixture is None and part == "kernels":
            continue
        _expect(isinstance(mixture, GaussianMixture), part, "a GaussianMixture")
        _check_array(mixture, "means_", (None, n_components))
        _expect_no_nan(vars(mixture), part)


def _check_prior_codes(estimator, name):
    waiting = getattr(estimator, name, None)
    if waiting is None:
        return
    blueprint = estimator._stored.blueprint
    prior = getattr(blueprint.variational, "prior", None)
    is_kind = isinstance(prior, AggregatePosterior)
    _expect(is_kind, "prior", "one that is fitted to codes")
    is_pair = isinstance(waiting, tuple) and len(waiting) == 2
    _expect(is_pair, name, "None, or codes and their rows")
    codes, rows = waiting
    _expect_floats(codes, name, (None, blueprint.n_components))
    _expect(np.isfinite(codes).all(), name, "finite")
    are_numbers = isinstance(rows, np.ndarray) and rows.dtype.kind == "i"
    are_numbers = are_numbers and rows.shape == codes.shape[:1] and len(rows) > 0
    are_numbers = are_numbers and 0 <= rows.min() <= rows.max() < len(rows)
    _expect(are_numbers, name, "codes and the number of the row of each")


# What a training that goes on later has left behind.
TRAINING = {
    "solver": str,
    "optimizer": dict,
    "made_with": list,
    "clipping": dict,
    "shuffle": np.ndarray,
    "draws": np.ndarray,
    "plateau": dict,
}

# What each hidden attribute has to be, of those that a class says it has.
CHECKS = {
    "_stored": _check_stored,
    "_start": _check_start,
    "_training": _check_training,
    "_n_seen": _check_n_seen,
    "_after_fit": _check_after_fit,
    "_waiting": _check_waiting,
    "_codes": _check_codes,
    "_density": _check_density,
    "_code_mean": _check_code_moment,
    "_code_square": _check_code_moment,
    "_prior_codes": _check_prior_codes,
}


def _check_array(holder, name, shape):
    """See that an attribute is an array of floats; None in its shape is any length."""
    _expect_floats(getattr(holder, name, None), name, shape)


def _expect_floats(array, name, shape):
    is_right = (
        isinstance(array, np.ndarray)
        and array.dtype.kind == "f"
        and array.ndim == len(shape)
        and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    )
    lengths = tuple("any" if length is None else length for length in shape)
    _expect(is_right, name, f"an array of floats of shape {lengths}".replace("'", ""))
    _expect_no_nan(array, name)


def _expect_no_nan(tree, name):
    """See that floats, and arrays of them, in nested lists and dicts are numbers."""
    if isinstance(tree, dict | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            _expect_no_nan(part, name)
    elif isinstance(tree, float) or getattr(tree, "dtype", np.dtype("O")).kind == "f":
        _expect(not np.isnan(tree).any(), name, "without NaN")


def _expect(is_right, name, what):
    if not is_right:
        raise ValueError(_refusal(f"{name} has to be {what}."))


def _refusal(why):
    return (
        f"This is no fitted estimator of skae: {why} The file is damaged, made up, or "
        "of another version of skae; fit again, or open it with the version that wrote "
        "it."
    )
