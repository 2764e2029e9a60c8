"""A mixture whose Gaussians are handled together is scikit-learn's."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skae.densities.expectation import JointMixture
from skae.densities.gaussians import MixtureSpec

KINDS = ["full", "diag"]


def both(codes, size, kind, **parameters):
    """scikit-learn's, and one whose Gaussians are handled together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [
            mixture(
                size,
                covariance_type=kind,
                **{"reg_covar": 0.01, "random_state": 0} | parameters,
            ).fit(codes)
            for mixture in (GaussianMixture, JointMixture)
        ]


def bent(n_codes, n_components, seed=0):
    random = np.random.default_rng(seed)
    codes = random.normal(size=(n_codes, n_components))
    codes[:, 0] = np.sin(2 * codes[:, -1]) + 0.1 * codes[:, 0]
    codes[: n_codes // 3] += 2
    return codes


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(
    n_codes=st.integers(4, 60),
    n_components=st.integers(1, 9),
    size=st.integers(1, 9),
    seed=st.integers(0, 99),
    unit=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_it_is_that_of_scikit_learn(kind, n_codes, n_components, size, seed, unit):
    codes = unit * bent(n_codes, n_components, seed)
    theirs, ours = both(codes, min(size, n_codes), kind)
    assert ours.n_iter_ == theirs.n_iter_
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-6
        )
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_far_codes_leave_covariances_that_are_some(kind):
    """One is 50,000 times as far out as the others, and the floor the smallest."""
    codes = bent(3000, 2)
    codes[0] = 5e4
    theirs, ours = both(codes, 8, kind, reg_covar=1e-4)
    least = (
        ours.covariances_.min()
        if kind == "diag"
        else np.linalg.eigvalsh(ours.covariances_).min()
    )
    assert least >= 0.9e-4
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-3, atol=1e-3)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_new_codes_have_the_density_of_the_mixture(kind):
    _, mixture = both(bent(200, 3), 4, kind)
    new = bent(50, 3, seed=1)
    covariances = mixture.covariances_
    if kind == "diag":
        covariances = [np.diag(variances) for variances in covariances]
    wanted = sum(
        weight * multivariate_normal(mean, covariance).pdf(new)
        for weight, mean, covariance in zip(
            mixture.weights_, mixture.means_, covariances, strict=True
        )
    )
    np.testing.assert_allclose(np.exp(mixture.score_samples(new)), wanted, rtol=1e-8)
    shares = mixture.predict_proba(new)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_array_equal(mixture.predict(new), shares.argmax(axis=1))


def test_codes_too_far_for_their_squares_are_left_to_scikit_learn():
    codes = 1e7 + bent(200, 3)
    with pytest.raises(np.linalg.LinAlgError):
        JointMixture(2, reg_covar=1e-4, random_state=0).fit(codes)
    found = MixtureSpec("full", 1e-4, 2)._found(codes, 0)
    wanted = GaussianMixture(2, reg_covar=1e-4, random_state=0).fit(codes)
    np.testing.assert_array_equal(found.covariances_, wanted.covariances_)


def test_each_step_gains():
    _, mixture = both(bent(400, 4), 16, "full", tol=0.0, max_iter=60)
    assert mixture.n_iter_ > 10
    assert np.diff(mixture.lower_bounds_).min() > -1e-9
