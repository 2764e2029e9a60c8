"""Transformers: what is asked of an estimator, whoever wrote it, and PCA in its place.

It is asked in the same words of skae's own, of scikit-learn's, of a Pipeline of them,
and of a search that was fitted over them.
"""

import math
from inspect import signature

import numpy as np
import scipy.sparse as sp
from sklearn.base import OneToOneFeatureMixin, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_is_fitted

from ._sklearn import safe_indexing
from .integers import is_integer
from .naming import name_of

__all__ = [
    "as_rows",
    "brief",
    "check_component",
    "check_finite",
    "check_instance",
    "check_transformer",
    "column_names",
    "dense",
    "encode",
    "image_shape_of",
    "last_step",
    "name_of_codes",
    "named_transformers",
    "reconstruct",
    "sample",
    "short_name",
    "some_rows",
]


def _found(estimator):
    """Look into a search for what it found."""
    return getattr(estimator, "best_estimator_", estimator)


def last_step(estimator):
    """Look into a Pipeline, or a search, for the estimator at its end."""
    estimator = _found(estimator)
    return last_step(estimator[-1]) if isinstance(estimator, Pipeline) else estimator


def _place_of_codes(pipeline):
    """Find the step that gives codes: the last that does more than scale columns."""
    steps = [_found(step) for _, step in pipeline.steps]
    found = [i for i, step in enumerate(steps) if not _keeps_columns(step)]
    return found[-1] if found else len(steps) - 1


def _keeps_columns(step):
    """Whether a step of a Pipeline takes columns one by one."""
    one_by_one = isinstance(step, OneToOneFeatureMixin | FunctionTransformer)
    return one_by_one or step is None or step == "passthrough"


def _source_of_codes(estimator):
    """Look into a Pipeline, or a search, for what gives the codes."""
    estimator = _found(estimator)
    if isinstance(estimator, Pipeline):
        return _source_of_codes(estimator[_place_of_codes(estimator)])
    return estimator


def name_of_codes(estimator, name=None):
    """Name a transformer, if need be; a Pipeline by the step that gives codes."""
    return name_of(_source_of_codes(estimator)) if name is None else str(name)


def short_name(estimator, name=None):
    """Name an estimator, if need be; a Pipeline by what is at its end."""
    return name_of(last_step(estimator)) if name is None else str(name)


def check_instance(estimator, argument="estimator"):
    """Refuse a class, which has every method and can do nothing."""
    if isinstance(estimator, type):
        raise TypeError(
            f"{argument}={estimator.__name__} is a class; give a fitted instance of it."
        )


def check_transformer(estimator, argument="estimator"):
    """Refuse what cannot encode and decode rows, or was not fitted."""
    check_instance(estimator, argument)
    for method in ("transform", "inverse_transform"):
        if not hasattr(estimator, method):
            raise TypeError(
                f"{argument}={brief(estimator)} has no {method}; give a fitted "
                "transformer that has one, or the part of a Pipeline that ends in one "
                "(pipeline[:-1])."
            )
    check_is_fitted(estimator)


def brief(value):
    """Write an argument as errors call it."""
    return repr(value) if isinstance(value, str) else type(value).__name__


def as_rows(X):
    """Take X as it is where rows can be picked from it, otherwise as an array."""
    if sp.issparse(X):
        X = X.tocsr()
    elif not hasattr(X, "shape"):
        X = np.asarray(X)
    if len(X.shape) != 2:
        raise ValueError(
            f"X has {len(X.shape)} dimensions; give rows, of shape (n_samples, "
            "n_features)."
        )
    for size, what in zip(X.shape, ("rows", "columns"), strict=True):
        if size == 0:
            raise ValueError(f"X has no {what}; give at least one.")
    return X


def some_rows(X, n_wanted):
    """Pick rows from the first to the last in equal steps.

    Parameters
    ----------
    X : {ndarray, data frame, CSR} of shape (n_samples, n_features)

    n_wanted : int

    Returns
    -------
    numbers : ndarray of int
        At most ``n_wanted``.

    rows : like X
    """
    steps = np.linspace(0, X.shape[0] - 1, min(n_wanted, X.shape[0]))
    numbers = np.unique(steps.round().astype(int))
    return numbers, safe_indexing(X, numbers)


def dense(rows):
    """Read whatever an estimator gave (array, frame, sparse) as a dense array."""
    rows = rows.toarray() if sp.issparse(rows) else np.asarray(rows)
    try:
        return rows.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Only numbers can be drawn, but among the rows is something else: {error}."
        ) from error


def check_finite(X):
    """Refuse missing values, wherever they are; a few rows might not show them."""
    X = X if sp.issparse(X) else np.asarray(X)
    assert_all_finite(dense(X) if X.dtype.kind == "O" else X, input_name="X")


def encode(estimator, X):
    """Give rows their codes, as a dense array."""
    codes = dense(estimator.transform(X))
    return codes[:, None] if codes.ndim == 1 else codes


