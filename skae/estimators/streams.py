"""How both estimators learn from a stream: the template of ``partial_fit``."""

import numpy as np
from sklearn import get_config
from sklearn.utils.metaestimators import available_if

from skae._sklearn import fit_context
from skae.device import made_on_cpu
from skae.fitting.specs import resolve_likelihood
from skae.fitting.task import FEWEST_ROWS, Occasion
from skae.rows import as_array, stacked
from skae.weighted import WeightedSet

from .base import BaseAutoencoder
from .checking import check_rows, check_values
from .continuing import check_goes_on
from .parameters import check_n_components, refuse_auto_components
from .reporting import say

__all__ = ["StreamedAutoencoder"]

# So many rows of a stream, its last ones, say how codes vary and what the noise is.
REMEMBERED_ROWS = 100


class StreamedAutoencoder(BaseAutoencoder):
    """Template of an estimator that may learn its rows one part at a time."""

    def _takes_parts(self):
        """Whether rows may come one part at a time."""
        return True

    @available_if(lambda self: self._takes_parts())
    @fit_context(prefer_skip_nested_validation=False)
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
        # scikit-learn looks at the parameters before the first call alone.
        if not get_config()["skip_parameter_validation"]:
            self._validate_params()
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
        attributes = self._outcome(task, learned) | {
            "_n_seen": task.rows.total,
            "_after_fit": self._goes_on_after_fit(),
        }
        if self._goes_on:
            attributes = self._with_earlier(task, attributes)
        elif len(task.rows) < max(FEWEST_ROWS, 2 * task.blueprint.n_components + 2):
            attributes["_waiting"] = _set_aside(task.rows)
        self._adopt(attributes)
        self._report(task, learned)
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
        rows = given.merged(has_weights=sample_weight is not None)
        likelihood = self._find_likelihood(rows, given, X)
        self._tell_likelihood(likelihood)
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

    def _with_earlier(self, task, attributes):
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

    def _share_of(self, task):
        """Share of a task's rows in means over the last ones of a stream.

        A model moves, and what it made of rows long ago is forgotten.
        """
        if not (task.occasion.of_stream and self._goes_on):
            return 1.0
        n_rows = task.rows.total
        n_before = min(self._n_seen, max(REMEMBERED_ROWS - n_rows, 0))
        return n_rows / (n_before + n_rows)


def _set_aside(rows):
    """Copy rows and weights: what was given is the user's to refill."""
    return as_array(rows.X)[:].copy(), rows.weight.copy()
