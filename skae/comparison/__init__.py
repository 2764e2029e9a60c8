"""Comparison: PCA, autoencoders and other methods on the same held-out rows."""

from .comparing import compare
from .measuring import explained_variance_scorer
from .result import Comparison

__all__ = ["Comparison", "compare", "explained_variance_scorer"]
