"""Labels: what may be the class of a row, and what is a date and no class."""

from datetime import timedelta

import numpy as np
from sklearn.utils.multiclass import type_of_target

from ._sklearn import is_pandas_na

__all__ = ["check_labels", "holds_times", "kind_of_labels"]


def check_labels(y, name="y"):
    """Refuse labels that are missing, or have no order among them.

    Parameters
    ----------
    y : array-like of shape (n_samples,)

    name : str, default="y"
        Of the argument.

    Examples
    --------
    >>> from skae.labels import check_labels
    >>> check_labels(["a", None, "b"])
    Traceback (most recent call last):
    ...
    ValueError: y: 1 row has no class; give such rows a class of their own, or leave \
them out.
    """
    y = np.asarray(y)
    if y.dtype.kind not in "OMm":
        return
    _refuse_missing(sum(map(_is_missing, y)), name)
    try:
        np.unique(y)
    except (TypeError, ValueError) as error:
        kinds = ", ".join(sorted({type(label).__name__ for label in y}))
        raise ValueError(
            f"{name}: classes have to be of one type that has an order, but these are "
            f"{kinds}; write all of them as text."
        ) from error


def _refuse_missing(n_missing, name):
    if n_missing:
        some = "1 row has" if n_missing == 1 else f"{n_missing} rows have"
        raise ValueError(
            f"{name}: {some} no class; give such rows a class of their own, or leave "
            "them out."
        )


def _is_missing(label):
    if label is None or is_pandas_na(label):
        return True
    # NaN and NaT are not even themselves.
    return np.ndim(label) == 0 and bool(label != label)


def holds_times(y):
    """Whether any label is a date, a moment, a period or a duration.

    Parameters
    ----------
    y : array-like

    Examples
    --------
    >>> from datetime import date
    >>> from skae.labels import holds_times
    >>> holds_times([1, date(2020, 2, 29)]), holds_times(["2020-02-29"])
    (True, False)
    """
    y = np.asarray(y)
    return y.dtype.kind in "mM" or (y.dtype.kind == "O" and any(map(_is_time, y.flat)))


def _is_time(label):
    """Tell what is of time, be it NumPy's, Python's or a data frame's."""
    is_moment = hasattr(label, "strftime") or isinstance(label, np.datetime64)
    return is_moment or isinstance(label, timedelta | np.timedelta64)


def kind_of_labels(y, name="y"):
    """Tell the kind of labels, as scikit-learn does, or refuse what has none.

    Numbers may not be objects, text may not be bytes, and none may be NaN.

    Parameters
    ----------
    y : array-like

    name : str, default="y"
        Of the argument.

    Examples
    --------
    >>> from skae.labels import kind_of_labels
    >>> kind_of_labels(["a", "b", "c"])
    'multiclass'
    """
    values = np.asarray(y)
    if isinstance(next(values.flat, None), bytes):
        raise ValueError(
            f"{name}: classes may not be bytes; make them text, as by "
            f"np.asarray({name}).astype(str)."
        )
    if values.dtype.kind == "f" and values.ndim == 1:
        _refuse_missing(np.isnan(values).sum(), name)
    kind = type_of_target(y, input_name=name)
    if kind == "unknown" and values.dtype.kind == "O":
        raise ValueError(
            f"Unknown label type: {name} is of dtype object, of which only text is "
            f"taken for classes; pass {name}.astype(int), or text."
        )
    return kind
