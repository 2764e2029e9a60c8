"""Autoencoders for scikit-learn that start as PCA."""

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
