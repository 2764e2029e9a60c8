"""The density of some codes: few Gaussians, and one about each where that is better."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skae._sklearn import threadpool_controller
from skae.device import lock_of_process
from skae.integers import check_count
from skae.normal import log_density

from .gaussians import (
    COVARIANCES,
    FORMS,
    Gaussians,
    MixtureSpec,
    averaged,
    draw,
    gaussian_mixture,
    on_arrays,
)
from .kernels import KernelSearch
from .limits import at_steps, most_parts
from .trials import ENOUGH_CODES, Choice, Folds, Trials, kernels_of

__all__ = ["CodeMixture", "fit_code_mixture"]


# Searches for Gaussians, each from centres of its own, whose densities are averaged:
# what one makes of chance the others do not.
SEARCHES = 5

# Threads and warnings are the whole process's: two searches at once would each put back
# what the other has set.
_SEARCH = lock_of_process()


@dataclass(frozen=True, eq=False)
class CodeMixture:
    """Few Gaussians, and beside them, where that is better, one about each code.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_components,)
        Of the codes. The Gaussians are in units of the scale, about the mean.

    mixture : GaussianMixture
        The few.

    kernels : GaussianMixture or None
        Those about each code.

    kernel_share : float
        Their share.

    held_out, normal : float
        Mean log-density of codes, each held out, and that under the standard normal.
    """

    mean: np.ndarray
    scale: np.ndarray
    mixture: Any
    kernels: Any
    kernel_share: float
    held_out: float
    normal: float

    def gaussians(self):
        """Give the few, and those about each code where there are any.

        In the units of the codes; the shares of all add up to 1.
        """
        few = self._in_units(self.mixture, 1 - self.kernel_share)
        if self.kernels is None:
            return [few]
        return [few, self._in_units(self.kernels, self.kernel_share)]

    def _in_units(self, mixture, share):
        means = mixture.means_ * self.scale + self.mean
        covariances = mixture.covariances_
        if mixture.covariance_type == "diag":
            covariances = np.array([np.diag(variances) for variances in covariances])
        elif mixture.covariance_type == "tied":
            covariances = covariances[None]
        units = np.outer(self.scale, self.scale)
        return Gaussians(share * mixture.weights_, means, covariances * units)

    @property
    def gain(self):
        """By how much codes, held out, are likelier than under the standard normal."""
        return self.held_out - self.normal

    def sample(self, n_samples, random_state=None):
        """Draw codes, in random order."""
        n_samples = check_count(n_samples, "n_samples")
        random_state = check_random_state(random_state)
        n_kernels = 0
        if self.kernels is not None:
            n_kernels = random_state.binomial(n_samples, self.kernel_share)
        drawn = [
            draw(mixture, n, random_state)
            for mixture, n in (
                (self.mixture, n_samples - n_kernels),
                (self.kernels, n_kernels),
            )
            if n > 0
        ]
        codes = random_state.permutation(np.concatenate(drawn))
        return codes * self.scale + self.mean


def fit_code_mixture(codes, seed, rows=None):
    """Fit scikit-learn's GaussianMixture to codes, as codes held out choose it.

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

    Returns
    -------
    CodeMixture
    """
    codes = np.asarray(codes, dtype=np.float64)
    mean, spread = codes.mean(axis=0), codes.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    standardised = (codes - mean) / scale
    some = at_steps(len(codes), ENOUGH_CODES)
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
        rows, search = np.ravel(rows), KernelSearch()
        choice = _choice(Folds(standardised[some], rows[some], seed), search)
        about_each = {
            kind: kernels_of(standardised, rows, kind, search) for kind in COVARIANCES
        }
        unit = about_each[choice.spec.kind]
        mixture, kernels = _average(standardised, choice.spec, unit, seed), None
        if choice.kernel_share > 0:
            found = about_each[choice.kernel_kind]
            shares = np.full(len(found.codes), 1 / len(found.codes))
            kernels = gaussian_mixture(shares, found.codes, found.covariance, "tied")
    held_out = float(choice.held_out - np.log(scale).sum())
    normal = float(log_density(codes[some]).mean())
    return CodeMixture(
        mean, scale, mixture, kernels, choice.kernel_share, held_out, normal
    )


def _choice(folds, search):
    """Find the density under which unseen codes are likeliest."""
    if not folds.can_judge:
        return Choice(-np.inf, MixtureSpec(*FORMS[0], size=1))
    return Trials(folds, search).best()


def _average(codes, spec, kernels, seed):
    """Put what several searches find side by side, each among some of the codes."""
    if spec.size == 1:
        return spec.fit(codes, kernels, seed)
    n_searches = min(SEARCHES, max(1, most_parts(codes.shape[1]) // spec.size))
    random_state, found = np.random.RandomState(seed), []
    for number in range(n_searches):
        some = codes[at_steps(len(codes), ENOUGH_CODES, number / n_searches)]
        found.append(spec.fit(some, kernels, random_state))
    return averaged(found)
