"""Codes are moved to where the decoder rebuilds rows better."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from given import LEARNS, images, normal
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer
from skae.fitting.auto import REFINED_VALUES, REFINEMENTS, auto_refinements
from skae.models.refinement import Refinement


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


def measure(refinement, loss, x, weight, z):
    """Measure the curvature at given codes."""
    rows = SimpleNamespace(some=lambda size: (x, weight))
    refinement.measure(loss, lambda x: z, rows)


def test_one_step_is_a_regression_where_the_decoder_is_linear():
    A, x, z = normal(7, 3), normal(20, 7, seed=1), normal(20, 3, seed=2)
    refinement = Refinement(3, n_steps=1)

    def loss(x, z):
        return (x - z @ A.T).square().sum(1)

    measure(refinement, loss, x, torch.ones(20), z)
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


def test_rows_of_many_columns_are_refined_as_their_coordinates_are():
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


def test_a_component_that_does_not_vary_is_left_alone():
    """Rounding would be taken for its curvature, and hide that of the others."""
    A, x, z = normal(7, 3), normal(20, 7, seed=1), normal(20, 3, seed=2)
    z[:, 2] = 1 + 1e-9 * z[:, 2]
    refinement = Refinement(3, n_steps=5)

    def loss(x, z):
        return (x - z @ A.T).square().sum(1)

    measure(refinement, loss, x, torch.ones(20), z)
    found = refinement(loss, x, z)
    torch.testing.assert_close(found[:, 2], z[:, 2])
    best = torch.linalg.lstsq(A[:, :2], (x - z[:, 2:] * A[:, 2]).T).solution.T
    torch.testing.assert_close(found[:, :2], best)


def test_rows_of_weight_0_say_nothing_of_curvature():
    A, x, z = normal(7, 3), normal(20, 7, seed=1), normal(20, 3, seed=2)
    refinement = Refinement(3, n_steps=1)
    weight = torch.cat([torch.ones(10), torch.zeros(10)])

    def loss(x, z):
        return (x - z @ A.T).square().square().sum(1)

    measure(refinement, loss, x, weight, z)
    found = refinement.metric.weight.clone()
    refinement.clear()
    measure(refinement, loss, x[:10], weight[:10], z[:10])
    torch.testing.assert_close(found, refinement.metric.weight)


def test_a_piece_of_a_stream_that_says_too_little_changes_nothing():
    model = AutoencoderTransformer(3, **LEARNS).partial_fit(images())
    before = model.module_.refinement.metric.weight.clone()
    model.partial_fit(images()[:1])
    assert torch.equal(before, model.module_.refinement.metric.weight)


def test_within_an_inference_mode():
    model = pickle.loads(pickle.dumps(learned()))
    with torch.inference_mode():
        codes = model.transform(images())
        inside = learned().transform(images())
    np.testing.assert_array_equal(codes, model.transform(images()))
    np.testing.assert_array_equal(codes, inside)


class Nearest(torch.nn.Module):
    """A decoder whose rows do not follow the code smoothly."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.rows = torch.nn.Embedding(n_inputs, n_outputs)

    def forward(self, z):
        return self.rows(z.argmax(1))


def test_where_a_decoder_has_no_slope_codes_stay():
    parameters = {"init": "random", "decoder": Nearest, "early_stopping": False}
    model = learned(**parameters)
    assert not model.module_.refinement.is_active


def bounded(n_inputs, n_outputs):
    return torch.nn.Sequential(torch.nn.Linear(n_inputs, n_outputs), torch.nn.Sigmoid())


def test_codes_that_an_encoder_bounds_stay_within():
    codes = learned(init="random", encoder=bounded).transform(images())
    assert ((codes >= 0) & (codes <= 1)).all()
