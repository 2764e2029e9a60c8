"""What a variational autoencoder answers once fitted: codes, densities, draws."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skae.densities.codes import fit_code_mixture
from skae.device import generator_from, limited_threads, made_on_cpu, seed_from
from skae.integers import check_count
from skae.models.draws import MOST_ROWS, draw_table
from skae.models.evidence import EvidenceBound
from skae.models.row_density import RowDensity
from skae.models.start_density import StartDensity
from skae.rows import as_array, take_rows

from .classes import ToldClasses
from .parameters import check_flag

__all__ = ["FittedDensity"]

# A component is active if the means of its posteriors vary by more than this share of
# the prior's variance (Burda, Grosse & Salakhutdinov, 2016).
LEAST_ACTIVITY = 0.01

# Numbers that the posteriors of some rows, or draws from them, may take at a time.
DRAWN_NUMBERS = 2**22


class FittedDensity(ToldClasses):
    """Codes with a posterior, and rows with a likelihood, once there is a module.

    ``fit`` is a subclass's. It leaves, beside what :class:`ToldClasses` has, the start
    and the number of rows seen, moments of the codes, and the draws of them to which a
    prior is yet to be fitted.
    """

    # return_std changes what is returned; a Pipeline must not route it.
    __metadata_request__transform = {"return_std": UNUSED}

    @property
    def active_components_(self):
        """Which components vary with the rows, as a mask."""
        check_is_fitted(self)
        return self._code_square - self._code_mean**2 > LEAST_ACTIVITY

    # ------------------------------------------------------------ rows in, rows out

    def transform(self, X, return_std=False):
        """Give rows the means of their codes' posterior.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to encode.

        return_std : bool, default=False
            Whether to return the standard deviations too.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_components)
            A data frame where ``set_output`` asks for one.

        std : ndarray of shape (n_samples, n_components)
            Only with ``return_std=True``.
        """
        X, model = self._check_fitted_X(X), self._stored.module
        if not check_flag(return_std, "return_std"):
            return self._map(X, model.encode)

        def mean_and_std(x):
            posterior = model.posterior(x)
            return torch.stack([posterior.mean, posterior.std], dim=1)

        both = self._map(X, mean_and_std)
        return both[:, 0], both[:, 1]

    def inverse_transform(self, X, y=None):
        """Decode rows from their codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        y : class or array-like of shape (n_samples,), default=None
            With ``conditional=True``, the class of all rows or of each. None is the
            average over the classes that a code may have.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows that were fitted. Counts with a size per row come
            back with the mean size, which is not in their codes; ``reconstruct`` gives
            each row its own. A data frame where ``set_output`` asks for one.
        """
        if y is None:
            return super().inverse_transform(X)
        codes = self._check_fitted_codes(X)
        labels = self._numbers_of(y, "y", len(codes))
        decode = self._stored.module.decode_given
        rows = self._decoded(decode, codes, beside=labels[:, None])
        return self._as_rows(self._restored(rows), X)

    def reconstruct(self, X, y=None, as_y=None):
        """Encode and decode rows in one pass.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to encode.

        y : class or array-like of shape (n_samples,), default=None
            With ``conditional=True``, the class of all rows or of each. None is the
            average over the classes that the code of a row may have.

        as_y : class or array-like of shape (n_samples,), default=None
            The class as whose rows they come back, which have its mean and spread in
            place of those of their own class ``y``. None is their own.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows. A data frame where ``set_output`` asks for one.
        """
        if y is None and as_y is None:
            return super().reconstruct(X)
        rows = self._check_fitted_X(X)
        if y is None:
            raise ValueError("as_y: pass y too, the classes that the rows have.")
        labels = self._numbers_of(y, "y", rows.shape[0])
        others = labels if as_y is None else self._numbers_of(as_y, "as_y", len(labels))
        beside = np.column_stack([labels, others])
        rows = self._map(rows, self._stored.module.carry, beside=beside)
        return self._as_rows(self._restored(rows), X)

    def sample_posterior(self, X, n_samples=1, random_state=None):
        """Draw codes from the posterior of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_rows, n_features)
            Rows to encode.

        n_samples : int, default=1
            Draws for each row.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_rows, n_samples, n_components)
        """
        n_samples = check_count(n_samples, "n_samples")
        X, model = self._check_fitted_X(X), self._stored.module
        drawn = np.random.RandomState(seed_from(random_state))
        told = self._map(X, model.statistics)
        statistics = told if isinstance(told, torch.Tensor) else torch.from_numpy(told)
        k = self.n_components_
        codes = statistics.new_empty(len(statistics), n_samples, k)
        size = max(1, DRAWN_NUMBERS // (k * max(k, n_samples)))
        with torch.no_grad(), torch.autocast(statistics.device.type, enabled=False):
            for some, own in zip(
                statistics.split(size), codes.split(size), strict=True
            ):
                noise = torch.from_numpy(drawn.standard_normal(own.shape)).to(own)
                own.copy_(model.posterior_of(some).each_draw().at(noise))
        return codes if statistics is told else as_array(codes)

    def score_samples(self, X):
        """Log-likelihood of each row.

        The importance-weighted bound with ``n_score_samples`` draws about where the
        posterior of the row is highest (:mod:`skae.models.evidence`), from one fixed
        quasi-random table shared by all rows: the same row has the same score.
        It is somewhat low, and may be below :meth:`elbo`, where the posterior has a
        peak that is narrower than the rest of it.
        With a Gaussian likelihood the start, probabilistic PCA or factor analysis, has
        the share of one row in the density, which bounds what a row far from all
        others can cost; ``sample`` draws from the rest of it.
        With ``conditional=True`` the classes that a row may have are summed over, by
        their shares.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            In nats, in the units of the rows.
        """
        rows = self._check_fitted_X(X)
        return self._map_dear(rows, self._row_density().log_prob)

    def _row_density(self):
        """Density of rows, in which the start has a share where it is exact.

        Where nothing was trained the density is that of the start.
        """
        blueprint = self._stored.blueprint
        n_draws = check_count(self.n_score_samples, "n_score_samples")
        draws = draw_table(n_draws, self.n_components_, blueprint.seed)
        model, start = self._with_prior(), None
        # A fit that goes on may be ended in its first epoch.
        is_start = self.n_iter_ == 0 and not model.encoder.is_limited
        if blueprint.starts_exact and not is_start:
            has_column_noise = blueprint.likelihood.has_column_noise
            start = StartDensity(model, self._start, has_column_noise=has_column_noise)
        return RowDensity(model, draws, start, self._n_seen)

    def _map_dear(self, X, function):
        """Apply a function of draws to rows, no more at once than it looks at."""
        return self._map(X, function, most_rows=MOST_ROWS)

    def score(self, X, y=None, sample_weight=None):
        """Mean log-likelihood of rows; the mean of :meth:`score_samples`.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to score.

        y : array-like of shape (n_samples,), default=None
            With ``conditional=True`` the classes of the rows, given which they are
            scored: log p(x | y), above log p(x) by up to the entropy of the classes.
            Else ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            How many times each row counts.

        Returns
        -------
        float
            In nats per row.
        """
        rows = self._check_weighted_X(X, sample_weight)
        if y is not None and self._is_conditional:
            rows = replace(rows, labels=self._labels_of(y, rows.weight))
        rows = rows.present()
        if rows.labels is None:
            scores = as_array(self._map_dear(rows.X, self._row_density().log_prob))
        else:
            scores = self._score_given(rows.X, rows.labels)
        return float(np.average(scores.astype(np.float64), weights=rows.weight))

    def _score_given(self, X, labels):
        """Log-likelihood of each row given the number of its class."""
        density, scores = self._row_density(), np.empty(len(labels))
        for number in np.unique(labels):
            own = np.flatnonzero(labels == number)
            log_prob = partial(density.log_prob_given, number=number)
            scores[own] = as_array(self._map_dear(take_rows(X, own), log_prob))
        return scores

    def elbo(self, X):
        """Evidence lower bound of each row, by the encoder's posterior, in its terms.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        EvidenceBound
            A named tuple with ``reconstruction`` and ``kl``, each an ndarray of shape
            (n_samples,), by ``n_score_samples`` draws; its attribute ``total`` is their
            difference, and at most the model's log-likelihood but for the error of the
            draws; it may exceed what :meth:`score_samples` finds of that. ``kl`` is
            measured from the prior as it is fitted, not from the standard normal as
            ``kl_per_component_`` is. With ``conditional=True`` the class is part of the
            code, and the bound is at its best in it.
        """
        rows = self._check_fitted_X(X)
        terms = self._map_dear(rows, self._row_density().bound_terms)
        return EvidenceBound(terms[:, 0], terms[:, 1])

    @made_on_cpu()
    def sample(self, n_samples=1, *, y=None, noise=True, random_state=None):
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        y : class or array-like of shape (n_samples,), default=None
            With ``conditional=True``, the class of all rows or of each. None draws
            classes by their shares.

        noise : bool, default=True
            Whether rows are drawn from the likelihood about what their code decodes
            to, or are what it decodes to.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows that were fitted. A data frame where ``set_output``
            asks for one.
        """
        check_is_fitted(self)
        if not self._is_conditional:
            if y is not None:
                self._check_has_classes("y")
            return super().sample(n_samples, noise=noise, random_state=random_state)
        n_samples = check_count(n_samples, "n_samples")
        noise = check_flag(noise, "noise")
        seed = seed_from(random_state)
        labels = self._labels_to_draw(y, n_samples, seed)
        generator = generator_from(seed + 1)
        with limited_threads(1):
            coded = self._with_prior().draw_coded(torch.from_numpy(labels), generator)
        return self._decode_drawn(coded.numpy(), noise, seed)

    # ------------------------------------------------------------------------ prior

    # Draws of the codes to which a prior is yet to be fitted, and the row of each.
    _prior_codes: tuple | None = None

    def _module_that_rebuilds(self):
        """Give the module, with its prior where that tells of which class codes are."""
        if self._is_conditional:
            return self._with_prior()
        return super()._module_that_rebuilds()

    @made_on_cpu()
    def _with_prior(self):
        """Give the module, its prior fitted to the codes where it is to be.

        Threads that do so at once find the same.
        """
        check_is_fitted(self)
        module, waiting = self._stored.module, self._prior_codes
        if waiting is not None:
            codes, rows = waiting
            mixture = fit_code_mixture(codes, self._stored.blueprint.seed, rows)
            gaussians = mixture.gaussians() if mixture.gain > 0 else []
            module.prior.fit(gaussians, len(codes))
            self._prior_codes = None
        return module

    def _draw_codes(self, n_samples, random_state):
        generator = generator_from(seed_from(random_state))
        # Maps of codes are small: threads would only wait for each other.
        with limited_threads(1):
            return self._with_prior().draw_codes(n_samples, generator).numpy()
