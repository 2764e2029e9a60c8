"""Likelihoods: normalised, drawn from, sloped, begun and chosen as they say."""

import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.auto import auto_likelihood
from skae.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    GaussianDiag,
    NegativeBinomial,
    PerColumn,
    Poisson,
    StudentT,
)
from skae.start import fit_linear_maps

# Some of the rows made here are noise, which no code explains.
pytestmark = pytest.mark.filterwarnings("ignore:Components .* are the same")

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 3, "random_state": 0}
START = {"hidden_layer_sizes": (16,), "max_iter": 0, "random_state": 0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def built(spec, n_features):
    return spec.bind(np.arange(n_features), np.asarray).build(n_features)


def negative_binomial(theta, size=None):
    module = built(NegativeBinomial(size), len(theta))
    module.log_dispersion.set(np.asarray(theta, dtype=float))
    return module


def student(scale2, freedom):
    module = built(StudentT(), len(scale2))
    module.log_scale2.set(np.asarray(scale2, dtype=float))
    module.log_excess.set(freedom - 1.0)
    return module


def with_totals(module, mean, shape):
    module.rates.total_mean.fill_(mean)
    module.rates.total_shape.fill_(shape)
    return module


def diagonal(noise):
    module = built(GaussianDiag(), len(noise))
    module.log_noise.set(np.asarray(noise, dtype=float))
    return module


def counts(n_rows=300, n_features=12, seed=0):
    """Counts of two kinds of row, of all sizes, that vary more than Poisson's."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(n_features), size=2)[rng.integers(2, size=n_rows)]
    size = rng.gamma(3.0, 20.0, size=(n_rows, 1))
    theta = rng.uniform(1.0, 4.0, n_features)
    return rng.poisson(size * shares * rng.gamma(theta, 1 / theta, shares.shape)) * 1.0


def mixed(n_rows=240, seed=0):
    """Two real columns of odd units, a truth, a count, and a category of three."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n_rows)
    return np.column_stack(
        [
            1e6 + 50 * kind + 10 * rng.normal(size=n_rows),
            rng.random(n_rows) < 0.2 + 0.3 * kind,
            0.01 * kind + 0.001 * rng.normal(size=n_rows),
            np.eye(3)[kind],
            rng.poisson(1 + 4 * kind) + rng.poisson(rng.gamma(1, 2, n_rows)),
        ]
    ).astype(np.float64)


MIXED = [
    ("gaussian_diag", [0, 2]),
    ("bernoulli", [1]),
    ("categorical", slice(3, 6)),
    ("negative_binomial", [-1]),
]


# ------------------------------------------------------------- agreement with scipy


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


# ------------------------------------------------- everything sums to 1 over its rows


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


# --------------------------------------------------------------------------- draws


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


def test_draws_of_categories_are_one_hot_with_the_right_shares():
    module = built(Categorical([[0, 3], [1, 2, 4]]), 5)
    eta = normal(1, 5).expand(N, 5)
    drawn = module.sample(eta, generator())
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn[:, [0, 3]].sum(dim=1) == 1).all()
    assert (drawn[:, [1, 2, 4]].sum(dim=1) == 1).all()
    share = module.mean(eta[0]).numpy()
    assert_moments(drawn, share, share * (1 - share))


# -------------------------------------------------------------------------- slopes


def mixed_module():
    spec = VAETransformer(1, likelihood=MIXED, **START).fit(mixed()).likelihood_
    return spec.build(7)


