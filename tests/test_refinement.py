"""Codes are moved to where the decoder rebuilds rows better."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from given import LEARNS, images, normal
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer
from skae.auto import REFINED_VALUES, REFINEMENTS, auto_refinements
from skae.refinement import Refinement


def learned(X=None, n_components=3, **parameters):
    X = images() if X is None else X
    return AutoencoderTransformer(n_components, **LEARNS | parameters).fit(X)


def encoder_alone(model):
    """The same model, whose codes are where the encoder puts them."""
    model = copy.deepcopy(model)
    model.module_.refinement.clear()
    return model


def deviances(model, X):
    x = torch.from_numpy(X - model._origin)
    with torch.no_grad():
        return model.module_.row_losses(x).numpy()


def test_one_step_is_a_regression_where_the_decoder_is_linear():
    A, x, z = normal(7, 3), normal(20, 7, seed=1), normal(20, 3, seed=2)
    refinement = Refinement(3, n_steps=1)

    def loss(x, z):
        return (x - z @ A.T).square().sum(1)

    refinement.measure(loss, x, z)
    torch.testing.assert_close(refinement.metric.weight, (2 * A.T @ A).inverse())
    best = torch.linalg.lstsq(A, x.T).solution.T
    torch.testing.assert_close(refinement(loss, x, z), best)


def test_a_step_that_does_not_help_is_not_taken():
    refinement = Refinement(1, n_steps=3)
    refinement.metric.weight.fill_(1e6)
    x, z = normal(30, 1), normal(30, 1, seed=1)

    def loss(x, z):
        return (x - z).square().sum(1)

    torch.testing.assert_close(refinement(loss, x, z), z)
    # Shorter and shorter steps come to help.
    refinement.n_steps = 20
    assert (loss(x, refinement(loss, x, z)) < loss(x, z)).all()


def test_where_nothing_has_been_measured_codes_stay():
    assert not Refinement(2, n_steps=5).is_active
    refinement = Refinement(2, n_steps=0)
    refinement.measure(None, None, None)
    assert not refinement.is_active


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_diag", "poisson"])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_rows_lose_by_no_refinement(likelihood, init):
    X, new = images()[:300], images()[300:]
    model = learned(X, likelihood=likelihood, init=init, n_refinements=5)
    before = deviances(encoder_alone(model), new)
    after = deviances(model, new)
    assert (after <= before).all()
    assert after.mean() < 0.99 * before.mean()


def test_new_rows_are_rebuilt_better_and_the_codes_are_those_of_transform():
    X, new = images()[:300], images()[300:]
    model = learned(X)
    assert model.module_.refinement.n_steps == REFINEMENTS
    codes = model.transform(new)
    assert not np.allclose(codes, encoder_alone(model).transform(new))
    rebuilt = model.inverse_transform(codes)
    np.testing.assert_allclose(rebuilt, model.reconstruct(new))
    error = ((new - rebuilt) ** 2).sum(1)
    np.testing.assert_allclose(-error, model.score_samples(new))
    alone = encoder_alone(model)
    assert error.sum() < -0.95 * alone.score_samples(new).sum()
    # Where a step more no longer helps, the slope has gone.
    model.module_.refinement.n_steps = 200
    done = model.score_samples(new)
    model.module_.refinement.n_steps = 210
    np.testing.assert_allclose(model.score_samples(new), done, rtol=1e-3)
    assert done.sum() >= -error.sum()


def test_pca_is_not_refined():
    """Its codes are where they are best already."""
    X = images()
    pca = PCA(3, svd_solver="full").fit(X)
    for architecture in ({"max_iter": 0}, {"hidden_layer_sizes": ()}):
        model = learned(X, n_refinements=50, **architecture)
        assert not model.module_.refinement.is_active
        np.testing.assert_allclose(model.transform(X), pca.transform(X), atol=1e-8)


def test_no_refinement_is_the_encoder_alone():
    model = learned(n_refinements=0)
    assert not model.module_.refinement.is_active
    x = torch.from_numpy(images() - model.mean_)
    with torch.no_grad():
        codes = model.module_.encoder(x).numpy()
    np.testing.assert_allclose(model.transform(images()), codes, atol=1e-6)


def test_what_auto_means():
    assert auto_refinements(100, 50) == REFINEMENTS
    assert auto_refinements(REFINED_VALUES // 10, 10) == REFINEMENTS
    assert auto_refinements(REFINED_VALUES // 10 + 1, 10) == 0
    counts = learned(likelihood="poisson", max_iter=2)
    assert counts.module_.refinement.n_steps == 0


def test_wide_rows_are_refined_as_their_coordinates_are():
    rng = np.random.default_rng(0)
    t = rng.uniform(-2, 2, (90, 1))
    bent = np.hstack([t, t**2, np.sin(2 * t)])
    X = bent @ rng.normal(size=(3, 200)) + 0.05 * rng.normal(size=(90, 200))
    model = learned(X[:60], 1, max_iter=60)
    assert model.module_.refinement.is_active
    alone = encoder_alone(model)
    assert (model.score_samples(X[60:]) >= alone.score_samples(X[60:])).all()
    sparse = model.transform(sp.csr_array(X[60:]))
    np.testing.assert_allclose(model.transform(X[60:]), sparse, atol=1e-6)


def test_a_stream_measures_anew_what_it_has_changed():
    model = AutoencoderTransformer(3, **LEARNS).partial_fit(images())
    before = model.module_.refinement.metric.weight.clone()
    for _ in range(3):
        model.partial_fit(images())
    after = model.module_.refinement.metric.weight
    assert model.module_.refinement.is_active
    assert not torch.allclose(before, after)


def test_warm_starts_go_on_with_as_many_steps():
    model = learned(warm_start=True, n_refinements=2)
    with pytest.raises(ValueError, match="n_refinements=3 is not what the fitted"):
        model.set_params(n_refinements=3).fit(images())
