"""Displays: pictures of what an estimator learned, in scikit-learn's manner.

Each Display is made by a class method, ``from_estimator`` or ``from_comparison``, which
computes what is shown, keeps it as attributes, and draws it; ``plot`` draws it again.
They take any fitted transformer with ``inverse_transform``: skae's, PCA, a Pipeline.
matplotlib is imported when something is drawn: ``pip install "skae[plot]"``.
"""

from .codes import CodeDisplay
from .comparison import ComparisonDisplay
from .feature_error import FeatureErrorDisplay
from .loss_curve import LossCurveDisplay
from .reconstruction import ReconstructionDisplay
from .samples import SampleDisplay
from .traversal import TraversalDisplay

__all__ = [
    "CodeDisplay",
    "ComparisonDisplay",
    "FeatureErrorDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "SampleDisplay",
    "TraversalDisplay",
]
