"""Checking: what is accepted, of parameters and of rows.

Whatever is refused is refused before anything is learned, by an error that names the
argument and says what would be right.
"""

import functools
import numbers
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils import check_scalar
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    column_or_1d,
    validate_data,
)

from skae._sklearn import (
    HasMethods,
    Interval,
    RealNotInt,
    StrOptions,
    check_sample_weight,
)
from skae.fitting.blueprint import is_factory
from skae.fitting.task import FEWEST_ROWS
from skae.labels import kind_of_labels
from skae.likelihoods import LIKELIHOODS, Likelihood
from skae.networks import ACTIVATIONS, MLP
from skae.priors import PRIORS
from skae.rows import as_array
from skae.training.solvers import SOLVERS

__all__ = [
    "PARAMETER_CONSTRAINTS",
    "check_X",
    "check_X_val",
    "check_classes",
    "check_codes",
    "check_count",
    "check_fitted_values",
    "check_goes_on",
    "check_n_components",
    "check_rows",
    "check_same_columns",
    "check_values",
    "check_weight",
    "number_classes",
    "refuse_auto_components",
]

# Types of X that are taken as they are; anything else becomes the first of them.
INPUT_TYPES = [np.float64, np.float32, np.uint8]

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


def check_rows(estimator, X, sample_weight, *, reset, fewest=2):
    """Check rows that are to be learned from.

    Parameters
    ----------
    estimator : BaseAutoencoder

    X : {array-like, sparse matrix}

    sample_weight : array-like or None

    reset : bool
        Whether the number and names of the columns are those of X from now on.

    fewest : int, default=2
        Number of rows below which X is refused.

    Returns
    -------
    X : ndarray, CSR or tensor

    weight : ndarray of shape (n_samples,)
    """
    X = check_X(estimator, X, reset=reset, fewest=fewest)
    weight = check_weight(sample_weight, X)
    return X, weight


def check_weight(sample_weight, X):
    """Check one weight per row; None is 1 for each."""
    given, rows = as_array(sample_weight), np.empty(X.shape[0])
    weight = check_sample_weight(
        given, rows, dtype=np.float64, ensure_non_negative=True
    )
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not np.isfinite(total):
        raise ValueError(
            "sample_weight: the sum is beyond what float64 holds; divide all by the "
            "largest."
        )
    return weight


def check_classes(y, name, n_rows):
    """Check classes of rows, one for each."""
    if y is None:
        raise ValueError(
            f"conditional=True requires {name} to be passed, but the target {name} is "
            "None; give the class of each row, or set conditional=False."
        )
    y = column_or_1d(as_array(y), warn=True)
    try:
        kind = kind_of_labels(y, name)
    except TypeError as error:  # text and None have no order
        raise ValueError(
            f"{name}: conditional=True needs classes of one type; give rows whose "
            "class is missing a class of their own, or leave them out."
        ) from error
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"{name}: conditional=True needs classes, but these values are {kind}; "
            "cut them into classes, or set conditional=False."
        )
    if len(y) != n_rows:
        raise ValueError(
            f"{name} has {len(y)} classes for {n_rows} rows; give as many of both."
        )
    return y


def number_classes(y, name, n_rows, classes, is_needed=None):
    """Turn classes into their numbers among those that are known.

    Parameters
    ----------
    y : array-like

    name : str
        Of the argument.

    n_rows : int

    classes : ndarray
        In order.

    is_needed : ndarray of bool, optional
        The rows whose classes have to be known; others get any.
    """
    y = check_classes(y, name, n_rows)
    labels = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    is_unknown = classes[labels] != y
    if is_needed is not None:
        is_unknown &= is_needed
    if is_unknown.any():
        raise ValueError(
            f"{name} has classes that fit has not seen: "
            f"{np.unique(y[is_unknown]).tolist()[:5]}; it has seen {classes.tolist()}."
        )
    return labels


def check_X(estimator, X, *, reset=False, fewest=1, dtype=INPUT_TYPES):
    """Check rows of any kind."""
    validate = functools.partial(
        validate_data,
        estimator,
        reset=reset,
        accept_sparse="csr",
        dtype=dtype,
        ensure_min_samples=fewest,
    )
    if isinstance(X, torch.Tensor):
        return _check_tensor(X, validate)
    _refuse_damaged(X)
    _refuse_dates(X)
    with _refusing_text():
        return validate(X)


