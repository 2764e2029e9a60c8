"""Measuring: one estimator, on the rows of one fold."""

import numbers
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.metadata_routing import MetadataRequest

from skae._sklearn import n_samples, safe_indexing
from skae.estimators.checking import check_has_variance, check_weight
from skae.estimators.reporting import ended_by_ctrl_c
from skae.measures import MEASURES
from skae.rows import as_array, evenly
from skae.transformers import as_rows, brief, check_instance

__all__ = ["Case", "Entry", "Judge", "explained_variance_scorer", "measure"]

# Held-out rows whose neighbourhoods are compared: all their distances are taken.
MAX_NEIGHBOURHOODS = 2000

# Neighbours that a row should keep.
N_NEIGHBOURS = 10

# Rows by which a score is told to be the mean of score_samples, or something else.
ROWS_TO_TELL = 100


@dataclass
class Case:
    """An estimator with a number of components."""

    name: str
    n_components: int
    estimator: Any


@dataclass
class Judge:
    """Predicts y from codes, and scores the prediction; None without y."""

    predictor: Any = None
    scorer: Any = None


def explained_variance_scorer(estimator, X, y=None, sample_weight=None):
    """Share of the variance of rows that their reconstruction explains.

    The autoencoder's own ``score``, for any transformer, but that errors in columns
    that are constant in X do not count: a grid search over PCA (whose own is a
    log-likelihood) and autoencoders can rank by it.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``transform`` and ``inverse_transform``.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to decode from their codes, two or more.

    y : None
        Ignored.

    sample_weight : array-like of shape (n_samples,), default=None
        How much each row counts. Weights that a search is given come here, with
        metadata routing as without.

    Returns
    -------
    float
        ``r2_score(X, decoded, multioutput="variance_weighted")``; at most 1.

    See Also
    --------
    compare : Sets estimators side by side by this and other measures.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA, FastICA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import Pipeline
    >>> from skae import explained_variance_scorer
    >>> X, _ = load_iris(return_X_y=True)
    >>> search = GridSearchCV(
    ...     Pipeline([("reduce", PCA())]),
    ...     {
    ...         "reduce": [PCA(), FastICA(random_state=0)],
    ...         "reduce__n_components": [1, 2],
    ...     },
    ...     scoring=explained_variance_scorer,
    ... )
    >>> search.fit(X).best_params_["reduce__n_components"]
    2
    """
    check_instance(estimator)
    if not _decodes(estimator):
        raise TypeError(
            f"estimator={brief(estimator)} has no inverse_transform, or a step that is "
            "a function without inverse_func, so no rows to set beside X; give the "
            "inverse, or score it by what its codes are used for."
        )
    if sample_weight is not None:
        X, sample_weight = _present(X, check_weight(sample_weight, X))
    decoded = estimator.inverse_transform(estimator.transform(X))
    return _explained_variance(X, decoded, sample_weight)


def _weights_of_scores():
    """Ask metadata routing for the weights of the rows that are scored."""
    asked = MetadataRequest(owner=explained_variance_scorer.__name__)
    asked.score.add_request(param="sample_weight", alias=True)
    return asked


def _takes_weights():
    """Say that weights may come, to a search of several scorers without routing."""
    return True


explained_variance_scorer.get_metadata_routing = (  # type: ignore[attr-defined]
    _weights_of_scores
)
explained_variance_scorer._accept_sample_weight = (  # type: ignore[attr-defined]
    _takes_weights
)


class Entry(dict):
    """Measures of one fold, and the reasons for those that are missing."""

    def __init__(self, case, fold):
        super().__init__(estimator=case.name, n_components=case.n_components, fold=fold)
        self.update(dict.fromkeys(MEASURES, np.nan), error="")

    @contextmanager
    def attempt(self, step):
        """Write an error down instead of losing the run to it."""
        try:
            yield
        except Exception as error:
            reason = f"{step}: {type(error).__name__}: {error}"
            self["error"] = "; ".join(filter(None, [self["error"], reason]))

    @contextmanager
    def timed(self, measure):
        """Write down the seconds that something took."""
        start = perf_counter()
        yield
        self[measure] = perf_counter() - start


