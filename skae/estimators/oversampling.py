"""Oversampling: rows of rare classes drawn from a VAE that was told the classes.

The interface is imbalanced-learn's, which is not needed: an
:class:`~imblearn.pipeline.Pipeline` takes whatever has ``fit_resample``.
"""

import numbers

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, clone
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from skae._sklearn import Interval, StrOptions, fit_context
from skae.device import seed_from
from skae.rows import as_array

from .checking import refusing_text
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


class VAEOverSampler(OneToOneFeatureMixin, BaseEstimator):
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
        None is ``VAETransformer(0.95, likelihood="auto")``: as many components as PCA
        needs for 95 % of the variance, and a likelihood for each column by its kind.

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
        "sampling_strategy": [
            Interval(numbers.Real, 0, 1, closed="right"),
            StrOptions(set(LEFT_ALONE)),
            dict,
            callable,
        ],
        "vae": [VAETransformer, None],
        "random_state": ["random_state"],
    }

    def __init__(self, sampling_strategy="auto", *, vae=None, random_state=None):
        self.sampling_strategy = sampling_strategy
        self.vae = vae
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
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
        self._fit(X, y, seed_from(self.random_state))
        return self

    @fit_context(prefer_skip_nested_validation=True)
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
        X_resampled : pandas frame or sparse matrix, where X is one, else ndarray
            The rows, and after them the new ones; whole numbers where the column's
            type is.

        y_resampled : pandas series or frame, where y is one, else ndarray
            Their classes.
        """
        seed = seed_from(self.random_state)
        rows = self._fit(X, y, seed)
        classes = np.repeat(
            np.array(list(self.sampling_strategy_), dtype=self.vae_.classes_.dtype),
            list(self.sampling_strategy_.values()),
        )
        if len(classes) == 0:
            return X, y
        # An array, whatever container the VAE is set to give.
        drawn = np.asarray(self.vae_.sample(len(classes), y=classes, random_state=seed))
        return _with_rows(X, rows, drawn), _with_classes(y, classes)

    def _fit(self, X, y, seed):
        """Fit the VAE; return the rows as they were checked."""
        X, y = as_array(X), as_array(y)
        check_consistent_length(X, y)
        check_classification_targets(y)
        with refusing_text():
            rows = validate_data(self, X, accept_sparse="csr")
        y = column_or_1d(y)
        self.sampling_strategy_ = _count_new(self.sampling_strategy, y)
        vae = VAETransformer(0.95, likelihood="auto") if self.vae is None else self.vae
        vae = clone(vae).set_params(conditional=True)
        if vae.random_state is None:
            vae.set_params(random_state=seed)
        self.vae_ = vae.fit(rows, y)
        return rows


def _count_new(strategy, y):
    """Find the number of new rows of each class that gets any."""
    classes, sizes = np.unique(y, return_counts=True)
    counts = dict(zip(classes.tolist(), sizes.tolist(), strict=True))
    if callable(strategy):
        strategy = strategy(y)
        if not isinstance(strategy, dict | str | numbers.Real):
            raise ValueError(
                f"sampling_strategy: the function returned {strategy!r}; it has to be "
                "a dict of the number of rows of each class."
            )
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
            added[name] = pd.Series(_within(added[name].to_numpy(), kind), dtype=kind)
        return pd.concat([X, added], ignore_index=True)
    drawn = _within(drawn, rows.dtype)
    if sp.issparse(rows):
        both = sp.vstack([rows, sp.csr_array(drawn)], format="csr", dtype=rows.dtype)
        return type(rows)(both)
    return np.concatenate([rows, drawn.astype(rows.dtype)])


def _within(values, kind):
    """Bring values to those that a type can hold, where it does not hold all."""
    kind = getattr(kind, "subtype", kind)  # of a sparse column
    if hasattr(kind, "categories"):
        levels = np.asarray(kind.categories)
        numbers_of = levels.astype(np.float64)  # they may be text, as "1" and "2"
        return levels[np.abs(np.subtract.outer(values, numbers_of)).argmin(axis=1)]
    if kind.kind == "b":
        return values > 0.5
    if kind.kind in "iu":
        bounds = np.iinfo(getattr(kind, "numpy_dtype", kind))
        highest = float(bounds.max)
        if highest > bounds.max:  # which no float is, of 64 bits
            highest = np.nextafter(highest, 0.0)
        return values.round().clip(bounds.min, highest)
    return values


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
    return np.concatenate([column_or_1d(y), classes])
