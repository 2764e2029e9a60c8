"""What both estimators share: validation, the template of ``fit``, rows in and out."""

import copy
import numbers
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from ._sklearn import check_feature_names_in, fit_context, to_output_container
from .checking import (
    PARAMETER_CONSTRAINTS,
    check_codes,
    check_n_components,
    check_rows,
    check_X,
    check_X_val,
)
from .device import forked_stream, generator_from, seed_from
from .inference import map_blocks
from .learning import learn, resume
from .opening import check_opened
from .planning import make_task, resolve_likelihood
from .reporting import Reporter
from .rows import as_array, distinct_rows, floating_type, merge_rows
from .storage import StoredModule, to_arrays, to_tensors

# Without weights, sets of more rows than this are taken as they come: merging and
# sorting them would cost more than it gives.
CANONICAL_ROWS = 10_000

# Fitted attributes that are not for the user.
HIDDEN_STATE = ("_stored", "_start", "_training", "_codes", "_density", "_waiting")


class BaseAutoencoder(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Template of an estimator that learns a code for rows.

    A subclass says which model it is (``_model_kind``), what else its parameters are,
    and what its scores mean.
    """

    _parameter_constraints: dict = PARAMETER_CONSTRAINTS

    # Whether a code is a distribution, with a prior and an objective of its own.
    _is_variational = False

    @property
    def _warmup(self):
        """Share of the epochs over which a part of the loss is warmed up."""
        return 0.0

    # ------------------------------------------------------------------ fitting

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None, X_val=None):
        """Fit the model to rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Training rows.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            How many times each row counts: a weight of 3 is the same as three copies
            of the row, a weight of 0 as its absence.

        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), \
                default=None
            Rows that judge when to stop, in place of a share of X.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with self._unchanged_on_error():
            return self._fit(X, y, sample_weight, X_val)

    @contextmanager
    def _unchanged_on_error(self):
        """Leave the fitted attributes as they were when fitting fails."""

        def fitted():
            return {
                name: value
                for name, value in vars(self).items()
                if name.endswith("_") or name in HIDDEN_STATE
            }

        before = fitted()
        try:
            yield
        except BaseException:
            for name in fitted():
                delattr(self, name)
            for name, value in before.items():
                setattr(self, name, value)
            raise

    def _fit(self, X, y, sample_weight, X_val, y_val=None):
        going_on = self.warm_start and hasattr(self, "_stored")
        rows, weight = check_rows(self, X, sample_weight, reset=not going_on)
        check_n_components(self, rows)
        labels, labels_val = self._find_labels(y, weight, X_val, y_val, going_on)
        checked = rows
        if sample_weight is not None or rows.shape[0] <= CANONICAL_ROWS:
            rows = as_array(rows)
            index, weight = distinct_rows(rows, weight, labels)
            rows = rows[index]
            labels = None if labels is None else labels[index]
        likelihood = self._find_likelihood(rows, going_on)
        likelihood.check(checked)
        if X_val is not None:
            X_val = check_X_val(self, X_val, likelihood)
        task = make_task(
            self,
            rows,
            weight,
            X_val,
            blueprint=self._stored.blueprint if going_on else None,
            likelihood=likelihood,
            seed=seed_from(self.random_state),
            is_judged=True,
            continues=self.warm_start,
            labels=labels,
            labels_val=labels_val,
        )
        context = self._init_callback_context(max_subtasks=_n_subtasks(task))
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        hooks = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        context.call_on_fit_task_begin(**hooks)
        learned = self._learn(task, going_on, Reporter(self, task, context, hooks))
        self._report(task, learned)
        self._adopt(self._attributes(task, learned))
        context.call_on_fit_task_end(**hooks, reconstruction_attributes=dict)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one epoch on some of the rows of a stream.

        The start is that of the first call's rows (of the first few calls', until
        there are ``n_components`` of them) and stays; each call goes through its rows
        once, with the optimizer as the last call left it. Nothing is held out, and
        nothing is judged.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows of the stream.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            How many times each row counts.

        Returns
        -------
        self : object
            The estimator, fitted once enough rows were seen.
        """
        with self._unchanged_on_error():
            return self._partial_fit(X, sample_weight)

    def _partial_fit(self, X, sample_weight):
        going_on = hasattr(self, "_stored")
        is_first = not (going_on or hasattr(self, "_waiting"))
        X, weight = check_rows(self, X, sample_weight, reset=is_first, fewest=1)
        if not going_on:
            X, weight = self._with_waiting(X, weight)
            if X.shape[0] < max(2, np.ceil(self.n_components)):
                self._waiting = X, weight
                return self
            check_n_components(self, X)
        rows, weight = merge_rows(X, weight)
        likelihood = self._find_likelihood(rows, going_on)
        likelihood.check(X)
        task = make_task(
            self,
            rows,
            weight,
            blueprint=self._stored.blueprint if going_on else None,
            likelihood=likelihood,
            seed=seed_from(self.random_state),
            is_judged=False,
            continues=True,
        )
        task = replace(task, settings=task.settings.for_one_epoch())
        learned = self._learn(task, going_on, None)
        attributes = self._attributes(task, learned)
        if going_on:
            attributes["loss_curve_"] = self.loss_curve_ + attributes["loss_curve_"]
            attributes["n_iter_"] += self.n_iter_
            attributes["start_loss_"] = self.start_loss_
        self._adopt(attributes)
        return self

    def _with_waiting(self, X, weight):
        """Rows of earlier calls, too few to start from, with those of this one."""
        if not hasattr(self, "_waiting"):
            return X, weight
        earlier, earlier_weight = self._waiting
        earlier, X = as_array(earlier), as_array(X)
        if sp.issparse(earlier) or sp.issparse(X):
            rows = sp.vstack([sp.csr_array(earlier), sp.csr_array(X)], format="csr")
        else:
            rows = np.vstack([earlier, X])
        return rows, np.append(earlier_weight, weight)

    def _find_labels(self, y, weight, X_val, y_val, going_on):
        """Find numbers of the classes of X and of X_val; None where y is ignored."""
        return None, None

    def _find_likelihood(self, X, going_on):
        """Say what the rows are taken to be."""
        if going_on:
            return self.likelihood_
        likelihood = resolve_likelihood(self, as_array(X))
        if self.verbose and isinstance(self.likelihood, str):
            print(f"[{type(self).__name__}] likelihood: {likelihood}")
        return likelihood

    def _learn(self, task, going_on, reporter):
        with _stream_of_factories(task):
            if not going_on:
                return learn(task, observer=reporter)
            # Training changes a model in place; an error must not.
            model = copy.deepcopy(self._stored).module
            state = to_tensors(self._training)
            return resume(task, model, self._start, state, observer=reporter)

    def _count_passes(self, n_judges):
        """Say how often to walk through the rows that judge for one loss."""
        return 1

    # ------------------------------------------------------- what fit leaves behind

    def _attributes(self, task, learned):
        """Everything that makes a fitted copy, by name."""
        model, maps, result = learned.model, learned.maps, learned.result
        attributes = {
            "n_components_": task.blueprint.n_components,
            "n_iter_": learned.n_epochs,
            "mean_": maps.mean,
            "loss_curve_": list(result.loss_curve),
            "validation_loss_curve_": list(result.validation_curve),
            "start_loss_": learned.start_loss,
            "best_loss_": result.best_loss,
            "_stored": StoredModule(task.blueprint, str(self.device), model),
            "_start": maps,
            "_training": to_arrays(result.state) if task.continues else {},
        }
        if hasattr(model.likelihood, "noise_variance"):
            attributes["noise_variance_"] = model.likelihood.noise_variance
        return attributes

    def _adopt(self, attributes):
        """Become fitted."""
        for name, value in attributes.items():
            setattr(self, name, value)
        self.__dict__.pop("_waiting", None)

    def _report(self, task, learned):
        """Say what the user should know about a training."""
        result = learned.result
        if result.interrupted:
            warnings.warn(
                "Training interrupted by user: the best weights so far are kept.",
                stacklevel=5,
            )
        if result.diverged:
            warnings.warn(
                "Training diverged even at small steps, and the best weights before "
                "that are kept; use a smaller learning_rate_init.",
                ConvergenceWarning,
                stacklevel=5,
            )
        if self.verbose and task.trains and result.best_epoch == 0:
            print(f"[{type(self).__name__}] Training did not improve on the start.")

    @property
    def module_(self):
        """The fitted network, an ``nn.Module`` on rows measured from ``mean_``."""
        check_is_fitted(self)
        return self._stored.module

    @property
    def likelihood_(self):
        """The likelihood that was fitted, with its columns by number."""
        check_is_fitted(self)
        return self._stored.blueprint.likelihood

    @property
    def device_(self):
        """Device on which ``module_`` is now."""
        return next(self.module_.buffers()).device

    @property
    def _n_features_out(self):
        return self.n_components_

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_stored")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self):
        # A device is where a machine has it; its name travels.
        return super().__getstate__() | {"device": str(self.device)}

    def __setstate__(self, state):
        super().__setstate__(state)
        check_opened(self)

    # ------------------------------------------------------------ rows in, rows out

    def transform(self, X):
        """Give rows their codes.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to encode.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            A code for each row.
        """
        X = self._check_fitted_X(X)
        return self._map(X, self.module_.encode)

    def inverse_transform(self, X):
        """Decode rows from their codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows that were fitted.
        """
        check_is_fitted(self)
        codes = _as_asked(check_codes(X))
        if codes.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {codes.shape[1]} columns, but {type(self).__name__} gives rows "
                f"{self.n_components_} codes: pass what transform returned."
            )
        rows = map_blocks(self.module_.decode, codes, 0, self.device_)
        return self._as_rows(self._restored(rows), X)

    def reconstruct(self, X):
        """Encode and decode rows in one pass.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to encode.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows.
        """
        rows = self._map(self._check_fitted_X(X), self.module_)
        return self._as_rows(self._restored(rows), X)

    def sample(self, n_samples=1, *, noise=True, random_state=None):
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        noise : bool, default=True
            Whether rows are drawn from the likelihood about what their code decodes
            to, or are what it decodes to.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows that were fitted.
        """
        check_is_fitted(self)
        n_samples = check_scalar(n_samples, "n_samples", numbers.Integral, min_val=1)
        seed = seed_from(random_state)
        codes = self._draw_codes(n_samples, np.random.RandomState(seed))
        return self._decode_drawn(codes, noise, seed)

    def _decode_drawn(self, codes, noise, seed):
        """Make rows of codes, drawn from the likelihood if asked."""
        model = self.module_
        generator = generator_from(seed)

        def decode(z):
            eta = model.decoder(z)
            if noise:
                return model.likelihood.sample(eta, generator)
            return model.likelihood.mean(eta)

        rows = map_blocks(decode, codes, 0, self.device_)
        return self._as_rows(self._restored(rows), codes)

    @property
    def _origin(self):
        """What rows are measured from."""
        return self.likelihood_.origin(self.mean_)

    def _check_fitted_X(self, X):
        check_is_fitted(self)
        X = check_X(self, X)
        self.likelihood_.check(as_array(X))
        return _as_asked(X)

    def _restored(self, rows):
        """Measure rows from zero again."""
        origin = self._origin.astype(floating_type(rows))
        if isinstance(rows, torch.Tensor):
            origin = torch.from_numpy(origin).to(rows.device)
        return rows + origin

    def _as_rows(self, rows, original):
        """Follow ``set_output`` with the names of the input's columns."""
        names = check_feature_names_in(self, None, generate_names=True)
        return to_output_container(rows, original, self, names)

    def _map(self, X, function):
        """Apply a function to rows, measured from the origin."""
        self.module_.eval()
        return map_blocks(function, X, self._origin, self.device_)


def _as_asked(X):
    """Leave tensors as they are only where ``array_api_dispatch`` is on."""
    return X if get_config()["array_api_dispatch"] else as_array(X)


def _n_subtasks(task):
    """Largest number of epochs that a task can take."""
    if not task.trains:
        return 0
    has_refit = task.n_validation > 0 and not task.continues
    return task.settings.max_iter * (2 if has_refit else 1)


@contextmanager
def _stream_of_factories(task):
    """Fork torch's global stream for modules of the user's, which may draw from it."""
    blueprint = task.blueprint
    if hasattr(blueprint.encoder, "build") and hasattr(blueprint.decoder, "build"):
        yield
    else:
        with forked_stream(task.seed, task.device):
            yield
