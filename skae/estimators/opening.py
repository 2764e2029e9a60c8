"""Opening: what is accepted of a stored estimator, before anything of it runs.

A file says what it holds, and a file can be damaged or made up. What it says has to
agree with its blueprint: the networks are outlined, at no cost in memory, and every
array is held against that. What a factory of the user's makes is known only once it
is called, and is compared on first use.
"""

import math
from numbers import Integral, Real

import numpy as np
from torch import nn

from skae.densities.codes import CodeMixture
from skae.fitting.blueprint import Blueprint, Variational
from skae.fitting.factories import is_factory
from skae.likelihoods import Likelihood
from skae.models.penalties import DIVERGENCES
from skae.models.posteriors import POSTERIORS
from skae.models.refinement import MOST_REFINEMENTS
from skae.priors import AggregatePosterior, Prior
from skae.start.maps import LinearMaps

from .storage import StoredModule

__all__ = ["check_opened"]

# Kinds of numbers that arrays hold: floating point, integers of either sign, booleans.
NUMERIC_KINDS = "fiub"


def check_opened(estimator):
    """Refuse a fitted estimator whose state is not what ``fit`` leaves behind.

    Parameters
    ----------
    estimator : BaseAutoencoder
        As it was opened; nothing of it has been called.
    """
    if not hasattr(estimator, "_stored"):
        return  # not fitted
    stored = estimator._stored
    _expect(isinstance(stored, StoredModule), "_stored", "a StoredModule")
    blueprint = stored.blueprint
    _expect(isinstance(blueprint, Blueprint), "blueprint", "a Blueprint")
    _check_blueprint(blueprint)
    _check_arrays(stored)
    n_features, n_components = blueprint.n_features, blueprint.n_components
    for name, expected in (
        ("n_features_in_", n_features),
        ("n_components_", n_components),
    ):
        _expect(getattr(estimator, name, None) == expected, name, expected)
    _check_array(estimator, "mean_", (n_features,))
    _check_start(getattr(estimator, "_start", None), n_features)
    training = getattr(estimator, "_training", None)
    _expect(isinstance(training, dict), "_training", "a dict")
    n_seen = getattr(estimator, "_n_seen", None)
    is_count = isinstance(n_seen, float) and 0 < n_seen < math.inf
    _expect(is_count, "_n_seen", "a number above 0")
    if blueprint.variational is not None:
        for name in ("_code_mean", "_code_square"):
            _check_array(estimator, name, (n_components,))
    if blueprint.class_shares is not None:
        n_classes = len(getattr(estimator, "classes_", ()))
        is_right = n_classes == len(blueprint.class_shares)
        _expect(is_right, "classes_", f"{len(blueprint.class_shares)} classes")
    if hasattr(estimator, "_codes"):
        _check_array(estimator, "_codes", (None, n_components))
    if getattr(estimator, "_prior_codes", None) is not None:
        _check_prior_codes(estimator._prior_codes, blueprint)
    if getattr(estimator, "_density", None) is not None:
        _check_density(estimator._density, n_components)


def _check_blueprint(blueprint):
    for name, least in (("n_features", 1), ("n_components", 1), ("seed", 0)):
        _expect(
            _is_integer(getattr(blueprint, name), least),
            f"blueprint.{name}",
            f"an integer of {least} or more",
        )
    for role in ("encoder", "decoder"):
        part = getattr(blueprint, role)
        is_spec = hasattr(part, "build") and not isinstance(part, type)
        is_network = is_spec or is_factory(part)
        _expect(is_network, f"blueprint.{role}", "a network spec")
        if hasattr(part, "check"):
            part.check(f"{role}__")
    is_likelihood = isinstance(blueprint.likelihood, Likelihood)
    _expect(is_likelihood, "blueprint.likelihood", "a likelihood spec")
    _expect(isinstance(blueprint.from_pca, bool), "blueprint.from_pca", "a bool")
    is_count = _is_integer(blueprint.n_refinements, 0)
    is_count = is_count and blueprint.n_refinements <= MOST_REFINEMENTS
    what = f"an integer from 0 to {MOST_REFINEMENTS}"
    _expect(is_count, "blueprint.n_refinements", what)
    reach = blueprint.reach
    is_length = isinstance(reach, float) and 0 <= reach < math.inf
    _expect(is_length, "blueprint.reach", "a finite float of 0 or more")
    if blueprint.variational is not None:
        _check_variational(blueprint.variational)
    shares = blueprint.class_shares
    are_shares = (
        isinstance(shares, tuple)
        and len(shares) > 0
        and all(isinstance(share, float) and 0 < share <= 1 for share in shares)
    )
    _expect(shares is None or are_shares, "blueprint.class_shares", "None or shares")