MODULES = {
    "noise per column": (lambda: diagonal([0.1, 2.0, 1.0]), lambda: normal(9, 3)),
    "student": (lambda: student([0.1, 2.0, 1.0], 3.0), lambda: normal(9, 3)),
    "continuous": (
        lambda: ContinuousBernoulli().build(3),
        lambda: torch.rand(9, 3, generator=generator()).double(),
    ),
    "poisson": (
        lambda: Poisson(size=None).build(3),
        lambda: torch.from_numpy(counts(9, 3)),
    ),
    "shares": (
        lambda: with_totals(Poisson().build(3), 9.0, 2.0),
        lambda: torch.from_numpy(counts(9, 3)),
    ),
    "dispersed": (
        lambda: negative_binomial([0.1, 2.0, 1e7]),
        lambda: torch.from_numpy(counts(9, 3)),
    ),
    "dispersed shares": (
        lambda: with_totals(negative_binomial([0.1, 2.0, 90.0], "total"), 9.0, 2.0),
        lambda: torch.from_numpy(counts(9, 3)),
    ),
    "categories": (
        lambda: built(Categorical([[2, 0], [1]]), 3),
        lambda: torch.tensor([[0.0, 1, 1], [1, 1, 0]], dtype=torch.float64),
    ),
    "mixed": (
        mixed_module,
        lambda: torch.from_numpy(mixed(9) - [1e6, 0, 0, 0, 0, 0, 0]),
    ),
}


@pytest.mark.parametrize("method", ["log_prob", "deviance"])
@pytest.mark.parametrize("name", MODULES)
def test_slopes_are_those_of_autograd(name, method):
    module, x = (make() for make in MODULES[name])
    if method == "deviance":
        module.requires_grad_(False)
    eta = normal(*x.shape, seed=3).requires_grad_()
    row_factor = torch.rand(len(x), generator=generator(4), dtype=torch.float64)
    trained = [p for p in module.parameters() if p.requires_grad]
    value = getattr(module, method)(x, eta)
    wanted, *gradients = torch.autograd.grad(value @ row_factor, [eta, *trained])
    for p in trained:
        p.grad = torch.full_like(p, 7.0)
    with torch.no_grad():
        found, slope = getattr(module, f"{method}_slope")(x, eta.detach(), row_factor)
    np.testing.assert_allclose(found, value.detach(), rtol=1e-9)
    np.testing.assert_allclose(slope, wanted, rtol=1e-6, atol=1e-9)
    for p, gradient in zip(trained, gradients, strict=True):
        np.testing.assert_allclose(p.grad, gradient, rtol=1e-4, atol=1e-6)


# -------------------------------------------------------------------------- starts


def factor_analysis(vae):
    """scikit-learn's, at the solution that a VAE starts from."""
    fa = FactorAnalysis(vae.n_components_)
    fa.components_ = vae.module_.decoder.linear.weight.cpu().numpy().T
    fa.noise_variance_, fa.mean_ = vae.noise_variance_, vae.mean_
    fa.n_features_in_ = vae.n_features_in_
    return fa


