"""How both estimators are fitted: the template of ``fit`` and ``partial_fit``."""

import copy
import math
import zlib

import numpy as np
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if

from skae._sklearn import fit_context
from skae.device import made_on_cpu, seed_from
from skae.fitting.coordinates import carry_out
from skae.fitting.learning import most_epochs, resume
from skae.fitting.planning import continued_task, make_task
from skae.fitting.significance import CONFIDENCE
from skae.fitting.specs import resolve_likelihood
from skae.fitting.task import FEWEST_ROWS, Occasion
from skae.rows import as_array, stacked
from skae.start.maps import SMALLEST_DEVIATION
from skae.weighted import WeightedSet

from .checking import check_fitted_values, check_rows, check_values, check_X_val
from .continuing import check_goes_on, check_same_likelihood
from .fitted import FittedCodes
from .parameters import (
    PARAMETER_CONSTRAINTS,
    check_n_components,
    refuse_auto_components,
)
from .reporting import Reporter, report_ctrl_c, say, warn
from .state import FittedState
from .storage import StoredModule, to_arrays, to_tensors

__all__ = ["BaseAutoencoder"]

# Without weights, sets of more rows than this are taken as they come: merging and
# sorting them would cost more than it gives.
CANONICAL_ROWS = 10_000

# So many rows of a stream, its last ones, say how codes vary and what the noise is.
REMEMBERED_ROWS = 100


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
            self._report(task, learned)
            self._adopt(self._outcome(task, learned))
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
        given = WeightedSet(checked, weight, self._find_labels(y, weight))
        rows = _merged(given, sample_weight)
        likelihood = self._find_likelihood(rows, given, X)
        judges = self._find_judges(X_val, y_val, likelihood)
        occasion = Occasion.RESUMABLE if self.warm_start else Occasion.WHOLE
        return self._task_of(rows, judges, likelihood, occasion)

    def _task_of(self, rows, judges, likelihood, occasion):
        """Say what rows are to teach the model that is there, or one made anew."""
        if self._goes_on:
            blueprint = self._stored.blueprint
            return continued_task(self, blueprint, rows, judges, occasion=occasion)
        return make_task(
            self,
            rows,
            judges,
            likelihood=likelihood,
            seed=seed_from(self.random_state),
            occasion=occasion,
        )

    def _takes_parts(self):
        """Whether rows may come one part at a time."""
        return True

    @available_if(lambda self: self._takes_parts())
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one epoch on some of the rows of a stream.

        The start is that of the first call's rows and stays. Where these are fewer
        than 10, or than 2 more than twice ``n_components``, further calls begin anew
        with theirs besides, until there are so many. Each call goes through its rows
        once, with the optimizer as the last call left it; after a ``fit`` that trained
        and kept none, by a solver with a name, ``learning_rate_init="auto"`` is a fifth
        of what it was, as where a fit ends. Nothing is held out, and nothing is judged.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows of the stream.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            How many times each row counts among those of this call, each of which is
            of the same number of steps.

        Returns
        -------
        self : object
            The estimator, fitted once enough rows were seen.
        """
        with self._unchanged_on_error(), made_on_cpu():
            return self._partial_fit(X, sample_weight)

    def _partial_fit(self, X, sample_weight):
        refuse_auto_components(self)
        given = self._check_part(X, sample_weight)
        if not self._goes_on and len(given) < max(2, np.ceil(self.n_components)):
            likelihood = resolve_likelihood(self, given, X)
            check_values(self, likelihood, given.X, given.weight)
            self._waiting = _set_aside(given)
            return self
        task = self._plan_part(given, X, sample_weight)
        learned = self._learn(task, None)
        if learned.result.interrupted:
            raise KeyboardInterrupt  # the loop that calls this is to end
        self._report(task, learned)
        attributes = self._outcome(task, learned)
        attributes["_after_fit"] = self._goes_on_after_fit()
        if self._goes_on:
            attributes = self._with_earlier(attributes)
        elif len(task.rows) < max(FEWEST_ROWS, 2 * task.blueprint.n_components + 2):
            attributes["_waiting"] = _set_aside(task.rows)
        self._adopt(attributes)
        if self.verbose and learned.n_epochs:
            say(self, f"Epoch {self.n_iter_}, loss = {self.loss_curve_[-1]:.6g}")
        return self

    def _check_part(self, X, sample_weight):
        """Check rows of a stream; they come below those that wait for them."""
        is_waiting = hasattr(self, "_waiting")
        is_first = not (self._goes_on or is_waiting)
        X, weight = check_rows(self, X, sample_weight, reset=is_first, fewest=1)
        if is_waiting:
            earlier, earlier_weight = self._waiting
            X, weight = stacked(earlier, X), np.append(earlier_weight, weight)
        return WeightedSet(X, weight)

    def _plan_part(self, given, X, sample_weight):
        """Say what is to be learned from rows of a stream: in an epoch, unjudged."""
        if self._goes_on:
            check_goes_on(self, self._stored.blueprint)
        else:
            check_n_components(self, given.X)
        rows = _merged(given, sample_weight)
        likelihood = self._find_likelihood(rows, given, X)
        after_fit = self._goes_on_after_fit()
        occasion = Occasion.PART_AFTER_FIT if after_fit else Occasion.PART
        return self._task_of(rows, None, likelihood, occasion)

    def _goes_on_after_fit(self):
        """Say whether a stream follows a fit that trained, and left no optimizer.

        Such a fit has ended by small steps; large ones would undo what it found.
        """
        if not self._goes_on:
            return False
        by_small_steps = self.best_epoch_ > 0 and not self._training
        return getattr(self, "_after_fit", by_small_steps)

    def _with_earlier(self, attributes):
        """Join what a call of a stream gave to what the calls before it did."""
        best_epoch = len(self.loss_curve_) + attributes["best_epoch_"]
        if not attributes["best_epoch_"]:  # its epoch diverged
            best_epoch = self.best_epoch_
        return attributes | {
            "best_epoch_": best_epoch,
            "loss_curve_": self.loss_curve_ + attributes["loss_curve_"],
            "n_iter_": self.n_iter_ + attributes["n_iter_"],
            "validation_loss_curve_": self.validation_loss_curve_,
            "start_loss_": self.start_loss_,
            "_n_seen": self._n_seen + attributes["_n_seen"],
        }

    def _share_of(self, n_rows):
        """Share that so many new rows have in means over the last ones of a stream.

        A model moves, and what it made of rows long ago is forgotten.
        """
        n_before = min(self._n_seen, max(REMEMBERED_ROWS - n_rows, 0))
        return n_rows / (n_before + n_rows)

    def _find_labels(self, y, weight):
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
        if self.verbose and isinstance(self.likelihood, str):
            say(self, f"likelihood: {likelihood}")
        check_values(self, likelihood, given.X, given.weight)
        return likelihood

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
            "_n_seen": float(task.rows.weight.sum())
            if task.occasion.of_stream
            else maps.n_rows,
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
        result = learned.result
        if result.interrupted:
            report_ctrl_c()
        if result.diverged:
            warn(_of_divergence(task, learned), ConvergenceWarning)
        if learned.pca_loss is not None and result.best_loss > learned.pca_loss:
            warn(
                f"On the rows held out the network's loss is {result.best_loss:.4g}, "
                f"and that of PCA {learned.pca_loss:.4g}: start there by init='pca', "
                "or train longer.",
                ConvergenceWarning,
            )
        if self.verbose and learned.is_start:
            say(self, _of_start(task, learned))


def _merged(given, sample_weight):
    """Merge equal rows, and put them in canonical order, where it is worth its price.

    Rows that wait for others of a stream have weights even if those have none.
    """
    if sample_weight is None and len(given) > CANONICAL_ROWS:
        return given.present()
    return given.distinct()


def _of_start(task, learned):
    """Say why the start is what was found."""
    if learned.n_epochs or learned.result.interrupted:
        return _of_judgement(learned.judged_loss, learned.start_loss)
    if task.trains:
        return "PCA leaves no more than rounding: this is the start."
    n_rows = len(task.rows)
    if task.n_validation and n_rows < FEWEST_ROWS:
        return f"{n_rows} distinct rows are too few to judge by: this is the start."
    return "Nothing was to be trained: this is the start."


def _of_judgement(judged, start):
    """Say why what training gave was not kept, by its loss and that of the start.

    It was judged as it would be used, its last layer solved and codes refined: not by
    the loss of any epoch.
    """
    if judged is None:
        return "No epoch was kept: this is the start."
    if not judged < start:
        return (
            "No epoch was better for the rows that judge than the start, which is kept."
        )
    return (
        f"It is not sure at {CONFIDENCE:.0%} that the network as it would be used "
        f"(validation loss {judged:.4g}) is better than the start ({start:.4g}), which "
        "is kept."
    )


def _set_aside(rows):
    """Copy rows and weights: what was given is the user's to refill."""
    return as_array(rows.X)[:].copy(), rows.weight.copy()


def _of_divergence(task, learned):
    """Say why a training diverged, and what to do."""
    variance, held = learned.maps.variance.sum(), np.finfo(np.float32)
    smallest = held.tiny if task.blueprint.units == "one" else SMALLEST_DEVIATION**2
    if not smallest < variance < held.max:
        return (
            "Nothing was learned beyond the start: rows deviate by "
            f"{variance**0.5:.1g}, whose square float32 cannot hold; rescale them, as "
            "by a StandardScaler."
        )
    return (
        "Training diverged even at small steps, and the best weights before that are "
        "kept; use a smaller learning_rate_init."
    )
