"""Densities of codes: mixtures, and a Gaussian about each code."""

import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from skae import AutoencoderTransformer
from skae.densities import trials
from skae.densities.codes import fit_code_mixture
from skae.densities.gaussians import FORMS, MixtureSpec
from skae.densities.kernels import KernelSearch
from skae.densities.limits import MAX_KERNELS, MIXTURE_SIZES, representatives
from skae.priors import AggregatePosterior


def test_codes_are_drawn_from_as_many_clusters_as_there_are():
    rng = np.random.default_rng(0)
    centres = np.array([[-20.0, 0.0], [20.0, 0.0]])
    codes = np.repeat(centres, 200, axis=0) + rng.normal(size=(400, 2))
    density = fit_code_mixture(codes, seed=0)
    assert density.mixture.n_components == 2
    drawn = density.sample(2000, random_state=0)
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=1.5)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), rtol=0.1, atol=1.5)
    # Drawn in random order, not cluster by cluster.
    assert 0.4 < (np.diff(np.sign(drawn[:, 0])) != 0).mean() < 0.6
    np.testing.assert_array_equal(drawn, density.sample(2000, random_state=0))


@pytest.mark.parametrize("codes", [np.zeros((1, 2)), np.ones((5, 2)), np.eye(3)])
def test_codes_too_few_or_all_equal_can_be_drawn_from(codes):
    drawn = fit_code_mixture(codes, seed=0).sample(100, random_state=0)
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.3)


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, True, None])
def test_a_wrong_number_of_codes_is_refused_by_name(n_samples):
    density = fit_code_mixture(np.eye(3), seed=0)
    with pytest.raises((TypeError, ValueError), match="n_samples"):
        density.sample(n_samples)


def test_the_search_does_not_mind_how_the_user_hears_of_underflows():
    codes = np.random.default_rng(0).normal(size=(60, 1)) + [[0], [1000]] * 30
    with np.errstate(all="raise"):
        mixture = fit_code_mixture(codes, 0)
    assert len(mixture.gaussians()[0].means) >= 2


def test_codes_of_one_row_are_held_out_together():
    """Else each would be known by its double, and no mixture would be too many."""
    codes = np.random.default_rng(0).normal(size=(60, 2))
    once = fit_code_mixture(codes, seed=0)
    again = fit_code_mixture(np.repeat(codes, 4, axis=0), seed=0)
    rows = np.repeat(np.arange(60), 4)
    shaken = np.repeat(codes, 4, axis=0) + 1e-6 * np.arange(240)[:, None]
    told = fit_code_mixture(shaken, seed=0, rows=rows)
    untold = fit_code_mixture(shaken, seed=0)
    assert once.mixture.n_components == 1
    assert again.held_out < once.held_out + 0.2
    assert told.held_out < once.held_out + 0.2
    assert untold.held_out > told.held_out + 1


def near_copies(n_rows, n_copies, seed=0):
    """Codes that come in near-copies, which differ along one direction most."""
    random = np.random.default_rng(seed)
    codes = np.repeat(random.normal(size=(n_rows, 2)), n_copies, axis=0)
    return codes + random.normal(size=(len(codes), 2)) @ [[0.05, 0.05], [0.005, -0.005]]


def test_near_copies_have_a_gaussian_each():
    codes = near_copies(100, 3)
    density = fit_code_mixture(codes, seed=0)
    few, about_each = density.gaussians()
    assert few.shares.sum() + about_each.shares.sum() == pytest.approx(1)
    assert density.kernel_share > 0.2
    np.testing.assert_allclose(about_each.means, codes)
    values, axes = np.linalg.eigh(about_each.covariances[0])
    assert abs(axes[:, 1].sum()) == pytest.approx(2**0.5, rel=0.01)
    np.testing.assert_allclose(values, [2 * 0.005**2, 2 * 0.05**2], rtol=0.7)
    drawn = density.sample(1000, random_state=0)
    distance = ((drawn[:, None] - codes) ** 2).sum(-1).min(1)
    assert (distance < 0.1).mean() > 0.8
    normal = np.random.default_rng(1).normal(size=(300, 2))
    assert fit_code_mixture(normal, seed=0).kernels is None


def test_the_covariance_about_each_code_is_the_likeliest_of_codes_left_out():
    codes = near_copies(30, 3)
    codes = (codes - codes.mean(0)) / codes.std(0)
    rows = np.arange(len(codes))
    kernels = KernelSearch()(codes, rows, is_diagonal=False)
    found = kernels.covariance

    def height(covariance):
        logs = multivariate_normal(cov=covariance).logpdf(codes[:, None] - codes)
        np.fill_diagonal(logs, -np.inf)
        return logsumexp(logs, axis=1).mean()

    random = np.random.default_rng(0)
    for _ in range(20):
        a = np.eye(2) + 0.2 * random.normal(size=(2, 2))
        assert height(found) > height(a @ found @ a.T) - 2e-3
    search = KernelSearch()
    diagonal = search(codes, rows, is_diagonal=True).covariance
    assert diagonal[0, 1] == 0
    assert height(diagonal) < height(found) - 0.5
    doubles = np.repeat(codes, 2, axis=0)
    of_doubles = KernelSearch()(doubles, np.repeat(rows, 2), is_diagonal=False)
    np.testing.assert_allclose(of_doubles.covariance, found, rtol=0.2, atol=1e-4)
    # A search goes on where the one before ended.
    again = search(codes, rows, is_diagonal=False)
    assert height(again.covariance) > height(found) - 2e-3
    parts = [multivariate_normal(c, found).pdf(doubles) for c in codes]
    wanted = np.log(np.mean(parts, axis=0))
    np.testing.assert_allclose(kernels.score_samples(doubles), wanted, rtol=1e-6)


