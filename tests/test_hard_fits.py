"""Fits at which a network usually fails, or does worse than PCA."""

import functools
import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from skae import AutoencoderTransformer, VAETransformer

QUICK = {"max_iter": 40, "n_iter_no_change": 5, "random_state": 0}
SMALL = QUICK | {"hidden_layer_sizes": (16,)}
WIDER = {"max_iter": 20, "hidden_layer_sizes": (32,), "random_state": 0}
WIDER |= {"learning_rate_init": 0.01}

# A promise: squared error in units of PCA's, and nats per column below PCA's score.
LARGEST_ERROR = 1.005
LARGEST_LOSS = 0.005


# ------------------------------------------------------------------ tables of rows


def mixed(rng, sources, n_features):
    """Linear mixtures of sources; the mixing is the same at every call."""
    return sources @ np.random.default_rng(5).normal(
        size=(sources.shape[1], n_features)
    )


def many_columns(rng, n_rows):
    X = mixed(rng, rng.normal(size=(n_rows, 3)), 1500)
    return X + 0.5 * rng.normal(size=X.shape)


def uneven(rng, n_rows):
    X = mixed(rng, rng.normal(size=(n_rows, 3)), 8)
    return (X + 0.3 * rng.normal(size=X.shape)) * np.logspace(-4, 4, 8)


def spectra(rng, n_rows):
    """Smooth curves: 8 components leave about 1e-6 of their variance."""
    t = np.linspace(0, 1, 100)
    centres, heights = rng.uniform(0.2, 0.8, (2, n_rows, 3, 1))
    curves = (heights * np.exp(-8 * (t - centres) ** 2)).sum(axis=1)
    return curves + 5e-4 * rng.normal(size=curves.shape)


def constants(rng, n_rows):
    X = mixed(rng, rng.normal(size=(n_rows, 5)), 5)
    X[:, [1, 3]] = 0.1, -1e6
    return X


def far(rng, n_rows):
    return 1e8 + mixed(rng, rng.normal(size=(n_rows, 5)), 5)


def noise(rng, n_rows):
    return rng.normal(size=(n_rows, 8))


def one_column(rng, n_rows):
    return rng.exponential(size=(n_rows, 1))


def heavy_tails(rng, n_rows):
    return mixed(rng, rng.standard_t(3, size=(n_rows, 6)), 6)


def very_heavy_tails(rng, n_rows):
    return mixed(rng, rng.standard_t(1.5, size=(n_rows, 6)), 6)


def outliers(rng, n_rows):
    X = mixed(rng, rng.normal(size=(n_rows, 6)), 6)
    X[rng.random(n_rows) < 0.02] *= 100
    return X


def counts(rng, n_rows):
    """Mostly zeros, and a few large numbers."""
    return rng.poisson(np.exp(mixed(rng, rng.normal(size=(n_rows, 2)), 6))) * 1.0


# From a name to the rows, how many of them there are to learn from, and a code size.
HARD = {
    "1,500 columns, 40 rows": (many_columns, 40, 5),
    "scales that differ by 1e8": (uneven, 200, 2),
    "near-collinear spectra": (spectra, 120, 8),
    "constant columns": (constants, 100, 2),
    "means of 1e8": (far, 150, 2),
    "noise": (noise, 120, 2),
    "one column": (one_column, 60, 1),
    "heavy tails": (heavy_tails, 200, 2),
    "counts": (counts, 150, 2),
    "very heavy tails": (very_heavy_tails, 200, 2),
    "outliers": (outliers, 200, 2),
}

# Tails so heavy that a few far rows decide the mean log-likelihood of any Gaussian, and
# nearly all of PCA's error; rows that judge have one of them, or none.
DECIDED_BY_FEW = {"very heavy tails", "outliers"}

HELD_OUT = 200


def train_and_test(name, seed):
    make, n_rows, n_components = HARD[name]
    rng = np.random.default_rng(seed)
    return make(rng, n_rows), make(rng, HELD_OUT), n_components


