"""Before it is trained an autoencoder is PCA, and a VAE is probabilistic PCA."""

import functools

import numpy as np
import pytest
import scipy.sparse as sp
from given import images
from scipy.stats import multivariate_normal
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, VAETransformer
from skae.start import axes
from skae.start.maps import fit_linear_maps


def random_table(n_rows, n_features, mean=0.0, seed=0):
    """Correlated columns of unit spread about a mean."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)) @ rng.normal(size=(n_features,) * 2)
    return X / X.std(axis=0) + mean


# From a name to a table as its owner would have it, unscaled, and a code size.
TABLES = {
    "digits": (lambda: load_digits().data[:600], 8),
    "digits in float32": (lambda: load_digits().data[:600].astype(np.float32), 8),
    "wine": (lambda: load_wine().data, 3),
    "breast cancer": (lambda: load_breast_cancer().data, 2),
    "diabetes": (lambda: load_diabetes().data, 4),
    "means of 1e8": (lambda: random_table(300, 6, mean=1e8), 2),
    "40 x 300": (lambda: random_table(40, 300), 5),
}

SPARSE = [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix]

# The two ways to ask for the start itself: a network that stays at zero, or none.
START = {"max_iter": 0, "hidden_layer_sizes": (16,)}
UNTRAINED = [START, {"hidden_layer_sizes": ()}]

# Rows of a table that a VAE scores.
SCORED = 64

every_table = pytest.mark.parametrize("name", TABLES)
every_way = pytest.mark.parametrize("untrained", UNTRAINED, ids=str)
every_format = pytest.mark.parametrize("as_sparse", SPARSE, ids=lambda f: f.__name__)


@functools.cache
def table(name):
    make, n_components = TABLES[name]
    X = make()
    pca = PCA(n_components, svd_solver="full").fit(X.astype(np.float64))
    return X, n_components, pca


class PPCA:
    """Probabilistic PCA at its maximum likelihood, written as a plain Gaussian."""

    def __init__(self, X, n_components):
        X = np.asarray(X, dtype=np.float64)
        n_rows, n_features = X.shape
        pca = PCA(svd_solver="full").fit(X)
        variances = pca.explained_variance_ * (n_rows - 1) / n_rows
        kept, discarded = variances[:n_components], variances[n_components:]
        n_discarded = n_features - n_components
        self.mean = X.mean(axis=0)
        self.noise = discarded.sum() / n_discarded if n_discarded else 0.0
        axes = pca.components_[:n_components]
        self.loadings = axes.T * np.sqrt(kept - self.noise)
        self.covariance = self.loadings @ self.loadings.T
        self.covariance += self.noise * np.eye(n_features)

    def score_samples(self, X):
        X = X - self.mean
        _, log_determinant = np.linalg.slogdet(2 * np.pi * self.covariance)
        distance = (X.T * np.linalg.solve(self.covariance, X.T)).sum(axis=0)
        return -(distance + log_determinant) / 2

    def posterior(self, X):
        n_components = self.loadings.shape[1]
        M = self.loadings.T @ self.loadings + self.noise * np.eye(n_components)
        means = np.linalg.solve(M, self.loadings.T @ (X - self.mean).T).T
        return means, np.sqrt(np.diag(self.noise * np.linalg.inv(M)))


def assert_close_columns(found, wanted, tolerance=1e-4):
    """Columns agree relative to their own spread, signs included."""
    assert found.shape == wanted.shape
    spread = wanted.std(axis=0) + 1e-12
    error = np.abs(found.astype(np.float64) - wanted).max(axis=0)
    assert (error <= tolerance * spread).all(), (error / spread).max()


def assert_same_rows(found, wanted, mean, tolerance=1e-4):
    """Rows agree relative to their distances from the mean."""
    found, wanted = found.astype(np.float64) - mean, wanted - mean
    assert np.linalg.norm(found - wanted) <= tolerance * np.linalg.norm(wanted)


def assert_is_pca(autoencoder, X, rows, pca):
    codes = pca.transform(rows.astype(np.float64))
    assert_close_columns(autoencoder.transform(X), codes)
    decoded = autoencoder.inverse_transform(codes.astype(rows.dtype))
    assert_same_rows(decoded, pca.inverse_transform(codes), pca.mean_)
    share = pca.explained_variance_ratio_.sum()
    assert autoencoder.score(X) == pytest.approx(share, abs=1e-5)


@every_way
@every_table
def test_an_untrained_autoencoder_is_pca(name, untrained):
    X, n_components, pca = table(name)
    autoencoder = AutoencoderTransformer(n_components, **untrained).fit(X)
    assert autoencoder.n_iter_ == 0
    assert_is_pca(autoencoder, X, X, pca)


@every_format
@every_table
def test_an_untrained_autoencoder_of_sparse_rows_is_pca(name, as_sparse):
    X, n_components, pca = table(name)
    autoencoder = AutoencoderTransformer(n_components, **START).fit(as_sparse(X))
    assert_is_pca(autoencoder, as_sparse(X), X, pca)


@every_table
def test_reconstruct_is_transform_and_back(name):
    X, n_components, _ = table(name)
    autoencoder = AutoencoderTransformer(n_components, **START).fit(X)
    back = autoencoder.inverse_transform(autoencoder.transform(X))
    assert_same_rows(autoencoder.reconstruct(X), back, X.mean(axis=0), 1e-5)


@every_table
def test_row_scores_of_an_autoencoder_are_minus_squared_errors(name):
    X, n_components, pca = table(name)
    autoencoder = AutoencoderTransformer(n_components, **START).fit(X)
    error = ((X - pca.inverse_transform(pca.transform(X))) ** 2).sum(axis=1)
    tolerance = 1e-4 * error.mean()
    np.testing.assert_allclose(autoencoder.score_samples(X), -error, 1e-3, tolerance)


@every_way
@every_table
def test_the_score_of_an_untrained_vae_is_that_of_probabilistic_pca(name, untrained):
    X, n_components, _ = table(name)
    vae = VAETransformer(n_components, **untrained).fit(X)
    wanted = PPCA(X, n_components).score_samples(X[:SCORED]).mean()
    assert vae.n_iter_ == 0
    assert abs(vae.score(X[:SCORED]) - wanted) <= 1e-3 * X.shape[1]


@every_format
@every_table
def test_the_score_of_an_untrained_vae_of_sparse_rows_is_the_same(name, as_sparse):
    X, n_components, _ = table(name)
    vae = VAETransformer(n_components, **START).fit(as_sparse(X))
    wanted = PPCA(X, n_components).score_samples(X[:SCORED]).mean()
    assert abs(vae.score(as_sparse(X[:SCORED])) - wanted) <= 1e-3 * X.shape[1]


@pytest.mark.parametrize("name", [name for name in TABLES if name != "40 x 300"])
def test_with_more_rows_than_columns_the_score_of_an_untrained_vae_is_that_of_pca(name):
    X, n_components, pca = table(name)
    vae = VAETransformer(n_components, **START).fit(X)
    wanted = pca.score(X.astype(np.float64))
    assert abs(vae.score(X) - wanted) <= 1e-3 * X.shape[1]


@every_table
def test_row_scores_of_an_untrained_vae_are_exact_for_rows_not_seen(name):
    X, n_components, _ = table(name)
    train, test = X[::2], X[1::2][:SCORED]
    vae = VAETransformer(n_components, **START).fit(train)
    wanted = PPCA(train, n_components).score_samples(test.astype(np.float64))
    tolerance = 1e-3 * X.shape[1]
    np.testing.assert_allclose(vae.score_samples(test), wanted, 1e-4, tolerance)


def test_the_bound_of_an_untrained_vae_is_tight_at_a_single_draw():
    X, n_components, _ = table("wine")
    vae = VAETransformer(n_components, n_score_samples=1, **START).fit(X)
    wanted = PPCA(X, n_components).score_samples(X)
    np.testing.assert_allclose(vae.score_samples(X), wanted, rtol=1e-6)


@every_table
def test_codes_of_an_untrained_vae_have_the_closed_form_posterior(name):
    X, n_components, _ = table(name)
    vae = VAETransformer(n_components, **START).fit(X)
    codes, std = vae.transform(X, return_std=True)
    wanted, wanted_std = PPCA(X, n_components).posterior(X.astype(np.float64))
    assert_close_columns(codes, wanted)
    np.testing.assert_allclose(std, np.broadcast_to(wanted_std, std.shape), rtol=1e-4)
    np.testing.assert_array_equal(codes, vae.transform(X))


@every_table
def test_an_untrained_vae_decodes_by_the_loadings(name):
    X, n_components, _ = table(name)
    vae = VAETransformer(n_components, **START).fit(X)
    ppca = PPCA(X, n_components)
    Z = np.random.default_rng(0).normal(size=(20, n_components))
    wanted = ppca.mean + Z @ ppca.loadings.T
    assert_same_rows(vae.inverse_transform(Z), wanted, ppca.mean)


@every_table
def test_the_noise_at_the_start_is_the_discarded_variance_per_direction(
    name, Estimator
):
    X, n_components, _ = table(name)
    model = Estimator(n_components, **START).fit(X)
    wanted = PPCA(X, n_components).noise
    assert model.noise_variance_ == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("k", [2, 8])
@pytest.mark.parametrize("kind", ["one far cell", "one wide column", "clean spectra"])
def test_the_start_of_a_vae_is_pcas_where_noise_is_little_of_the_variance(kind, k):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4)) @ rng.normal(size=(4, 10))
    X += rng.normal(size=X.shape) * (1e-4 if kind == "clean spectra" else 0.3)
    if kind == "one far cell":
        X[3, 3] = 1e6
    if kind == "one wide column":
        X[:, 3] *= 1e5
    pca = PCA(k, svd_solver="full").fit(X)
    start = VAETransformer(k, max_iter=0).fit(X)
    # PCA divides by n - 1.
    assert start.score(X) == pytest.approx(pca.score(X), abs=0.05)
    assert start.noise_variance_ == pytest.approx(pca.noise_variance_, rel=0.01)


def test_losses_of_an_untrained_model_are_those_of_the_training_rows(Estimator):
    X, n_components, pca = table("wine")
    model = Estimator(n_components, random_state=0, **START).fit(X)
    error = ((X - pca.inverse_transform(pca.transform(X))) ** 2).sum(axis=1).mean()
    likelihood = PPCA(X, n_components).score_samples(X).mean()
    is_vae = Estimator is VAETransformer
    # A VAE's bound is estimated by draws, and is exact only in their mean.
    wanted, tolerance = (-likelihood, 0.02) if is_vae else (error, 1e-4)
    assert model.start_loss_ == model.best_loss_
    assert model.start_loss_ == pytest.approx(wanted, rel=tolerance)
    assert model.loss_curve_ == []


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["digits", "wine", "diabetes", "40 x 300"])
def test_a_share_of_the_variance_takes_as_many_components_as_pca(
    name, share, Estimator
):
    X, _, _ = table(name)
    model = Estimator(share, **START).fit(X)
    pca = PCA(share, svd_solver="full").fit(X)
    assert model.n_components_ == pca.n_components_
    assert model.transform(X).shape == (len(X), pca.n_components_)


@pytest.mark.parametrize("name", ["wine", "diabetes", "means of 1e8"])
def test_with_as_many_components_as_columns_nothing_is_lost(name):
    X, _, _ = table(name)
    autoencoder = AutoencoderTransformer(X.shape[1], **START).fit(X)
    assert_is_pca(autoencoder, X, X, PCA(svd_solver="full").fit(X))
    assert_same_rows(autoencoder.reconstruct(X), X, X.mean(axis=0), 1e-6)


@pytest.mark.parametrize("name", ["diabetes", "means of 1e8"])
def test_with_as_many_components_as_columns_a_vae_is_a_full_gaussian(name):
    X, _, _ = table(name)
    vae = VAETransformer(X.shape[1], **START).fit(X)
    centred = X - X.mean(axis=0)
    gaussian = multivariate_normal(cov=np.cov(centred.T, ddof=0))
    wanted = gaussian.logpdf(centred).mean()
    assert abs(vae.score(X) - wanted) <= 1e-3 * X.shape[1]


def test_with_as_many_components_as_rows_nothing_is_lost(Estimator):
    X = random_table(12, 30)
    model = Estimator(12, **START).fit(X)
    codes = model.transform(X)
    assert codes.shape == (12, 12)
    np.testing.assert_allclose(codes[:, -1], 0, atol=1e-6)
    assert_same_rows(model.reconstruct(X), X, X.mean(axis=0), 1e-3)


def test_one_column_is_kept_as_it_is():
    X = random_table(50, 1, mean=3.0)
    autoencoder = AutoencoderTransformer(1, **START).fit(X)
    np.testing.assert_allclose(autoencoder.transform(X), X - X.mean(), atol=1e-10)
    assert autoencoder.score(X) == pytest.approx(1)


# The ways to find the axes, by what makes each the one that is taken.
ROUTES = {
    "rows": {},
    "covariance or Gram": {"DIRECT_SVD_SIZE": 0},
    "products": {"DIRECT_SVD_SIZE": 0, "LARGEST_MATRIX": 0},
}


@pytest.mark.parametrize("as_sparse", [None, sp.csr_array, sp.csr_matrix])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("shape", [(60, 9), (9, 60)], ids=str)
def test_every_way_to_find_the_axes_finds_the_same(
    shape, route, as_sparse, monkeypatch
):
    X = random_table(*shape, mean=2.0)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(X))
    wanted = fit_linear_maps(X, weight, 4)
    for name, value in ROUTES[route].items():
        monkeypatch.setattr(axes, name, value)
    found = fit_linear_maps(as_sparse(X) if as_sparse else X, weight, 4)
    np.testing.assert_allclose(found.mean, wanted.mean)
    np.testing.assert_allclose(found.variance, wanted.variance)
    np.testing.assert_allclose(found.components, wanted.components, atol=1e-7)
    np.testing.assert_allclose(found.explained_variance, wanted.explained_variance)


@pytest.fixture
def too_large(monkeypatch):
    """As if no matrix of products could be formed, which would now fail."""
    for name, value in ROUTES["products"].items():
        monkeypatch.setattr(axes, name, value)
    for name in ("covariance", "Span"):
        monkeypatch.setattr(axes, name, None)
    monkeypatch.setattr(axes, "SEARCHED", (1, 3, 5))


@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("shape", [(60, 9), (9, 60)], ids=str)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_share_of_the_variance_is_searched_for_where_rows_are_too_large(
    share, shape, as_format, too_large
):
    X = random_table(*shape, mean=2.0)
    pca = PCA(share, svd_solver="full").fit(X)
    found = fit_linear_maps(as_format(X), np.ones(len(X)), share)
    assert found.n_components == pca.n_components_
    np.testing.assert_allclose(found.components, pca.components_, atol=1e-7)


def test_a_share_that_takes_too_many_components_is_refused(Estimator, too_large):
    X = sp.csr_array(random_table(60, 9))
    left = r"n_components=0\.999: .* 60 x 9, at most 5 components.*; give a number"
    with pytest.raises(ValueError, match=left):
        Estimator(0.999, **START).fit(X)


def test_a_share_out_of_reach_is_not_searched_for(too_large):
    X = np.random.default_rng(0).normal(size=(60, 9))
    with pytest.raises(ValueError, match=r"\(1 explain 0\.\d+\); give a number"):
        fit_linear_maps(X, np.ones(60), 0.95)


def test_the_noise_of_wide_sparse_columns_is_that_of_dense_ones():
    X = sp.random(310, 500, density=0.05, format="csr", random_state=0)
    noise = {"units": "noise", "least_noise": 0.5}
    found = fit_linear_maps(X, np.ones(310), 2, **noise)
    wanted = fit_linear_maps(X.toarray(), np.ones(310), 2, **noise)
    np.testing.assert_allclose(found.scale, wanted.scale)
    np.testing.assert_allclose(found.components, wanted.components, atol=1e-7)


@pytest.mark.parametrize("route", ["rows", "covariance or Gram"])
def test_axes_are_orthonormal_whatever_the_rank(route, monkeypatch):
    X = np.repeat(random_table(3, 8), 2, axis=0)
    for name, value in ROUTES[route].items():
        monkeypatch.setattr(axes, name, value)
    maps = fit_linear_maps(X, np.ones(len(X)), 6)
    np.testing.assert_allclose(
        maps.components @ maps.components.T, np.eye(6), atol=1e-9
    )
    np.testing.assert_allclose(maps.explained_variance[2:], 0, atol=1e-12)


def test_weighted_axes_are_those_of_the_weighted_covariance():
    X = random_table(40, 5)
    weight = np.random.default_rng(1).uniform(0, 3, len(X))
    maps = fit_linear_maps(X, weight, 5)
    C = np.cov(X.T, aweights=weight, ddof=0)
    np.testing.assert_allclose(maps.mean, np.average(X, axis=0, weights=weight))
    np.testing.assert_allclose(maps.variance, np.diag(C))
    rebuilt = (maps.components.T * maps.explained_variance) @ maps.components
    np.testing.assert_allclose(rebuilt, C, atol=1e-12)


def test_maps_without_components_are_moments_alone():
    maps = fit_linear_maps(images(50), np.ones(50), None)
    assert maps.n_components == 0
    np.testing.assert_allclose(maps.mean, images(50).mean(axis=0))
    np.testing.assert_allclose(maps.variance, images(50).var(axis=0), atol=1e-12)
