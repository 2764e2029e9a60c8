"""The VAE as a density model: scores, bounds, draws, diagnostics, classes."""

import copy
import pickle
import warnings
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skae import VAETransformer
from skae.estimators import fitted_density
from skae.fitting.planning import EPOCH_PASSES
from skae.models import draws
from skae.models.draws import draw_table
from skae.models.laplace import rows_together
from skae.models.posteriors import DiagonalGaussian
from skae.models.start_density import StartDensity
from skae.rows import Rows
from skae.training.judges import beside_start, row_losses

SMALL = {"hidden_layer_sizes": (16,), "random_state": 0}
COLLAPSES = {
    "hidden_layer_sizes": (64,),
    "beta": 50,
    "max_iter": 10,
    "early_stopping": False,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def split():
    """Digits up to 4 to fit and 40 others, with what they show."""
    X, y = load_digits(n_class=5, return_X_y=True)
    return X[:600], X[600:640], y[:600], y[600:640]


@pytest.fixture(scope="module")
def fitted(split):
    """A VAE of digits."""
    vae = VAETransformer(8, hidden_layer_sizes=(32,), max_iter=20, random_state=0)
    return vae.fit(split[0])


@pytest.fixture(scope="module")
def told(split):
    """The same, told the classes."""
    X, _, y, _ = split
    vae = VAETransformer(
        4, conditional=True, hidden_layer_sizes=(32,), max_iter=15, random_state=0
    )
    return vae.fit(X, y)


# ---------------------------------------------------------------------- scores


def test_a_score_is_near_that_of_many_random_draws(fitted, split):
    X = split[1][:32]
    many = fitted._row_density()
    draws = np.random.RandomState(0).standard_normal((1024, 8))
    many.draws = torch.from_numpy(draws)
    error = fitted.score_samples(X) - fitted._map(X, many.log_prob)
    assert abs(error.mean()) < 0.1
    assert abs(error).mean() < 0.1


LIKELIHOODS = {
    "gaussian": lambda rng, eta: eta + rng.normal(size=eta.shape) / 3,
    "gaussian_diag": lambda rng, eta: eta + rng.normal(size=eta.shape) / [1, 2, 3, 4],
    "student_t": lambda rng, eta: eta + rng.standard_t(3, size=eta.shape) / 3,
    "bernoulli": lambda rng, eta: (eta > rng.logistic(size=eta.shape)).astype(float),
    "poisson": lambda rng, eta: rng.poisson(np.exp(eta)).astype(float) + 1,
    "negative_binomial": lambda rng, eta: (
        rng.poisson(np.exp(eta + rng.normal(size=eta.shape))).astype(float) + 1
    ),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_score_is_the_integral_over_the_code(name):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 1))
    eta = np.concatenate([2 * z, z**2, np.sin(3 * z), -z], axis=1)
    X = LIKELIHOODS[name](rng, eta)
    vae = VAETransformer(
        1, likelihood=name, hidden_layer_sizes=(16,), max_iter=30, random_state=0
    ).fit(X)
    grid = np.linspace(-6, 6, 9001)

    def integral(x):
        codes = torch.from_numpy(grid[:, None])
        predictor = vae.module_.decoder(codes)
        given = vae.module_.likelihood.log_prob(x[:, None], predictor[None])
        log_prior = vae._with_prior().log_prior(codes)
        return torch.logsumexp(given + log_prior, dim=1) + np.log(grid[1] - grid[0])

    X, wanted = X[:32], vae._map(X[:32], integral)
    density = vae._row_density()
    if density.start is not None:
        n = density.n_seen
        start = vae._map(X, density.start.log_prob)
        wanted = np.logaddexp(wanted + np.log(n), start) - np.log(n + 1)
    error = vae.score_samples(X) - wanted
    assert abs(error).mean() < 0.02
    assert abs(error.mean()) < 0.01


def test_more_draws_do_not_change_a_score_by_much(fitted, split):
    X = split[1]
    more = copy.deepcopy(fitted).set_params(n_score_samples=1024)
    assert abs(more.score(X) - fitted.score(X)) < 0.1


