"""Densities of codes: what ``sample`` draws from."""

import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from ._sklearn import threadpool_controller
from .kernels import kernel_covariance

__all__ = [
    "MAX_CODES",
    "MAX_KERNELS",
    "CodeMixture",
    "Gaussians",
    "most_gaussians",
    "most_parts",
    "representatives",
]

# Codes that an estimator keeps, to fit a density to them when it is asked for one.
MAX_CODES = 10_000

# Codes that may have a Gaussian each.
MAX_KERNELS = 1000

# Covariances and numbers of Gaussians that are tried, and a Gaussian about each code;
# the search for the number ends where so many in a row have been no better.
COVARIANCES = ("full", "diag")
MIXTURE_SIZES = (1, 2, 4, 8, 16, 32)
ABOUT_EACH = 0
PATIENCE = 2

# A Gaussian is supported by at least so many codes per free parameter of its mean.
CODES_PER_GAUSSIAN = 5

# Parts of the codes that are held out in turn; fewest and most codes with which that is
# done.
FOLDS = 3
FEWEST_CODES, ENOUGH_CODES = 10, 3000

# Searches for Gaussians, each from centres of its own, whose densities are averaged:
# what one makes of chance the others do not. Two have found the same where the mean
# log-density of their codes differs by no more than this.
SEARCHES, SAME = 5, 1e-4

LOG_2PI = np.log(2 * np.pi)


# scikit-learn's mixture begins by k-means, which takes arrays alone.
on_arrays = partial(config_context, array_api_dispatch=False)


def most_gaussians(n_components, n_codes=MAX_CODES):
    """Largest number of Gaussians that are fitted to so many codes."""
    supported = n_codes // (CODES_PER_GAUSSIAN * n_components)
    return max(size for size in MIXTURE_SIZES if size <= max(1, supported))


