"""Rows drawn from a fitted model."""

import numpy as np
import pytest
from given import LEARNS, SMALL, images
from sklearn.decomposition import PCA


def test_samples_without_noise_lie_on_what_the_decoder_makes(Estimator):
    X = images(300)
    model = Estimator(2, hidden_layer_sizes=(), random_state=0).fit(X)
    drawn = model.sample(50, noise=False, random_state=0)
    axes = PCA(2, svd_solver="full").fit(X).components_
    centred = drawn - X.mean(axis=0)
    np.testing.assert_allclose(centred @ axes.T @ axes, centred, atol=1e-8)
    noisy = model.sample(50, noise=True, random_state=0)
    off = noisy - X.mean(axis=0) - (noisy - X.mean(axis=0)) @ axes.T @ axes
    assert off.var() == pytest.approx(model.noise_variance_ * 62 / 64, rel=0.1)
    # The same codes, with noise about what they decode to.
    assert (noisy - drawn).var() == pytest.approx(model.noise_variance_, rel=0.1)


HALVES = [("gaussian", [0, 1, 2, 3, 4]), ("gaussian_diag", [5, 6, 7, 8, 9])]


@pytest.mark.parametrize("n_components", [5, 9, 10])
@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_diag", HALVES])
def test_samples_of_a_start_vary_as_much_as_the_rows(
    likelihood, n_components, Estimator
):
    X = np.random.default_rng(0).standard_normal((1000, 10))
    parameters = {"likelihood": likelihood, "max_iter": 0, "random_state": 0}
    model = Estimator(n_components, **parameters).fit(X)
    drawn = model.sample(10_000, random_state=0)
    assert drawn.var(axis=0).sum() == pytest.approx(X.var(axis=0).sum(), rel=0.03)


def test_samples_resemble_the_rows(Estimator):
    X = images(400)
    model = Estimator(8, **LEARNS).fit(X)
    drawn = model.sample(4000, random_state=0)
    spread = X.std(axis=0).max()
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=0.3 * spread)
    difference = np.cov(drawn.T) - np.cov(X.T)
    assert np.linalg.norm(difference) < 0.4 * np.linalg.norm(np.cov(X.T))


def test_samples_follow_their_seed(Estimator):
    model = Estimator(2, **SMALL).fit(images(100))
    first, again, other = (model.sample(5, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(model.sample(5), model.sample(5))
    assert model.sample().shape == (1, 64)
