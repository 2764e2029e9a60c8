import multiprocessing

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris

from skae import AutoencoderTransformer, VAETransformer


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(params=[AutoencoderTransformer, VAETransformer])
def Estimator(request):
    """Each of the two public classes."""
    return request.param


@pytest.fixture
def as_trained(Estimator):
    """Parameters with which nothing follows a training."""
    return {"prior": "normal"} if Estimator is VAETransformer else {"n_refinements": 0}


@pytest.fixture(scope="session")
def digits():
    """200 images of digits, 64 pixels each, and what they show."""
    X, y = load_digits(return_X_y=True)
    return X[:200], y[:200]


@pytest.fixture(scope="session")
def iris():
    """150 flowers, 4 measures each, and their species, in mixed order."""
    X, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(X))
    return X[order], y[order]


@pytest.fixture(scope="session")
def curve():
    """Rows along a bent curve, where a network does better than PCA."""
    rng = np.random.RandomState(0)
    t = rng.uniform(-1, 1, (120, 1))
    return np.hstack([t, t**2, t**3]) + 0.01 * rng.standard_normal((120, 3))


@pytest.fixture(scope="session")
def elsewhere():
    """Calls functions in another process: one for all, as torch takes long to import.

    Should threads lock each other out there, a test fails and does not hang.
    """
    with multiprocessing.get_context("spawn").Pool(1) as other:
        yield lambda call, *args: other.apply_async(call, args).get(timeout=60)