def most_parts(n_components):
    """Largest number of Gaussians that several searches may find in all."""
    supported = max(1, MAX_CODES // (CODES_PER_GAUSSIAN * n_components))
    return min(supported, SEARCHES * MIXTURE_SIZES[-1])


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


class Gaussians(NamedTuple):
    """A mixture of Gaussians.

    Attributes
    ----------
    shares : ndarray of shape (n_gaussians,)

    means : ndarray of shape (n_gaussians, n_components)

    covariances : ndarray of shape (n_gaussians or 1, n_components, n_components)
        One for all, or one for each.
    """

    shares: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


class CodeMixture:
    """scikit-learn's GaussianMixture on standardised codes, chosen by codes held out.

    There are few Gaussians, those of several searches side by side, or one about each
    of up to 1,000 codes (:mod:`skae.kernels`). Their density counts as if one code more
    had been seen, the standard normal's: a single far one does not decide.

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
            if rows is None:
                _, rows = np.unique(codes, axis=0, return_inverse=True)
            rows = np.ravel(rows)
            some = _at_steps(len(codes), ENOUGH_CODES)
            chosen, held_out = self._choice(standardised[some], rows[some])
            self.mixture_ = self._average(standardised, rows, *chosen)
        self.held_out_ = float(held_out - np.log(self.scale_).sum())
        self.normal_ = float(_log_normal(codes[some]).mean())

    def _choice(self, codes, rows):
        """Find the covariance and the size under which unseen codes are likeliest."""
        best, highest = (COVARIANCES[0], 1), -np.inf
        if len(codes) < FEWEST_CODES:
            return best, highest
        folds = self._folds(rows)
        fewest = len(codes) - np.bincount(folds).max()
        for kind in COVARIANCES:
            n_idle, height = 0, -np.inf
            for size in (ABOUT_EACH, *MIXTURE_SIZES):
                if size > most_gaussians(codes.shape[1], fewest) or n_idle == PATIENCE:
                    break
                found = self._held_out(codes, rows, folds, kind, size)
                if found > highest:
                    best, highest = (kind, size), found
                if size != ABOUT_EACH:
                    n_idle = 0 if found > height else n_idle + 1
                    height = max(height, found)
        return best, highest

    def _folds(self, rows):
        order = np.random.RandomState(self._seed).permutation(rows.max() + 1)
        return order[rows] % FOLDS

    def _held_out(self, codes, rows, folds, kind, size):
        total = 0.0
        for fold in np.unique(folds):
            is_seen = folds != fold
            seen, unseen, n = codes[is_seen], codes[~is_seen], is_seen.sum()
            if n < size or len(np.unique(rows[is_seen])) < 2:
                return -np.inf
            mixture = self._fit(seen, rows[is_seen], kind, size, self._seed)
            own = mixture.score_samples(unseen) + np.log(n)
            both = np.logaddexp(own, _log_normal(unseen)) - np.log(n + 1)
            total += both.sum()
        return total / len(codes)

    def _average(self, codes, rows, kind, size):
        """Put what several searches find side by side, each among some of the codes."""
        if size in (1, ABOUT_EACH):
            return self._fit(codes, rows, kind, size, self._seed)
        n_searches = min(SEARCHES, max(1, most_parts(codes.shape[1]) // size))
        random_state, found = np.random.RandomState(self._seed), []
        for number in range(n_searches):
            some = _at_steps(len(codes), ENOUGH_CODES, number / n_searches)
            found.append(self._fit(codes[some], rows[some], kind, size, random_state))
        return _side_by_side(found)

    def _fit(self, codes, rows, kind, size, random_state):
        from sklearn.mixture import GaussianMixture  # slow, and seldom needed

        if size == ABOUT_EACH:
            return _about_each(codes, rows, kind)
        mixture = GaussianMixture(
            size, covariance_type=kind, random_state=random_state, reg_covar=1e-6
        )
        return mixture.fit(np.repeat(codes, 2, axis=0) if len(codes) == 1 else codes)

    def gaussians(self):
        """Give the mixture in the units of the codes."""
        mixture, scale = self.mixture_, self.scale_
        means = mixture.means_ * scale + self.mean_
        covariances = mixture.covariances_
        if mixture.covariance_type == "diag":
            covariances = np.array([np.diag(variances) for variances in covariances])
        elif mixture.covariance_type == "tied":
            covariances = covariances[None]
        return Gaussians(mixture.weights_, means, covariances * np.outer(scale, scale))

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


def _at_steps(n_codes, most, shift=0.0):
    """Numbers of at most so many codes, at equal steps, shifted by a share of one."""
    if n_codes <= most:
        return np.arange(n_codes)
    return ((np.arange(most) + shift) * (n_codes / most)).astype(int)


def _made_of(weights, means, covariances, kind):
    """Make a GaussianMixture of what is known of it."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(len(means), covariance_type=kind)
    mixture.weights_, mixture.means_ = weights, means
    mixture.covariances_ = covariances
    if kind == "diag":
        mixture.precisions_cholesky_ = 1 / np.sqrt(covariances)
    else:
        inverse = np.linalg.inv(np.linalg.cholesky(covariances))
        mixture.precisions_cholesky_ = np.swapaxes(inverse, -1, -2)
    return mixture


def _about_each(codes, rows, kind):
    """Make the mixture that has a Gaussian about each code."""
    some = _at_steps(len(codes), MAX_KERNELS)
    codes, rows = codes[some], rows[some]
    covariance = kernel_covariance(codes, rows, is_diagonal=kind == "diag")
    return _made_of(np.full(len(codes), 1 / len(codes)), codes, covariance, "tied")


def _side_by_side(mixtures):
    """Average the densities of mixtures; of several that are the same one is kept."""
    heights = np.array([mixture.lower_bound_ for mixture in mixtures])
    first = (np.abs(heights[:, None] - heights) <= SAME).argmax(axis=1)
    kept, counts = np.unique(first, return_counts=True)
    shares = counts / len(mixtures)
    of_kept = [mixtures[number] for number in kept]
    return _made_of(
        np.concatenate([s * m.weights_ for s, m in zip(shares, of_kept, strict=True)]),
        np.concatenate([mixture.means_ for mixture in of_kept]),
        np.concatenate([mixture.covariances_ for mixture in of_kept]),
        mixtures[0].covariance_type,
    )


def _log_normal(codes):
    """Log-density of codes under the standard normal."""
    return -(codes**2 + LOG_2PI).sum(axis=1) / 2
