"""Comparing: methods at each number of components, on folds that all of them share."""

from itertools import islice

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.callback import (
    AutoPropagatedCallback,
    CallbackSupportMixin,
    with_callbacks,
)
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import assert_all_finite, indexable
from sklearn.utils.parallel import Parallel, delayed

from skae._sklearn import callbacks_of, n_samples
from skae.device import seed_from
from skae.estimators.autoencoder import AutoencoderTransformer
from skae.estimators.vae import VAETransformer
from skae.integers import is_integer
from skae.labels import check_labels, holds_times, kind_of_labels
from skae.naming import name_of
from skae.transformers import last_step

from .measuring import Case, Entry, Judge, measure
from .result import Comparison

__all__ = ["compare"]

# Numbers are classes up to this many different ones, and beyond while each has, on
# average, as many rows as the second number says.
SURELY_CLASSES, ROWS_OF_A_CLASS = 20, 5


def compare(
    X,
    y=None,
    *,
    groups=None,
    estimators=None,
    n_components=(2, 8, 32),
    cv=5,
    downstream=None,
    scoring=None,
    n_jobs=None,
    random_state=None,
    callbacks=None,
):
    """Compare PCA, autoencoders and other methods on your own rows.

    Each estimator is fitted with each number of components on the training rows of
    each fold, and measured on the rows held out:

    - explained variance: ``r2_score(X, inverse_transform(transform(X)),
      multioutput="variance_weighted")``, where there is an ``inverse_transform``
      (also of every function in a Pipeline);
    - log-likelihood: the estimator's ``score``, where it is a density (see Notes);
    - downstream score: of a predictor of ``y`` from the codes;
    - trustworthiness: how far the nearest neighbours among the codes are
      neighbours among the rows, :func:`sklearn.manifold.trustworthiness`;
    - seconds for ``fit_transform`` on the training rows and ``transform`` on the
      held-out ones.

    A fit that fails, or a number of components that an estimator does not allow, is an
    entry that says why.

    Parameters
    ----------
    X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
        Rows, handed to the estimators as they are.

    y : array-like of shape (n_samples,), default=None
        What the codes should tell about the rows. None leaves the downstream score
        out.

    groups : array-like of shape (n_samples,), default=None
        Group of each row, for a ``cv`` that keeps groups together, such as
        :class:`~sklearn.model_selection.GroupKFold`.

    estimators : list of estimators or dict of str to estimator, default=None
        Transformers with a parameter ``n_components``, or Pipelines of which a step
        has one (the last such step's is set). In a list, they are named by their
        classes, as PCA, Autoencoder and VAE, which is also what None is. Differences
        are taken from the first that is a :class:`~sklearn.decomposition.PCA` or a
        Pipeline that ends in one.

    n_components : int or sequence of int, default=(2, 8, 32)
        Numbers of components to compare at.

    cv : int, cross-validation generator or iterable, default=5
        As in :func:`~sklearn.model_selection.cross_validate`: an int is a number of
        folds, stratified where the downstream estimator is a classifier, of rows in
        their order: where they are sorted, and there are no classes, pass
        ``KFold(5, shuffle=True, random_state=0)``, as the command line does.

    downstream : estimator, default=None
        Predicts ``y`` from the codes. None standardises them and takes a logistic
        regression where ``y`` holds classes, ridge regression where it is a
        quantity. Numbers are a quantity if they are not whole, and also if there are
        more than 20 different ones with fewer than 5 rows each on average.

    scoring : str or callable, default=None
        Scorer of the downstream estimator; None is its own ``score``.

    n_jobs : int, default=None
        Number of fits that run at the same time.

    random_state : int, RandomState instance or None, default=None
        Seed of each estimator whose own ``random_state`` is None.

    callbacks : callback or list of callbacks, default=None
        Those of :mod:`sklearn.callback`, such as ``ProgressBar``. They follow the whole
        comparison: a task for each estimator and number of components, and in it one
        for each fold.

    Returns
    -------
    Comparison
        Shows itself as a table; ``folds``, ``summary()``, ``to_pandas()`` and
        ``plot()`` give numbers and pictures.

    See Also
    --------
    explained_variance_scorer : The first measure, for a grid search.
    sklearn.model_selection.cross_validate : Does the same for one estimator.

    Notes
    -----
    A ``score`` is taken for a log-likelihood, in nats per row and in the units of
    ``X``, where it is the mean of ``score_samples`` (tried on up to 100 held-out
    rows). That is scikit-learn's convention for densities: PCA, FactorAnalysis and
    VAETransformer follow it; AutoencoderTransformer, whose score is a share of
    variance, does not. A Pipeline has none, since its last step may see rescaled rows
    and so score in other units.

    Trustworthiness is that of 10 neighbours, fewer where less than 21 rows are held
    out, among at most 2,000 held-out rows, evenly spaced.

    Callbacks that are set on an estimator are kept by its copies. Those that
    scikit-learn's meta-estimators hand on, such as a progress bar, follow the whole
    comparison, as if they were in ``callbacks``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA, FactorAnalysis
    >>> import skae
    >>> X, y = load_iris(return_X_y=True)
    >>> comparison = skae.compare(
    ...     X, y, estimators=[PCA(), FactorAnalysis()], n_components=[1, 2]
    ... )
    >>> summary = comparison.summary()
    >>> for name, n_components, score in zip(
    ...     summary["estimator"],
    ...     summary["n_components"],
    ...     summary["downstream_score_mean"],
    ... ):
    ...     print(f"{name:<14} {n_components} {score:.3f}")
    PCA            1 0.933
    FactorAnalysis 1 0.953
    PCA            2 0.953
    FactorAnalysis 2 0.940
    """
    _check_rows(X)
    X, y, groups = indexable(X, y, groups)
    methods = _named(estimators)
    seed = None if random_state is None else seed_from(random_state)
    cases = [
        Case(name, number, _with_components(estimator, number, seed))
        for number in _each_number(n_components)
        for name, estimator in methods.items()
    ]
    y, groups = _column(y), _column(groups)
    if np.ndim(y) == 1:
        check_labels(y)
    judge = _judge(y, downstream, scoring, seed)
    has_classes = y is not None and is_classifier(judge.predictor)
    splitter = check_cv(cv, y, classifier=has_classes)
    splits = list(splitter.split(X, y, groups))
    if not splits:
        raise ValueError(f"cv={cv!r} gives no folds; pass one or more.")
    runner = Comparer(cases, judge, n_jobs)
    runner.set_callbacks(*_followers(callbacks, cases))
    entries = runner.fit(X, y, splits)
    return Comparison(
        {name: np.array([entry[name] for entry in entries]) for name in entries[0]},
        reference=_reference(methods),
        test_ratio=float(np.mean([len(test) / len(train) for train, test in splits])),
    )


