"""Likelihoods are scipy's, sum to 1, and are drawn from as they say."""

import itertools

import numpy as np
import pytest
import torch
from given import built, generator, normal, tensors
from scipy import stats

from skae import VAETransformer
from skae.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    NegativeBinomial,
    Poisson,
)

from .made import (
    MIXED,
    START,
    counts,
    diagonal,
    gaussian,
    mixed,
    negative_binomial,
    student,
    with_totals,
)


@pytest.mark.parametrize("noise_variance", [1e-8, 0.3, 1.0, 1e8])
def test_gaussian_log_prob_is_that_of_scipy(noise_variance):
    x, eta = tensors((20, 4), (20, 4))
    found = gaussian(noise_variance, 4).log_prob(x, eta).detach()
    wanted = stats.norm.logpdf(x, eta, noise_variance**0.5).sum(axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_gaussian_deviance_is_the_squared_error():
    x, eta = tensors((20, 4), (20, 4))
    found = gaussian(0.3, 4).deviance(x, eta)
    np.testing.assert_allclose(found, (x - eta).square().sum(dim=1))


def test_bernoulli_log_prob_is_that_of_scipy():
    (eta,) = tensors((20, 4))
    x = (tensors((20, 4), seed=1)[0] > 0).double()
    likelihood = Bernoulli().build(4)
    wanted = stats.bernoulli.logpmf(x.numpy(), torch.sigmoid(eta).numpy()).sum(axis=1)
    np.testing.assert_allclose(likelihood.log_prob(x, eta), wanted)
    np.testing.assert_allclose(likelihood.deviance(x, eta), -wanted)


def test_bernoulli_log_prob_of_probabilities_is_minus_a_cross_entropy():
    (eta,) = tensors((20, 4))
    x = torch.rand((20, 4), generator=generator(), dtype=torch.float64)
    mean = torch.sigmoid(eta)
    wanted = (x * mean.log() + (1 - x) * (1 - mean).log()).sum(dim=1)
    np.testing.assert_allclose(Bernoulli().build(4).log_prob(x, eta), wanted)


def test_bernoulli_log_prob_is_finite_far_out():
    x = torch.tensor([[0.0, 1.0]])
    eta = torch.tensor([[1e4, -1e4]])
    assert Bernoulli().build(2).log_prob(x, eta).item() == pytest.approx(-2e4)


def test_gaussian_samples_have_the_mean_and_the_noise():
    eta = torch.tensor([[3.0, -1.0]]).double().expand(20_000, 2)
    drawn = gaussian(0.25, 4).sample(eta, generator()).detach().numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), [3.0, -1.0], atol=0.02)
    np.testing.assert_allclose(drawn.var(axis=0), 0.25, rtol=0.05)