def fit_quietly(model, X):
    """Fit, and say whether the fit warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X)
    return model, bool(caught)


def assert_finite(model, X):
    X = X[:30]
    codes = model.transform(X)
    for result in (
        codes,
        model.inverse_transform(codes),
        model.reconstruct(X),
        model.score_samples(X),
        model.sample(5, random_state=0),
    ):
        assert np.isfinite(result).all()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", HARD)
def test_an_autoencoder_is_never_worse_than_pca_on_new_rows(name, seed):
    train, test, n_components = train_and_test(name, seed)
    model = AutoencoderTransformer(n_components, **QUICK)
    model, has_warned = fit_quietly(model, train)
    pca = PCA(n_components, svd_solver="full").fit(train)
    decoded = pca.inverse_transform(pca.transform(test))
    error = np.square(test - model.reconstruct(test)).sum()
    of_pca = np.square(test - decoded).sum()
    digits_lost = 1e-13 * np.square(test).sum()
    if seed == 0:
        assert_finite(model, test)
    largest = 2.0 if name in DECIDED_BY_FEW else LARGEST_ERROR
    assert has_warned or error <= largest * of_pca + digits_lost


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", HARD)
def test_a_vae_never_scores_less_than_probabilistic_pca_on_new_rows(name, seed):
    train, test, n_components = train_and_test(name, seed)
    few = QUICK | {"n_score_samples": 8}
    model = VAETransformer(n_components, **few)
    start = VAETransformer(n_components, **few | {"max_iter": 0}).fit(train)
    model, has_warned = fit_quietly(model, train)
    allowed = LARGEST_LOSS * train.shape[1]
    if seed == 0:
        assert_finite(model, test)
    if name not in DECIDED_BY_FEW:
        # Of the start the bound is the log-likelihood itself.
        likelihood = start.elbo(test).total.mean()
        assert has_warned or model.score(test) >= likelihood - allowed


# ------------------------------------------------------------------- few, or equal


def test_two_rows(Estimator):
    X = np.random.default_rng(0).normal(size=(2, 3))
    model = Estimator(1, random_state=0).fit(X)
    assert_finite(model, X)
    # Both lie on a line; a VAE takes them a little nearer to each other.
    np.testing.assert_allclose(model.reconstruct(X), X, atol=1e-2)


@pytest.mark.parametrize("n_rows", range(3, 13))
def test_a_few_rows(Estimator, n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 4))
    assert_finite(Estimator(2, **SMALL).fit(X), X)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e8, 1e-30])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"early_stopping": False}, {"init": "random"}, {"max_iter": 0}],
    ids=str,
)
def test_equal_rows(Estimator, value, parameters):
    X = np.full((20, 3), value)
    model = Estimator(2, **SMALL | parameters).fit(X)
    assert_finite(model, X)
    if "init" not in parameters:
        np.testing.assert_allclose(model.reconstruct(X), X, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(model.transform(X), 0, atol=1e-6)


def test_fewer_different_rows_than_components(Estimator):
    X = np.repeat(np.random.default_rng(0).normal(size=(3, 6)), 10, axis=0)
    model = Estimator(5, **SMALL).fit(X)
    assert model.transform(X).shape == (30, 5)
    assert_finite(model, X)
    np.testing.assert_allclose(model.reconstruct(X), X, atol=1e-2)


def test_constant_columns_come_back_as_they_are(Estimator):
    X = constants(np.random.default_rng(0), 100)
    model = Estimator(2, **QUICK).fit(X)
    decoded = model.reconstruct(X)
    np.testing.assert_allclose(decoded[:, 1], 0.1)
    np.testing.assert_allclose(decoded[:, 3], -1e6)


def test_a_column_constant_in_fit_may_vary_later(Estimator):
    X = constants(np.random.default_rng(0), 100)
    model = Estimator(2, **QUICK).fit(X)
    later = X.copy()
    later[:, 1] += 1.0
    assert_finite(model, later)
    # A step that gains less than the change is rounded to is not taken.
    np.testing.assert_allclose(model.transform(later), model.transform(X), atol=1e-4)
    model.module_.prepare_training()  # where the encoder puts them, codes are the same
    np.testing.assert_allclose(model.transform(later), model.transform(X), atol=1e-5)


def test_one_column_and_one_component(Estimator):
    X = one_column(np.random.default_rng(0), 60)
    model = Estimator(1, **QUICK).fit(X)
    assert_finite(model, X)
    np.testing.assert_allclose(model.reconstruct(X), X, atol=0.05)


def test_many_components_of_many_columns(Estimator):
    X = np.random.default_rng(0).normal(size=(60, 12))
    model = Estimator(12, **SMALL).fit(X)
    assert_finite(model, X)
    np.testing.assert_allclose(model.reconstruct(X), X, atol=0.05)


# -------------------------------------------------------------------------- scales


@pytest.mark.parametrize("unit", [1e-30, 1e-15, 1e-8, 1e8, 1e15, 1e30])
def test_the_start_is_the_same_in_every_unit(Estimator, unit):
    X = curve(120, seed=0)
    start = {"max_iter": 0, "hidden_layer_sizes": (4,)}
    wanted = Estimator(2, **start).fit(X)
    model = Estimator(2, **start).fit(X * unit)
    # Per column a density is in units of 1 / unit.
    shift = np.log(unit) * X.shape[1] * (Estimator is VAETransformer)
    assert model.score(X * unit) + shift == pytest.approx(wanted.score(X), rel=1e-6)
    noise = wanted.noise_variance_ * unit**2
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-6, abs=0)


@pytest.mark.parametrize("unit", [1e-15, 1e8])
def test_training_pays_in_every_unit(Estimator, unit):
    X = curve(300, seed=0) * unit
    start = Estimator(1, **WIDER | {"max_iter": 0}).fit(X)
    model = Estimator(1, **WIDER).fit(X)
    # A third of what PCA leaves here, or 0.1 nats per column.
    gain = 1.0 if Estimator is VAETransformer else (1 - start.score(X)) / 3
    assert model.score(X) > start.score(X) + gain


def test_rows_of_float32_at_its_limits(Estimator):
    X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    for unit in (1e-15, 1e15):
        model, _ = fit_quietly(Estimator(2, **SMALL), X * np.float32(unit))
        assert_finite(model, X * np.float32(unit))


IN_ITS_UNIT = [("gaussian", [0]), ("gaussian_diag", slice(1, 10))]


@pytest.mark.parametrize("likelihood", ["gaussian_diag", "student_t", IN_ITS_UNIT])
@pytest.mark.parametrize("unit", [1.6e-19, 1e-32, 1e20])
def test_one_column_may_have_any_unit(Estimator, likelihood, unit):
    X = curve(60, seed=0)
    units = np.append(unit, np.ones(X.shape[1] - 1))
    parameters = SMALL | {"max_iter": 1, "likelihood": likelihood}
    parameters["early_stopping"] = False
    wanted = Estimator(1, **parameters).fit(X)
    model = Estimator(1, **parameters).fit(X * units)
    # A density is in units of 1 / unit; an autoencoder's squared error has none.
    has_density = Estimator is VAETransformer or likelihood != "gaussian_diag"
    shift = np.log(unit) * has_density
    assert model.start_loss_ - shift == pytest.approx(wanted.start_loss_, rel=1e-2)
    assert model.n_iter_ == 1
    assert_finite(model, X * units)


# ---------------------------------------------------------------------- divergence


NARROW = {"hidden_layer_sizes": (8,), "random_state": 0}


def without_structure():
    return np.random.default_rng(0).normal(size=(60, 5))


@functools.cache
def score_of_start(Estimator):
    X = without_structure()
    return Estimator(2, max_iter=0, **NARROW).fit(X).score(X)


@pytest.mark.parametrize(
    ("max_iter", "early_stopping"), [(20, True), (20, False), (1, False)]
)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("rate", [1e3, 1e20, 1e38])
def test_a_diverging_fit_never_gives_nan(
    Estimator, solver, rate, max_iter, early_stopping
):
    X = without_structure()
    parameters = {
        "solver": solver,
        "learning_rate_init": rate,
        "max_iter": max_iter,
        "early_stopping": early_stopping,
    }
    model, _ = fit_quietly(Estimator(2, **parameters, **NARROW), X)
    assert_finite(model, X)
    assert np.isfinite(model.loss_curve_).all()
    assert np.isfinite(model.validation_loss_curve_).all()
    if early_stopping:
        assert model.score(X) >= score_of_start(Estimator) - 0.05


def test_a_fit_that_diverges_says_so(Estimator):
    X = without_structure()
    model = Estimator(2, **SMALL | {"learning_rate_init": 1e30})
    with pytest.warns(match="learning_rate_init"):
        model.fit(X)


@pytest.mark.parametrize("unit", [1e-30, 1e-20, 1e21])
def test_rows_whose_squares_float32_cannot_hold_are_left_to_pca(unit):
    rng = np.random.default_rng(0)
    X = mixed(rng, rng.normal(size=(80, 2)), 5) + 0.1 * rng.normal(size=(80, 5))
    with pytest.warns(ConvergenceWarning, match="float32 cannot hold; rescale them"):
        model = AutoencoderTransformer(2, **SMALL).fit(X * unit)
    pca = PCA(2).fit(X)
    of_pca = pca.inverse_transform(pca.transform(X))
    np.testing.assert_allclose(model.reconstruct(X * unit) / unit, of_pca, atol=1e-6)


@pytest.mark.parametrize("unit", [1e-32, 1e-25, 1e25])
def test_a_vae_learns_from_rows_whose_squares_float32_cannot_hold(unit):
    X = curve(60, seed=0)
    parameters = SMALL | {"max_iter": 1, "early_stopping": False}
    wanted = VAETransformer(1, **parameters).fit(X)
    model = VAETransformer(1, **parameters).fit(X * unit)
    shift = np.log(unit) * X.shape[1]
    assert model.start_loss_ - shift == pytest.approx(wanted.start_loss_, rel=1e-2)
    assert model.n_iter_ == 1
    assert_finite(model, X * unit)


def test_a_column_that_float32_does_not_divide_by_is_taken_for_constant(Estimator):
    X = curve(60, seed=0)
    constant = X.copy()
    X[:, 3] *= 1e-39
    constant[:, 3] = 0.0
    parameters = SMALL | {"likelihood": "gaussian_diag", "max_iter": 3}
    model = Estimator(1, **parameters).fit(X)
    same = Estimator(1, **parameters).fit(constant)
    assert np.isfinite([model.start_loss_, model.best_loss_]).all()
    np.testing.assert_allclose(model.transform(X), same.transform(constant), rtol=1e-3)


def test_a_step_too_large_is_taken_back_and_retried(Estimator):
    # From this rate on the first steps diverge, and a tenth or a hundredth does not.
    X = curve(200, seed=0)
    model = Estimator(1, **SMALL | {"solver": "sgd", "learning_rate_init": 30.0})
    model, _ = fit_quietly(model, X)
    start = Estimator(1, **SMALL | {"max_iter": 0}).fit(X)
    assert model.n_iter_ > 0
    assert model.score(X) >= start.score(X) - 0.05


# --------------------------------------------------------------- without a judge


def test_without_early_stopping_every_epoch_is_kept(Estimator):
    X = curve(120, seed=0)
    parameters = SMALL | {"early_stopping": False, "max_iter": 7, "tol": 0.0}
    parameters["n_iter_no_change"] = 100
    model = Estimator(1, **parameters).fit(X)
    assert model.n_iter_ == len(model.loss_curve_) == 7
    assert model.validation_loss_curve_ == []
    assert model.best_loss_ == model.loss_curve_[-1]
    assert_finite(model, X)


def test_a_random_start_may_have_more_components_than_rows_or_columns(Estimator):
    X = curve(120, seed=0)[:, :4]
    model = Estimator(6, init="random", **SMALL).fit(X)
    assert model.transform(X).shape == (120, 6)
    assert_finite(model, X)
    few = Estimator(30, init="random", **SMALL).fit(X[:12])
    assert few.transform(X).shape == (120, 30)
    assert_finite(few, X)


def test_a_random_start_learns(Estimator):
    X = curve(200, seed=0)
    start = Estimator(2, init="random", **WIDER | {"max_iter": 0}).fit(X)
    model = Estimator(2, init="random", **WIDER).fit(X)
    per_column = X.shape[1] if Estimator is VAETransformer else 1
    assert model.score(X) > start.score(X) + 0.3 * per_column


@pytest.mark.parametrize("has_judges", [True, False])
def test_a_random_start_that_ends_worse_than_pca_says_so(Estimator, has_judges):
    X = curve(200, seed=0)
    judges = {"X_val": curve(50, seed=1)} if has_judges else {}
    model = Estimator(
        2, init="random", random_state=0, hidden_layer_sizes=(2,), max_iter=1
    )
    with pytest.warns(ConvergenceWarning, match="start there by init='pca'"):
        model.fit(X, **judges)


def test_a_random_start_that_ends_better_than_pca_does_not(Estimator):
    X = curve(300, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Estimator(1, init="random", **WIDER | {"max_iter": 60}).fit(X)


# ----------------------------------------------------------- where PCA falls short


def curve(n_rows, seed):
    """A curve that winds through 10 dimensions, and a little noise."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(0, 3, n_rows)
    winds = np.stack([f(k * t) for k in (1, 2) for f in (np.cos, np.sin)], axis=1)
    return mixed(rng, winds, 10) + 0.05 * rng.normal(size=(n_rows, 10))