# --------------------------------------------------------- what there is to do


def _check_rows(X):
    """Refuse what has no rows to part into folds."""
    try:
        n_samples(X)
    except TypeError as error:
        raise TypeError(
            f"X={X!r} must be rows, of shape (n_samples, n_features)."
        ) from error


def _named(estimators):
    """Check the estimators, and name those of a list."""
    if estimators is None:
        estimators = [PCA(), AutoencoderTransformer(), VAETransformer()]
    if not isinstance(estimators, list | tuple | dict) or not estimators:
        raise TypeError(
            f"estimators={estimators!r} must be a list of estimators, or a dict from "
            "names to estimators, of one or more."
        )
    if not isinstance(estimators, dict):
        estimators = _by_class(estimators)
    for name, estimator in estimators.items():
        if not isinstance(name, str):
            raise TypeError(f"estimators has the name {name!r}, which must be a str.")
        if isinstance(estimator, type):
            raise TypeError(
                f"estimators has the class {estimator.__name__}; pass an instance, "
                f"{estimator.__name__}()."
            )
        if not (hasattr(estimator, "fit") and hasattr(estimator, "transform")):
            raise TypeError(
                f"estimators has {estimator!r}, which needs the methods fit and "
                "transform, to give codes to rows it has not seen."
            )
        if _name_of_n_components(estimator) is None:
            raise ValueError(
                f"estimators has {estimator!r}, which has no parameter n_components "
                "to set; nor has a step of it, if it is a Pipeline."
            )
    return estimators