def test_bernoulli_samples_are_0_or_1_with_the_right_frequency():
    eta = torch.tensor([[3.0, -1.0]]).double().expand(20_000, 2)
    likelihood = Bernoulli().build(2)
    drawn = likelihood.sample(eta, generator()).numpy()
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(axis=0), likelihood.mean(eta[0]), atol=0.02)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_samples_follow_the_generator(name):
    (eta,) = tensors((20, 4))
    likelihood = built(LIKELIHOODS[name](), 4)
    first, again, other = (likelihood.sample(eta, generator(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_noise_per_column_is_scipys():
    x, eta, noise = normal(20, 3), normal(20, 3, seed=1), [0.1, 2.0, 1e-6]
    wanted = stats.norm.logpdf(x, eta, np.sqrt(noise)).sum(axis=1)
    found = diagonal(noise).log_prob(x, eta).detach()
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


@pytest.mark.parametrize("freedom", [1.01, 3.0, 30.0, 1e6])
def test_student_t_is_scipys(freedom):
    x, eta, scale2 = 5 * normal(20, 3), normal(20, 3, seed=1), [0.1, 2.0, 1e-4]
    wanted = stats.t.logpdf(x, freedom, eta, np.sqrt(scale2)).sum(axis=1)
    found = student(scale2, freedom).log_prob(x, eta).detach()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_poisson_is_scipys():
    eta = 2 * normal(20, 3)
    x = torch.poisson(torch.exp(eta), generator=generator(1))
    wanted = stats.poisson.logpmf(x, torch.exp(eta)).sum(axis=1)
    found = Poisson(size=None).build(3).log_prob(x, eta)
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_negative_binomial_is_scipys(dtype):
    theta = np.array([0.05, 3.0, 1e5])
    eta = 2 * normal(40, 3)
    x = torch.poisson(torch.exp(eta), generator=generator(1))
    mean = torch.exp(eta).numpy()
    wanted = stats.nbinom.logpmf(x, theta, theta / (theta + mean)).sum(axis=1)
    module = negative_binomial(theta)
    found = module.log_prob(x.to(dtype), eta.to(dtype)).detach()
    tolerance = 1e-7 if dtype == torch.float64 else 1e-4
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def test_counts_given_their_total_are_multinomial():
    x, eta = torch.from_numpy(counts(30, 5)), normal(30, 5)
    module = with_totals(Poisson().build(5), 50.0, 2.5)
    total = x.sum(dim=1).numpy()
    shares = torch.softmax(eta, dim=1).numpy()
    wanted = stats.multinomial.logpmf(x.numpy(), total.astype(int), shares)
    wanted += stats.nbinom.logpmf(total, 2.5, 2.5 / (2.5 + 50))
    np.testing.assert_allclose(module.log_prob(x, eta), wanted, rtol=1e-6)


def test_categories_are_multinomial():
    groups = [[0, 3], [1, 2, 4]]
    module = built(Categorical(groups), 5)
    x = torch.tensor([[1.0, 0, 0, 0, 1], [0, 0, 1, 1, 0]], dtype=torch.float64)
    eta = normal(2, 5)
    wanted = sum(
        stats.multinomial.logpmf(
            x[:, g].numpy(), 1, torch.softmax(eta[:, g], dim=1).numpy()
        )
        for g in groups
    )
    np.testing.assert_allclose(module.log_prob(x, eta), wanted, rtol=1e-7)


ETAS = [-800.0, -3.0, -0.19, -1e-3, -1e-9, 0.0, 1e-4, 0.2, 0.21, 5.0, 300.0]


@pytest.mark.parametrize("eta", ETAS)
def test_a_continuous_bernoulli_integrates_to_1(eta):
    module = ContinuousBernoulli().build(1)
    eta = torch.tensor([[eta]], dtype=torch.float64)
    # Panels that shrink towards both ends, where the density may be steep.
    near = np.concatenate([[0], np.geomspace(1e-5, 0.5, 20)])
    edges = np.concatenate([near, 1 - near[-2::-1]])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (nodes + 1)).ravel()
    share = (half * weights).ravel()
    density = module.log_prob(torch.from_numpy(x)[:, None], eta).exp().numpy()
    assert share @ density == pytest.approx(1, abs=1e-9)
    assert module.mean(eta).item() == pytest.approx(share @ (x * density), abs=1e-9)


def test_a_continuous_bernoulli_is_smooth_in_float32_about_a_half():
    module = ContinuousBernoulli().build(1)
    eta = torch.linspace(-0.4, 0.4, 2001)[:, None]
    x = torch.full_like(eta, 0.3)
    wide = module.log_prob(x.double(), eta.double())
    np.testing.assert_allclose(module.log_prob(x, eta), wide, atol=3e-7)
    np.testing.assert_allclose(module.mean(eta), module.mean(eta.double()), atol=2e-6)


def all_counts(largest, n_features):
    rows = itertools.product(range(largest + 1), repeat=n_features)
    return torch.tensor(list(rows), dtype=torch.float64)


def mass(module, x, eta):
    return module.log_prob(x, eta.expand_as(x)).exp().sum().item()


def test_poisson_shares_and_their_total_sum_to_1():
    x = all_counts(40, 3)
    module = with_totals(Poisson().build(3), 4.0, 3.0)
    assert mass(module, x, normal(1, 3)) == pytest.approx(1, abs=1e-6)


def test_negative_binomial_shares_sum_to_at_most_1_and_near_poisson_to_1():
    x, eta = all_counts(40, 3), normal(1, 3)
    masses = [
        mass(with_totals(negative_binomial([theta] * 3, "total"), 4.0, 3.0), x, eta)
        for theta in (0.3, 3.0, 30.0, 1e5)
    ]
    assert masses == sorted(masses)
    assert 0.3 < masses[0] < masses[-1] < 1 + 1e-6
    assert masses[-1] == pytest.approx(1, abs=1e-4)


def test_a_mixed_likelihood_sums_and_integrates_to_1():
    spec = VAETransformer(1, likelihood=MIXED, **START).fit(mixed()).likelihood_
    module = spec.build(7)
    eta = normal(1, 7)
    eta[:, 6] = 0.5
    rows = [
        [x0, truth, 0.3, *category, count]
        for x0 in np.linspace(-12, 12, 241)
        for truth in (0, 1)
        for category in np.eye(3)
        for count in range(60)
    ]
    x = torch.tensor(np.array(rows))
    # Two Gaussian columns: one is integrated, the other's density is known.
    given = stats.norm.logpdf(0.3, eta[0, 2].item())
    found = mass(module, x, eta) * 0.1 / np.exp(given)
    assert found == pytest.approx(1, abs=1e-4)


def assert_moments(drawn, mean, variance):
    """Means within five standard errors, and variances about right."""
    drawn = drawn.detach().numpy()
    error = np.sqrt(variance / len(drawn))
    assert (np.abs(drawn.mean(axis=0) - mean) <= 5 * error).all()
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.15)


N = 20_000


def test_draws_with_a_noise_per_column_have_their_moments():
    eta = torch.tensor([[1.0, -2.0]]).double().expand(N, 2)
    drawn = diagonal([0.04, 9.0]).sample(eta, generator())
    assert_moments(drawn, [1, -2], np.array([0.04, 9.0]))


def test_students_draws_have_their_moments():
    eta = torch.tensor([[1.0, -2.0]]).double().expand(N, 2)
    drawn = student([0.04, 9.0], 8.0).sample(eta, generator())
    assert_moments(drawn, [1, -2], np.array([0.04, 9.0]) * 8 / 6)
    far = np.abs(drawn.detach().numpy()[:, 0] - 1) > 0.2 * 4
    expected = 2 * stats.t.sf(4, 8)
    assert abs(far.mean() - expected) < 5 * np.sqrt(expected / N)


@pytest.mark.parametrize("eta", [-300.0, -2.0, 0.0, 1e-5, 0.7, 40.0])
def test_draws_of_a_continuous_bernoulli_follow_its_distribution(eta):
    module = ContinuousBernoulli().build(1)
    etas = torch.full((4000, 1), eta, dtype=torch.float64)
    drawn = module.sample(etas, generator()).numpy().ravel()
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    decay = -abs(eta) or -1e-12
    mirrored = 1 - drawn if eta > 0 else drawn
    probability = stats.kstest(
        mirrored, lambda x: np.expm1(decay * x) / np.expm1(decay)
    ).pvalue
    assert probability > 1e-4


def test_draws_of_counts_have_their_moments():
    eta = torch.tensor([[1.0, -1.0]]).double().expand(N, 2)
    mean = np.exp([1.0, -1.0])
    poisson = Poisson(size=None).build(2).sample(eta, generator())
    assert_moments(poisson, mean, mean)
    wide = negative_binomial([2.0, 5.0]).sample(eta, generator())
    assert_moments(wide, mean, mean + mean**2 / np.array([2.0, 5.0]))
    for drawn in (poisson, wide):
        assert (drawn >= 0).all()
        assert (drawn == drawn.floor()).all()


def test_draws_of_shares_have_the_totals_distribution():
    eta = torch.tensor([[1.0, -1.0, 0.0]]).double().expand(N, 3)
    module = with_totals(Poisson().build(3), 30.0, 4.0)
    total = module.sample(eta, generator()).sum(dim=1, keepdim=True)
    assert_moments(total, [30.0], np.array([30 + 30**2 / 4]))
    mean = module.mean(eta[:1])
    np.testing.assert_allclose(mean.sum(), 30.0)
    sized = module.mean(eta[:1], torch.tensor([[1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(sized, mean / 5)
    # Whose distribution holds already how much columns vary.
    wide = with_totals(NegativeBinomial().build(3), 30.0, 4.0)
    total = wide.sample(eta, generator()).sum(dim=1, keepdim=True)
    assert_moments(total, [30.0], np.array([30 + 30**2 / 4]))


def test_draws_of_categories_are_one_hot_with_the_right_shares():
    module = built(Categorical([[0, 3], [1, 2, 4]]), 5)
    eta = normal(1, 5).expand(N, 5)
    drawn = module.sample(eta, generator())
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn[:, [0, 3]].sum(dim=1) == 1).all()
    assert (drawn[:, [1, 2, 4]].sum(dim=1) == 1).all()
    share = module.mean(eta[0]).numpy()
    assert_moments(drawn, share, share * (1 - share))
