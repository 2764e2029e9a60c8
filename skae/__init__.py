"""Autoencoders for scikit-learn that start as PCA."""

# The largest first: while they load, Python's collector walks again and again over
# what was loaded before them.
import sklearn.decomposition  # noqa: F401
import torch  # noqa: F401

# isort: split
from .autoencoder import AutoencoderTransformer
from .comparison import Comparison, compare, explained_variance_scorer
from .oversampling import VAEOverSampler
from .trust import TRUSTED_TYPES
from .vae import VAETransformer

__version__ = "0.1.0"

__all__ = [
    "TRUSTED_TYPES",
    "AutoencoderTransformer",
    "Comparison",
    "VAEOverSampler",
    "VAETransformer",
    "__version__",
    "compare",
    "explained_variance_scorer",
]
