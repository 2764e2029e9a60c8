"""Tables: a data frame of any columns as a matrix of numbers, and back."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .recognition import LeftOut, learn_column
from .saying import counted, listed, quoted

__all__ = ["TableEncoder", "read_target"]

# Whole numbers of which there are more different ones are measured, not classes.
MOST_CLASSES = 20

# What stands for missing values, by the kind of their column.
FILLED = {
    ("number", "date"): "filled with the median",
    ("category",): "as a category of its own",
}


class TableEncoder(TransformerMixin, BaseEstimator):
    """Turn the columns of a data frame into numbers, so that it can be undone.

    Numbers are standardised, and missing ones are the median. Dates are days since the
    first, standardised too. Texts and truth values are indicators of their values, of
    which a missing one is one; indicators stay 0 or 1, so that a category weighs about
    as much as a number. Constant columns need no number; identifiers and free text are
    left out.

    Parameters
    ----------
    standardize : bool, default=True
        Whether numbers and dates are brought to mean 0 and variance 1.

    max_categories : int, default=20
        Largest number of values of a column that are told apart; rarer ones are
        ``"other"``.

    drop_constant : bool, default=True
        Whether columns of one number need none. The pixels of an image, which stand
        side by side, need all of theirs.

    Attributes
    ----------
    columns_ : dict of str to column kind
        What became of each column, by its name, in the order of the table.

    left_out_ : dict of str to str
        Columns that are not used, and why.

    n_missing_ : dict of str to int
        Missing values of each column that has any.

    n_features_in_ : int
        Number of columns seen in ``fit``.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names.

    Examples
    --------
    >>> import pandas as pd
    >>> from skae.cli.tables import TableEncoder
    >>> table = pd.DataFrame(
    ...     {
    ...         "age": [31, None, 45, 52],
    ...         "plan": ["basic", "plus", "basic", "pro"],
    ...         "since": ["2024-01-01", "2024-01-03", "2024-02-01", "2024-01-01"],
    ...     }
    ... )
    >>> encoder = TableEncoder(standardize=False).fit(table)
    >>> encoder.get_feature_names_out().tolist()
    ['age', 'plan=basic', 'plan=plus', 'plan=pro', 'since']
    >>> rows = encoder.transform(table)
    >>> rows[1]
    array([45.,  0.,  1.,  0.,  2.])
    >>> print(encoder.inverse_transform(rows[1:2] + 0.1).to_string(index=False))
    age plan      since
     45 plus 2024-01-03
    """

    def __init__(self, standardize=True, max_categories=20, drop_constant=True):
        self.standardize = standardize
        self.max_categories = max_categories
        self.drop_constant = drop_constant

    def fit(self, X, y=None):
        """Find out what kind each column is, and learn what it needs.

        Parameters
        ----------
        X : pandas.DataFrame
            Its columns' names are strings, and all different.

        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        self.columns_, self.left_out_, self.n_missing_ = {}, {}, {}
        for name in X.columns:
            try:
                self.columns_[name] = learn_column(
                    X[name],
                    standardize=self.standardize,
                    max_categories=self.max_categories,
                    drop_constant=self.drop_constant,
                )
            except LeftOut as reason:
                self.left_out_[name] = str(reason)
                continue
            n_missing = int(X[name].isna().sum())
            if n_missing:
                self.n_missing_[name] = n_missing
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        """Turn columns into numbers.

        Parameters
        ----------
        X : pandas.DataFrame
            Has the columns that are used, in any order; others do not matter.

        Returns
        -------
        ndarray of shape (n_samples, n_encoded)
        """
        check_is_fitted(self)
        used = [found for found in self._places() if found[2].stop > found[2].start]
        absent = [name for name, *_ in used if name not in X.columns]
        if absent:
            raise ValueError(
                f"the table lacks the columns {listed(map(quoted, absent))}; if new "
                "tables have none, fit again with --target or --drop"
            )
        rows = np.empty((len(X), len(self.get_feature_names_out())))
        for name, kind, place in used:
            rows[:, place] = kind.encode(X[name])
        return rows

    def inverse_transform(self, X):
        """Turn numbers into columns.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_encoded)

        Returns
        -------
        pandas.DataFrame
            The columns that are used, in their order, values and units.
        """
        import pandas as pd

        check_is_fitted(self)
        X = np.asarray(X, dtype=np.float64)
        columns = {name: kind.decode(X[:, at]) for name, kind, at in self._places()}
        return pd.DataFrame(columns).infer_objects()

    def get_feature_names_out(self, input_features=None):
        """Name the numbers.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        names = [
            new for name, kind in self.columns_.items() for new in kind.names(name)
        ]
        return np.asarray(names, dtype=object)

    def _places(self):
        """Give each column its kind, and where its numbers stand."""
        stop = 0
        for name, kind in self.columns_.items():
            start, stop = stop, stop + len(kind.names(name))
            yield name, kind, slice(start, stop)

    def describe(self):
        """Say what became of the columns.

        Returns
        -------
        list of str
            A line for each kind of column, for missing values, and for what is left
            out.
        """
        check_is_fitted(self)
        return [*self._kinds(), *self._filled(), *self.unused()]

    def _kinds(self):
        standardised = ", standardised" if self.standardize else ""
        treated = {"number": standardised, "date": "", "category": ", one-hot"}
        for noun, how in treated.items():
            names = [f"{quoted(name)}{_detail(kind)}" for name, kind in self._of(noun)]
            if names:
                yield f"{counted(len(names), noun)}: {listed(names)}{how}"

    def _filled(self):
        for nouns, how in FILLED.items():
            counts = [
                f"{quoted(name)} ({self.n_missing_[name]:,})"
                for name, _ in self._of(*nouns)
                if name in self.n_missing_
            ]
            if counts:
                yield f"missing, {how}: {listed(counts)}"

    def _of(self, *nouns):
        """Give the columns of some kinds, those of the first kind first."""
        for noun in nouns:
            for name, kind in self.columns_.items():
                if kind.kind == noun:
                    yield name, kind

    def unused(self):
        """Say which columns are left out, and why.

        Returns
        -------
        iterator of str
            A line for each reason.
        """
        reasons = {
            name: "constant" if kind.value is not None else "without any value"
            for name, kind in self._of("constant")
        }
        reasons |= self.left_out_
        for reason in dict.fromkeys(reasons.values()):
            names = [name for name, found in reasons.items() if found == reason]
            yield f"left out, {reason}: {listed(map(quoted, names))}"


def read_target(column):
    """Read what is to be predicted as numbers or as classes.

    Parameters
    ----------
    column : pandas.Series
        Without missing values.

    Returns
    -------
    y : ndarray
        Floats, or classes as text.

    is_class : bool
        Whether they are classes.

    Examples
    --------
    >>> import pandas as pd
    >>> from skae.cli.tables import read_target
    >>> read_target(pd.Series(["yes", "no", "yes"]))
    (array(['yes', 'no', 'yes'], dtype=object), True)
    >>> read_target(pd.Series([1.5, 2.0, 3.1]))
    (array([1.5, 2. , 3.1]), False)
    """
    try:
        kind = learn_column(column, standardize=False, max_categories=len(column) + 1)
    except LeftOut as reason:
        raise ValueError(
            f"the target {column.name!r} cannot be predicted: {reason}"
        ) from None
    if kind.kind == "constant":
        raise ValueError(f"the target {column.name!r} is constant: {kind.value!r}")
    if kind.kind == "category":
        return column.map(str).to_numpy(dtype=object), True
    values = kind.encode(column)[:, 0]
    is_class = kind.kind == "number" and kind.decimals == 0
    if is_class and len(np.unique(values)) <= MOST_CLASSES:
        return values.astype(np.int64).astype(str).astype(object), True
    return values, False


def _detail(kind):
    """Say in brackets a unit, and what a date or a category has become."""
    if kind.kind == "number" and kind.unit:
        return f" ({kind.unit.strip()})"
    if kind.kind == "date":
        return f" (days since {kind.first[:10]})"
    if kind.kind == "category":
        rest = ", the rarest as other" if kind.has_other else ""
        return f" ({len(kind.levels)} values{rest})"
    return ""
