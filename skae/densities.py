"""Densities of codes: what ``sample`` draws from."""

import warnings
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from ._sklearn import threadpool_controller
from .device import lock_of_process
from .kernels import KernelSearch

__all__ = [
    "MAX_CODES",
    "MAX_KERNELS",
    "CodeMixture",
    "Gaussians",
    "most_parts",
    "representatives",
]

# Codes that an estimator keeps, to fit a density to them when it is asked for one.
MAX_CODES = 10_000

# Codes that may have a Gaussian each.
MAX_KERNELS = 1000

# Covariances of a Gaussian about each code.
COVARIANCES = ("full", "diag")

# Covariances of few Gaussians, and the share of one about each code that they have at
# least.
FORMS = (("full", 1e-4), ("full", 0.1), ("diag", 0.01))
MIXTURE_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

# Components of which there are so many products that Gaussians with full covariances
# are fitted sooner one by one.
MANY_COMPONENTS = 41

# Nats per component that Gaussians about each code have to gain beside few others.
WORTH = 0.01

# Bounds of their share, and how near the best it is found.
SHARES, SAME_SHARE = (1e-3, 1 - 1e-3), 1e-6

# A Gaussian is supported by at least so many codes. All searches together may find so
# many, and one for so many of ``MAX_CODES`` per component.
CODES_PER_GAUSSIAN, MOST_PARTS, CODES_PER_COMPONENT = 2, 160, 5

# Parts of the codes that are held out in turn; fewest and most codes with which that is
# done.
FOLDS = 3
FEWEST_CODES, ENOUGH_CODES = 10, 3000

# Searches for Gaussians, each from centres of its own, whose densities are averaged:
# what one makes of chance the others do not. Two have found the same where the mean
# log-density of their codes differs by no more than this.
SEARCHES, SAME = 5, 1e-4

LOG_2PI = np.log(2 * np.pi)


# Threads and warnings are the whole process's: two searches at once would each put back
# what the other has set.
_SEARCH = lock_of_process()

# scikit-learn's mixture begins by k-means, which takes arrays alone. To look at its
# parameters, and at those of k-means, takes long where codes are few.
on_arrays = partial(
    config_context, array_api_dispatch=False, skip_parameter_validation=True
)


