"""Where a model of classes starts: at the moments of each class."""

import numpy as np
import pytest

from skae import VAETransformer

START = {"conditional": True, "max_iter": 0, "random_state": 0}


def blobs(n_each, distance, n_columns=10, seed=0):
    """Rows about a place for each class, of deviation a half."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], n_each)
    places = distance * np.random.default_rng(7).normal(size=(3, n_columns))
    return places[y] + 0.5 * rng.normal(size=(len(y), n_columns)), y


def test_a_class_of_few_rows_is_as_wide_as_they_are():
    rng = np.random.default_rng(0)
    X = 0.5 * rng.normal(size=(200, 4))
    y = (np.arange(200) >= 194) * 1
    X[y == 1] += 4.0
    vae = VAETransformer(1, **START).fit(X, y)
    drawn = vae.sample(4000, y=1, random_state=0)
    assert (drawn.var(axis=0) < 3 * 0.25).all()
    # About the place of the class, or somewhat nearer to all others.
    assert (drawn.mean(axis=0) > 3.0).all()


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_diag"])
def test_noise_is_what_classes_do_not_explain(likelihood):
    X, y = blobs(100, 3.0)
    vae = VAETransformer(1, likelihood=likelihood, **START).fit(X, y)
    plain = VAETransformer(1, likelihood=likelihood, max_iter=0, random_state=0).fit(X)
    assert np.mean(vae.noise_variance_) < 0.3 * np.mean(plain.noise_variance_)
    assert np.min(vae.noise_variance_) > 0.2
    test, labels = blobs(100, 3.0, seed=1)
    spread = [
        vae.sample(1000, y=label, random_state=0).var(axis=0).mean()
        for label in range(3)
    ]
    assert np.max(spread) < 2 * 0.25
    assert vae.score(test, labels) > plain.score(test) + 5


def test_noise_stays_where_classes_say_nothing():
    X, _ = blobs(60, 1.0)
    y = np.random.default_rng(0).integers(3, size=len(X))
    vae = VAETransformer(2, **START).fit(X, y)
    plain = VAETransformer(2, max_iter=0, random_state=0).fit(X)
    assert vae.noise_variance_ == pytest.approx(plain.noise_variance_, rel=0.05)


def test_noise_in_a_mixed_table_is_what_classes_do_not_explain():
    X, y = blobs(60, 3.0)
    parts = [("gaussian_diag", slice(0, 8)), ("gaussian", [8, 9])]
    noise = []
    for classes in ({}, {"conditional": True}):
        model = VAETransformer(1, likelihood=parts, max_iter=0, **classes)
        module = model.fit(X, y).module_.likelihood
        noise.append([np.mean(p.likelihood.noise_variance) for p in module.parts])
    assert (np.array(noise[1]) < 0.7 * np.array(noise[0])).all()
    assert np.min(noise[1]) > 0.1