def _refuse_damaged(X):
    """Refuse a sparse matrix whose indices lie outside: SciPy trusts them blindly."""
    if not hasattr(X, "check_format"):
        return
    try:
        # In a matrix of its own, since checking brings the arrays in shape.
        own = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
        own.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(
            f"X is a sparse matrix with damaged indices: {error}; make it anew."
        ) from error


def _refuse_dates(X):
    """Refuse dates and durations: as numbers they depend on a unit, and may be none."""
    is_frame = hasattr(X, "dtypes") and hasattr(X, "columns")
    kinds = X.dtypes if is_frame else [getattr(X, "dtype", None)]
    # As NumPy and pandas, and as polars, call them.
    if any(
        getattr(kind, "kind", None) in ("M", "m")
        or str(kind).startswith(("Date", "Duration"))
        for kind in kinds
    ):
        raise ValueError(
            "X: dates and durations have to become numbers first, in a unit of your "
            "choice, as days since some day."
        )


@contextmanager
def _refusing_text():
    """Say what to do about text among rows, where they are checked."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(("could not convert string", "Cannot cast str")):
            raise
        raise ValueError(
            f"X: {error}; text has to become numbers first, as by a OneHotEncoder in "
            "a ColumnTransformer."
        ) from error


def check_count(value, name):
    """Check a number of something."""
    return int(check_scalar(value, name, numbers.Integral, min_val=1))


def check_codes(codes):
    """Check codes that are to be decoded."""
    validate = functools.partial(check_array, dtype=[np.float64, np.float32])
    if isinstance(codes, torch.Tensor):
        return _check_tensor(codes, validate)
    return validate(codes)


def _check_tensor(X, validate):
    """Check a tensor where it lies.

    scikit-learn sees one row in its place, spread over the shape of all without
    taking memory, and the finiteness of all is found by torch.
    """
    if X.layout != torch.strided or X.is_nested:
        raise TypeError(
            f"X is a torch tensor of layout {X.layout}; give a dense one, or a "
            "scipy.sparse matrix."
        )
    if X.is_meta:
        raise TypeError("X is a torch tensor on 'meta', which holds no values.")
    X = X.detach().resolve_conj().resolve_neg()
    if X.dtype in (torch.float16, torch.bfloat16):
        X = X.to(torch.float32)
    try:
        row = X[:1].cpu().numpy() if X.ndim else X.cpu().numpy()
    except (TypeError, NotImplementedError) as error:
        raise TypeError(
            f"X is a torch tensor of {X.dtype} that NumPy does not know; give float32 "
            "or float64."
        ) from error
    checked = validate(np.broadcast_to(row, X.shape) if row.size else X.cpu().numpy())
    if X.is_floating_point() and not torch.isfinite(X.sum()):
        finite = torch.isfinite(X).all(dim=1)
        assert_all_finite(X[~finite][:1].cpu().numpy(), input_name="X")
    return X.to(torch.from_numpy(np.zeros(1, checked.dtype)).dtype)


def check_values(estimator, likelihood, X, weight=None):
    """Check that a likelihood can have made rows, those of weight 0 aside.

    Those on a GPU are brought from it only where the likelihood looks at them.
    """
    if type(likelihood).check is Likelihood.check:
        return
    if weight is not None and not weight.all():
        X = X[np.flatnonzero(weight)]
    names = getattr(estimator, "feature_names_in_", None)
    likelihood.check(as_array(X), np.arange(X.shape[1]) if names is None else names)


def check_fitted_values(estimator, X, weight=None):
    """Check new rows against the likelihood of a fitted model, whoever chose it."""
    try:
        check_values(estimator, estimator.likelihood_, X, weight)
    except ValueError as error:
        if estimator.likelihood != "auto":
            raise
        raise ValueError(
            f"{error} That likelihood was chosen by likelihood='auto' for the rows of "
            "fit; name one that these rows have too, and fit again."
        ) from error


def check_X_val(estimator, X_val, likelihood):
    """Check rows that judge; errors about them say so."""
    try:
        X_val = check_X(estimator, X_val)
        check_values(estimator, likelihood, X_val)
        return X_val
    except (TypeError, ValueError) as error:
        raise type(error)(f"X_val, the rows that judge: {error}") from error


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


def check_goes_on(estimator, blueprint):
    """Refuse to train a model further as one that it is not.

    What ``"auto"``, or a share of the variance, made of the first rows stays.
    """
    made_with = {
        "n_components": blueprint.n_components,
        "init": "pca" if blueprint.from_pca else "random",
        "likelihood": blueprint.likelihood,
    }
    own = _own_perceptron(estimator, blueprint)
    if own is not None:
        made_with |= own.get_params()
    if blueprint.variational is None:
        made_with["n_refinements"] = blueprint.n_refinements
    else:
        made_with |= vars(blueprint.variational)
    changed = [
        name
        for name, made in made_with.items()
        if not _is_open(name, getattr(estimator, name))
        and not _is_same(getattr(estimator, name), made)
    ]
    decoder = estimator.decoder
    if decoder is None and not is_factory(blueprint.encoder):
        decoder = blueprint.encoder  # which it mirrors
    networks = {"encoder": estimator.encoder, "decoder": decoder}
    changed += [
        role
        for role, asked in networks.items()
        if not _is_same_network(asked, getattr(blueprint, role))
    ]
    if changed:
        _refuse_change(estimator, changed[0])


def check_same_columns(estimator, asked):
    """Refuse to train a model further with another likelihood of some columns."""
    ours, theirs = (_parts(one) for one in (asked, estimator.likelihood_))
    is_same = len(ours) == len(theirs) and all(
        np.array_equal(our_columns, their_columns) and _is_same_spec(our, their, object)
        for (our, our_columns), (their, their_columns) in zip(ours, theirs, strict=True)
    )
    if not is_same:
        _refuse_change(estimator, "likelihood")


def _parts(likelihood):
    """Likelihoods of some columns each; one of all is the only part."""
    return getattr(likelihood, "parts", [(likelihood, None)])


def _refuse_change(estimator, name):
    raise ValueError(
        f"{name}={getattr(estimator, name)!r} is not what the fitted model was made "
        "with; set it back, or begin anew by fit with warm_start=False."
    )


def _own_perceptron(estimator, blueprint):
    """Give the network that the estimator's own parameters describe, if there is one.

    Beside an encoder that is a factory, it is the decoder.
    """
    if estimator.encoder is None:
        network = blueprint.encoder
    elif estimator.decoder is None and is_factory(blueprint.encoder):
        network = blueprint.decoder
    else:
        return None
    return network if isinstance(network, MLP) else None


def _is_open(name, asked):
    """Whether a parameter leaves to the first rows what a model is made with."""
    if name == "n_components":
        return not isinstance(asked, numbers.Integral)
    has_columns = name == "likelihood" and isinstance(asked, list)
    return has_columns or (isinstance(asked, str) and asked == "auto")


def _is_same_network(asked, made):
    """Compare a network's spec, by plain values; a factory's are its own affair."""
    if asked is None:
        return isinstance(made, MLP)
    if not hasattr(asked, "get_params"):
        return not hasattr(made, "get_params")
    return _is_same_spec(asked, made, numbers.Number | str | tuple | list)


def _is_same(asked, made):
    """Compare a value, or a part that comes by name or as a spec.

    What is said of columns, by names or numbers, is not looked at.
    """
    if not hasattr(made, "build"):
        return np.array_equal(np.ravel(asked), np.ravel(made))
    if isinstance(asked, str):
        asked = (LIKELIHOODS | PRIORS)[asked]()
    return _is_same_spec(asked, made, numbers.Number | str | None)


def _is_same_spec(asked, made, kinds):
    """Compare specs, by those of their parameters that are of some kinds."""
    return type(asked) is type(made) and all(
        np.array_equal(np.ravel(value), np.ravel(getattr(made, name)))
        for name, value in asked.get_params(deep=False).items()
        if isinstance(value, kinds)
    )