@ended_by_ctrl_c()
def measure(case, judge, X, y, fold, split, caller, context):
    """Fit a case on the training rows of a fold, and measure it on the others.

    Parameters
    ----------
    case : Case

    judge : Judge

    X, y : the rows, and what to predict of them or None

    fold : int

    split : pair of arrays
        Numbers of the training rows and of those held out.

    caller : Comparer

    context : sklearn.callback.CallbackContext
        The task that this is.

    Returns
    -------
    Entry
    """
    (X_train, X_test), (y_train, y_test) = (
        (None, None) if rows is None else [safe_indexing(rows, part) for part in split]
        for rows in (X, y)
    )
    estimator, entry = clone(case.estimator), Entry(case, fold)
    hooks = {"estimator": caller, "X": X_train, "y": y_train}
    with entry.attempt("fit"), _watched(estimator, context, hooks):
        with entry.timed("fit_seconds"):
            codes_train = _fit_transform(estimator, X_train, y_train)
    if not entry["error"]:
        with entry.attempt("transform"), entry.timed("transform_seconds"):
            codes = estimator.transform(X_test)
    if entry["error"]:
        return entry
    _measure_codes(entry, estimator, X_test, codes)
    if y is not None:
        with entry.attempt("downstream_score"):
            predictor = clone(judge.predictor).fit(codes_train, y_train)
            entry["downstream_score"] = _number(judge.scorer(predictor, codes, y_test))
    return entry


def _number(score):
    """Check that a scorer has given one number, be it in an array."""
    found = np.asarray(as_array(score))
    number = found.item() if found.size == 1 else None
    if not isinstance(number, numbers.Real):
        raise TypeError(f"the scorer returned {score!r}, which is no number.")
    return float(number)


@contextmanager
def _watched(estimator, context, hooks):
    """Show a fit to the callbacks, from within too if the estimator lets them."""
    hears = hasattr(estimator, "set_callbacks")
    with context.propagate_callback_context(estimator) if hears else nullcontext():
        context.call_on_fit_task_begin(**hooks)
        try:
            yield
        finally:
            context.call_on_fit_task_end(**hooks)


def _fit_transform(estimator, X, y):
    """Fit and give codes, as a step of a Pipeline does."""
    if hasattr(estimator, "fit_transform"):
        codes = estimator.fit_transform(X, y)
        # Partial least squares gives codes of y, too.
        return codes[0] if isinstance(codes, tuple) else codes
    return estimator.fit(X, y).transform(X)


def _decodes(estimator):
    """Whether codes come back as rows; a function without inverse is passed by."""
    parts = [estimator]
    if isinstance(estimator, Pipeline):
        parts += [step for _, step in estimator.steps]
    return hasattr(estimator, "inverse_transform") and not any(
        isinstance(part, FunctionTransformer) and part.func and not part.inverse_func
        for part in parts
    )


def _present(X, weight):
    """Drop rows of weight 0, which may be what no estimator takes."""
    if weight.all():
        return X, weight
    index = np.flatnonzero(weight)
    return safe_indexing(as_rows(X), index), weight[index]


def _measure_codes(entry, estimator, X, codes):
    """Write down what codes say about their rows."""
    with entry.attempt("explained_variance"):
        if _decodes(estimator):
            decoded = estimator.inverse_transform(codes)
            entry["explained_variance"] = _explained_variance(X, decoded)
    with entry.attempt("log_likelihood"):
        entry["log_likelihood"] = _log_likelihood(estimator, X)
    with entry.attempt("trustworthiness"):
        entry["trustworthiness"] = _trustworthiness(X, codes)


def _explained_variance(X, decoded, weight=None):
    X, decoded = _dense(X), _dense(decoded)
    check_has_variance(n_samples(X))
    share = r2_score(X, decoded, sample_weight=weight, multioutput="variance_weighted")
    return float(share)


def _dense(rows):
    return rows.toarray() if sp.issparse(rows) else as_array(rows)


def _log_likelihood(estimator, X):
    """Take the score where it is the mean of ``score_samples``, in the units of X."""
    has_both = hasattr(estimator, "score") and hasattr(estimator, "score_samples")
    if isinstance(estimator, Pipeline) or not has_both:
        return np.nan
    few = safe_indexing(X, evenly(n_samples(X), ROWS_TO_TELL))
    mean = np.mean(as_array(estimator.score_samples(few)))
    if not np.isclose(float(estimator.score(few)), mean, rtol=1e-5, atol=0):
        return np.nan
    return float(estimator.score(X))


def _trustworthiness(X, codes):
    """Compare neighbourhoods; there are none among fewer than three rows."""
    from sklearn.manifold import trustworthiness  # slow, and seldom needed

    chosen = evenly(n_samples(X), MAX_NEIGHBOURHOODS)
    n_neighbors = min(N_NEIGHBOURS, (len(chosen) - 1) // 2)
    if n_neighbors == 0:
        return np.nan
    rows, theirs = (as_array(safe_indexing(each, chosen)) for each in (X, codes))
    return float(trustworthiness(rows, theirs, n_neighbors=n_neighbors))
