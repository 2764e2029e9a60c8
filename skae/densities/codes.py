"""The density of some codes: few Gaussians, and one about each where that is better."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skae._sklearn import threadpool_controller
from skae.device import lock_of_process
from skae.normal import log_density

from .gaussians import COVARIANCES, FORMS, Few, draw, made_of, on_arrays, side_by_side
from .kernels import KernelSearch
from .limits import at_steps, most_parts
from .trials import ENOUGH_CODES, Choice, Folds, Trials, kernels_of

__all__ = ["CodeMixture", "Gaussians"]


# Searches for Gaussians, each from centres of its own, whose densities are averaged:
# what one makes of chance the others do not.
SEARCHES = 5

# Threads and warnings are the whole process's: two searches at once would each put back
# what the other has set.
_SEARCH = lock_of_process()


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
    about each of up to 1,000 codes (:mod:`skae.densities.kernels`), where codes held
    out gain by that, with the share by which they gain most. A part of the covariance
    that these have, or would have, is added to that of each of the few, which can then
    be more, and of fewer codes each. The density counts as if one code more had been
    seen, the standard normal's: a single far one does not decide.

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
            np.errstate(under="ignore"),  # far Gaussians have no share in a density
        ):
            # Codes held out judge each fit as it is.
            warnings.simplefilter("ignore", ConvergenceWarning)
            if rows is None:
                _, rows = np.unique(codes, axis=0, return_inverse=True)
            rows = np.ravel(rows)
            some = at_steps(len(codes), ENOUGH_CODES)
            search = KernelSearch()
            choice = self._choice(standardised[some], rows[some], search)
            about_each = {
                kind: kernels_of(standardised, rows, kind, search)
                for kind in COVARIANCES
            }
            unit = about_each[choice.few.kind]
            self.mixture_ = self._average(standardised, choice.few, unit)
            self.kernels_, self.kernel_share_ = None, choice.kernel_share
            if self.kernel_share_ > 0:
                found = about_each[choice.kernel_kind]
                shares = np.full(len(found.codes), 1 / len(found.codes))
                self.kernels_ = made_of(shares, found.codes, found.covariance, "tied")
        self.held_out_ = float(choice.held_out - np.log(self.scale_).sum())
        self.normal_ = float(log_density(codes[some]).mean())

    def _choice(self, codes, rows, search):
        """Find the density under which unseen codes are likeliest."""
        folds = Folds(codes, rows, self._seed)
        if not folds.can_judge:
            return Choice(-np.inf, Few(*FORMS[0], size=1))
        return Trials(folds, search).best()

    def _average(self, codes, few, kernels):
        """Put what several searches find side by side, each among some of the codes."""
        if few.size == 1:
            return few.fit(codes, kernels, self._seed)
        n_searches = min(SEARCHES, max(1, most_parts(codes.shape[1]) // few.size))
        random_state, found = np.random.RandomState(self._seed), []
        for number in range(n_searches):
            some = codes[at_steps(len(codes), ENOUGH_CODES, number / n_searches)]
            found.append(few.fit(some, kernels, random_state))
        return side_by_side(found)

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
            draw(mixture, n, random_state)
            for mixture, n in (
                (self.mixture_, n_samples - n_kernels),
                (self.kernels_, n_kernels),
            )
            if n > 0
        ]
        codes = random_state.permutation(np.concatenate(drawn))
        return codes * self.scale_ + self.mean_