def sheet(n_rows, seed):
    """A bent sheet, turned in 10 dimensions, and a little noise."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(-1, 1, (2, n_rows))
    bent = np.stack([u, v, u**2 - v**2, u * v, np.sin(3 * u) / 2], axis=1)
    return mixed(rng, bent, 10) + 0.05 * rng.normal(size=(n_rows, 10))


MANIFOLDS = {"curve": (curve, 1), "sheet": (sheet, 2)}

LEARNS = {"max_iter": 30, "hidden_layer_sizes": (64, 64), "random_state": 0}


@pytest.mark.parametrize("name", MANIFOLDS)
def test_a_trained_autoencoder_halves_the_error_of_pca_on_a_manifold(name):
    make, n_components = MANIFOLDS[name]
    train, test = make(400, seed=0), make(150, seed=1)
    model = AutoencoderTransformer(n_components, **LEARNS).fit(train)
    pca = PCA(n_components, svd_solver="full").fit(train)
    left = np.square(test - pca.inverse_transform(pca.transform(test))).sum()
    assert np.square(test - model.reconstruct(test)).sum() < 0.5 * left
    assert model.best_loss_ < 0.5 * model.start_loss_


@pytest.mark.parametrize("name", MANIFOLDS)
def test_a_trained_vae_is_likelier_than_pca_on_a_manifold(name):
    make, n_components = MANIFOLDS[name]
    train, test = make(400, seed=0), make(150, seed=1)
    model = VAETransformer(n_components, **LEARNS).fit(train)
    pca = PCA(n_components, svd_solver="full").fit(train)
    assert model.score(test) > pca.score(test) + 0.1 * train.shape[1]
    assert model.noise_variance_ < 0.7 * pca.noise_variance_


# ------------------------------------------------------------ what rounding leaves


@pytest.fixture(scope="module")
def flat():
    """Rows of which two components leave nothing, between 0 and 1."""
    rng = np.random.default_rng(0)
    X = mixed(rng, rng.normal(size=(80, 2)), 6)
    return (X - X.min()) / np.ptp(X)


def test_rows_that_pca_leaves_nothing_of_are_left_to_pca(flat):
    model = AutoencoderTransformer(2, **SMALL).fit(flat)
    assert model.loss_curve_ == []
    assert model.score(flat) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "parameters", [{"init": "random"}, {"likelihood": "bernoulli"}], ids=str
)
def test_a_start_that_is_not_pca_is_trained_on_them_all_the_same(flat, parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = AutoencoderTransformer(2, **SMALL, **parameters).fit(flat)
    assert len(model.loss_curve_) > 0


def test_a_stream_that_begins_with_them_goes_on(flat):
    model = AutoencoderTransformer(2, **SMALL).partial_fit(flat)
    assert model.partial_fit(flat).n_iter_ == 2