def test_the_draws_that_are_decoded_together_do_not_change_a_score(
    fitted, split, monkeypatch
):
    X, few = split[1][:3], copy.deepcopy(fitted).set_params(n_score_samples=4)
    whole = few.score_samples(X)
    monkeypatch.setattr("skae.models.draws.DECODED_NUMBERS", 1)
    np.testing.assert_allclose(few.score_samples(X), whole, rtol=1e-6, atol=1e-3)


def test_a_row_has_the_same_score_in_any_company(fitted, split):
    X = split[0][:70]  # more than are looked at together
    alone = np.concatenate([fitted.score_samples(X[[i]]) for i in (0, 13, 69)])
    np.testing.assert_array_equal(alone, fitted.score_samples(X)[[0, 13, 69]])


def test_at_the_start_the_score_is_factor_analysis(iris):
    X, _ = iris
    vae = VAETransformer(2, likelihood="gaussian_diag", max_iter=0).fit(X)
    module = vae.module_
    same = FactorAnalysis(2).fit(X)
    same.components_ = module.decoder.linear.weight.numpy().T
    same.noise_variance_ = vae.noise_variance_
    np.testing.assert_allclose(vae.score(X), same.score(X), atol=1e-6)
    np.testing.assert_allclose(vae.elbo(X).total.mean(), same.score(X), atol=1e-6)


def bent(n_rows, n_columns):
    """Rows near a parabola, which a network fits with much less noise than PCA."""
    rng = np.random.default_rng(0)
    t = rng.uniform(-2, 2, size=(n_rows, 1))
    powers = np.hstack([t, t**2]) @ rng.normal(size=(2, n_columns))
    return powers + 0.05 * rng.normal(size=powers.shape)


def by_start(vae, X):
    """Log-density of rows under what has the share of one of them."""
    maps = vae._start
    noise = maps.column_noise
    if vae.likelihood == "gaussian":
        noise = np.full(len(noise), noise.mean())
    factor = maps.n_rows / (maps.n_rows - 1)
    loadings = maps.loadings
    if vae.likelihood == "gaussian":
        noise = noise * maps.noise_excess
        own = np.maximum(maps.explained_variance - noise[0], 0)
        loadings = maps.components.T * np.sqrt(own)
    covariance = factor * (loadings @ loadings.T + np.diag(noise))
    start = multivariate_normal(maps.mean, covariance).logpdf(X)
    if vae.likelihood == "gaussian":
        return start
    deviations = np.sqrt(factor * maps.variance)
    independent = norm(maps.mean, deviations).logpdf(X).sum(axis=1)
    return np.logaddexp(start, independent) - np.log(2)


def test_columns_that_vary_in_the_same_row_do_not_make_another_impossible():
    """Factor analysis leaves them no noise, and a row where one varies alone."""
    rng = np.random.default_rng(0)
    X = np.hstack([rng.normal(size=(200, 4)), np.zeros((200, 2))])
    X[0, 4:] = 1
    parameters = dict(likelihood="gaussian_diag", random_state=0)
    row = np.array([[0, 0, 0, 0, 1, 0]])
    start = VAETransformer(2, max_iter=0, **parameters).fit(X)
    assert start.noise_variance_[4] < 1e-4 * X[:, 4].var()
    assert start.score(row) < -1000
    vae = VAETransformer(2, max_iter=2, **parameters).fit(X)
    assert vae.score(row) > -120


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_diag"])
def test_a_score_is_that_of_one_row_more_seen_by_the_start(likelihood):
    X = bent(200, 5)
    parameters = SMALL | {"likelihood": likelihood, "max_iter": 200}
    vae = VAETransformer(1, **parameters).fit(X)
    far = X[:5] + 100 * np.eye(5)
    rows = np.vstack([X, far])
    density = vae._row_density()
    density.start = None
    model, start = vae._map(rows, density.log_prob), by_start(vae, rows)
    n = vae._start.n_rows
    both = np.logaddexp(model + np.log(n), start) - np.log(n + 1)
    np.testing.assert_allclose(vae.score_samples(rows), both, rtol=1e-6)
    assert model[:200].mean() > start[:200].mean() + 0.3
    assert model[200:].sum() < start[200:].sum()  # less noise punishes more


