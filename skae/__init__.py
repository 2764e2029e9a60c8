"""Autoencoders for scikit-learn that start as PCA."""

from .autoencoder import AutoencoderTransformer
from .vae import VAETransformer

__version__ = "0.1.0"

__all__ = ["AutoencoderTransformer", "VAETransformer", "__version__"]