TABLES = {
    "wine": (lambda: load_wine().data, 3),
    "digits": (lambda: load_digits().data[:500], 5),
    "iris": (lambda: load_iris().data, 2),
    "more columns than rows": (lambda: load_digits().data[:40], 4),
    "means of 1e8": (lambda: load_wine().data + 1e8, 2),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_noise_per_column_starts_at_factor_analysis(name):
    make, n_components = TABLES[name]
    X = make()
    vae = VAETransformer(n_components, likelihood="gaussian_diag", **START).fit(X)
    fa = factor_analysis(vae)
    found, wanted = vae.score_samples(X), fa.score_samples(X)
    np.testing.assert_allclose(found, wanted, atol=1e-3 * X.shape[1])
    np.testing.assert_allclose(vae.score(X), fa.score(X), atol=1e-6 * X.shape[1])
    np.testing.assert_allclose(vae.transform(X), fa.transform(X), atol=1e-6)
    # The bound is tight at any draw, so the loss of the start is the score too.
    one = VAETransformer(
        n_components, likelihood="gaussian_diag", n_score_samples=1, **START
    )
    np.testing.assert_allclose(one.fit(X).score_samples(X), found, rtol=1e-6)


@pytest.mark.parametrize("name", ["wine", "digits", "iris"])
def test_no_other_factor_analysis_is_more_likely(name):
    make, n_components = TABLES[name]
    X = make()
    X = X[:, X.std(axis=0) > 0]
    vae = VAETransformer(n_components, likelihood="gaussian_diag", **START).fit(X)
    fa = FactorAnalysis(n_components, svd_method="lapack").fit(X)
    assert vae.score(X) >= fa.score(X) - 1e-3 * X.shape[1]


def test_a_noise_per_column_does_not_know_the_units():
    X = load_wine().data
    unit = 10.0 ** np.arange(-6, 7)
    plain, scaled = (
        VAETransformer(3, likelihood="gaussian_diag", **START).fit(rows)
        for rows in (X, X * unit)
    )
    moved = plain.score_samples(X) - np.log(unit).sum()
    np.testing.assert_allclose(scaled.score_samples(X * unit), moved, atol=1e-4)


def test_an_autoencoder_with_a_noise_per_column_starts_at_standardised_pca():
    X = load_wine().data
    model = AutoencoderTransformer(3, likelihood="gaussian_diag", **START).fit(X)
    pca = make_pipeline(StandardScaler(), PCA(3)).fit(X)
    codes = pca.transform(X)
    np.testing.assert_allclose(model.transform(X), codes, atol=1e-8)
    wanted = pca.inverse_transform(codes)
    np.testing.assert_allclose(model.reconstruct(X), wanted, rtol=1e-6)


def test_a_column_that_never_varied_does_not_send_a_score_to_infinity():
    X = load_digits().data[:400]
    train, test = X[:200], X[200:]
    assert (train.std(axis=0) == 0).any()
    vae = VAETransformer(5, likelihood="gaussian_diag", **START).fit(train)
    test = test.copy()
    test[:, 0] = 1.0
    assert vae.score(test) > -64 * 10


@pytest.mark.parametrize("size", ["total", None])
@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("Model", [AutoencoderTransformer, VAETransformer])
def test_a_start_of_counts_is_no_worse_than_independent_columns(Model, name, size):
    X = counts()
    spec = LIKELIHOODS[name](size)
    model = Model(3, likelihood=spec, **START).fit(X)
    module, x = model.module_.likelihood, torch.from_numpy(X)
    share = X.mean(axis=0) / (X.mean() * 12 if size else 1)
    eta = torch.from_numpy(np.log(share)).expand_as(x)
    independent = -module.log_prob(x, eta).mean().item()
    assert model.start_loss_ <= independent * (1 + 1e-5)
    assert model.start_loss_ < 0.999 * independent or size is None


STARTS = {
    "continuous_bernoulli": lambda: load_digits().data[:300] / 16,
    "categorical": lambda: np.eye(4)[np.arange(60) % 4 * (np.arange(60) % 3 > 0)],
}


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("Model", [AutoencoderTransformer, VAETransformer])
def test_a_start_is_no_worse_than_independent_columns(Model, name):
    X = STARTS[name]()
    model = Model(2, likelihood=name, **START).fit(X)
    module, x = model.module_.likelihood, torch.from_numpy(X)
    shrunk = fit_linear_maps(X, np.ones(len(X)), 2)
    with torch.no_grad():
        start = module.start(shrunk, shrunk.loadings, np.ones(2), 0.0)
    eta = torch.from_numpy(start.intercept).expand_as(x)
    np.testing.assert_allclose(
        module.mean(eta)[0], X.mean(axis=0), atol=6e-3 if len(X) > 60 else 1e-6
    )
    independent = -module.log_prob(x, eta).mean().item()
    assert model.start_loss_ <= independent + 1e-5 * abs(independent)


@pytest.mark.parametrize("Model", [AutoencoderTransformer, VAETransformer])
def test_a_mixed_start_is_no_worse_than_independent_columns(Model):
    X = mixed()
    model = Model(2, likelihood=MIXED, **START).fit(X)
    real, rest = X[:, [0, 2]], X[:, 6]
    p, shares = X[:, 1].mean(), X[:, 3:6].mean(axis=0)
    theta = rest.mean() ** 2 / (rest.var() - rest.mean())
    independent = -(
        stats.norm.logpdf(real, real.mean(axis=0), real.std(axis=0)).sum()
        + stats.bernoulli.logpmf(X[:, 1], p).sum()
        + (X[:, 3:6] @ np.log(shares)).sum()
        + stats.nbinom.logpmf(rest, theta, theta / (theta + rest.mean())).sum()
    ) / len(X)
    assert model.start_loss_ < independent


def test_codes_of_counts_do_not_depend_on_the_size_of_a_row():
    X = counts()
    vae = VAETransformer(2, likelihood="poisson", **SMALL).fit(X)
    np.testing.assert_allclose(vae.transform(3 * X), vae.transform(X), atol=1e-9)
    np.testing.assert_allclose(
        vae.reconstruct(3 * X), 3 * vae.reconstruct(X), rtol=1e-6
    )


def test_students_fit_is_not_moved_by_a_few_far_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 1)) @ rng.normal(size=(1, 6))
    X += 0.1 * rng.normal(size=X.shape)
    wild = X.copy()
    wild[rng.random(X.shape) < 0.02] += 30
    parameters = {"hidden_layer_sizes": (16,), "max_iter": 60, "random_state": 0}
    robust, plain = (
        VAETransformer(1, likelihood=name, **parameters).fit(wild).score(X)
        for name in ("student_t", "gaussian_diag")
    )
    assert robust > plain + 2


