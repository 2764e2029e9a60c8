"""What a variational autoencoder answers about rows, as a density model."""

import numbers
import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_scalar
from sklearn.utils.metadata_routing import UNUSED

from ._base import BaseAutoencoder
from .checking import check_weight
from .densities import representatives
from .device import generator_from, seed_from
from .evidence import bound_terms, draw_table, log_likelihood
from .inference import map_blocks
from .rows import as_array, take_rows

__all__ = ["BaseDensity", "EvidenceBound"]

# Draws of the codes of the validation rows, all told, by which a loss is judged.
VALIDATION_DRAWS = 4096

# A component is active if the means of its posteriors vary by more than this share of
# the prior's variance (Burda, Grosse & Salakhutdinov, 2016).
LEAST_ACTIVITY = 0.01


class EvidenceBound(NamedTuple):
    """Terms of the evidence lower bound of each row, in nats.

    Attributes
    ----------
    reconstruction : ndarray of shape (n_samples,)
        ``E_q log p(x | z)``: how likely the row is, given what its code may be.

    kl : ndarray of shape (n_samples,)
        Divergence of ``q(z | x)`` from the prior: what the code says about the row.
    """

    reconstruction: np.ndarray
    kl: np.ndarray

    @property
    def total(self):
        """The bound on the log-likelihood."""
        return self.reconstruction - self.kl


class BaseDensity(BaseAutoencoder):
    """Codes with a posterior, and rows with a likelihood."""

    _is_variational = True

    # return_std changes what is returned; a Pipeline must not route it.
    __metadata_request__transform = {"return_std": UNUSED}

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

        std : ndarray of shape (n_samples, n_components)
            Only with ``return_std=True``.
        """
        X = self._check_fitted_X(X)
        if not return_std:
            return self._map(X, self.module_.encode)
        both = self._map(X, self._mean_and_std)
        return both[:, : self.n_components_], both[:, self.n_components_ :]

    def _mean_and_std(self, x):
        posterior = self.module_.posterior(x)
        return torch.cat([posterior.mean, posterior.std], dim=1)

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
        n_samples = check_scalar(n_samples, "n_samples", numbers.Integral, min_val=1)
        X = self._check_fitted_X(X)
        generator = generator_from(seed_from(random_state))
        shape = n_samples, self.n_components_

        def draw(x):
            posterior = self.module_.posterior(x).each_draw()
            noise = torch.randn(len(x), *shape, generator=generator)
            return posterior.at(noise.to(x)).flatten(1)

        return self._map(X, draw).reshape(-1, *shape)

    def score_samples(self, X):
        """Log-likelihood of each row.

        The importance-weighted bound with ``n_score_samples`` draws about where the
        posterior of the row is highest (:mod:`skae.evidence`). They come from one
        fixed quasi-random table shared by all rows: the same row has the same score.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            In nats, in the units of the rows.
        """
        X = self._check_fitted_X(X)
        return self._map(X, partial(log_likelihood, self.module_, draws=self._draws()))

    def _draws(self):
        """Codes of the standard normal by which rows are scored."""
        seed = self._stored.blueprint.seed
        return draw_table(self.n_score_samples, self.n_components_, seed)

    def score(self, X, y=None, sample_weight=None):
        """Mean log-likelihood of rows; the mean of :meth:`score_samples`.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to score.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            How many times each row counts.

        Returns
        -------
        float
            In nats per row.
        """
        scores = as_array(self.score_samples(X)).astype(np.float64)
        weight = check_weight(sample_weight, scores)
        return float(np.average(scores, weights=weight))

    def elbo(self, X):
        """Evidence lower bound of each row, by the encoder's posterior, in its terms.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        EvidenceBound
            Of ``reconstruction`` and ``kl``, each an ndarray of shape (n_samples,), by
            ``n_score_samples`` draws; ``total`` is their difference, and at most the
            log-likelihood but for the error of the draws.
        """
        X = self._check_fitted_X(X)
        terms = self._map(X, partial(bound_terms, self.module_, draws=self._draws()))
        return EvidenceBound(terms[:, 0], terms[:, 1])

    # ------------------------------------------------------------------ diagnostics

    @property
    def active_components_(self):
        """Which components vary with the rows, as a mask."""
        return self._activity > LEAST_ACTIVITY

    def _attributes(self, task, learned):
        chosen = representatives(task.weight)
        origin, k = task.origin(learned.maps), task.blueprint.n_components

        def inferred(x):
            posterior = learned.model.posterior(x)
            return torch.cat([posterior.mean, posterior.divergences()], dim=1)

        rows = take_rows(task.X, chosen)
        both = as_array(map_blocks(inferred, rows, origin, task.device))
        return super()._attributes(task, learned) | {
            "kl_per_component_": both[:, k:].mean(axis=0),
            "_activity": both[:, :k].var(axis=0),
        }

    def _adopt(self, attributes):
        super()._adopt(attributes)
        silent = np.flatnonzero(~self.active_components_)
        if silent.size > 0:
            warnings.warn(
                f"Components {silent.tolist()} are the same for every row: their "
                "posterior has collapsed to the prior, or the rows do not vary in so "
                "many directions. Use a smaller beta, free_bits or a longer kl_warmup, "
                "or fewer n_components.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _draw_codes(self, n_samples, random_state):
        generator = generator_from(seed_from(random_state))
        return self.module_.draw_codes(n_samples, generator).numpy()

    def _count_passes(self, n_judges):
        return min(max(VALIDATION_DRAWS // n_judges, 1), 32)
