"""Densities of codes: what ``sample`` draws from."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state

__all__ = ["MAX_CODES", "CodeMixture", "representatives"]

# Codes that an estimator keeps, to fit a density to them when it is asked for one.
MAX_CODES = 10_000

# Numbers of mixture components that are tried.
MIXTURE_SIZES = (1, 2, 4, 8, 16)

# A component of the mixture is supported by at least so many codes per free parameter
# of its mean.
CODES_PER_COMPONENT = 10


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
    """scikit-learn's GaussianMixture on standardised codes, its size chosen by BIC.

    Parameters
    ----------
    codes : ndarray of shape (n_codes, n_components)

    seed : int
        Of the mixture's initialisation.

    Attributes
    ----------
    mixture_ : GaussianMixture
        Fitted to the codes divided by ``scale_``, about ``mean_``.
    """

    def __init__(self, codes, seed):
        codes = np.asarray(codes, dtype=np.float64)
        self.mean_ = codes.mean(axis=0)
        spread = codes.std(axis=0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        standardised = (codes - self.mean_) / self.scale_
        n_codes, n_components = codes.shape
        largest = max(1, n_codes // (CODES_PER_COMPONENT * n_components))
        candidates = [
            self._fit(standardised, size, seed)
            for size in MIXTURE_SIZES
            if size <= largest
        ]
        self.mixture_ = min(candidates, key=lambda m: m.bic(standardised))

    @staticmethod
    def _fit(codes, size, seed):
        mixture = GaussianMixture(size, random_state=seed, reg_covar=1e-6)
        with warnings.catch_warnings():
            # BIC judges the fit as it is.
            warnings.simplefilter("ignore", ConvergenceWarning)
            if len(codes) == 1:
                codes = np.repeat(codes, 2, axis=0)
            return mixture.fit(codes)

    def gaussians(self):
        """Give a share, a mean and a covariance of each, in the units of the codes."""
        mixture, scale = self.mixture_, self.scale_
        means = mixture.means_ * scale + self.mean_
        covariances = mixture.covariances_ * np.outer(scale, scale)
        return list(zip(mixture.weights_, means, covariances, strict=True))

    def is_better_than_normal(self, codes):
        """Whether BIC prefers it to the standard normal, for the codes of its fit."""
        codes = np.asarray(codes, dtype=np.float64)
        own = self.mixture_.bic((codes - self.mean_) / self.scale_)
        own += 2 * len(codes) * np.log(self.scale_).sum()
        normal = (codes**2 + np.log(2 * np.pi)).sum()
        return bool(own < normal)

    def sample(self, n_samples, random_state=None):
        """Draw codes, in random order."""
        random_state = check_random_state(random_state)
        # GaussianMixture.sample takes no random state of its own, reads the one it
        # was built with, and returns its draws grouped by component.
        mixture = self.mixture_
        sampler = GaussianMixture(mixture.n_components, random_state=random_state)
        for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
            setattr(sampler, name, getattr(mixture, name))
        codes, _ = sampler.sample(n_samples)
        return random_state.permutation(codes) * self.scale_ + self.mean_
