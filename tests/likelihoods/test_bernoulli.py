"""Bernoulli, from end to end, and likelihoods by name."""

import numpy as np
import pytest
from given import LEARNS, SMALL, binary_images, images

from skae import AutoencoderTransformer, VAETransformer
from skae.likelihoods import LIKELIHOODS


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_likelihood_comes_by_name_or_as_a_spec(name):
    X = np.eye(10)[np.arange(90) % 7] if name == "categorical" else binary_images(90)
    spec = LIKELIHOODS[name]()
    parameters = SMALL | {"early_stopping": False}
    named, specified = (
        AutoencoderTransformer(2, likelihood=likelihood, **parameters).fit(X)
        for likelihood in (name, spec)
    )
    np.testing.assert_array_equal(specified.transform(X), named.transform(X))
    assert named.likelihood == name
    assert specified.likelihood is spec


def bernoulli_loss(X, mean):
    mean = np.clip(mean, 1e-12, 1 - 1e-12)
    return -(X * np.log(mean) + (1 - X) * np.log1p(-mean)).sum(axis=1)


@pytest.mark.parametrize("make", [binary_images, lambda: images(300) / 16])
def test_a_bernoulli_start_is_no_worse_than_independent_columns(Estimator, make):
    X = make()
    model = Estimator(4, likelihood="bernoulli", **SMALL | {"max_iter": 0}).fit(X)
    independent = bernoulli_loss(X, np.clip(X.mean(axis=0), 1e-4, 1 - 1e-4)).mean()
    assert model.start_loss_ <= independent * (1 + 1e-6)
    decoded = model.reconstruct(X)
    assert ((decoded >= 0) & (decoded <= 1)).all()
    assert not hasattr(model, "noise_variance_")


@pytest.mark.parametrize("widths", [(64,), ()])
def test_training_improves_a_bernoulli_start(Estimator, widths):
    parameters = LEARNS | {"hidden_layer_sizes": widths, "likelihood": "bernoulli"}
    model = Estimator(4, **parameters, learning_rate_init=0.01).fit(binary_images())
    assert model.n_iter_ > 0
    assert model.best_loss_ < 0.98 * model.start_loss_


def test_bernoulli_losses_are_cross_entropies_of_the_reconstruction():
    X, X_val = binary_images()[:200], binary_images()[200:]
    parameters = LEARNS | {"likelihood": "bernoulli"}
    model = AutoencoderTransformer(4, **parameters).fit(X, X_val=X_val)
    found = bernoulli_loss(X_val, model.reconstruct(X_val)).mean()
    assert model.best_loss_ == pytest.approx(found, rel=1e-4)


def test_a_bernoulli_vae_scores_no_more_than_any_distribution_can():
    X = binary_images()
    parameters = LEARNS | {"likelihood": "bernoulli"}
    model = VAETransformer(4, **parameters).fit(X)
    start = VAETransformer(4, **parameters | {"max_iter": 0}).fit(X)
    scores = model.score_samples(X[:100])
    assert start.score(X[:100]) < scores.mean()
    assert (scores <= 0).all()


def test_bernoulli_samples_are_pixels_and_their_means_are_probabilities(Estimator):
    model = Estimator(4, likelihood="bernoulli", **SMALL).fit(binary_images())
    drawn = model.sample(300, random_state=0)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    mean = model.sample(300, noise=False, random_state=0)
    assert ((mean > 0) & (mean < 1)).all()
    np.testing.assert_allclose(
        drawn.mean(axis=0), binary_images().mean(axis=0), atol=0.2
    )