def reconstruct(estimator, X):
    """Encode rows and decode them again, as a dense array.

    ``reconstruct`` knows of a row what its code does not hold: the size of its counts.
    """
    return dense(_reconstructed(estimator, X))


def _reconstructed(estimator, X):
    """Reconstruct rows; those of a Pipeline's last step, between the steps before."""
    if not hasattr(last_step(estimator), "reconstruct"):
        return estimator.inverse_transform(estimator.transform(X))
    estimator = _found(estimator)
    if not isinstance(estimator, Pipeline):
        return estimator.reconstruct(X)
    before = estimator[:-1]
    rows = _reconstructed(estimator[-1], before.transform(X) if before else X)
    return before.inverse_transform(rows) if before else rows


def sample(estimator, n_samples, noise, random_state):
    """Draw rows; those of a Pipeline's last step are decoded by the steps before."""
    estimator = _found(estimator)
    if isinstance(estimator, Pipeline):
        rows = sample(estimator[-1], n_samples, noise, random_state)
        return dense(estimator[:-1].inverse_transform(rows)) if estimator[:-1] else rows
    check_instance(estimator)
    if not hasattr(estimator, "sample"):
        raise TypeError(
            f"estimator={brief(estimator)} has no sample; give a fitted "
            "VAETransformer, AutoencoderTransformer, KernelDensity or the like."
        )
    check_is_fitted(estimator)
    options = {} if noise else {"noise": False}
    if random_state is not None:
        options["random_state"] = random_state
    unknown = options.keys() - signature(estimator.sample).parameters
    if unknown:
        raise TypeError(
            f"{unknown.pop()} is not for estimator={brief(estimator)}, whose sample "
            "does not take it; leave it at its default."
        )
    rows = estimator.sample(n_samples, **options)
    # A GaussianMixture says of each row which component it came from.
    return dense(rows[0] if isinstance(rows, tuple) else rows)


def check_component(component, n_components, argument, whose=""):
    """Refuse the number of a component that is not there."""
    if not is_integer(component):
        raise ValueError(f"{argument}={component!r} must be an integer.")
    if not 0 <= component < n_components:
        raise ValueError(
            f"{argument}={component!r}: the codes{whose} have {n_components} "
            f"components, 0 to {n_components - 1}."
        )


def column_names(estimator, X):
    """Names of the columns: a frame's, or those that the estimator was fitted with."""
    names = getattr(X, "columns", None)
    if names is None:
        names = getattr(_found(estimator), "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def image_shape_of(estimator, n_features):
    """Shape of the images that a convolutional estimator is built for, if it is one."""
    source = _source_of_codes(estimator)
    specs = (getattr(source, part, None) for part in ("encoder", "decoder"))
    shapes = (getattr(spec, "image_shape", None) for spec in specs)
    fitting = (shape for shape in shapes if shape and math.prod(shape) == n_features)
    return next(fitting, None)


def named_transformers(estimator, X, reference, name):
    """Name an estimator, and what it is compared with.

    Parameters
    ----------
    estimator : fitted transformer

    X : rows that "pca" is fitted to

    reference : "pca", fitted transformer or None

    name : str or None
        Of the estimator.

    Returns
    -------
    dict of str to transformer
        The estimator first.
    """
    check_transformer(estimator)
    name = name_of_codes(estimator, name)
    if reference is None:
        return {name: estimator}
    if isinstance(reference, str):
        if reference != "pca":
            raise ValueError(
                f'reference={reference!r} must be "pca", a fitted transformer or None.'
            )
        other, reference = "PCA fitted to X", _pca_in_place_of(estimator, X)
    else:
        check_transformer(reference, "reference")
        other = name_of_codes(reference)
    return {name: estimator, other + " (reference)" * (other == name): reference}


def _pca_in_place_of(estimator, X):
    """PCA with as many components, between the same steps of a Pipeline.

    Steps behind it are fitted anew, to its codes.
    """
    estimator = _found(estimator)
    if not isinstance(estimator, Pipeline):
        n_components = encode(estimator, some_rows(X, 1)[1]).shape[1]
        return _pca(n_components, X)
    place = _place_of_codes(estimator)
    before, after = estimator.steps[:place], estimator.steps[place + 1 :]
    rows = Pipeline(before).transform(X) if before else X
    steps = [*before, ("pca", _pca_in_place_of(estimator[place], rows))]
    if after:
        behind = clone(Pipeline(after)).fit(steps[-1][1].transform(rows))
        steps.append(("behind", behind))
    return Pipeline(steps)


def _pca(n_components, X):
    """Fit PCA with so many components, or as many as there are."""
    n_rows, n_columns = X.shape
    n_components, solver = min(n_components, n_rows, n_columns), "auto"
    if sp.issparse(X) and n_components == min(n_rows, n_columns):
        # arpack finds fewer; of as many as rows, the last has no variance.
        if n_rows > n_columns:
            solver = "covariance_eigh"
        else:
            n_components -= 1
    return PCA(n_components, svd_solver=solver, random_state=0).fit(X)
