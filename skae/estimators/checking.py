"""Checking: what is accepted of rows, their weights and their codes.

Whatever is refused is refused before anything is learned, by an error that names the
argument and says what would be right.
"""

import functools
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    validate_data,
)

from skae._sklearn import check_sample_weight, n_samples, safe_indexing
from skae.rows import as_array, few_if_wide

__all__ = [
    "check_X",
    "check_X_val",
    "check_codes",
    "check_fitted_values",
    "check_has_variance",
    "check_rows",
    "check_values",
    "check_weight",
]

# Types of X that are taken as they are; anything else becomes the first of them, whole.
INPUT_TYPES = [np.float64, np.float32, np.uint8]

# The same of codes.
CODE_TYPES = [np.float64, np.float32]

# Types of objects, as NumPy and pandas, and as polars, call them.
OBJECTS = ("object", "Object")

# How errors of others' begin that leave open what to do, and what that is.
OF_TEXT = (
    "text has to become numbers first, as by a OneHotEncoder in a ColumnTransformer"
)
REMEDIES = {
    "could not convert string": OF_TEXT,
    "Cannot cast str": OF_TEXT,
    "float() argument must be": "all else has to become numbers first, dates and times "
    "in a unit of your choice, as days since some day",
    "Found array with dim": "give an image as one row, X.reshape(len(X), -1)",
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
    given, rows = as_array(sample_weight), np.empty(n_samples(X))
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


def check_has_variance(n_rows):
    """Refuse to explain the variance of a single row, or of one that alone counts."""
    if n_rows < 2:
        raise ValueError(
            "X: one row has no variance; hold out two or more, of weight above 0."
        )


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
    with _with_remedy():
        if isinstance(X, torch.Tensor):
            return _check_tensor(X, validate, dtype)
        _refuse_damaged(X)
        _refuse_dates(X)
        return _canonical(validate(X))


def _canonical(X):
    """Let a sparse matrix hold each entry once, the columns of a row in order.

    Values are then what is stored, and equal rows are stored alike. Where it is not so
    a copy is made: the matrix is the user's.
    """
    if not sp.issparse(X) or X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


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
    """Refuse dates and times: as numbers they depend on a unit, and may be none."""
    if isinstance(X, list | tuple):
        try:
            X = np.asarray(X)
        except ValueError:  # rows of unequal length, of which validation says so
            return
    is_frame = hasattr(X, "dtypes") and hasattr(X, "columns")
    kinds = X.dtypes if is_frame else [getattr(X, "dtype", None)]
    # As NumPy and pandas, and as polars, call them.
    if _holds_times(X, kinds, is_frame) or any(
        getattr(kind, "kind", None) in ("M", "m")
        or str(kind).startswith(("Date", "Duration", "Time"))
        for kind in kinds
    ):
        raise ValueError(
            "X: dates and durations have to become numbers first, in a unit of your "
            "choice, as days since some day."
        )


def _holds_times(X, kinds, is_frame):
    """Whether NumPy's dates are among objects; others say that they are no numbers."""
    # Columns of objects alone are looked at: each number of others would become one.
    of_objects = [j for j, kind in enumerate(kinds) if str(kind) in OBJECTS]
    if not of_objects:
        return False
    objects = safe_indexing(X, of_objects, axis=1) if is_frame else X
    found = set(map(type, np.asarray(objects, dtype=object).flat))
    return not found.isdisjoint({np.datetime64, np.timedelta64})


@contextmanager
def _with_remedy():
    """Say what to do about text, dates that are objects, and images."""
    try:
        yield
    except (TypeError, ValueError) as error:
        said = str(error)
        for beginning, remedy in REMEDIES.items():
            if said.startswith(beginning):
                raise type(error)(f"X: {said.rstrip('.')}; {remedy}.") from error
        raise


def check_codes(codes):
    """Check codes that are to be decoded."""
    validate = functools.partial(check_array, dtype=CODE_TYPES, input_name="X")
    if isinstance(codes, torch.Tensor):
        return _check_tensor(codes, validate, CODE_TYPES)
    return validate(codes)


def _check_tensor(X, validate, types):
    """Check a tensor where it lies.

    scikit-learn sees one row in its place, spread over the shape of all without
    taking memory, and the finiteness of all is found by torch. The row is of one of
    the types that are taken, since to make it so would spread it out.
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
    if row.dtype.kind in "biu" and row.dtype not in types:
        row = row.astype(types[0])
    checked = validate(np.broadcast_to(row, X.shape) if row.size else X.cpu().numpy())
    if X.is_floating_point() and not torch.isfinite(X.sum()):
        finite = torch.isfinite(X).all(dim=1)
        assert_all_finite(X[~finite][:1].cpu().numpy(), input_name="X")
    return X.to(torch.from_numpy(np.zeros(1, checked.dtype)).dtype)


def check_values(estimator, likelihood, X, weight=None):
    """Check that a likelihood can have made rows, those of weight 0 aside.

    They are looked at some at a time, which alone are copied, or brought from a GPU.
    """
    if likelihood.accepts_all:
        return
    names = getattr(estimator, "feature_names_in_", None)
    called = np.arange(X.shape[1]) if names is None else names
    for numbers, some in _present_blocks(X, weight):
        likelihood.check(some, numbers, called)


def _present_blocks(X, weight):
    """Walk through rows, those of weight 0 aside: pairs of numbers and a block."""
    n_together = few_if_wide(*X.shape)
    for begin in range(0, X.shape[0], n_together):
        where = slice(begin, begin + n_together)
        some = as_array(X[where])
        numbers = np.arange(begin, begin + some.shape[0])
        if weight is not None and not weight[where].all():
            present = np.flatnonzero(weight[where])
            some, numbers = some[present], numbers[present]
        if some.shape[0]:
            yield numbers, some


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
