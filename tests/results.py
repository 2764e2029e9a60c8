"""What a fitted model says, and whether another says the same."""

import numpy as np

from skae import VAETransformer


def results_of_rows(model, X):
    """Everything that a fitted model says about rows, a value or more for each."""
    codes = model.transform(X)
    found = {
        "transform": codes,
        "inverse_transform": model.inverse_transform(codes),
        "reconstruct": model.reconstruct(X),
        "score_samples": model.score_samples(X),
    }
    if isinstance(model, VAETransformer):
        found["std"] = model.transform(X, return_std=True)[1]
    return found


def results(model, X):
    """Everything that a fitted model says about some rows, or draws.

    The first call fits a density to all codes. What is copied later has it, too.
    """
    drawn = {
        "sample": model.sample(5, random_state=1),
        "means": model.sample(5, noise=False, random_state=1),
    }
    return results_of_rows(model, X[:20]) | drawn


def assert_same_bits(found, expected):
    """All of it is equal, to the last bit."""
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
