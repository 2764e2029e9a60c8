"""Factor analysis: a noise for each column, at maximum likelihood.

    x ~ N(mu, W W' + diag(psi))

Given psi the best W is PCA's, of rows divided by sqrt(psi) (Lawley, 1940): with their
largest variances lambda, in the directions v,

    W = diag(sqrt psi) V' diag(sqrt(lambda - 1))

so what is left is a function of psi alone (Joreskog, 1967), in twice minus nats

    F(psi) = sum_j log psi_j + C_jj / psi_j + sum_i (log lambda_i + 1 - lambda_i)
    dF / d log psi_j = (psi_j + (W W')_jj - C_jj) / psi_j

which L-BFGS minimises in log psi. Directions with lambda below 1 have no factor.

Columns may have a noise in common, which is then what is searched for.

F has several minima where columns are nearly collinear, so the search begins twice: at
what PCA leaves of each column, and, where it is known, at what the others leave of it.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from .axes import LARGEST_MATRIX, covariance, scaled_axes

__all__ = ["noise_of_columns", "own_variance"]

# Noise from which the search begins, at least.
SMALLEST_BEGIN = 0.05

# Change of F, as a share, at which the search ends, and its largest number of steps.
TOLERANCE = 1e-9
LARGEST_N_STEPS = 200


def own_variance(C, least):
    """Variance of each column that the others do not explain: ``1 / diag(C^-1)``.

    Parameters
    ----------
    C : ndarray of shape (n_features, n_features)
        Correlations.

    least : ndarray of shape (n_features,)
        Added to the diagonal, so that the inverse is there.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.start.factors import own_variance
    >>> own_variance(np.array([[1, 0.6], [0.6, 1]]), least=np.zeros(2))
    array([0.64, 0.64])
    """
    return 1 / np.diag(np.linalg.inv(C + np.diag(least)))


def noise_of_columns(X, weight, mean, n_components, *, least, group, unit):
    """Find the noise of each column of standardised rows, ``psi``.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Each column of variance 1, or constant.

    weight : ndarray of shape (n_samples,)
        Of sum 1.

    mean : ndarray of shape (n_features,)

    n_components : int

    least : ndarray of shape (n_features,)
        Bounds of psi from below; NaN for a constant column.

    group : ndarray of int of shape (n_features,)
        Number of the noise of each column.

    unit : ndarray of shape (n_features,)
        What is 1 to the column, in the units of the noise.

    Returns
    -------
    ndarray of shape (n_features,)
        1 for a constant column, unless others that vary have its noise.
    """
    psi, is_varied = np.ones(len(mean)), np.isfinite(least)
    if not is_varied.any():
        return psi
    C = own = None
    if X.shape[1] <= min(X.shape[0], LARGEST_MATRIX):
        C = covariance(X, weight, mean)
        own = own_variance(C[np.ix_(is_varied, is_varied)], least[is_varied])
    leading = scaled_axes(X, weight, mean, n_components, C)

    def of_varied(scale):
        whole = np.ones(len(mean))
        whole[is_varied] = scale
        axes, spectrum = leading(whole)
        return axes[:, is_varied], spectrum

    numbers, own_group = np.unique(group[is_varied], return_inverse=True)
    n_silent = np.bincount(group[~is_varied], minlength=len(group))[numbers]
    ties = TiedNoise(own_group, unit[is_varied], n_silent)
    noise = _likeliest_noise(of_varied, least[is_varied], ties, own)
    is_known = np.isin(group, numbers)
    of_known = noise[np.searchsorted(numbers, group[is_known])]
    psi[is_known] = of_known / unit[is_known]
    return psi


class TiedNoise(NamedTuple):
    """Which columns have a noise in common.

    Attributes
    ----------
    group : ndarray of int of shape (n_features,)
        Number of the noise of each column.

    unit : ndarray of shape (n_features,)
        What is 1 to the column, in the units of the noise.

    n_silent : ndarray of int of shape (n_noises,)
        Further columns of each noise, without any variance.
    """

    group: np.ndarray
    unit: np.ndarray
    n_silent: np.ndarray

    def log_psi(self, log_noise):
        """Say what each noise is to its columns."""
        return log_noise[self.group] - np.log(self.unit)

    def mean(self, psi):
        """Give each noise the mean of what its columns would have."""
        return np.bincount(self.group, psi * self.unit) / np.bincount(self.group)

    def largest(self):
        """Give the largest variance of the columns of each noise."""
        largest = np.zeros(len(self.n_silent))
        np.maximum.at(largest, self.group, self.unit)
        return largest


def _likeliest_noise(leading, least, ties, own):
    """Find each noise, in its units; psi follows by the ties.

    Parameters
    ----------
    leading : callable
        From a scale of the columns to the axes, in rows, and the variances of PCA of
        the rows divided by it.

    least : ndarray of shape (n_features,)
        Bounds of psi from below. Maximum likelihood may want no noise at all.

    ties : TiedNoise

    own : ndarray of shape (n_features,) or None
        The columns' :func:`own_variance`.

    Returns
    -------
    ndarray of shape (n_noises,)
    """

    def objective(log_noise):
        log_psi = ties.log_psi(log_noise)
        psi = np.exp(log_psi)
        axes, spectrum = leading(np.sqrt(psi))
        spectrum = np.maximum(spectrum, 1.0)
        value = (log_psi + 1 / psi).sum() + (np.log(spectrum) + 1 - spectrum).sum()
        slope = np.bincount(ties.group, 1 + (spectrum - 1) @ axes**2 - 1 / psi)
        return value + ties.n_silent @ log_noise, slope + ties.n_silent

    bounds = np.log(np.stack([ties.mean(least), ties.largest()], axis=1))
    found = [
        minimize(
            objective,
            np.log(ties.mean(begin)),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": TOLERANCE, "gtol": 1e-6, "maxiter": LARGEST_N_STEPS},
        )
        for begin in _begins(leading, least, own)
    ]
    return np.exp(min(found, key=lambda each: each.fun).x)


def _begins(leading, least, own):
    """Where the search begins: from what PCA leaves, or from what other columns do."""
    axes, spectrum = leading(np.ones(len(least)))
    unexplained = 1 - np.maximum(spectrum, 0) @ axes**2
    yield np.clip(unexplained, np.maximum(least, SMALLEST_BEGIN), 1.0)
    if own is not None:
        # Joreskog's share of it: factors explain some of what the columns do not.
        share = 1 - len(axes) / (2 * len(least))
        yield np.clip(share * own, least, 1.0)
