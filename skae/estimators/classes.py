"""Classes of rows: what is accepted, how they are numbered, and who was told them."""

import numpy as np
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skae.labels import check_labels, kind_of_labels
from skae.rows import as_array

from .fitted import FittedCodes

__all__ = ["ToldClasses", "check_classes", "number_classes"]


class ToldClasses(FittedCodes):
    """An estimator that may have been told the classes of its rows.

    ``fit`` is a subclass's. It leaves ``classes_``, beside what :class:`FittedCodes`
    has, if it was told them.
    """

    @property
    def _is_conditional(self):
        return self._stored.blueprint.class_shares is not None

    @property
    def classes_(self):
        """Classes that ``fit`` has seen, with ``conditional=True``."""
        if "classes_" not in self.__dict__:
            raise AttributeError("classes_ is there once fitted with conditional=True.")
        return self.__dict__["classes_"]

    @classes_.setter
    def classes_(self, classes):
        self.__dict__["classes_"] = classes

    @property
    def class_prior_(self):
        """Share of each class, with ``conditional=True``."""
        check_is_fitted(self)
        if not self._is_conditional:
            raise AttributeError("class_prior_ is there with conditional=True only.")
        return np.array(self._stored.blueprint.class_shares)

    def _numbers_of(self, y, name, n_rows):
        """Find the number of the class of each row; one class may be that of all."""
        self._check_has_classes(name)
        if np.ndim(y) == 0:
            y = np.full(n_rows, y)
        return number_classes(y, name, n_rows, self.classes_)

    def _check_has_classes(self, name):
        if not self._is_conditional:
            raise ValueError(
                f"{name}: classes are for a model that was fitted with "
                "conditional=True and the classes of its rows."
            )

    def _labels_of(self, y, weight):
        """Find numbers of the classes of rows; those of weight 0 may have any class."""
        return number_classes(y, "y", len(weight), self.classes_, weight > 0)

    def _labels_to_draw(self, y, n_samples, seed):
        """Find the number of the class that each row shall have."""
        if y is None:
            drawn = np.random.RandomState(seed)
            return drawn.choice(len(self.classes_), n_samples, p=self.class_prior_)
        if np.ndim(y) and len(y) != n_samples:
            raise ValueError(
                f"n_samples={n_samples}, but y has a class for each of {len(y)} rows; "
                f"pass n_samples={len(y)}, or one class for all."
            )
        return self._numbers_of(y, "y", n_samples)


def check_classes(y, name, n_rows, needed=slice(None)):
    """Check classes of rows, one for each; give those that are needed.

    Parameters
    ----------
    y : array-like

    name : str
        Of the argument.

    n_rows : int

    needed : ndarray of bool, optional
        The rows whose classes are; others may have any, or none.
    """
    if y is None:
        raise ValueError(
            f"conditional=True requires {name} to be passed, but the target {name} is "
            "None; give the class of each row, or set conditional=False."
        )
    y = column_or_1d(as_array(y), warn=True)
    if len(y) != n_rows:
        raise ValueError(
            f"{name} has {len(y)} classes for {n_rows} rows; give as many of both."
        )
    y = y[needed]
    check_labels(y, name)
    kind = kind_of_labels(y, name)
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"{name}: conditional=True needs classes, but these values are {kind}; "
            "cut them into classes, or set conditional=False."
        )
    return y


def number_classes(y, name, n_rows, classes, needed=slice(None)):
    """Turn classes into their numbers among those that are known.

    Parameters
    ----------
    y : array-like

    name : str
        Of the argument.

    n_rows : int

    classes : ndarray
        In order.

    needed : ndarray of bool, optional
        The rows whose classes have to be known; others get the first.
    """
    y = check_classes(y, name, n_rows, needed)
    try:
        found = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
        is_unknown = classes[found] != y
    except TypeError:  # of another kind, with no order among both
        found, is_unknown = 0, np.ones(len(y), bool)
    if is_unknown.any():
        raise ValueError(
            f"{name} has classes that fit has not seen: "
            f"{np.unique(y[is_unknown]).tolist()[:5]}; it has seen {classes.tolist()}."
        )
    labels = np.zeros(n_rows, dtype=int)
    labels[needed] = found
    return labels