def _check_variational(variational):
    is_right = isinstance(variational, Variational)
    _expect(is_right, "blueprint.variational", "None or a Variational")
    is_named = variational.posterior in POSTERIORS
    _expect(is_named, "posterior", f"one of {sorted(POSTERIORS)}")
    _expect(isinstance(variational.prior, Prior), "prior", "a prior spec")
    variational.prior.check("prior__")
    is_named = variational.divergence in DIVERGENCES
    _expect(is_named, "divergence", f"one of {sorted(DIVERGENCES)}")
    for name in ("beta", "free_bits"):
        value = getattr(variational, name)
        is_weight = isinstance(value, int | float) and 0 <= value < math.inf
        _expect(is_weight, name, "a number from 0")
    is_count = _is_integer(variational.n_importance_samples, 1)
    _expect(is_count, "n_importance_samples", "an integer of 1 or more")
    variational.check()


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
        _expect(array.shape == shape, f"arrays[{name!r}]", f"of shape {shape}")
        _expect(
            (array.dtype.kind == "f") == tensor.is_floating_point(),
            f"arrays[{name!r}]",
            f"of a type like {tensor.dtype}",
        )


def _check_start(start, n_features):
    _expect(isinstance(start, LinearMaps), "_start", "LinearMaps")
    for name in ("n_rows", "own_noise", "n_silent"):
        value = getattr(start, name)
        is_unknown = value is None and name == "own_noise"
        _expect(is_unknown or isinstance(value, Real), f"_start.{name}", "a number")
    _check_array(start, "mean", (n_features,))
    _check_array(start, "center", (n_features,))
    _check_array(start, "variance", (n_features,))
    _check_array(start, "scale", (n_features,))
    _check_array(start, "components", (None, n_features))
    _check_array(start, "explained_variance", (len(start.components),))


def _check_density(density, n_components):
    from sklearn.mixture import GaussianMixture  # slow, and seldom needed

    _expect(isinstance(density, CodeMixture), "_density", "a CodeMixture")
    _check_array(density, "mean", (n_components,))
    _check_array(density, "scale", (n_components,))
    for name in ("mixture", "kernels"):
        mixture = getattr(density, name, None)
        if mixture is None and name == "kernels":
            continue
        _expect(isinstance(mixture, GaussianMixture), name, "a GaussianMixture")
        _check_array(mixture, "means_", (None, n_components))


def _check_prior_codes(waiting, blueprint):
    prior = getattr(blueprint.variational, "prior", None)
    is_kind = isinstance(prior, AggregatePosterior)
    _expect(is_kind, "prior", "one that is fitted to codes")
    is_pair = isinstance(waiting, tuple) and len(waiting) == 2
    _expect(is_pair, "_prior_codes", "None, or codes and their rows")
    codes, rows = waiting
    _expect_floats(codes, "_prior_codes", (None, blueprint.n_components))
    _expect(np.isfinite(codes).all(), "_prior_codes", "finite")
    are_numbers = isinstance(rows, np.ndarray) and rows.dtype.kind == "i"
    are_numbers = are_numbers and rows.shape == codes.shape[:1] and len(rows) > 0
    are_numbers = are_numbers and 0 <= rows.min() <= rows.max() < len(rows)
    _expect(are_numbers, "_prior_codes", "codes and the number of the row of each")


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


def _is_integer(value, least):
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    return is_integer and value >= least


def _expect(is_right, name, what):
    if not is_right:
        raise ValueError(
            f"This is no fitted estimator of skae: {name} has to be {what}. The file "
            "is damaged, made up, or of another version of skae; fit again, or open "
            "it with the version that wrote it."
        )