def most_gaussians(n_components, n_codes):
    """Largest number of Gaussians that are fitted to so many codes."""
    supported = min(n_codes // CODES_PER_GAUSSIAN, most_parts(n_components))
    return max(size for size in MIXTURE_SIZES if size <= max(1, supported))


def most_parts(n_components):
    """Largest number of Gaussians that several searches may find in all."""
    supported = max(1, MAX_CODES // (CODES_PER_COMPONENT * n_components))
    return min(supported, MOST_PARTS)


def representatives(weight):
    """Numbers of at most ``MAX_CODES`` rows that stand for weighted ones.

    Integer weights repeat a row; otherwise, and beyond the limit, rows are taken at
    equal steps of the cumulated weight, the lightest first: as many as there are rows,
    or as they weigh together.
    """
    total = weight.sum()
    if total <= MAX_CODES and np.all(weight == np.round(weight)):
        return np.repeat(np.arange(len(weight)), weight.astype(int))
    n_marks = min(MAX_CODES, max(len(weight), round(total)))
    marks = (np.arange(n_marks) + 0.5) * (total / n_marks)
    order = np.argsort(weight, kind="stable")
    chosen = np.searchsorted(np.cumsum(weight[order]), marks)
    return np.sort(order[np.minimum(chosen, len(weight) - 1)])


class Gaussians(NamedTuple):
    """A mixture of Gaussians.

    Attributes
    ----------
    shares : ndarray of shape (n_gaussians,)
        Of a density that they may have together with others.

    means : ndarray of shape (n_gaussians, n_components)

    covariances : ndarray of shape (n_gaussians or 1, n_components, n_components)
        One for all, or one for each.
    """

    shares: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


class CodeMixture:
    """scikit-learn's GaussianMixture on standardised codes, chosen by codes held out.

    There are few Gaussians, those of several searches side by side. Beside them is one
    about each of up to 1,000 codes (:mod:`skae.kernels`), where codes held out gain by
    that, with the share by which they gain most. A part of the covariance that these
    have, or would have, is added to that of each of the few, which can then be more,
    and of fewer codes each. The density counts as if one code more had been seen, the
    standard normal's: a single far one does not decide.

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
        The few, fitted to the codes divided by ``scale_``, about ``mean_``.

    kernels_ : GaussianMixture or None
        Those about each code, in the same units.

    kernel_share_ : float
        Their share.

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
            _SEARCH,
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
            search = KernelSearch()
            choice = self._choice(standardised[some], rows[some], search)
            about_each = {
                kind: _about_each(standardised, rows, kind, search)
                for kind in COVARIANCES
            }
            unit = about_each[choice.few.kind]
            self.mixture_ = self._average(standardised, choice.few, unit)
            self.kernels_, self.kernel_share_ = None, choice.kernel_share
            if self.kernel_share_ > 0:
                found = about_each[choice.kernel_kind]
                shares = np.full(len(found.codes), 1 / len(found.codes))
                self.kernels_ = _made_of(shares, found.codes, found.covariance, "tied")
        self.held_out_ = float(choice.held_out - np.log(self.scale_).sum())
        self.normal_ = float(_log_normal(codes[some]).mean())

    def _choice(self, codes, rows, search):
        """Find the density under which unseen codes are likeliest."""
        folds = _Folds(codes, rows, self._seed)
        if not folds.can_judge:
            return _Choice(-np.inf, _Few(*FORMS[0], size=1))
        return _Trials(folds, search).best()

    def _average(self, codes, few, kernels):
        """Put what several searches find side by side, each among some of the codes."""
        if few.size == 1:
            return few.fit(codes, kernels, self._seed)
        n_searches = min(SEARCHES, max(1, most_parts(codes.shape[1]) // few.size))
        random_state, found = np.random.RandomState(self._seed), []
        for number in range(n_searches):
            some = codes[_at_steps(len(codes), ENOUGH_CODES, number / n_searches)]
            found.append(few.fit(some, kernels, random_state))
        return _side_by_side(found)

    def gaussians(self):
        """Give the few, and those about each code where there are any.

        In the units of the codes; the shares of all add up to 1.
        """
        few = self._in_units(self.mixture_, 1 - self.kernel_share_)
        if self.kernels_ is None:
            return [few]
        return [few, self._in_units(self.kernels_, self.kernel_share_)]

    def _in_units(self, mixture, share):
        means = mixture.means_ * self.scale_ + self.mean_
        covariances = mixture.covariances_
        if mixture.covariance_type == "diag":
            covariances = np.array([np.diag(variances) for variances in covariances])
        elif mixture.covariance_type == "tied":
            covariances = covariances[None]
        units = np.outer(self.scale_, self.scale_)
        return Gaussians(share * mixture.weights_, means, covariances * units)

    @property
    def gain(self):
        """By how much codes, held out, are likelier than under the standard normal."""
        return self.held_out_ - self.normal_

    def sample(self, n_samples, random_state=None):
        """Draw codes, in random order."""
        random_state = check_random_state(random_state)
        n_kernels = 0
        if self.kernels_ is not None:
            n_kernels = random_state.binomial(n_samples, self.kernel_share_)
        drawn = [
            _draw(mixture, n, random_state)
            for mixture, n in (
                (self.mixture_, n_samples - n_kernels),
                (self.kernels_, n_kernels),
            )
            if n > 0
        ]
        codes = random_state.permutation(np.concatenate(drawn))
        return codes * self.scale_ + self.mean_


class _Few(NamedTuple):
    """Few Gaussians: their covariances, the floor of these, and their number."""

    kind: str
    floor: float
    size: int

    def fit(self, codes, kernels, random_state):
        """Fit them to codes, in units of the covariance of a Gaussian about each.

        There the floor is what scikit-learn adds to the variance in all directions.
        """
        root = np.linalg.cholesky(kernels.covariance)
        whitened = solve_triangular(root, codes.T, lower=True, check_finite=False).T
        if len(codes) == 1:
            whitened = np.repeat(whitened, 2, axis=0)
        found = self._found(whitened, random_state)
        covariances = found.covariances_
        if self.kind == "diag":
            covariances = covariances * np.diag(root) ** 2
        else:
            covariances = root @ covariances @ root.T
        means = found.means_ @ root.T
        made = _made_of(found.weights_, means, covariances, self.kind)
        made.lower_bound_ = found.lower_bound_
        return made

    def _found(self, codes, random_state):
        """Have scikit-learn find them: all together, or else one by one."""
        # Both are slow to import, and seldom needed.
        from sklearn.mixture import GaussianMixture

        from .expectation import JointMixture

        settings = {
            "covariance_type": self.kind,
            "reg_covar": self.floor,
            "random_state": random_state,
            # One alone is of all codes, however that is found.
            "init_params": "kmeans" if self.size > 1 else "random",
        }
        if self.kind == "diag" or codes.shape[1] < MANY_COMPONENTS:
            # Far codes may cost it the digits that a covariance needs.
            with suppress(np.linalg.LinAlgError):
                return JointMixture(self.size, **settings).fit(codes)
        return GaussianMixture(self.size, **settings).fit(codes)


class _Choice(NamedTuple):
    """Mean log-density of codes held out, and under what they have it."""

    held_out: float
    few: _Few
    kernel_kind: str = COVARIANCES[0]
    kernel_share: float = 0.0


class _Trials:
    """Few Gaussians, by themselves and beside one about each code, on codes held out.

    Parameters
    ----------
    folds : _Folds

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
        """Mean log-density, less what Gaussians about each code have to gain."""
        has_kernels = trial.kernel_share > 0
        return trial.held_out - WORTH * self.folds.codes.shape[1] * has_kernels

    def _of_each_size(self, kind, floor):
        """Try more and more Gaussians, until they are no better."""
        highest = -np.inf
        most = most_gaussians(self.folds.codes.shape[1], self.folds.n_seen.min())
        for size in MIXTURE_SIZES:
            if size > most:
                return
            alone, *beside = self._trials(_Few(kind, floor, size))
            yield from (alone, *beside)
            if alone.held_out <= highest:
                return
            highest = alone.held_out

    def _trials(self, few):
        """Try few Gaussians by themselves, and beside one about each code."""
        folds = self.folds
        logs = folds.logs(folds.few(few, self.about_each[few.kind]))
        yield _Choice(folds.height(logs), few)
        for kind, own in self.logs.items():
            share = _best_share(own, logs)
            both = np.logaddexp(np.log(share) + own, np.log1p(-share) + logs)
            yield _Choice(folds.height(both), few, kind, share)


class _Folds:
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

    def few(self, few, kernels):
        """Fit few Gaussians without each fold."""
        return [
            few.fit(self.codes[is_seen], found, self._seed)
            for is_seen, found in zip(self.seen, kernels, strict=True)
        ]

    def about_each(self, kind, search):
        """Fit a Gaussian about each code without each fold."""
        return [
            _about_each(self.codes[is_seen], self.rows[is_seen], kind, search)
            for is_seen in self.seen
        ]

    def height(self, logs):
        """Mean log-density, one code more having been seen, the standard normal's."""
        seen = logs + np.log(self.n_seen)
        both = np.logaddexp(seen, _log_normal(self.codes))
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


def _draw(mixture, n_samples, random_state):
    """Draw codes from a mixture by a random state that it was not built with."""
    sampler = clone(mixture).set_params(random_state=random_state)
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        setattr(sampler, name, getattr(mixture, name))
    with on_arrays():
        return sampler.sample(n_samples)[0]


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


def _about_each(codes, rows, kind, search):
    """Find the Gaussians about each code."""
    some = _at_steps(len(codes), MAX_KERNELS)
    return search(codes[some], rows[some], is_diagonal=kind == "diag")


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
