"""Far from all rows the linear map decides."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from given import LEARNS, images
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from skae import AutoencoderTransformer, VAETransformer
from skae.models import evidence


def test_a_far_row_is_left_to_the_linear_map(Estimator):
    """A network that goes on growing would spoil it without limit."""
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (400, 1))
    X = np.hstack([t, t**2, rng.normal(0, 0.05, (400, 3))])
    far = 1e4 * np.ones((1, 5))
    model = Estimator(1, random_state=0, max_iter=40).fit(X)
    assert model.best_loss_ < model.start_loss_
    start = Estimator(1, random_state=0, max_iter=0).fit(X)
    difference = model.reconstruct(far) - start.reconstruct(far)
    assert np.abs(difference).max() < 0.1 * np.abs(far).max()
    # A network sees all that it was trained on, and beyond it what is at the edge.
    path = model.module_.encoder
    x = torch.from_numpy(X - model.mean_)
    seen, limits = x.float() * path.unit, (path.lowest, path.highest)
    torch.testing.assert_close(limits, seen.aminmax(dim=0), rtol=1e-4, atol=1e-4)
    beyond = 3 * x
    edge = beyond.clamp(x.amin(0), x.amax(0))
    with torch.inference_mode():
        ours, theirs = (path(rows) - path.linear_part(rows) for rows in (beyond, edge))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_stream_widens_what_a_network_sees():
    X = images(300)
    model = AutoencoderTransformer(3, **LEARNS).partial_fit(X)
    before = model.module_.encoder.highest.clone()
    model.partial_fit(10 * X)
    after = model.module_.encoder.highest
    assert (after >= before).all()
    assert (after > before).any()


@pytest.mark.parametrize(("n_rows", "reach"), [(119, 0.0), (120, 10.0)])
def test_a_decoder_of_refined_codes_sees_further_where_rows_are_many(n_rows, reach):
    """Ten ranges of its codes, from 20 rows for each column on."""
    X = np.random.default_rng(0).normal(size=(n_rows, 6)) ** 3
    parameters = LEARNS | {"early_stopping": False}
    model = AutoencoderTransformer(2, **parameters).fit(X)
    own = AutoencoderTransformer(2, **parameters, n_refinements=0).fit(X)
    decoder, other = model.module_.decoder, own.module_.decoder
    ranges = other.highest - other.lowest
    close = {"rtol": 1e-3, "atol": 0}
    torch.testing.assert_close(decoder.highest, other.highest + reach * ranges, **close)
    torch.testing.assert_close(decoder.lowest, other.lowest - reach * ranges, **close)


def test_a_decoder_sees_the_codes_that_it_was_trained_on():
    """The network's own, which may lie far beyond PCA's."""
    X = images(300)
    parameters = LEARNS | {"early_stopping": False, "n_refinements": 0}
    model = AutoencoderTransformer(3, **parameters).fit(X)
    codes = torch.from_numpy(model.transform(X))
    seen = codes.float() * model.module_.decoder.unit
    highest = model.module_.decoder.highest
    torch.testing.assert_close(highest, seen.amax(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-40, 1e-35, 1e-30, 1e30])
def test_rows_at_the_edge_of_float32_have_finite_codes(Estimator, scale):
    X = scale * load_iris().data
    for likelihood in ("gaussian", "gaussian_diag"):
        model = Estimator(2, likelihood=likelihood, max_iter=2, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            codes = model.fit(X).transform(X)
        assert np.isfinite(codes).all()


def test_a_single_tiny_column_has_no_part_in_a_code(Estimator):
    X = load_iris().data.copy()
    X[:, 1] *= 1e-60
    model = Estimator(2, likelihood="auto", max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        codes = model.fit(X).transform(X)
    assert np.isfinite(codes).all()


def test_a_column_of_one_large_value_leaves_rows_that_judge(Estimator):
    X = np.c_[images(64)[:, 20:30], np.full(64, 1.7e18)]
    model = Estimator(2, **LEARNS).fit(X)
    assert np.isfinite(model.validation_loss_curve_).all()
    assert np.isfinite(model.transform(X)).all()


@pytest.mark.parametrize("value", [2.0**500, 2.0**700])
def test_a_column_of_one_value_has_no_part_in_a_fit(Estimator, value):
    """As long as its mean is not rounded, which that of a power of two is not."""
    X = np.random.default_rng(0).normal(size=(64, 5))
    parameters = LEARNS | {"early_stopping": False}
    beside, zero = np.c_[X, np.full(64, value)], np.c_[X, np.zeros(64)]
    found = Estimator(2, **parameters).fit(beside).transform(beside)
    wanted = Estimator(2, **parameters).fit(zero).transform(zero)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_columns", [10, 200])
def test_a_column_of_values_whose_mean_is_rounded_is_refused_in_words(
    Estimator, n_columns
):
    X = np.random.default_rng(0).normal(size=(100, n_columns))
    X[:, 2] += 1e300
    with pytest.raises(ValueError, match="beyond what float32 holds"):
        Estimator(2, **LEARNS).fit(X)


@pytest.mark.parametrize("scale", [1e39, 1e150, 1e300])
@pytest.mark.parametrize(
    "parameters", [{"max_iter": 0}, {}, {"init": "random"}, {"n_components": "auto"}]
)
def test_rows_beyond_float32_have_codes_as_far(Estimator, parameters, scale):
    """Networks compute in float32; rows and linear maps need not."""
    X = images(100)[:, 20:30]
    model = Estimator(**({"n_components": 2} | LEARNS | parameters)).fit(X)
    far = scale * X[:4]
    assert np.isfinite(model.transform(far)).all()
    assert np.isfinite(model.reconstruct(far)).all()
    assert (model.score_samples(far) < model.score_samples(X[:4])).all()
    if parameters == {"max_iter": 0}:
        start = model.transform(1e9 * X[:4])
        np.testing.assert_allclose(model.transform(far), start * (scale / 1e9), 1e-6)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, torch.from_numpy])
def test_a_row_whose_square_overflows_scores_minus_infinity(Estimator, kind):
    X = load_iris().data
    model = Estimator(2, max_iter=2, random_state=0).fit(X)
    far = X.copy()
    far[0, 0] = 1e200
    scores = model.score_samples(kind(far))
    assert scores[0] == -np.inf
    assert np.isfinite(scores[1:]).all()
    assert model.score(kind(far)) == -np.inf
    far = X.astype(np.float32)
    far[0, 0] = 1e30
    assert model.score(kind(far)) == -np.inf


@pytest.mark.parametrize(
    ("prior", "conditional"), [("normal", False), ("vamp", False), ("normal", True)]
)
@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", "poisson"])
def test_a_bound_of_rows_whose_squares_are_beyond_their_type_is_none(
    likelihood, prior, conditional
):
    X = np.random.default_rng(0).poisson(3.0, (200, 6)).astype(np.float32)
    parameters = {"prior": prior, "conditional": conditional, "random_state": 0}
    vae = VAETransformer(2, likelihood=likelihood, max_iter=1, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vae.fit(X, np.arange(200) % 2)
    far = np.vstack([np.full((2, 6), 1e38, np.float32), X[:1]])
    bound = vae.elbo(far)
    assert not np.isnan(bound).any()
    assert (bound.total[:2] == -np.inf).all()
    np.testing.assert_array_equal(bound.total[2:], vae.elbo(X[:1]).total)


def test_a_class_that_a_row_cannot_be_of_leaves_the_bound_to_others(monkeypatch):
    bounds = iter([[[-np.inf, np.inf], [-1.0, 2.0]], [[-3.0, 1.0], [-1.0, 2.0]]])
    monkeypatch.setattr(evidence, "_class_terms", lambda *_: torch.tensor(next(bounds)))
    log_shares = torch.tensor([0.5, 0.5]).log()
    model = SimpleNamespace(log_shares=log_shares, each_class=lambda: range(2))
    found = evidence.bound_terms(model, None, None)
    # In the first row the code says which of two classes; in the second it does not.
    wanted = [[-3.0, 1 + np.log(2)], [-1.0, 2.0]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