# --------------------------------------------------------------- users' journeys

ROWS = {
    "gaussian": lambda: load_iris().data,
    "gaussian_diag": lambda: load_iris().data,
    "student_t": lambda: load_iris().data,
    "bernoulli": lambda: (load_digits().data[:200] > 7) * 1.0,
    "continuous_bernoulli": lambda: load_digits().data[:200] / 16,
    "poisson": counts,
    "negative_binomial": counts,
    "categorical": lambda: np.eye(5)[np.arange(80) % 7 % 5],
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("Model", [AutoencoderTransformer, VAETransformer])
def test_every_likelihood_goes_the_whole_way(Model, name):
    X = ROWS[name]()
    model = Model(2, likelihood=name, **SMALL).fit(X)
    scores = model.score_samples(X)
    assert np.isfinite(scores).all()
    assert model.transform(X).shape == (len(X), 2)
    assert model.reconstruct(X).shape == X.shape
    drawn = model.sample(50, random_state=0)
    model.likelihood_.check(drawn)
    np.testing.assert_array_equal(drawn, model.sample(50, random_state=0))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.score_samples(X), scores)
    np.testing.assert_array_equal(again.sample(50, random_state=0), drawn)
    same = clone(model).fit(X)
    np.testing.assert_array_equal(same.transform(X), model.transform(X))


@pytest.mark.parametrize("name", ROWS)
def test_a_trained_vae_is_no_worse_than_its_start(name):
    X = ROWS[name]()
    parameters = SMALL | {"max_iter": 15}
    model = VAETransformer(2, likelihood=name, **parameters).fit(X)
    assert model.best_loss_ <= model.start_loss_


def test_the_likelihood_is_searched_on_a_grid():
    X = counts(120)
    grid = {"likelihood": ["gaussian", "poisson", NegativeBinomial()]}
    search = GridSearchCV(VAETransformer(2, **SMALL), grid, cv=2).fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert scores[2] > scores[1] > scores[0]
    nested = {"likelihood__size": ["total", None]}
    search = GridSearchCV(
        VAETransformer(2, likelihood=Poisson(), **SMALL), nested, cv=2
    )
    assert search.fit(X).best_params_ == {"likelihood__size": "total"}


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", MIXED, "auto"])
def test_sparse_rows_are_the_same_rows(name):
    X = mixed() if name is MIXED else counts(120)
    vae = VAETransformer(2, likelihood=name, **START)
    dense, sparse = clone(vae).fit(X), vae.fit(sp.csr_array(X))
    codes, scores = dense.transform(X), dense.score_samples(X)
    for rows in (sp.csr_array(X), sp.csc_array(X), X):
        np.testing.assert_allclose(sparse.transform(rows), codes, atol=1e-6)
    np.testing.assert_allclose(sparse.score_samples(sp.csr_array(X)), scores, rtol=1e-6)
    trained = VAETransformer(2, likelihood=name, **SMALL).fit(sp.csr_array(X))
    np.testing.assert_array_equal(
        trained.transform(X), trained.transform(sp.csr_array(X))
    )