def _by_class(estimators):
    """Name estimators by their classes, Pipelines by those of their steps."""
    names = [_name(estimator) for estimator in estimators]
    numbered = [
        f"{name} {names[: index + 1].count(name)}" if names.count(name) > 1 else name
        for index, name in enumerate(names)
    ]
    return dict(zip(numbered, estimators, strict=True))


def _name(estimator):
    if isinstance(estimator, Pipeline):
        return " + ".join(_name(step) for _, step in estimator.steps)
    return estimator if isinstance(estimator, str) else name_of(estimator)


def _name_of_n_components(estimator):
    """Find the parameter for the number of components; of a Pipeline, its last."""
    if isinstance(estimator, Pipeline):
        for name, step in reversed(estimator.steps):
            inner = _name_of_n_components(step)
            if inner is not None:
                return f"{name}__{inner}"
        return None
    has_one = hasattr(estimator, "get_params") and "n_components" in (
        estimator.get_params(deep=False)
    )
    return "n_components" if has_one else None


def _with_components(estimator, n_components, seed):
    """Copy an estimator with its components and, where it leaves it open, its seed."""
    copy = _seeded(clone(estimator), seed)
    return copy.set_params(**{_name_of_n_components(copy): n_components})


def _seeded(estimator, seed):
    open_ones = {
        name: seed
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] == "random_state" and value is None
    }
    return estimator.set_params(**open_ones)


def _each_number(n_components):
    """Check how many components are asked for, and give each number once."""
    asked = np.ravel(np.asarray(n_components, dtype=object)).tolist()  # True stays
    if not asked or not all(is_integer(n, 1) for n in asked):
        raise ValueError(
            f"n_components={n_components!r} must be one or more integers of 1 or more."
        )
    return list(dict.fromkeys(asked))


def _judge(y, downstream, scoring, seed):
    """Check or choose what predicts y from codes, and how that is scored."""
    if y is None:
        if downstream is not None or scoring is not None:
            raise ValueError(
                "downstream and scoring are about predicting y from the codes: pass y, "
                "or leave them out."
            )
        return Judge()
    _check_scoring(scoring)
    if downstream is None:
        downstream = make_pipeline(StandardScaler(), _predictor_of(y))
    _check_predictor(downstream)
    predictor = _seeded(clone(downstream), seed)
    return Judge(predictor, check_scoring(predictor, scoring))


def _check_scoring(scoring):
    """Refuse what is not one scorer, or the name of one."""
    if isinstance(scoring, str):
        if scoring not in get_scorer_names():
            raise ValueError(
                f"scoring={scoring!r} is not the name of a scorer; "
                "sklearn.metrics.get_scorer_names() gives those there are."
            )
    elif scoring is not None and not callable(scoring):
        raise TypeError(f"scoring={scoring!r} must be one scorer: a str or a callable.")


def _check_predictor(downstream):
    """Refuse what cannot predict: a transformer has a score, too, but another."""
    if isinstance(downstream, type):
        raise TypeError(
            f"downstream={downstream.__name__} is a class; pass an instance, "
            f"{downstream.__name__}()."
        )
    if not all(hasattr(downstream, name) for name in ("get_params", "fit", "predict")):
        raise TypeError(
            f"downstream={downstream!r} must be an estimator with fit and predict, to "
            "predict y from the codes; pass a classifier or a regressor."
        )


