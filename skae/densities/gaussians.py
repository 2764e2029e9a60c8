"""Few Gaussians: how they are fitted to codes, drawn from, and put side by side."""

from contextlib import suppress
from copy import copy
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn import config_context

from skae.normal import whitened

__all__ = [
    "COVARIANCES",
    "FORMS",
    "Gaussians",
    "MixtureSpec",
    "averaged",
    "draw",
    "gaussian_mixture",
    "on_arrays",
]


# Covariances of a Gaussian about each code.
COVARIANCES = ("full", "diag")

# Covariances of few Gaussians, and the share of one about each code that they have at
# least.
FORMS = (("full", 1e-4), ("full", 0.1), ("diag", 0.01))

# From so many components on, products of all pairs of them cost more than one Gaussian
# with its full covariance after the other.
MANY_COMPONENTS = 41

# Two searches have found the same where the mean log-density of their codes differs by
# no more than this.
SAME = 1e-4

# scikit-learn's mixture begins by k-means, which takes arrays alone. To look at its
# parameters, and at those of k-means, takes long where codes are few.
on_arrays = partial(
    config_context, array_api_dispatch=False, skip_parameter_validation=True
)


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


class MixtureSpec(NamedTuple):
    """Few Gaussians: their covariances, the floor of these, and their number."""

    kind: str
    floor: float
    size: int

    def fit(self, codes, kernels, random_state):
        """Fit them to codes, in units of the covariance of a Gaussian about each.

        There the floor is what scikit-learn adds to the variance in all directions.
        """
        root = np.linalg.cholesky(kernels.covariance)
        white = whitened(root, codes)
        if len(codes) == 1:
            white = np.repeat(white, 2, axis=0)
        found = self._found(white, random_state)
        covariances = found.covariances_
        if self.kind == "diag":
            covariances = covariances * np.diag(root) ** 2
        else:
            covariances = root @ covariances @ root.T
        means = found.means_ @ root.T
        made = gaussian_mixture(found.weights_, means, covariances, self.kind)
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


def draw(mixture, n_samples, random_state):
    """Draw codes from a mixture by a random state that it was not built with."""
    sampler = copy(mixture)
    sampler.random_state = random_state
    with on_arrays():
        return sampler.sample(n_samples)[0]


def gaussian_mixture(weights, means, covariances, kind):
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


def averaged(mixtures):
    """Average the densities of mixtures; of several that are the same one is kept."""
    bounds = np.array([mixture.lower_bound_ for mixture in mixtures])
    first = (np.abs(bounds[:, None] - bounds) <= SAME).argmax(axis=1)
    kept, counts = np.unique(first, return_counts=True)
    shares = counts / len(mixtures)
    of_kept = [mixtures[number] for number in kept]
    return gaussian_mixture(
        np.concatenate([s * m.weights_ for s, m in zip(shares, of_kept, strict=True)]),
        np.concatenate([mixture.means_ for mixture in of_kept]),
        np.concatenate([mixture.covariances_ for mixture in of_kept]),
        mixtures[0].covariance_type,
    )
