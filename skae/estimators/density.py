"""How a variational autoencoder is fitted: classes, posteriors, priors of the codes."""

from functools import partial

import numpy as np
import torch
from sklearn.callback import with_callbacks
from sklearn.exceptions import ConvergenceWarning

from skae._sklearn import fit_context
from skae.densities.limits import MAX_CODES, representatives
from skae.device import generator_from, made_on_cpu
from skae.normal import noise_like
from skae.priors import AggregatePosterior
from skae.rows import as_array

from .classes import check_classes, number_classes
from .fitted_density import FittedDensity
from .inference import map_blocks
from .reporting import warn
from .streams import StreamedAutoencoder

__all__ = ["BaseDensity"]


class BaseDensity(FittedDensity, StreamedAutoencoder):
    """A variational autoencoder, and how what it answers is fitted."""

    _is_variational = True

    _hidden_state = (
        *StreamedAutoencoder._hidden_state,
        "_code_mean",
        "_code_square",
        "_prior_codes",
    )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = bool(self.conditional)
        return tags

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None, X_val=None, y_val=None):
        """Fit the model to rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Training rows.

        y : array-like of shape (n_samples,), default=None
            Class of each row, with ``conditional=True``; else ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            How many times each row counts: a weight of 3 is the same as three copies
            of the row, a weight of 0 as its absence. So it is up to 10,000 rows, and
            of more where the copies have weights, too; without, they are not merged.
            Of rows that are merged, ``"auto"`` counts the distinct ones. Weights that
            are shares of a whole say that one row was seen in all; multiply them by the
            number of rows.

        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), \
                default=None
            Rows that judge when to stop, in place of a share of X; they do so with
            ``early_stopping=False``, too. A Pipeline hands them on as they are: give
            them as the steps before would hand them on, or have those transform them,
            by the Pipeline's ``transform_input=["X_val"]`` and
            ``set_fit_request(X_val=True)`` here.

        y_val : array-like of shape (n_validation,), default=None
            Their classes, with ``conditional=True``; else ignored, as y is. Without
            X_val they are refused.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with self._unchanged_on_error(), made_on_cpu():
            return self._fit(X, y, sample_weight, X_val, y_val)

    def _takes_parts(self):
        # What is neither is refused, with its name, where parameters are checked.
        if self.conditional and isinstance(self.conditional, bool | np.bool_):
            raise AttributeError(
                "conditional=True needs all classes at once; use fit in place of "
                "partial_fit, or conditional=False."
            )
        return super()._takes_parts()

    def _learn_classes(self, y, weight):
        if not self.conditional:
            return None
        if not self._goes_on:
            self.classes_ = np.unique(check_classes(y, "y", len(weight), weight > 0))
        return self._labels_of(y, weight)

    def _find_labels_of_judges(self, X_val, y_val):
        if X_val is None and y_val is not None:
            raise ValueError("y_val: pass X_val too, the rows whose classes these are.")
        if X_val is None or not self.conditional:
            return None
        return number_classes(y_val, "y_val", X_val.shape[0], self.classes_)

    def _attributes(self, task, learned):
        weight = task.rows.weight
        chosen = representatives(weight)
        _, rows = np.unique(chosen, return_inverse=True)
        means, divergences, codes = self._inferred(task, learned, chosen)
        share = np.full(len(chosen), 1 / len(chosen))
        stand_for = np.bincount(chosen, minlength=len(weight))
        # Where those chosen stand for the others only roughly, all are averaged.
        if len(weight) <= MAX_CODES and not np.array_equal(stand_for, weight):
            means, divergences, _ = self._inferred(task, learned, task.everything)
            share = weight / weight.sum()
        return super()._attributes(task, learned) | {
            "kl_per_component_": share @ divergences,
            "_code_mean": share @ means,
            "_code_square": share @ np.square(means),
            "_prior_codes": (codes, rows) if self._has_prior_to_fit(task) else None,
        }

    def _with_earlier(self, task, attributes):
        joined = super()._with_earlier(task, attributes)
        share = self._share_of(task)
        for name in ("kl_per_component_", "_code_mean", "_code_square"):
            before = getattr(self, name)
            joined[name] = before + (attributes[name] - before) * share
        return joined

    def _has_prior_to_fit(self, task):
        """Whether Gaussians of the codes are to be the prior.

        By themselves they are after a training only: the start is probabilistic PCA.
        """
        is_kind = isinstance(task.blueprint.variational.prior, AggregatePosterior)
        is_asked_for = task.trains or self.prior != "auto"
        return is_kind and is_asked_for and not task.occasion.of_stream

    def _copy_to_train(self):
        """Copy the model, Gaussians of its codes set aside: they follow a training."""
        model = super()._copy_to_train()
        if isinstance(self._stored.blueprint.variational.prior, AggregatePosterior):
            model.prior.fit([], n_codes=1)
        return model

    def _inferred(self, task, learned, index):
        """Posteriors of some training rows, by their numbers.

        Their means, their divergences from the standard normal, and a draw of each;
        the latter two of the code about its class, where there are any. Of rows that
        stand for draws they are those of a draw.
        """
        rows = task.rows.take(index)
        model, origin = learned.model, task.origin(learned.maps)
        generator = generator_from(task.seed, task.device)
        labels = np.zeros(len(rows)) if rows.labels is None else rows.labels
        inferred = np.empty((3, len(rows), task.blueprint.n_components))

        def infer(given, x):
            x = model.likelihood.drawn(x, generator)
            posterior = given.posterior(x)
            mean = posterior.mean if given is model else model.encode(x)
            draw = posterior.at(noise_like(mean, generator))
            return torch.stack([mean, posterior.divergences(), draw], dim=1)

        for number in np.unique(labels):
            given = model if rows.labels is None else model.given_class(number)
            own = np.flatnonzero(labels == number)
            X = rows.take(own).X
            of_class = map_blocks(partial(infer, given), X, origin, task.device)
            inferred[:, own] = as_array(of_class).swapaxes(0, 1)
        return inferred

    def _report(self, task, learned):
        super()._report(task, learned)
        silent = np.flatnonzero(~self.active_components_)
        if silent.size > 0:
            warn(
                f"Components {silent.tolist()} are the same for every row: their "
                "posterior has collapsed to the prior, or the rows do not vary in so "
                "many directions. Use a smaller beta, free_bits or a longer kl_warmup, "
                "or fewer n_components.",
                ConvergenceWarning,
            )