@pytest.mark.parametrize(
    ("n_columns", "conditional"), [(5, False), (5, True), (120, False)]
)
def test_no_row_is_less_likely_than_at_the_start_but_for_its_share(
    n_columns, conditional
):
    X, y = bent(100, n_columns), np.arange(100) % 2
    vae = VAETransformer(1, conditional=conditional, max_iter=60, **SMALL).fit(X, y)
    rows = np.vstack([X, X[:5] + 100 * np.eye(5, n_columns)])
    least = by_start(vae, rows) - np.log(vae._start.n_rows + 1)
    assert (vae.score_samples(rows) > least - 1e-6 * abs(least)).all()
    if conditional:
        assert vae.score(rows[-5:], y[:5]) > least[-5:].mean() * (1 + 1e-6)


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_components"), [(60, 8, 5), (30, 40, 2), (20, 300, 5)]
)
def test_no_row_is_less_likely_than_pca_says_but_for_its_share(
    n_rows, n_columns, n_components
):
    X = bent(n_rows, n_columns)
    vae = VAETransformer(n_components, max_iter=60, **SMALL).fit(X)
    rows = np.vstack([X, X[:8] + 10.0 ** np.arange(8)[:, None] * np.eye(8, n_columns)])
    pca = PCA(n_components, svd_solver="full").fit(X)
    least = pca.score_samples(rows) - np.log(n_rows + 1)
    assert (vae.score_samples(rows) > least - 1e-6 * abs(least)).all()


@pytest.mark.parametrize(("n_rows", "n_columns"), [(60, 8), (30, 40), (20, 300)])
@pytest.mark.parametrize("n_components", [2, 5])
def test_the_start_with_pcas_noise_is_pca(n_rows, n_columns, n_components):
    X = bent(n_rows, n_columns)
    vae = VAETransformer(n_components, max_iter=0).fit(X)
    start, rows = vae._start, X.mean(axis=0) + 3 * (X - X.mean(axis=0))
    density = StartDensity(vae.module_, start, has_column_noise=False)
    found = density.log_prob(torch.from_numpy(rows - X.mean(axis=0)))
    pca = PCA(n_components, svd_solver="full").fit(X)
    np.testing.assert_allclose(found, pca.score_samples(rows), rtol=1e-7)


def test_the_start_finds_the_columns_that_are_nearly_the_same():
    """PCA sees the four of most variance; the two are far more likely together."""
    rng = np.random.default_rng(0)
    common, pair = rng.normal(size=(2, 400, 1))
    four, two = rng.normal(size=(400, 4)), 0.02 * rng.normal(size=(400, 2))
    X = np.hstack([common + four, pair + two])
    vae = VAETransformer(1, likelihood="gaussian_diag", max_iter=0).fit(X)
    assert vae.score(X) > FactorAnalysis(1).fit(X).score(X) + 1


def test_counts_that_vary_more_than_poissons_are_negative_binomial():
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(12), size=2)[rng.integers(2, size=400)]
    size = rng.gamma(2, 100, size=(400, 1))
    X = rng.poisson(share * size * rng.gamma(20, 1 / 20, size=(400, 12))).astype(float)
    X[:, 0] += 1
    scores = [
        VAETransformer(2, likelihood=name, max_iter=10, **SMALL)
        .fit(X[:300])
        .score(X[300:])
        for name in ("negative_binomial", "poisson", "gaussian")
    ]
    assert scores == sorted(scores, reverse=True)


# ---------------------------------------------------------------------- the bound


def test_at_the_start_the_bound_is_the_likelihood(iris):
    X, _ = iris
    vae = VAETransformer(2, max_iter=0).fit(X)
    bound = vae.elbo(X)
    np.testing.assert_allclose(bound.total, vae.score_samples(X), atol=1e-6)
    np.testing.assert_allclose(bound.total.mean(), PCA(2).fit(X).score(X), atol=1e-2)


def test_the_bound_is_below_the_score(fitted, split):
    bound = fitted.elbo(split[1])
    assert bound.total.mean() < fitted.score(split[1])
    assert (bound.kl > 0).all()
    np.testing.assert_array_equal(bound.total, bound.reconstruction - bound.kl)


def test_the_divergence_of_the_bound_is_that_of_the_components(split):
    X = split[0]
    vae = VAETransformer(8, prior="normal", max_iter=5, **SMALL).fit(X)
    kl = vae.elbo(X).kl.mean()
    np.testing.assert_allclose(kl, vae.kl_per_component_.sum(), rtol=1e-5)