NAMES = ["income", "smoker", "share", "city_a", "city_b", "city_c", "visits"]
NAMED = [
    ("gaussian_diag", ["income", "share"]),
    (Bernoulli(), ["smoker"]),
    ("categorical", ["city_a", "city_b", "city_c"]),
    ("negative_binomial", "visits"),
]


@pytest.mark.parametrize("Model", [AutoencoderTransformer, VAETransformer])
def test_columns_are_chosen_by_name(Model):
    pd = pytest.importorskip("pandas")
    X = mixed()
    frame = pd.DataFrame(X, columns=NAMES)
    named = Model(2, likelihood=NAMED, **SMALL).fit(frame)
    numbered = Model(2, likelihood=MIXED, **SMALL).fit(X)
    assert named.likelihood is NAMED
    np.testing.assert_array_equal(named.transform(frame), numbered.transform(X))
    drawn = named.set_output(transform="pandas").sample(30, random_state=0)
    assert list(drawn.columns) == NAMES
    assert (drawn[["city_a", "city_b", "city_c"]].sum(axis=1) == 1).all()
    assert drawn["smoker"].isin([0, 1]).all()
    assert (drawn["visits"] == np.floor(drawn["visits"])).all()
    assert drawn["visits"].min() >= 0
    assert drawn["income"].nunique() == 30


def test_groups_of_categories_are_chosen_by_name():
    pd = pytest.importorskip("pandas")
    X = np.hstack([np.eye(2)[np.arange(40) % 2], np.eye(3)[np.arange(40) % 3]])
    frame = pd.DataFrame(X[:, [2, 0, 3, 1, 4]], columns=["u", "a", "v", "b", "w"])
    spec = Categorical([["a", "b"], ["u", "v", "w"]])
    model = VAETransformer(1, likelihood=spec, **START).fit(frame)
    assert model.likelihood_.groups == [[1, 3], [0, 2, 4]]
    assert spec.groups == [["a", "b"], ["u", "v", "w"]]


def test_the_score_of_a_mixed_table_is_the_sum_over_its_parts():
    X = mixed()
    vae = VAETransformer(2, likelihood=MIXED, **SMALL).fit(X)
    module = vae.module_.likelihood
    x, eta = torch.from_numpy(X[:9] - vae.likelihood_.origin(vae.mean_)), normal(9, 7)
    parts = [p.likelihood.log_prob(p.of(x), p.of(eta)) for p in module.parts]
    assert len(parts) == 4
    np.testing.assert_allclose(
        module.log_prob(x, eta).detach(), sum(parts).detach(), rtol=1e-12
    )
    assert (
        vae.score(X) > VAETransformer(2, likelihood=MIXED, **START).fit(X).score(X) - 1
    )


