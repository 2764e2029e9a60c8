"""Densities of codes: what ``sample`` draws from."""

import warnings
from functools import partial

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from ._sklearn import threadpool_controller

__all__ = ["MAX_CODES", "CodeMixture", "most_gaussians", "representatives"]

# Codes that an estimator keeps, to fit a density to them when it is asked for one.
MAX_CODES = 10_000

# Covariances and numbers of Gaussians that are tried; the search for the number ends
# where so many in a row have been no better.
COVARIANCES = ("full", "diag")
MIXTURE_SIZES = (1, 2, 4, 8, 16, 32)
PATIENCE = 2

# A Gaussian is supported by at least so many codes per free parameter of its mean.
CODES_PER_GAUSSIAN = 5

# Parts of the codes that are held out in turn; fewest and most codes with which that is
# done.
FOLDS = 3
FEWEST_CODES, ENOUGH_CODES = 10, 3000

# Searches for Gaussians, each from centres of its own, of which the likeliest is kept:
# one alone often ends far below the others.
SEARCHES = 5

LOG_2PI = np.log(2 * np.pi)


# scikit-learn's mixture begins by k-means, which takes arrays alone.
on_arrays = partial(config_context, array_api_dispatch=False)


def most_gaussians(n_components, n_codes=MAX_CODES):
    """Largest number of Gaussians that are fitted to so many codes."""
    supported = n_codes // (CODES_PER_GAUSSIAN * n_components)
    return max(size for size in MIXTURE_SIZES if size <= max(1, supported))


def representatives(weight):
    """Numbers of at most ``MAX_CODES`` rows that stand for weighted ones.

    Integer weights repeat a row; otherwise, and beyond the limit, rows are taken at
    equal steps of the cumulated weight.
    """
    total = weight.sum()
    if total <= MAX_CODES and np.all(weight == np.round(weight)):
        return np.repeat(np.arange(len(weight)), weight.astype(int))
    marks = (np.arange(MAX_CODES) + 0.5) * (total / MAX_CODES)
    return np.minimum(np.searchsorted(np.cumsum(weight), marks), len(weight) - 1)


class CodeMixture:
    """scikit-learn's GaussianMixture on standardised codes, chosen by codes held out.

    Their density counts as if one code more had been seen, the standard normal's: a
    single far one does not decide.

    Parameters
    ----------
    codes : ndarray of shape (n_codes, n_components)

    seed : int
        Of the folds, and of the mixture's initialisation.

    rows : ndarray of int of shape (n_codes,), default=None
        Number of the row that each code is of; those of one row are held out together.
        None takes equal codes for those of one row.

    Attributes
    ----------
    mixture_ : GaussianMixture
        Fitted to the codes divided by ``scale_``, about ``mean_``.

    held_out_, normal_ : float
        Mean log-density of codes, each held out, and that under the standard normal.
    """

    def __init__(self, codes, seed, rows=None):
        codes = np.asarray(codes, dtype=np.float64)
        self.mean_ = codes.mean(axis=0)
        spread = codes.std(axis=0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        standardised = (codes - self.mean_) / self.scale_
        self._seed = seed
        # Its products are small: threads would wait for each other, on a busy machine
        # for a minute.
        with (
            threadpool_controller().limit(limits=1),
            on_arrays(),
            warnings.catch_warnings(),
        ):
            # Codes held out judge each fit as it is.
            warnings.simplefilter("ignore", ConvergenceWarning)
            some = np.arange(len(codes))
            if len(codes) > ENOUGH_CODES:
                some = np.linspace(0, len(codes) - 1, ENOUGH_CODES).astype(int)
            folds = self._folds(codes, rows)[some]
            chosen, held_out = self._choice(standardised[some], folds)
            self.mixture_ = self._fit(standardised[some], *chosen, SEARCHES)
            if len(some) < len(codes):
                self.mixture_.set_params(warm_start=True).fit(standardised)
        self.held_out_ = float(held_out - np.log(self.scale_).sum())
        self.normal_ = float(_log_normal(codes[some]).mean())

    def _choice(self, codes, folds):
        """Find the covariance and the size under which unseen codes are likeliest."""
        best, highest = (COVARIANCES[0], 1), -np.inf
        if len(codes) < FEWEST_CODES:
            return best, highest
        fewest = len(codes) - np.bincount(folds).max()
        for kind in COVARIANCES:
            n_idle, height = 0, -np.inf
            for size in MIXTURE_SIZES:
                if size > most_gaussians(codes.shape[1], fewest) or n_idle == PATIENCE:
                    break
                found = self._held_out(codes, folds, kind, size)
                n_idle = 0 if found > height else n_idle + 1
                height = max(height, found)
                if found > highest:
                    best, highest = (kind, size), found
        return best, highest

    def _folds(self, codes, rows):
        if rows is None:
            _, rows = np.unique(codes, axis=0, return_inverse=True)
        rows = np.ravel(rows)
        order = np.random.RandomState(self._seed).permutation(rows.max() + 1)
        return order[rows] % FOLDS

    def _held_out(self, codes, folds, kind, size):
        total = 0.0
        for fold in np.unique(folds):
            seen, unseen = codes[folds != fold], codes[folds == fold]
            n = len(seen)
            if n < size:
                return -np.inf
            own = self._fit(seen, kind, size).score_samples(unseen) + np.log(n)
            both = np.logaddexp(own, _log_normal(unseen)) - np.log(n + 1)
            total += both.sum()
        return total / len(codes)

    def _fit(self, codes, kind, size, n_searches=1):
        from sklearn.mixture import GaussianMixture  # slow, and seldom needed

        mixture = GaussianMixture(
            size,
            covariance_type=kind,
            n_init=n_searches if size > 1 else 1,
            random_state=self._seed,
            reg_covar=1e-6,
        )
        return mixture.fit(np.repeat(codes, 2, axis=0) if len(codes) == 1 else codes)

    def gaussians(self):
        """Give a share, a mean and a covariance of each, in the units of the codes."""
        mixture, scale = self.mixture_, self.scale_
        means = mixture.means_ * scale + self.mean_
        covariances = mixture.covariances_
        if mixture.covariance_type == "diag":
            covariances = np.array([np.diag(variances) for variances in covariances])
        covariances = covariances * np.outer(scale, scale)
        return list(zip(mixture.weights_, means, covariances, strict=True))

    @property
    def gain(self):
        """By how much codes, held out, are likelier than under the standard normal."""
        return self.held_out_ - self.normal_

    def sample(self, n_samples, random_state=None):
        """Draw codes, in random order."""
        random_state = check_random_state(random_state)
        # GaussianMixture.sample takes no random state of its own, reads the one it
        # was built with, and returns its draws grouped by component.
        mixture = self.mixture_
        sampler = clone(mixture).set_params(random_state=random_state)
        for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
            setattr(sampler, name, getattr(mixture, name))
        with on_arrays():
            codes, _ = sampler.sample(n_samples)
        return random_state.permutation(codes) * self.scale_ + self.mean_


def _log_normal(codes):
    """Log-density of codes under the standard normal."""
    return -(codes**2 + LOG_2PI).sum(axis=1) / 2