def test_few_gaussians_have_at_least_a_share_of_one_about_each_code():
    """They are scikit-learn's, in units in which that is the identity."""
    codes = near_copies(40, 2)
    for kind in ("full", "diag"):
        kernels = KernelSearch()(codes, np.arange(80), is_diagonal=kind == "diag")
        few = MixtureSpec(kind, 0.1, 20).fit(codes, kernels, 0)
        root = np.linalg.cholesky(kernels.covariance)
        alike = GaussianMixture(
            20, covariance_type=kind, reg_covar=0.1, random_state=0
        ).fit(np.linalg.solve(root, codes.T).T)
        np.testing.assert_allclose(few.means_, alike.means_ @ root.T, atol=1e-10)
        wanted = alike.score_samples(np.linalg.solve(root, codes.T).T)
        wanted -= np.log(np.diag(root)).sum()
        np.testing.assert_allclose(few.score_samples(codes), wanted, atol=1e-8)
        for covariance in few.covariances_:
            covariance = covariance if kind == "full" else np.diag(covariance)
            ratios = eigh(covariance, kernels.covariance, eigvals_only=True)
            assert ratios.min() >= 0.1 - 1e-9


def test_near_copies_along_lines_of_their_own_have_gaussians_along_these(monkeypatch):
    """A Gaussian of six codes of eight components would be one of chance."""
    random = np.random.default_rng(0)
    centres, directions = random.normal(size=(2, 15, 8))

    def draw():
        along = 0.3 * random.normal(size=(15, 6, 1)) * directions[:, None]
        noise = 0.05 * random.normal(size=(15, 6, 8))
        return (centres[:, None] + along + noise).reshape(-1, 8)

    codes, new = draw(), draw()

    def height(forms):
        monkeypatch.setattr(trials, "FORMS", forms)
        density = fit_code_mixture(codes, seed=0)
        prior = AggregatePosterior().build(8, 8)
        prior.fit(density.gaussians(), len(codes))
        return prior.log_prob(torch.from_numpy(new), None).mean().item()

    # Of those held wider by one about each code it is not.
    assert height(FORMS) > height([("full", 1e-4)]) + 8 * 0.2


def test_codes_of_one_row_have_no_others_about_them():
    codes = np.random.default_rng(0).normal(size=(30, 2))
    rows = np.zeros(30, dtype=int)
    kernels = KernelSearch()(codes, rows, is_diagonal=False)
    np.testing.assert_array_equal(kernels.covariance, 1e-6 * np.eye(2))
    density = fit_code_mixture(codes, seed=0, rows=rows)
    assert density.kernels is None
    drawn = density.sample(2000, random_state=0)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.1)


def test_what_several_searches_find_is_averaged():
    """Where there is more than one best, each has its share, and none more parts."""
    random = np.random.RandomState(0)
    codes = random.standard_t(3, size=(400, 2)) ** 3
    density = fit_code_mixture(codes, seed=0)
    mixture = density.mixture
    assert mixture.n_components not in MIXTURE_SIZES
    assert mixture.weights_.sum() == pytest.approx(1)
    parts = zip(mixture.weights_, *density.gaussians()[0][1:], strict=True)
    wanted = sum(w * multivariate_normal(m, c).pdf(codes) for w, m, c in parts)
    found = mixture.score_samples((codes - density.mean) / density.scale)
    found = found - np.log(density.scale).sum()
    np.testing.assert_allclose(found, np.log(wanted), rtol=1e-6)


def test_many_codes_are_stood_for_by_some():
    codes = near_copies(100, 12)
    density = fit_code_mixture(codes, seed=0)
    assert density.kernels.n_components == MAX_KERNELS


def test_a_single_far_code_does_not_decide_on_a_mixture():
    codes = np.random.default_rng(0).normal(size=(300, 2))
    codes[:150] += 8
    codes[0] = 300
    assert fit_code_mixture(codes, seed=0).mixture.n_components > 1


def test_representatives_stand_for_weighted_rows():
    weight = np.array([2.0, 0.0, 1.0])
    np.testing.assert_array_equal(representatives(weight), [0, 0, 2])
    for scale in (0.5, 1e-6, 1e4):
        chosen = representatives(scale * np.tile([1.0, 3.0], 50))
        assert len(chosen) == (10_000 if scale > 1 else 100)
        assert (chosen % 2).mean() == pytest.approx(0.75, abs=0.01)


def test_a_density_is_fitted_once_it_is_asked_for_and_not_to_be_shown():
    X = np.random.RandomState(0).randn(40, 3)
    model = AutoencoderTransformer(2, max_iter=0).fit(X)
    assert "latent_density_" not in dir(model)
    model._repr_mimebundle_()
    assert model._density is None
    assert model.latent_density_ is model._density
    assert "latent_density_" in dir(model)
