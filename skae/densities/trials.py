"""Trials: which Gaussians codes ask for, judged by codes held out."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from skae.normal import log_density

from .gaussians import COVARIANCES, FORMS, MixtureSpec
from .limits import MAX_KERNELS, MIXTURE_SIZES, at_steps, most_gaussians

__all__ = ["ENOUGH_CODES", "Choice", "Folds", "Trials", "kernels_of"]


# Gain, in nats per component, that one Gaussian about each code must bring to be used.
WORTH = 0.01

# Bounds of their share, and how near the best it is found.
SHARES, SAME_SHARE = (1e-3, 1 - 1e-3), 1e-6

# Parts of the codes that are held out in turn; fewest and most codes with which that is
# done.
FOLDS = 3
FEWEST_CODES, ENOUGH_CODES = 10, 3000


class Choice(NamedTuple):
    """Mean log-density of codes held out, and under what they have it."""

    held_out: float
    spec: MixtureSpec
    kernel_kind: str = COVARIANCES[0]
    kernel_share: float = 0.0


class Trials:
    """Few Gaussians, by themselves and beside one about each code, on codes held out.

    Parameters
    ----------
    folds : Folds

    search : KernelSearch
    """

    def __init__(self, folds, search):
        self.folds = folds
        self.about_each = {kind: folds.about_each(kind, search) for kind in COVARIANCES}
        self.logs = {kind: folds.logs(fits) for kind, fits in self.about_each.items()}

    def best(self):
        """Find the best of all that are tried."""
        tried = [trial for form in FORMS for trial in self._of_each_size(*form)]
        return max(tried, key=self._worth)

    def _worth(self, trial):
        """Mean log-density, less what one Gaussian about each code must bring."""
        has_kernels = trial.kernel_share > 0
        return trial.held_out - WORTH * self.folds.codes.shape[1] * has_kernels

    def _of_each_size(self, kind, floor):
        """Try more and more Gaussians, until they are no better."""
        highest = -np.inf
        most = most_gaussians(self.folds.codes.shape[1], self.folds.n_seen.min())
        for size in MIXTURE_SIZES:
            if size > most:
                return
            alone, *beside = self._trials(MixtureSpec(kind, floor, size))
            yield from (alone, *beside)
            if alone.held_out <= highest:
                return
            highest = alone.held_out

    def _trials(self, spec):
        """Try few Gaussians by themselves, and beside one about each code."""
        folds = self.folds
        logs = folds.logs(folds.mixtures(spec, self.about_each[spec.kind]))
        yield Choice(folds.mean_log_density(logs), spec)
        for kind, own in self.logs.items():
            share = _best_share(own, logs)
            both = np.logaddexp(np.log(share) + own, np.log1p(-share) + logs)
            yield Choice(folds.mean_log_density(both), spec, kind, share)


class Folds:
    """Codes in folds: each is judged by what is fitted to the other folds.

    Parameters
    ----------
    codes : ndarray of shape (n_codes, n_components)

    rows : ndarray of int of shape (n_codes,)
        Codes of one row are in one fold.

    seed : int
    """

    def __init__(self, codes, rows, seed):
        self.codes, self.rows = codes, rows
        self._seed = seed
        order = np.random.RandomState(seed).permutation(rows.max() + 1)
        self.folds = order[rows] % FOLDS
        self.n_seen = len(codes) - np.bincount(self.folds)[self.folds]
        self.seen = [self.folds != fold for fold in np.unique(self.folds)]

    @property
    def can_judge(self):
        """Whether there are enough codes, and more than one fold."""
        return len(self.codes) >= FEWEST_CODES and len(self.seen) > 1

    def logs(self, fits):
        """Log-density of each code, by what is fitted without its fold."""
        logs = np.empty(len(self.codes))
        for is_seen, fit in zip(self.seen, fits, strict=True):
            logs[~is_seen] = fit.score_samples(self.codes[~is_seen])
        return logs

    def mixtures(self, spec, kernels):
        """Fit few Gaussians without each fold."""
        return [
            spec.fit(self.codes[is_seen], found, self._seed)
            for is_seen, found in zip(self.seen, kernels, strict=True)
        ]

    def about_each(self, kind, search):
        """Fit a Gaussian about each code without each fold."""
        return [
            kernels_of(self.codes[is_seen], self.rows[is_seen], kind, search)
            for is_seen in self.seen
        ]

    def mean_log_density(self, logs):
        """Mean log-density, one code more having been seen, the standard normal's."""
        seen = logs + np.log(self.n_seen)
        both = np.logaddexp(seen, log_density(self.codes))
        return (both - np.log(self.n_seen + 1)).mean()


def _best_share(logs, other):
    """Share of one density beside another by which codes are likeliest.

    There it is as large as the share of the codes that it accounts for. That is larger
    where more is better, and smaller where less is.
    """
    gain = np.nan_to_num(logs - other)

    def excess(share):
        return expit(gain + logit(share)).mean() - share

    least, most = SHARES
    if excess(least) <= 0:
        return least
    return most if excess(most) >= 0 else brentq(excess, least, most, xtol=SAME_SHARE)


def kernels_of(codes, rows, kind, search):
    """Find the Gaussians about each code."""
    some = at_steps(len(codes), MAX_KERNELS)
    return search(codes[some], rows[some], is_diagonal=kind == "diag")
