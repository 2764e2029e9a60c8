"""Folds with numbers, and an estimator that fails as it is told."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import StratifiedKFold

QUALITIES = [
    "explained_variance",
    "log_likelihood",
    "downstream_score",
    "trustworthiness",
]
SECONDS = ["fit_seconds", "transform_seconds"]
SMALL = {
    "hidden_layer_sizes": (4,),
    "max_iter": 2,
    "early_stopping": False,
    "random_state": 0,
}
SHUFFLED = StratifiedKFold(3, shuffle=True, random_state=0)


class Columns(TransformerMixin, BaseEstimator):
    """The first columns; there is no way back, and some ways to fail."""

    def __init__(self, n_components=2, fails=None):
        self.n_components = n_components
        self.fails = fails

    def fit(self, X, y=None):
        if self.fails == "fit" or (self.fails == "large" and self.n_components > 1):
            raise FloatingPointError("no such thing")
        self.fitted_ = True
        return self

    def transform(self, X):
        if self.fails == "transform" and len(X) < 60:
            raise FloatingPointError("no such thing")
        codes = np.array(X[:, : self.n_components])
        return codes + np.inf if self.fails == "codes" else codes


def make_folds(**measures):
    """Folds of PCA and another method, with numbers for what is left out."""
    first = next(iter(measures.values()))
    n_folds = len(first[0])
    folds = {
        "estimator": ["PCA"] * n_folds + ["other"] * n_folds,
        "n_components": [2] * 2 * n_folds,
        "fold": 2 * list(range(n_folds)),
        "error": [""] * 2 * n_folds,
    }
    for measure in QUALITIES + SECONDS:
        folds[measure] = np.ravel(measures.get(measure, np.ones((2, n_folds))))
    return folds