def test_auto_looks_at_the_columns(capsys):
    X = mixed()
    assert auto_likelihood(X) == [
        ("gaussian_diag", [0, 2]),
        ("negative_binomial", [6]),
        ("bernoulli", [1]),
        ("categorical", [3, 4, 5]),
    ]
    assert auto_likelihood(sp.csr_array(X)) == auto_likelihood(X)
    assert auto_likelihood(load_iris().data) == "gaussian_diag"
    assert auto_likelihood(counts()) == "negative_binomial"
    assert auto_likelihood((load_digits().data > 7) * 1.0) == "bernoulli"
    overlapping = np.eye(3)[np.arange(30) % 3]
    overlapping = np.column_stack([overlapping[:, 0], overlapping])
    assert auto_likelihood(overlapping) == [
        ("bernoulli", [0]),
        ("categorical", [1, 2, 3]),
    ]
    model = VAETransformer(2, likelihood="auto", verbose=True, **SMALL).fit(X)
    assert isinstance(model.likelihood_, PerColumn)
    assert "likelihood: PerColumn" in capsys.readouterr().out
    assert model.likelihood == "auto"


def test_binary_rows_are_drawn_anew_each_time():
    x = torch.full((2000, 3), 0.3)
    module = Bernoulli(binarize=True).build(3)
    draws = generator()
    first, second = module.drawn(x, draws), module.drawn(x, draws)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    assert abs(first.mean().item() - 0.3) < 5 * (0.21 / 6000) ** 0.5
    assert Bernoulli().build(3).drawn(x, draws) is x


def test_binary_rows_are_learned_from_grey_ones():
    X = load_digits().data[:300] / 16
    binary = (np.random.default_rng(0).random(X.shape) < X) * 1.0
    parameters = SMALL | {"max_iter": 15, "early_stopping": False}
    drawn, grey = (
        VAETransformer(4, likelihood=spec, **parameters).fit(X)
        for spec in (Bernoulli(binarize=True), Bernoulli())
    )
    assert drawn.loss_curve_ != grey.loss_curve_
    again = clone(drawn).fit(X)
    assert again.loss_curve_ == drawn.loss_curve_
    start = clone(drawn).set_params(max_iter=0).fit(X)
    assert drawn.score(binary) > start.score(binary) + 0.5


def test_an_autoencoder_and_a_density_take_the_same_losses():
    X = counts()
    model = AutoencoderTransformer(2, likelihood="poisson", **SMALL).fit(X)
    module, x = model.module_, torch.from_numpy(X)
    with torch.no_grad():
        losses = -module.likelihood.log_prob(x, module.decoder(module.encode(x)))
    assert losses.mean().item() < -module.likelihood.log_prob(x, 0 * x).mean().item()


@pytest.mark.parametrize("name", ["poisson", MIXED])
def test_streams_and_warm_starts_keep_their_likelihood(name):
    X = mixed() if name is MIXED else counts()
    stream = VAETransformer(2, likelihood=name, **SMALL)
    stream.partial_fit(X[:100]).partial_fit(X[100:])
    warm = VAETransformer(2, likelihood=name, warm_start=True, **SMALL).fit(X)
    before = warm.n_iter_
    assert warm.fit(X).n_iter_ == before
    for model in (stream, warm):
        assert np.isfinite(model.score(X))


@pytest.mark.parametrize("name", ["gaussian_diag", "student_t", "negative_binomial"])
def test_a_network_of_the_users_own_falls_back_to_autograd(name):
    X = ROWS[name]()
    model = VAETransformer(
        2, likelihood=name, decoder=torch.nn.Linear, **SMALL | {"max_iter": 2}
    )
    assert not model.fit(X).module_.is_traceable
    assert np.isfinite(model.score(X))


@pytest.mark.parametrize("name", list(ROWS))
def test_random_networks_take_every_likelihood(name):
    model = VAETransformer(2, likelihood=name, init="random", **SMALL)
    assert np.isfinite(model.fit(ROWS[name]()).score(ROWS[name]()))


def test_weights_are_repetitions_for_counts():
    X = counts(60)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = VAETransformer(2, likelihood="negative_binomial", **SMALL)
    weighted.fit(X, sample_weight=weight)
    repeated = clone(weighted).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-7)


# ----------------------------------------------------------------------- bad input


def refused(likelihood, X, match):
    for Model in (AutoencoderTransformer, VAETransformer):
        with pytest.raises(ValueError, match=match):
            Model(1, likelihood=likelihood, **SMALL).fit(X)


