"""A comparison of three methods."""

import pytest
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, VAETransformer, compare

from .folds import SMALL


@pytest.fixture(scope="session")
def three_methods(iris):
    return compare(
        *iris,
        estimators=[PCA(), AutoencoderTransformer(**SMALL), VAETransformer(**SMALL)],
        n_components=(1, 2),
        cv=3,
    )
