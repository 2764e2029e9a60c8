"""Oversampling: rows of rare classes drawn from a VAE that was told the classes.

The interface is imbalanced-learn's, which is not needed: an
:class:`~imblearn.pipeline.Pipeline` takes whatever has ``fit_resample``.
"""

import numbers

import numpy as np
import scipy.sparse as sp
from sklearn.base import OneToOneFeatureMixin, clone
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skae._sklearn import Interval, StrOptions, fit_context
from skae.device import seed_from
from skae.labels import check_labels, kind_of_labels
from skae.rows import as_array

from .checking import check_X
from .state import FittedState
from .vae import VAETransformer

__all__ = ["VAEOverSampler"]

# Classes that a strategy leaves as they are, by its name.
LEFT_ALONE = {
    "minority": lambda counts: [c for c in counts if c != min(counts, key=counts.get)],
    "not minority": lambda counts: [min(counts, key=counts.get)],
    "not majority": lambda counts: [max(counts, key=counts.get)],
    "all": lambda counts: [],
}
LEFT_ALONE["auto"] = LEFT_ALONE["not majority"]

# What a strategy is, given as one or returned by a function.
STRATEGIES = [
    Interval(numbers.Real, 0, 1, closed="right"),
    StrOptions(set(LEFT_ALONE)),
]


class VAEOverSampler(OneToOneFeatureMixin, FittedState):
    """Add rows to classes that have few, drawn from a VAE of all rows.

    The VAE shares what it knows of the columns among the classes, and is told which
    class a row is of, so that a class needs few rows of its own.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many rows the classes shall have, as in imbalanced-learn:

        - a float is the rows of the minority over those of the majority, of two
          classes;
        - a string says which classes shall have as many rows as the largest:
          ``"minority"``, ``"not minority"``, ``"not majority"``, ``"all"``; ``"auto"``
          is ``"not majority"``;
        - a dict has the number of rows, old and new, that each class shall have;
        - a callable is given y and returns such a dict.

    vae : VAETransformer, default=None
        What the rows are drawn from; a copy is fitted, with ``conditional=True``.
        None is ``VAETransformer(0.95, likelihood="auto")``: a likelihood for each
        column by its kind, and as many components as PCA needs for 95 % of the variance
        of what they see, as a rule of standardised columns; counts are drawn with the
        totals of their class. (A likelihood with a size per row, as
        ``"negative_binomial"`` is by name, draws the totals of all rows.)

    random_state : int, RandomState instance or None, default=None
        Seed of the VAE, where that has none of its own, and of the draws.

    Attributes
    ----------
    sampling_strategy_ : dict
        Number of new rows of each class that has any.

    vae_ : VAETransformer
        The fitted VAE.

    n_features_in_ : int
        Number of columns seen in ``fit``.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where they are all strings.

    See Also
    --------
    VAETransformer : With ``conditional=True``, ``sample(n, y=...)`` draws rows of a
        class.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skae import VAEOverSampler, VAETransformer
    >>> X, y = load_iris(return_X_y=True)
    >>> X, y = X[:110], y[:110]
    >>> vae = VAETransformer(2, max_iter=5)
    >>> sampler = VAEOverSampler(vae=vae, random_state=0)
    >>> X_new, y_new = sampler.fit_resample(X, y)
    >>> np.bincount(y), np.bincount(y_new)
    (array([50, 50, 10]), array([50, 50, 50]))
    """

    _estimator_type = "sampler"

    _parameter_constraints: dict = {
        "sampling_strategy": [*STRATEGIES, dict, callable],
        "vae": [VAETransformer, None],
        "random_state": ["random_state"],
    }

    def __init__(self, sampling_strategy="auto", *, vae=None, random_state=None):
        self.sampling_strategy = sampling_strategy
        self.vae = vae
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.estimator_type = "sampler"
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        return tags

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
        """Learn what rows of each class look like.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            Their classes.

        Returns
        -------
        self : object
            The fitted sampler.
        """
        with self._unchanged_on_error():
            self._fit(X, y, seed_from(self.random_state))
        return self

    @fit_context(prefer_skip_nested_validation=False)
    def fit_resample(self, X, y):
        """Learn what rows of each class look like, and add some.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            Their classes.

        Returns
        -------
        X_resampled : pandas or polars frame or sparse matrix, where X is one, else \
                ndarray
            The rows, and after them the new ones, numbered anew; whole numbers where
            the column's type is.

        y_resampled : series or frame of pandas or polars, where y is one, else ndarray
            Their classes.
        """
        with self._unchanged_on_error():
            return self._fit_resample(X, y, seed_from(self.random_state))

    def _fit_resample(self, X, y, seed):
        rows, y_given = self._fit(X, y, seed), as_array(y)
        classes = np.repeat(
            np.array(list(self.sampling_strategy_), dtype=self.vae_.classes_.dtype),
            np.array(list(self.sampling_strategy_.values()), dtype=int),
        )
        drawn = self._draw(classes, seed)
        return _with_rows(X, rows, drawn), _with_classes(y_given, classes)

    def _fit(self, X, y, seed):
        """Fit the VAE; return the rows as they were checked."""
        X, classes = as_array(X), _check_classes(as_array(y))
        check_consistent_length(X, classes)
        rows = check_X(self, X, reset=True, dtype="numeric")
        self.sampling_strategy_ = _count_new(self.sampling_strategy, classes)
        vae = VAETransformer(0.95, likelihood="auto") if self.vae is None else self.vae
        vae = clone(vae).set_params(conditional=True)
        if vae.random_state is None:
            vae.set_params(random_state=seed)
        # The rows as they were given: a likelihood may call columns by their names.
        self.vae_ = vae.fit(X, classes)
        return rows

    def _draw(self, classes, seed):
        """Draw a row of each class, as an array whatever the VAE is set to give."""
        if len(classes) == 0:
            return np.empty((0, self.n_features_in_))
        return np.asarray(self.vae_.sample(len(classes), y=classes, random_state=seed))


