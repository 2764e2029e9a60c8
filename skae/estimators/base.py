"""How both estimators are fitted: the template of ``fit``."""

import copy
import math
import zlib

import numpy as np
from sklearn.callback import CallbackSupportMixin, with_callbacks

from skae._sklearn import fit_context
from skae.device import made_on_cpu, seed_from
from skae.fitting.coordinates import carry_out
from skae.fitting.learning import most_epochs, resume
from skae.fitting.planning import continued_task, make_task
from skae.fitting.specs import resolve_likelihood
from skae.fitting.task import Occasion
from skae.integers import is_integer
from skae.weighted import WeightedSet

from .checking import check_fitted_values, check_rows, check_values, check_X_val
from .continuing import check_goes_on, check_same_likelihood
from .fitted import FittedCodes
from .parameters import (
    PARAMETER_CONSTRAINTS,
    check_n_components,
)
from .reporting import Reporter, report, say
from .state import FittedState
from .storage import StoredModule, to_arrays, to_tensors

__all__ = ["BaseAutoencoder"]


class BaseAutoencoder(CallbackSupportMixin, FittedState, FittedCodes):
    """Template of an estimator that learns a code for rows.

    A subclass says whether a code is a distribution, what else its parameters are, and
    what its scores mean.
    """

    _parameter_constraints: dict = PARAMETER_CONSTRAINTS

    _hidden_state: tuple[str, ...] = (
        "_stored",
        "_start",
        "_training",
        "_n_seen",
        "_after_fit",
        "_waiting",
    )

    # Whether a code is a distribution, with a prior and an objective of its own.
    _is_variational = False

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
            of the row, a weight of 0 as its absence. So it is up to 10,000 rows, and
            of more where the copies have weights, too; without, they are not merged.
            Of rows that are merged, ``"auto"`` counts the distinct ones.

        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), \
                default=None
            Rows that judge when to stop, in place of a share of X; they do so with
            ``early_stopping=False``, too. A Pipeline hands them on as they are: give
            them as the steps before would hand them on, or have those transform them,
            by the Pipeline's ``transform_input=["X_val"]`` and
            ``set_fit_request(X_val=True)`` here.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with self._unchanged_on_error(), made_on_cpu():
            return self._fit(X, y, sample_weight, X_val)

    @property
    def _goes_on(self):
        """Whether the model that is there is to be trained further.

        One of a stream's first rows, too few, is begun anew with those that come.
        """
        return hasattr(self, "_stored") and not hasattr(self, "_waiting")

    def _fit(self, X, y, sample_weight, X_val, y_val=None):
        waiting = None
        if self.warm_start and hasattr(self, "_stored"):
            waiting = self.__dict__.pop("_waiting", None)  # of a stream's first rows
        else:
            self._forget()
        task = self._plan(X, y, sample_weight, X_val, y_val)
        context = self._init_callback_context(max_subtasks=most_epochs(task))
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        hooks = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        context.call_on_fit_task_begin(**hooks)
        if task.trains or not self._goes_on:
            learned = self._learn(task, Reporter(self, task, context, hooks))
            self._adopt(self._outcome(task, learned))
            self._report(task, learned)
        elif waiting is not None:
            self._waiting = waiting
        context.call_on_fit_task_end(**hooks, reconstruction_attributes=dict)
        return self

    def _plan(self, X, y, sample_weight, X_val, y_val):
        """Check what a fit is given, and say what is to be learned."""
        checked, weight = check_rows(self, X, sample_weight, reset=not self._goes_on)
        check_n_components(self, checked)
        if self._goes_on:
            check_goes_on(self, self._stored.blueprint)
        given = WeightedSet(checked, weight, self._learn_classes(y, weight))
        rows = given.merged(has_weights=sample_weight is not None)
        likelihood = self._find_likelihood(rows, given, X)
        self._tell_likelihood(likelihood)
        judges = self._find_judges(X_val, y_val, likelihood)
        occasion = Occasion.RESUMABLE if self.warm_start else Occasion.WHOLE
        return self._task_of(rows, judges, likelihood, occasion)

    def _task_of(self, rows, judges, likelihood, occasion):
        """Say what rows are to teach the model that is there, or one made anew."""
        if self._goes_on:
            blueprint = self._stored.blueprint
            return continued_task(self, blueprint, rows, judges, occasion=occasion)
        task = make_task(
            self,
            rows,
            judges,
            likelihood=likelihood,
            seed=seed_from(self.random_state),
            occasion=occasion,
        )
        if self.verbose and not is_integer(self.n_components):
            say(self, f"n_components: {task.blueprint.n_components}")
        return task

    def _learn_classes(self, y, weight):
        """Learn the classes of rows, and number them; None where y is ignored."""

    def _find_labels_of_judges(self, X_val, y_val):
        """Find numbers of the classes of the rows of the user's that judge."""

    def _find_judges(self, X_val, y_val, likelihood):
        """Check rows of the user's own that judge, if there are any."""
        if X_val is not None:
            X_val = check_X_val(self, X_val, likelihood)
        labels = self._find_labels_of_judges(X_val, y_val)
        if X_val is None:
            return None
        return WeightedSet(X_val, np.ones(X_val.shape[0]), labels)

    def _find_likelihood(self, rows, given, X):
        """Say what rows are taken to be, and see that those given can be that.

        A callable chooses their columns from X, which is as the user has it.
        """
        if self._goes_on:
            if not (isinstance(self.likelihood, str) and self.likelihood == "auto"):
                check_same_likelihood(self, resolve_likelihood(self, rows, X))
            check_fitted_values(self, given.X, given.weight)
            return self.likelihood_
        likelihood = resolve_likelihood(self, rows, X)
        check_values(self, likelihood, given.X, given.weight)
        return likelihood

    def _tell_likelihood(self, likelihood):
        """Say what rows are taken to be, where no spec of the user's says it."""
        if self.verbose and not self._goes_on and isinstance(self.likelihood, str):
            say(self, f"likelihood: {likelihood}")

    def _learn(self, task, reporter):
        if not self._goes_on:
            with task.forked_stream():
                return carry_out(task, observer=reporter)
        with task.forked_stream(self._n_drawn()):
            model, state = self._copy_to_train(), to_tensors(self._training)
            learned = resume(task, model, self._start, state, observer=reporter)
        if math.isfinite(self.start_loss_) and not math.isfinite(learned.start_loss):
            raise ValueError(
                "X: its values, or their squares, are beyond what float32 holds; leave "
                "those rows out."
            )
        return learned

    def _n_drawn(self):
        """Say by a number how far the random stream of the last training has come."""
        state = self._training.get("shuffle")
        return self.n_iter_ if state is None else zlib.crc32(state)

    def _copy_to_train(self):
        """Copy the model: training changes it in place, and an error must not."""
        copied = copy.deepcopy(self._stored)
        copied.device = str(self.device)  # which may be another than at the last fit
        return copied.module

    # ------------------------------------------------------- what fit leaves behind

    def _outcome(self, task, learned):
        """Finish what was learned, and list what makes a fitted copy."""
        self._finish(task, learned)
        return self._attributes(task, learned)

    def _finish(self, task, learned):
        """Add to the model what is not learned but measured."""

    def _attributes(self, task, learned):
        """Everything that makes a fitted copy of what is finished, by name."""
        model, maps, result = learned.model, learned.maps, learned.result
        attributes = {
            "n_components_": task.blueprint.n_components,
            "n_iter_": learned.n_epochs,
            "mean_": maps.mean.copy(),
            "loss_curve_": list(result.loss_curve),
            "validation_loss_curve_": list(result.validation_curve),
            "start_loss_": learned.start_loss,
            "best_loss_": result.best_loss,
            "best_epoch_": result.best_epoch,
            "_stored": StoredModule(task.blueprint, str(self.device), model),
            "_start": maps,
            "_n_seen": maps.n_rows,
            "_training": to_arrays(result.state) if task.occasion.continues else {},
        }
        if hasattr(model.likelihood, "noise_variance"):
            attributes["noise_variance_"] = model.likelihood.noise_variance
        return attributes

    def _adopt(self, attributes):
        """Become fitted."""
        for name in ("noise_variance_", "_waiting", "_after_fit"):  # not always there
            self.__dict__.pop(name, None)
        for name, value in attributes.items():
            setattr(self, name, value)

    def _report(self, task, learned):
        """Say what the user should know about a training."""
        report(self, task, learned)