def _predictor_of(y):
    """Choose by the kind of y."""
    if holds_times(y):
        raise ValueError(
            "y holds dates or durations; make numbers of them, in a unit of your "
            "choice, or cut them into classes."
        )
    if _is_quantity(y):
        assert_all_finite(y, input_name="y")
        return Ridge()
    kind = kind_of_labels(y)
    if kind.startswith("continuous"):
        return Ridge()
    if kind in ("binary", "multiclass"):
        return LogisticRegression(max_iter=1000)
    raise ValueError(
        f"y is of the kind {kind!r}, for which there is no usual predictor; pass one "
        "as downstream."
    )


def _is_quantity(y):
    """Tell numbers that are measured, even if they are whole, from classes."""
    y = np.asarray(y)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.number):
        return False
    n_values = len(np.unique(y))
    return n_values > max(SURELY_CLASSES, len(y) / ROWS_OF_A_CLASS)


def _column(values):
    """Give a table of one column as that column; None stays None."""
    is_table = np.ndim(values) == 2 and np.shape(values)[1] == 1
    return np.ravel(values) if is_table else values


def _reference(methods):
    """Name of the first PCA."""
    for name, estimator in methods.items():
        if isinstance(last_step(estimator), PCA):
            return name
    return None


# ---------------------------------------------------------------- the whole run


def _followers(callbacks, cases):
    """Callbacks that follow the whole run: those asked for, and the estimators' own.

    scikit-learn hands a progress bar down from the outermost estimator, and refuses
    one that is set further in; so it is taken from there.
    """
    callbacks = [] if callbacks is None else callbacks
    given = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    for case in cases:
        own = callbacks_of(case.estimator)
        shared = [each for each in own if isinstance(each, AutoPropagatedCallback)]
        if shared:
            kept = [callback for callback in own if callback not in shared]
            case.estimator.set_callbacks(*kept)
            given += [each for each in shared if each not in given]
    return given


class Comparer(CallbackSupportMixin):
    """The run as scikit-learn's callbacks see it.

    A task for each case, and in it one for each fold, which is the root of what the
    estimator itself reports.

    Parameters
    ----------
    cases : list of Case

    judge : Judge

    n_jobs : int or None
    """

    def __init__(self, cases, judge, n_jobs):
        self.cases = cases
        self.judge = judge
        self.n_jobs = n_jobs

    @with_callbacks
    def fit(self, X, y, splits):
        """Fit and measure every case on every fold; give an entry for each."""
        hooks = {"estimator": self, "X": X, "y": y}
        run = self._init_callback_context("compare", max_subtasks=len(self.cases))
        run.call_on_fit_task_begin(**hooks)
        tasks = [self._begin(run, case, len(splits), hooks) for case in self.cases]
        jobs = (
            delayed(measure)(case, self.judge, X, y, fold, split, self, context)
            for case, (_, contexts) in zip(self.cases, tasks, strict=True)
            for fold, (split, context) in enumerate(zip(splits, contexts, strict=True))
        )
        results = iter(Parallel(n_jobs=self.n_jobs, return_as=_return_as())(jobs))
        entries: list[Entry] = []
        for task, contexts in tasks:
            entries += islice(results, len(contexts))
            task.call_on_fit_task_end(**hooks)
        run.call_on_fit_task_end(**hooks)
        return entries

    @staticmethod
    def _begin(run, case, n_folds, hooks):
        """Announce a case; its folds' contexts are made before any goes to a worker."""
        name = f"{case.name}, n_components={case.n_components}"
        task = run.subcontext(task_name=name, max_subtasks=n_folds)
        task.call_on_fit_task_begin(**hooks)
        return task, [task.subcontext(task_name="fold") for _ in range(n_folds)]


def _return_as():
    """Have results come one by one; at the end, where a backend knows no other way."""
    from joblib.parallel import get_active_backend  # not among the dependencies

    backend, _ = get_active_backend()
    return "generator" if backend.supports_return_generator else "list"