def test_gaussians_of_the_codes_are_nearer_to_the_posteriors(fitted, split):
    assert not fitted._with_prior().prior.is_standard
    assert fitted.elbo(split[0]).kl.mean() < fitted.kl_per_component_.sum()


# ---------------------------------------------------------------------- draws of codes


def test_draws_of_the_posterior_have_its_moments(fitted, split):
    X = split[1][:5]
    draws = fitted.sample_posterior(X, 4000, random_state=0)
    mean, std = fitted.transform(X, return_std=True)
    assert draws.shape == (5, 4000, 8)
    np.testing.assert_allclose(draws.mean(axis=1), mean, atol=5 * std.max() / 63)
    np.testing.assert_allclose(draws.std(axis=1), std, rtol=0.1)


def test_draws_of_the_posterior_follow_their_seed(fitted, split):
    X = split[1][:3]
    first, again = (fitted.sample_posterior(X, 2, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, fitted.sample_posterior(X, 2, random_state=2))
    assert fitted.sample_posterior(X).shape == (3, 1, 8)
    with pytest.raises(ValueError, match="n_samples"):
        fitted.sample_posterior(X, 0)


def test_as_much_noise_is_drawn_as_there_are_draws(fitted, split, monkeypatch):
    sizes, at = [], DiagonalGaussian.at

    def counted(posterior, noise):
        sizes.append(noise.numel())
        return at(posterior, noise)

    monkeypatch.setattr(DiagonalGaussian, "at", counted)
    fitted.sample_posterior(split[1][:1], 100)
    assert sum(sizes) == 100 * 8


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_draws_of_a_posterior_do_not_mind_how_many_rows_have_some(
    posterior, split, monkeypatch
):
    X, X_test, *_ = split
    vae = VAETransformer(3, posterior=posterior, max_iter=2, **SMALL).fit(X)
    draws = vae.sample_posterior(X_test, 5, random_state=0)
    of_first = vae.sample_posterior(X_test[:3], 5, random_state=0)
    np.testing.assert_array_equal(of_first, draws[:3])
    monkeypatch.setattr(fitted_density, "DRAWN_NUMBERS", 30)
    with torch.autocast("cpu", torch.bfloat16):
        again = vae.sample_posterior(X_test, 5, random_state=0)
    np.testing.assert_array_equal(again, draws)


# ---------------------------------------------------------------------- diagnostics


def test_a_collapse_is_told_with_its_remedy(split):
    vae = VAETransformer(8, **COLLAPSES)
    with pytest.warns(ConvergenceWarning, match=r"smaller beta, free_bits"):
        vae.fit(split[0])
    assert not vae.active_components_.all()
    silent = ~vae.active_components_
    assert vae.transform(split[0])[:, silent].var(axis=0).max() <= 0.01
    assert vae.kl_per_component_[silent].max() < 0.05


def test_a_warning_that_is_an_error_changes_nothing(split):
    vae = VAETransformer(4, max_iter=0).fit(split[0])
    before = vae.active_components_
    vae.set_params(n_components=8, **COLLAPSES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            vae.fit(split[0])
    assert vae.n_components_ == 4
    np.testing.assert_array_equal(vae.active_components_, before)


def test_a_healthy_fit_is_not_warned_of(fitted):
    assert fitted.active_components_.all()  # a warning would have been an error
    assert fitted.kl_per_component_.shape == (8,)


def test_a_constant_component_does_not_pass_in_silence(split):
    pipeline = make_pipeline(
        VAETransformer(2, **COLLAPSES),
        KNeighborsClassifier(),
    )
    with pytest.warns(ConvergenceWarning, match="same for every row"):
        pipeline.fit(split[0], split[2])


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_transform"])
def test_a_warning_points_at_the_line_that_called(split, method):
    vae = VAETransformer(4, **COLLAPSES | {"max_iter": 1})
    with pytest.warns(ConvergenceWarning, match="same for every row") as warned:
        getattr(vae, method)(np.zeros((20, 5)))
    assert [warning.filename for warning in warned] == [__file__]


# ---------------------------------------------------------------------- classes


def test_a_model_of_classes_starts_at_the_maps_of_all_rows():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = X[:900], X[900:1100], y[:900], y[900:1100]
    start = VAETransformer(4, conditional=True, max_iter=0, random_state=0).fit(X, y)
    plain = VAETransformer(4, max_iter=0, random_state=0).fit(X)
    np.testing.assert_allclose(start.transform(X_test), plain.transform(X_test))
    some, of_class = X_test[:60], y_test[:60]
    assert start.score(some, of_class) > start.score(some) > plain.score(some)
    # What the maps leave of the mean of a class is added.
    errors = [np.square(X_test - m.reconstruct(X_test)).mean() for m in (start, plain)]
    assert errors[0] < 0.95 * errors[1]


ODDS = {0: [0.1, 0.4, 0.5, 0.2], 1: [0.9, 0.05, 0.5, 0.8]}
RATES = {0: [3, 3, 3, 3], 1: [9, 3, 1, 3]}


@pytest.mark.parametrize(
    ("likelihood", "means", "draw"),
    [
        ("bernoulli", ODDS, lambda rng, p: rng.random(p.shape) < p),
        ([("categorical", [0, 1]), ("bernoulli", [2, 3])], ODDS, None),
        ("poisson", RATES, lambda rng, p: rng.poisson(p)),
        ("negative_binomial", RATES, lambda rng, p: rng.poisson(p)),
        ("gaussian", RATES, lambda rng, p: rng.normal(p)),
        ("gaussian_diag", RATES, lambda rng, p: rng.normal(p)),
        ("student_t", RATES, lambda rng, p: rng.normal(p)),
        ("continuous_bernoulli", ODDS, lambda rng, p: rng.beta(9 * p, 9 - 9 * p)),
    ],
)
def test_few_rows_of_a_class_are_drawn_as_they_are(likelihood, means, draw):
    """The judges, of whom it has hardly any, do not see what it gains by a network."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [190, 20])
    if isinstance(likelihood, list):
        level = np.where(rng.random(210) < 0.9, y, 1 - y)
        X = np.column_stack([level == 0, level == 1, level == 0, rng.random(210) < 0.5])
    else:
        X = draw(rng, np.array([means[c] for c in y], dtype=float))
    parameters = {"likelihood": likelihood, "conditional": True, "random_state": 0}
    vae = VAETransformer(2, max_iter=0, **parameters).fit(X * 1.0, y)
    drawn = vae.sample(4000, y=1, random_state=0)
    expected, others = (X[y == c].mean(axis=0) for c in (1, 0))
    # Of counts the shares are those of the class, and the totals are those of all.
    if likelihood in ("poisson", "negative_binomial"):
        drawn, expected, others = (
            a / a.sum(-1, keepdims=True) for a in (drawn.mean(axis=0), expected, others)
        )
    error = np.abs(np.atleast_2d(drawn).mean(axis=0) - expected)
    assert error.max() < 0.35 * np.abs(expected - others).max()


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "poisson"])
def test_classes_of_equal_rows_are_drawn_as_these(likelihood):
    X, y = np.ones((30, 3)), np.repeat(["a", "b", "c"], 10)
    parameters = {"likelihood": likelihood, "conditional": True, "random_state": 0}
    vae = VAETransformer(1, max_iter=0, **parameters).fit(X, y)
    drawn = vae.sample(50, y="b", noise=False, random_state=0)
    np.testing.assert_allclose(drawn, 1, atol=0.01)


def test_classes_that_are_chance_add_nothing():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 8)), rng.integers(0, 3, 300)
    vae = VAETransformer(2, conditional=True, max_iter=0, random_state=0).fit(X, y)
    added = vae.module_.decoder.linear.added.weight.numpy()
    means = np.array([X[y == c].mean(axis=0) - X.mean(axis=0) for c in range(3)])
    assert np.abs(added).max() < 0.3 * np.abs(means).max()


def test_a_far_row_is_left_to_the_linear_map_of_a_model_of_classes():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    t = rng.uniform(-1, 1, 200)
    noise = rng.normal(0, 0.05, (200, 3))
    X = np.column_stack([t, np.where(y, t**2, -(t**2)), noise])
    far, arguments = 1e4 * np.ones((1, 5)), {"conditional": True, "random_state": 0}
    vae = VAETransformer(1, max_iter=40, **arguments).fit(X, y)
    assert vae.best_loss_ < vae.start_loss_
    start = VAETransformer(1, max_iter=0, **arguments).fit(X, y)
    difference = vae.reconstruct(far) - start.reconstruct(far)
    assert np.abs(difference).max() < 0.1 * np.abs(far).max()
    # What was trained on, and what the prior of a class draws, is not touched.
    model = vae.module_
    coded = model.draw_coded(torch.from_numpy(y), torch.Generator().manual_seed(0))
    for path, inputs in (
        (model.encoder, torch.from_numpy(X - vae.mean_)),
        (model.decoder, coded),
    ):
        inner = (inputs * path.unit).float()
        assert (inner >= path.lowest - 1e-6).all()
        assert (inner <= path.highest + 1e-6).all()


def test_the_best_loss_is_of_the_network_as_it_is_returned():
    """It sees less than it did while it was trained."""
    t = np.linspace(-1, 1, 300)[:, None]
    noise = np.random.default_rng(0).normal(0, 0.05, (300, 2))
    X, X_val = np.hstack([t, t**2, noise]), np.hstack([1.2 * t, 1.44 * t**2, noise])
    vae = VAETransformer(1, prior="normal", max_iter=40, **SMALL)
    start = clone(vae).set_params(max_iter=0).fit(X)
    vae.fit(X, X_val=X_val)
    assert vae.best_loss_ < vae.start_loss_
    rows = Rows(X_val, np.ones(300), vae.mean_, torch.device("cpu"))
    both = (row_losses(m.module_, rows, 0, EPOCH_PASSES) for m in (vae, start))
    again = rows.mean(beside_start(*both, 1 / 301))
    assert vae.best_loss_ == pytest.approx(again, rel=1e-7)
    assert vae.best_loss_ != pytest.approx(min(vae.validation_loss_curve_), rel=1e-3)


def test_a_class_that_says_nothing_leaves_the_start_as_it_is(split):
    X, X_test, *_ = split
    start = VAETransformer(4, conditional=True, max_iter=0, random_state=0)
    start.fit(X, np.zeros(len(X), dtype=int))
    plain = VAETransformer(4, max_iter=0, random_state=0).fit(X)
    for ours, theirs in [
        (start.score_samples(X_test), plain.score_samples(X_test)),
        (start.elbo(X_test).total, plain.elbo(X_test).total),
    ]:
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_the_prior_of_a_class_starts_at_the_moments_of_its_codes(iris):
    X, y = iris
    start = VAETransformer(2, conditional=True, max_iter=0).fit(X, y)
    mean, std = start.transform(X[y == 1], return_std=True)
    center = mean.sum(axis=0) / 51
    variance = (50 * (mean.var(axis=0) + (std**2).mean(axis=0)) + 1) / 51
    module = start.module_
    np.testing.assert_allclose(
        module.centers.detach().reshape(3, 2)[1], center, rtol=1e-4
    )
    np.testing.assert_allclose(
        module.log_scales.detach().exp().reshape(3, 2)[1] ** 2, variance, rtol=1e-4
    )


def test_scores_without_classes_sum_over_them(told, split):
    X = split[1][:10]
    given = told._row_density().log_prob_given
    each = [told._map(X, partial(given, number=c)) for c in told.classes_]
    shares = np.log(told.class_prior_)[:, None]
    np.testing.assert_allclose(told.score_samples(X), logsumexp(each + shares, axis=0))


def test_scores_given_classes_are_higher_where_these_are_right(told, split):
    _, X, _, y = split
    assert told.score(X, y) > told.score(X) > told.score(X, (y + 1) % 5)


def test_classes_make_the_model_better_than_its_start(told, split):
    X, X_test, _, _ = split
    assert told.best_loss_ < told.start_loss_
    assert told.score(X_test) > PCA(4).fit(X).score(X_test)


def test_the_bound_of_a_model_of_classes_is_below_its_score(told, split):
    bound = told.elbo(split[1])
    assert bound.total.mean() < told.score(split[1])


def test_drawn_rows_are_of_the_class_that_was_asked_for(told, split):
    X, _, y, _ = split
    classes = np.repeat(np.arange(5), 40)
    drawn = told.sample(200, y=classes, random_state=0)
    judge = KNeighborsClassifier().fit(X, y)
    assert judge.score(drawn, classes) > 0.6
    zeros = told.sample(50, y=0, random_state=0)
    assert (judge.predict(zeros) == 0).mean() > 0.6


def test_drawn_rows_follow_their_seed(told):
    first, again = (told.sample(5, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    means = told.sample(5, y=3, noise=False, random_state=3)
    assert means.shape == (5, 64)


def test_names_of_classes_are_kept(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = VAETransformer(2, conditional=True, max_iter=2, **SMALL)
    model.fit(X, names)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(model.class_prior_, 1 / 3)
    assert model.sample(4, y="setosa", random_state=0).shape == (4, 4)
    assert np.isfinite(model.score(X[:20], names[:20]))


def test_equal_rows_of_different_classes_are_different_rows(iris):
    X, _ = iris
    model = VAETransformer(1, conditional=True, max_iter=0)
    model.fit(np.repeat(X[:20], 2, axis=0), np.tile([0, 1], 20))
    np.testing.assert_allclose(model.class_prior_, 0.5)


def test_weights_are_repetitions_with_classes_too(iris):
    X, y = iris
    weight = np.random.RandomState(0).randint(0, 3, len(X))
    order = np.random.RandomState(1).permutation(np.repeat(np.arange(len(X)), weight))
    model = VAETransformer(2, conditional=True, max_iter=3, **SMALL)
    by_weight = clone(model).fit(X, y, sample_weight=weight)
    repeated = clone(model).fit(X[order], y[order])
    np.testing.assert_allclose(by_weight.class_prior_, repeated.class_prior_)
    np.testing.assert_allclose(
        by_weight.score_samples(X[:20]), repeated.score_samples(X[:20]), rtol=1e-6
    )


def test_a_class_of_no_weight_is_not_there(iris):
    X, y = iris
    model = VAETransformer(2, conditional=True, max_iter=0)
    model.fit(X, y, sample_weight=(y > 0).astype(float))
    assert model.classes_.tolist() == [1, 2]


@pytest.mark.parametrize("as_format", [sp.csr_array, torch.from_numpy])
def test_rows_of_any_kind_may_have_classes(as_format, iris):
    X, y = iris
    model = VAETransformer(2, conditional=True, max_iter=3, **SMALL)
    plain = clone(model).fit(X, y).score_samples(X[:20])
    other = clone(model).fit(as_format(X), y)
    found = other.score_samples(as_format(X[:20]))
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=0.05)
    assert np.isfinite(other.score(as_format(X[:20]), y[:20]))


def test_a_model_of_classes_is_a_step_of_a_pipeline_and_a_grid(iris):
    X, y = iris
    model = VAETransformer(2, conditional=True, max_iter=3, **SMALL)
    pipeline = make_pipeline(model, KNeighborsClassifier()).fit(X, y)
    assert pipeline.score(X, y) > 0.8
    grid = GridSearchCV(model, {"n_components": [1, 2]}, cv=2).fit(X, y)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()


def test_classes_and_weights_are_routed(iris):
    X, y = iris
    with config_context(enable_metadata_routing=True):
        model = VAETransformer(2, conditional=True, max_iter=2, **SMALL)
        model.set_fit_request(sample_weight=True)
        pipeline = make_pipeline(model, KNeighborsClassifier())
        weight = np.where(y == 0, 0.0, 1.0)
        fitted = pipeline.fit(X, y, sample_weight=weight)[0]
    assert fitted.classes_.tolist() == [1, 2]


def test_a_model_of_classes_travels(told, split):
    X = split[1][:5]
    opened = pickle.loads(pickle.dumps(told))
    np.testing.assert_array_equal(opened.score_samples(X), told.score_samples(X))
    np.testing.assert_array_equal(
        opened.sample(3, y=1, random_state=0), told.sample(3, y=1, random_state=0)
    )
    assert clone(told).conditional


def test_a_model_of_classes_can_be_opened_without_trust(told, split):
    io = pytest.importorskip("skops.io")
    from skae import TRUSTED_TYPES

    opened = io.loads(io.dumps(told), trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(
        opened.score_samples(split[1][:5]), told.score_samples(split[1][:5])
    )


def test_training_of_classes_goes_on(iris):
    X, y = iris
    model = VAETransformer(
        2, conditional=True, max_iter=2, warm_start=True, **SMALL
    ).fit(X, y)
    first = model.best_loss_
    assert model.set_params(max_iter=20).fit(X, y).best_loss_ <= first
    with pytest.raises(ValueError, match=r"y has classes that fit has not seen: \[3\]"):
        model.fit(X, y + 1)


def test_rows_that_judge_have_classes(iris):
    X, y = iris
    model = VAETransformer(2, conditional=True, max_iter=3, **SMALL)
    model.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    assert len(model.validation_loss_curve_) > 1
    with pytest.raises(ValueError, match="requires y_val"):
        model.fit(X[:100], y[:100], X_val=X[100:])
    with pytest.raises(ValueError, match="y_val: pass X_val too"):
        model.fit(X, y, y_val=y)
    with pytest.raises(ValueError, match="y_val: pass X_val too"):
        VAETransformer(2, max_iter=3, **SMALL).fit(X, y_val=y)
    with pytest.raises(ValueError, match="X_val, the rows that judge"):
        model.fit(X, y, X_val=5, y_val=y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed.* give the class of each row"),
        (np.linspace(0, 1, 150), "y: conditional=True needs classes"),
        (np.zeros(20, dtype=int), "20 classes for 150 rows"),
    ],
)
def test_what_is_no_class_is_refused(y, message, iris):
    with pytest.raises(ValueError, match=message):
        VAETransformer(2, conditional=True).fit(iris[0], y)


def test_wrong_uses_of_classes_are_refused(told, fitted):
    with pytest.raises(
        ValueError, match=r"y has classes that fit has not seen: \[11\]"
    ):
        told.sample(2, y=11)
    with pytest.raises(ValueError, match=r"n_samples=1, .* pass n_samples=2"):
        told.sample(y=[0, 1])
    with pytest.raises(TypeError, match="noise='no' must be"):
        told.sample(y=0, noise="no")
    with pytest.raises(ValueError, match="conditional=True"):
        fitted.sample(2, y=1)
    with pytest.raises(AttributeError, match="conditional=True only"):
        _ = fitted.class_prior_


def test_a_model_of_classes_takes_no_parts_of_a_stream():
    assert hasattr(VAETransformer(), "partial_fit")
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as refusal:
        _ = VAETransformer(conditional=True).partial_fit
    assert "use fit in place of partial_fit" in str(refusal.value.__cause__)


def test_a_model_that_is_not_told_ignores_y(split):
    X, _, y, _ = split
    model = VAETransformer(2, max_iter=0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not hasattr(model.fit(X, y), "classes_")
    assert model.score(X[:20], y[:20]) == model.score(X[:20])


def test_a_decoder_that_needs_classes_is_no_graph(told):
    skae_onnx = pytest.importorskip("skae.onnx", exc_type=ImportError)
    with pytest.raises(ValueError, match="conditional=True: what a code decodes to"):
        skae_onnx.decoder_to_onnx(told)


def test_a_model_that_was_told_no_classes_says_so(iris):
    model = VAETransformer(2, max_iter=0)
    for untold in (model, model.fit(*iris)):
        assert not hasattr(untold, "classes_")
        with pytest.raises(AttributeError, match="conditional=True"):
            untold.classes_  # noqa: B018


# --------------------------------------------------------------------- many columns


def test_few_rows_at_once_score_as_many_do(fitted, split, monkeypatch):
    X = split[1]
    wanted = fitted.score_samples(X)
    monkeypatch.setattr(draws, "DECODED_NUMBERS", 2**16)
    np.testing.assert_allclose(fitted.score_samples(X), wanted, rtol=1e-9)


@pytest.mark.parametrize("k", [8, 32])
@pytest.mark.parametrize("p", [64, 784, 20_000])
def test_codes_beside_a_piece_have_room(fitted, k, p, monkeypatch):
    monkeypatch.setattr(fitted.module_.prior, "n_components", k)
    size = rows_together(fitted.module_, torch.empty(1, p))
    assert draws.MOST_ROWS % size == 0
    assert size == 1 or size * (2 * k + 1) * p <= draws.DECODED_NUMBERS


def test_draws_are_finite_where_a_point_of_the_sequence_is_zero():
    assert torch.isfinite(draw_table(4096, 64, seed=5536)).all()