def _check_classes(y):
    """Check classes of rows, each of which has one."""
    if y is None:
        raise ValueError(
            "VAEOverSampler requires y to be passed, but the target y is None; it is "
            "the class of each row."
        )
    y = column_or_1d(y)
    check_labels(y)
    kind_of_labels(y)
    check_classification_targets(y)
    return y


def _count_new(strategy, y):
    """Find the number of new rows of each class that gets any."""
    classes, sizes = np.unique(y, return_counts=True)
    counts = dict(zip(classes.tolist(), sizes.tolist(), strict=True))
    if callable(strategy):
        strategy = _told_by(strategy, y)
    if len(counts) < 2:
        raise ValueError(
            f"y has one class only, {classes.tolist()}; sampling_strategy is about two "
            "or more."
        )
    if isinstance(strategy, dict):
        new = _count_asked(strategy, counts)
    elif isinstance(strategy, str):
        left_alone = LEFT_ALONE[strategy](counts)
        largest = max(counts.values())
        new = {c: largest - n for c, n in counts.items() if c not in left_alone}
    else:
        new = _count_ratio(strategy, counts)
    return {c: n for c, n in new.items() if n > 0}


def _told_by(function, y):
    """Find the strategy that a function returns."""
    strategy = function(y)
    if isinstance(strategy, dict) or any(
        kind.is_satisfied_by(strategy) for kind in STRATEGIES
    ):
        return strategy
    raise ValueError(
        f"sampling_strategy: the function returned {strategy!r}; it has to be a dict "
        "of the number of rows of each class, a ratio above 0 and at most 1, or one of "
        f"{sorted(LEFT_ALONE)}."
    )


def _count_asked(asked, counts):
    """Find the numbers of new rows, where those of all rows are asked for."""
    unknown = [c for c in asked if c not in counts]
    odd = [n for n in asked.values() if not isinstance(n, numbers.Integral)]
    if unknown:
        raise ValueError(
            f"sampling_strategy: y has no classes {unknown}; it has {list(counts)}."
        )
    if odd:
        raise ValueError(
            f"sampling_strategy: {odd[0]!r} is no number of rows; give whole numbers, "
            "those of all rows that a class is to have."
        )
    fewer = [c for c, n in asked.items() if n < counts[c]]
    if fewer:
        raise ValueError(
            f"sampling_strategy: classes {fewer} have more rows than are asked for; "
            f"rows are only added, and there are {counts}."
        )
    return {c: asked[c] - n for c, n in counts.items() if c in asked}


