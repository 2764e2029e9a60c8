"""Log-probabilities of large counts, whose terms are more than float32 can hold."""

import numpy as np
import pytest
import torch
from given import built, normal
from scipy import special, stats

from skae.likelihoods import NegativeBinomial, Poisson

from .made import SMALL, negative_binomial, with_totals

MEANS = 10.0 ** np.arange(13)
THETA = np.array([0.05, 8.0, 100.0])

both_types = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def resolved(counts, dtype):
    """What a logarithm of counts may be off by."""
    return 2 * torch.finfo(dtype).eps * np.log1p(counts)


def rows_about(means, deviations, n_columns, dtype):
    """Counts whose errors are so many deviations, and logarithms of their means."""
    steps = np.linspace(-2, 2, 9)[:, None, None] * deviations[:, None]
    x = np.round(np.maximum(means[:, None] + steps, 0)) + np.zeros((1, 1, n_columns))
    x = torch.from_numpy(x.reshape(-1, n_columns)).to(dtype)
    log_means = torch.from_numpy(np.log(np.tile(means, 9)))[:, None]
    return x, log_means.expand_as(x).to(dtype)


def poisson_rows(dtype):
    return rows_about(MEANS, np.sqrt(MEANS), 1, dtype)


def dispersed_rows(dtype):
    return rows_about(MEANS, MEANS / 2, len(THETA), dtype)


def slopes_of(module, x, eta):
    """Log-probabilities and slopes of rows; sets the gradients of parameters."""
    for p in module.parameters():
        p.grad = torch.zeros_like(p)
    with torch.no_grad():
        return [v.double().numpy() for v in module.log_prob_slope(x, eta, x[:, 0] ** 0)]


@both_types
def test_poisson_of_any_size_is_scipys(dtype):
    x, eta = poisson_rows(dtype)
    counts, rate = x.double().numpy(), eta.double().exp().numpy()
    wanted = stats.poisson.logpmf(counts, rate)[:, 0]
    found, slope = slopes_of(Poisson(size=None).build(1), x, eta)
    # As far as the logarithm of the rate is known, two deviations off.
    known = (4 * np.sqrt(rate) * resolved(rate, dtype))[:, 0]
    scipys = 1e-15 * (rate * np.log1p(rate))[:, 0]
    assert np.all(np.abs(found - wanted) < known + scipys + known**2 + 1e-5)
    assert np.all(np.abs(slope - (counts - rate)) < 1e-6 + rate * resolved(rate, dtype))


@both_types
def test_negative_binomial_of_any_size_is_scipys(dtype):
    x, eta = dispersed_rows(dtype)
    counts, mean = x.double().numpy(), eta.double().exp().numpy()
    wanted = stats.nbinom.logpmf(counts, THETA, THETA / (THETA + mean))
    module = negative_binomial(THETA)
    found, slope = slopes_of(module, x, eta)
    tolerance = 1e-4 + 1e-14 * counts * np.log1p(counts)
    assert np.all(np.abs(found - wanted.sum(axis=1)) < tolerance.sum(axis=1))
    pull = THETA * (counts - mean) / (THETA + mean)
    np.testing.assert_allclose(slope, pull, rtol=1e-4, atol=1e-3)
    rising = special.digamma(counts + THETA) - special.digamma(THETA)
    in_log_theta = THETA * (rising - np.log1p(mean / THETA)) - pull
    gradient = module.log_dispersion.shift.grad / module.log_dispersion.RATE
    np.testing.assert_allclose(gradient, in_log_theta.sum(axis=0), rtol=1e-4, atol=0.01)


@pytest.mark.parametrize("of", ["poisson", "negative binomial"])
def test_autograd_finds_the_slopes_of_large_counts(of):
    rows = {"poisson": poisson_rows, "negative binomial": dispersed_rows}[of]
    x, eta = rows(torch.float32)
    eta = eta.clone().requires_grad_()
    module = (
        Poisson(size=None).build(1) if of == "poisson" else negative_binomial(THETA)
    )
    (found,) = torch.autograd.grad(module.log_prob(x, eta).sum(), eta)
    _, wanted = slopes_of(module, x.double(), eta.detach().double())
    size = x.numpy() if of == "poisson" else 1
    scale = 1e-4 * np.abs(wanted) + 4 * size * resolved(x.numpy(), torch.float32)
    assert np.all(np.abs(found.numpy() - wanted) < scale + 1e-4)


@pytest.mark.parametrize("size", [1e6, 1e9, 1e12])
def test_large_counts_given_their_total_are_multinomial(size):
    shares = torch.softmax(normal(20, 5), dim=1).numpy()
    steps = normal(20, 5, seed=1).numpy()
    x = np.round(size * shares + np.sqrt(size * shares) * steps)
    total = x.sum(axis=1)
    wanted = stats.multinomial.logpmf(x, total.astype(int), shares)
    wanted += stats.nbinom.logpmf(total, 2.5, 2.5 / (2.5 + size))
    module = with_totals(Poisson().build(5), size, 2.5)
    found = module.log_prob(torch.from_numpy(x), torch.from_numpy(np.log(shares)))
    tolerance = 1e-6 + 1e-14 * size * np.log(size)
    np.testing.assert_allclose(found, wanted, atol=tolerance)


@pytest.mark.parametrize("size", [None, "total"])
@pytest.mark.parametrize("spec", [Poisson, NegativeBinomial])
def test_a_type_changes_no_log_prob_of_large_counts(spec, size):
    eta = normal(20, 30) / 2 + (np.log(1e7) if size is None else 0)
    eta = eta.float().double()
    mean = np.exp(eta.numpy()) if size is None else 3e8 * torch.softmax(eta, 1).numpy()
    x = torch.from_numpy(np.random.default_rng(0).poisson(mean) * 1.0).float()
    module = (
        with_totals(built(spec(size), 30), 3e8, 2.5) if size else built(spec(None), 30)
    )
    with torch.no_grad():
        wide = module.log_prob(x.double(), eta)
        narrow = module.log_prob(x, eta.float())
    np.testing.assert_allclose(narrow, wide, atol=0.1)


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
def test_counts_need_nothing_that_torch_calls_random(
    Estimator, likelihood, deterministic
):
    X = np.random.default_rng(0).poisson(2.0, (60, 5)) * 1.0
    model = Estimator(1, likelihood=likelihood, **SMALL).fit(X)
    assert np.isfinite(model.partial_fit(X).score_samples(X)).all()
