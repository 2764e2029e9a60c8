"""scikit-learn's mixture, its Gaussians handled together.

scikit-learn takes them one by one, which for many small ones is mostly bookkeeping. In
the products ``s_ij = z_i z_j`` of a code with itself its logarithm is linear, and its
moments are means, so that one product of matrices does for all Gaussians what is done
in each step of expectation and maximisation:

    E    log N(z; m, C) = - 1/2 sum_ij P_ij s_ij + (P m)'z + constant
    M    C_ij = mean of s_ij - m_i m_j

with P the inverse of C. How a fit begins and ends is scikit-learn's. This is imported
where it is needed, since scikit-learn's mixtures take long to import.
"""

import numpy as np
from sklearn.mixture import GaussianMixture

from skae.normal import LOG_2PI

from .kernels import relative_weights

__all__ = ["JointMixture"]

EPSILON = np.finfo(float).eps


class JointMixture(GaussianMixture):
    """A :class:`~sklearn.mixture.GaussianMixture` of many Gaussians, sooner fitted.

    The covariances are "full" or "diag", and the codes float64 arrays. What squares of
    codes lose where they cancel has to be less than ``reg_covar``; otherwise some
    covariance may have no root (``LinAlgError``). Nothing is initialised by the user.
    """

    def fit_predict(self, X, y=None):
        """Fit it, and say which Gaussian each code is of; the codes are not kept."""
        labels = super().fit_predict(X)
        self._X = self._products = self._resp = None
        return labels

    def _initialize(self, X, resp, **_):
        is_diagonal = self.covariance_type == "diag"
        self._pairs = (np.diag_indices if is_diagonal else np.tril_indices)(X.shape[1])
        self._X, self._products = X, self._products_of(X)
        self._maximise(X, resp)

    def _m_step(self, X, log_resp, **_):
        self._maximise(X, self._resp)  # the exponentials of log_resp

    def _products_of(self, X):
        """Products of codes with themselves, each pair of components once."""
        i, j = self._pairs
        return X[:, i] * X[:, j]

    def _maximise(self, X, resp):
        """Set the Gaussians, given how much of each code is of which."""
        size = resp.sum(axis=0) + 10 * EPSILON
        self.weights_ = size / size.sum()
        self.means_ = (resp.T @ X) / size[:, None]
        i, j = self._pairs
        moments = (resp.T @ self._products) / size[:, None]
        moments -= self.means_[:, i] * self.means_[:, j]
        if self.covariance_type == "diag":
            self.covariances_ = moments + self.reg_covar
            self.precisions_cholesky_ = 1 / np.sqrt(self.covariances_)
            return
        n_gaussians, n_components = self.means_.shape
        self.covariances_ = np.empty((n_gaussians, n_components, n_components))
        self.covariances_[:, i, j] = self.covariances_[:, j, i] = moments
        self.covariances_ += self.reg_covar * np.eye(n_components)
        inverse = np.linalg.inv(np.linalg.cholesky(self.covariances_))
        self.precisions_cholesky_ = np.swapaxes(inverse, 1, 2)

    def _estimate_log_prob(self, X, **_):
        products = self._products if X is self._X else self._products_of(X)
        slopes, pulls, constants = self._terms()
        return products @ slopes.T + X @ pulls.T + constants

    def _terms(self):
        """Factors of the products, factors of the codes, and what is added to both."""
        roots = self.precisions_cholesky_
        if self.covariance_type == "diag":
            log_roots = np.log(roots)
            precisions = roots**2
            pulls, slopes = precisions * self.means_, precisions
        else:
            log_roots = np.log(np.diagonal(roots, axis1=1, axis2=2))
            precisions = roots @ np.swapaxes(roots, 1, 2)
            pulls = (precisions @ self.means_[:, :, None])[:, :, 0]
            i, j = self._pairs
            slopes = precisions[:, i, j] * np.where(i == j, 1, 2)
        squares = (pulls * self.means_).sum(axis=1)
        constants = (log_roots - LOG_2PI / 2).sum(axis=1) - squares / 2
        return slopes / -2, pulls, constants

    def _estimate_log_prob_resp(self, X, **_):
        logs = self._estimate_log_prob(X)
        logs += np.log(self.weights_)
        weights, total, largest = relative_weights(logs.copy())
        self._resp = weights / total[:, None]
        log_total = largest + np.log(total)
        return log_total, logs - log_total[:, None]