@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("name", ["poisson", "negative_binomial", Poisson(None)])
@pytest.mark.parametrize("value", [-1.0, 0.5])
def test_what_is_no_count_is_refused(name, value, as_format):
    X = counts(30)
    X[3, 2] = value
    refused(name, as_format(X), rf"(?s)likelihood=.*value {value:g}.*raw counts")
    model = VAETransformer(2, likelihood=name, **START).fit(counts(30))
    with pytest.raises(ValueError, match="raw counts"):
        model.transform(as_format(X))
    with pytest.raises(ValueError, match=r"X_val.*raw counts"):
        model.fit(counts(30), X_val=as_format(X))


@pytest.mark.parametrize(
    "row", [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [2, -1, 0, 0, 0]]
)
@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
def test_what_is_not_one_hot_is_refused(row, as_format):
    X = np.eye(5)[np.arange(30) % 5]
    X[7] = row
    refused("categorical", as_format(X), r"likelihood='categorical'.*of row 7")


PAIRS = {
    "left out": ([("gaussian", [0, 1])], r"columns \[2\] have none\."),
    "named twice": (
        [("gaussian", [0, 1]), ("bernoulli", [1, 2])],
        r"columns \[1\] have several\.",
    ),
    "twice in one": ([("gaussian", [0, 1, 2, -1])], r"columns \[2\] have several\."),
    "out of range": ([("gaussian", [0, 1, 2, 3])], "no column 3"),
    "a name without names": ([("gaussian", ["a"])], "no column 'a'.*no column names"),
    "an unknown likelihood": ([("cauchy", [0, 1, 2])], "'cauchy' is no likelihood"),
    "no pair": (["gaussian"], "no pair"),
    "nothing": ([], r"columns \[0, 1, 2\] have none\."),
    "nested": ([(PerColumn([]), [0, 1, 2])], "no likelihood of columns"),
    "no column": ([("gaussian", [0.5, 1, 2])], "no column 0.5"),
    "groups that overlap": (Categorical([[0, 1], [1, 2]]), "exactly once"),
    "groups that leave out": (Categorical([[0, 1]]), "exactly once"),
    "groups that are none": (Categorical(3), "groups=3 of Categorical is no list"),
    "no truth value": (Bernoulli(binarize="x"), "binarize='x' of Bernoulli"),
    "a size of its own": (Poisson(size="large"), r"Poisson\(size='large'\)"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_columns_that_are_not_shared_out_are_refused(name):
    likelihood, match = PAIRS[name]
    refused(likelihood, np.eye(3)[np.arange(20) % 3], f"(?s)likelihood.*{match}")


def test_a_class_among_the_columns_is_refused():
    with pytest.raises(TypeError, match="likelihood=Bernoulli is a class"):
        VAETransformer(1, likelihood=[(Bernoulli, [0])]).fit(np.eye(4)[:, :1])


def test_a_part_that_is_refused_names_its_columns():
    X = mixed()
    X[5, 1] = 2
    refused(MIXED, X, r"(?s)columns \[1\].*between 0 and 1")


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_continuous_bernoulli_wants_the_unit_interval(value):
    X = np.random.default_rng(0).random((20, 3))
    X[0, 0] = value
    refused("continuous_bernoulli", X, "continuous_bernoulli.*between 0 and 1")


def test_slices_masks_and_single_columns_choose_columns():
    X = mixed()
    mask = np.zeros(7, dtype=bool)
    mask[[0, 2]] = True
    choices = [
        MIXED,
        [
            ("gaussian_diag", mask),
            ("bernoulli", 1),
            ("categorical", np.arange(3, 6)),
            ("negative_binomial", slice(6, None)),
        ],
    ]
    first, second = (
        VAETransformer(2, likelihood=choice, **START).fit(X) for choice in choices
    )
    assert str(first.likelihood_) == str(second.likelihood_)
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