def _count_ratio(ratio, counts):
    """Find the number of new rows of the smaller of two classes."""
    if len(counts) != 2:
        raise ValueError(
            f"sampling_strategy={ratio!r} is a ratio of two classes, but y has "
            f"{len(counts)}; use a dict."
        )
    majority = max(counts, key=counts.get)
    new = {c: int(counts[majority] * ratio - n) for c, n in counts.items()}
    del new[majority]
    if min(new.values()) < 0:
        raise ValueError(
            f"sampling_strategy={ratio!r} is below the ratio of the classes of y, "
            f"{min(counts.values()) / counts[majority]:.3g}; rows are only added, so "
            "make it larger."
        )
    return new


def _with_rows(X, rows, drawn):
    """Put new rows after those of X, in its kind and types."""
    if hasattr(X, "iloc"):
        import pandas as pd

        added = pd.DataFrame(drawn, columns=X.columns)
        for name, kind in X.dtypes.items():
            values = added[name].to_numpy()
            if hasattr(kind, "categories"):
                values = _nearest(values, X[name].unique())
            else:
                values = _within(values, kind)
            added[name] = pd.Series(values, dtype=kind)
        return pd.concat([X, added], ignore_index=True)
    if _is_polars(X):
        return _with_columns(X, map(_like_polars, X, drawn.T))
    drawn = _within(drawn, rows.dtype)
    if sp.issparse(rows):
        both = sp.vstack([rows, sp.csr_array(drawn)], format="csr", dtype=rows.dtype)
        return type(rows)(both)
    return np.concatenate([rows, drawn.astype(rows.dtype)])


def _is_polars(data):
    return type(data).__module__.partition(".")[0] == "polars"


def _like_polars(column, values):
    """Bring values to those that a column of polars can hold."""
    if hasattr(column.dtype, "categories"):
        return _nearest(values, column.unique().to_numpy())
    if column.dtype.is_integer():
        # NumPy has none of 128 bits, and a draw no more digits than 64 hold.
        return _within(values, np.dtype(str(column.dtype).lower().replace("128", "64")))
    if column.dtype.is_object():
        return values.astype(object)
    return _within(values, column.clear().to_numpy().dtype)


def _with_columns(frame, columns):
    """Put columns of values below those of a frame of polars."""
    added = dict(zip(frame.columns, columns, strict=True))
    return frame.vstack(type(frame)(added, schema=frame.schema))


def _within(values, kind):
    """Bring values to those that a type can hold, where it does not hold all."""
    kind = getattr(kind, "subtype", kind)  # of a sparse column
    if kind.kind == "b":
        return values > 0.5
    if kind.kind in "iu":
        bounds = np.iinfo(getattr(kind, "numpy_dtype", kind))
        highest = float(bounds.max)
        if highest > bounds.max:  # which no float is, of 64 bits
            highest = np.nextafter(highest, 0.0)
        return values.round().clip(bounds.min, highest)
    return values


def _nearest(values, levels):
    """Bring values to the nearest levels, numbers that may be text, as "1" and "2"."""
    levels = np.asarray(levels)
    distances = np.abs(np.subtract.outer(values, levels.astype(np.float64)))
    return levels[distances.argmin(axis=1)]


def _with_classes(y, classes):
    """Put the classes of new rows after y, in its kind."""
    if hasattr(y, "iloc"):
        import pandas as pd

        added = pd.Series(classes)
        if y.ndim == 1:
            added = added.rename(y.name).astype(y.dtype)
        else:
            added = added.to_frame(y.columns[0]).astype(dict(y.dtypes))
        return pd.concat([y, added], ignore_index=True)
    if _is_polars(y):
        is_frame = hasattr(y, "columns")
        both = _with_columns(y if is_frame else y.to_frame(), [classes])
        return both if is_frame else both.to_series()
    return np.concatenate([column_or_1d(y), classes])
