"""Each likelihood's start: a closed form, or no worse than independent columns."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.likelihoods import LIKELIHOODS, Gaussian, PerColumn, Poisson
from skae.rows import RowView
from skae.start.maps import fit_linear_maps

from .made import MIXED, SMALL, START, counts, mixed


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


def test_the_start_of_wide_counts_is_that_of_whole_rows(monkeypatch):
    # So few numbers at once that columns are looked at some after others.
    monkeypatch.setattr("skae.start.span.BLOCK_SIZE", 2**10)
    monkeypatch.setattr("skae.start.axes.DIRECT_SVD_SIZE", 0)
    monkeypatch.setattr("skae.start.span.DIRECT_SVD_SIZE", 0)
    X, weight = counts(30, 90), np.ones(30)
    for likelihood in (
        Poisson(),
        PerColumn([(Poisson(), [*range(60)]), (Gaussian(), [*range(60, 90)])]),
    ):
        found = fit_linear_maps(X, weight, 3, view=likelihood.view)
        seen = np.asarray(likelihood.view(X)[:])
        wanted = fit_linear_maps(seen, weight, 3)
        np.testing.assert_allclose(found.components, wanted.components, atol=1e-9)
        np.testing.assert_array_equal(likelihood.view(X)[:, 20:70], seen[:, 20:70])


@pytest.mark.parametrize("size", ["total", None])
def test_the_start_of_large_wide_counts_makes_few_of_them_dense(size, monkeypatch):
    X = np.random.default_rng(0).poisson(2.0, (200, 5000)).astype(np.uint8)
    weight = np.random.default_rng(1).uniform(0.5, 1.5, 200)
    view = Poisson(size).view
    for room in ("rows", "start.span"):
        monkeypatch.setattr(f"skae.{room}.BLOCK_SIZE", X.size // 50)
    wanted = fit_linear_maps(X, weight, 3, view=view)
    monkeypatch.setattr("skae.start.maps.RESIDENT_BYTES", X.size)
    tracemalloc.start()
    try:
        found = fit_linear_maps(X, weight, 3, view=view)
        assert tracemalloc.get_traced_memory()[1] < 8 * X.size / 4
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found.components, wanted.components)
    np.testing.assert_array_equal(found.center, wanted.center)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, RowView])
def test_counts_are_seen_alike_however_they_are_held(kind):
    X, order = counts(30), np.random.default_rng(0).permutation(30)
    seen = Poisson().view(X[order])[:]
    held = RowView(X, order) if kind is RowView else kind(X[order])
    for where in (slice(None), slice(3, 9), (slice(3, 9), slice(1, 4))):
        np.testing.assert_array_equal(Poisson().view(held)[where], seen[where])


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


@pytest.mark.parametrize("make", [lambda: load_iris().data, lambda: load_wine().data])
def test_gaussian_columns_of_a_mixed_table_start_at_probabilistic_pca(make):
    constants = np.full((len(make()), 10), 3.0)  # have their noise, too
    X = np.column_stack([constants, make()])
    columns = list(range(X.shape[1]))
    flag = np.random.default_rng(0).random(len(X)) < 0.5
    alone = VAETransformer(2, **START).fit(X)
    listed = VAETransformer(2, likelihood=[("gaussian", columns)], **START).fit(X)
    assert listed.score(X) == pytest.approx(alone.score(X), abs=1e-3)
    parts = [("gaussian", columns), ("bernoulli", [len(columns)])]
    both = np.column_stack([X, flag])
    beside = VAETransformer(2, likelihood=parts, **START).fit(both)
    assert beside.score(both) == pytest.approx(alone.score(X) - np.log(2), abs=0.1)


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_students_start_has_codes_where_a_column_has_next_to_no_noise(name):
    X = TABLES[name][0]()
    student = VAETransformer(2, likelihood="student_t", **START).fit(X)
    diag = VAETransformer(2, likelihood="gaussian_diag", **START).fit(X)
    assert student.score(X) > diag.score(X) - 0.1
    assert student.active_components_.all()


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
    parameters = SMALL | {"max_iter": 20, "early_stopping": False}
    robust, plain = (
        VAETransformer(1, likelihood=name, **parameters).fit(wild).score(X[:100])
        for name in ("student_t", "gaussian_diag")
    )
    assert robust > plain + 2
