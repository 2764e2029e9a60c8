"""Trust: the classes of skae that a stored estimator is made of.

skops opens a file only if each class that the file names is trusted, and these are
skae's own. None of them runs what a file says: specs and estimators hold parameters,
and what was fitted is checked as it is opened (:mod:`skae.estimators.opening`).
"""

from sklearn.base import BaseEstimator

from . import likelihoods, networks, priors
from .densities.codes import CodeMixture
from .estimators.autoencoder import AutoencoderTransformer
from .estimators.oversampling import VAEOverSampler
from .estimators.storage import StoredModule
from .estimators.vae import VAETransformer
from .fitting.blueprint import Blueprint, Variational
from .start.maps import LinearMaps

__all__ = ["TRUSTED_TYPES"]


# Of specs; nothing is ever an instance of them alone.
BASES = (likelihoods.Likelihood, priors.Prior)


def _specs(room):
    """Classes of a room that hold parameters, by scikit-learn's convention."""
    found = (getattr(room, name) for name in room.__all__)
    specs = [c for c in found if isinstance(c, type) and issubclass(c, BaseEstimator)]
    return [spec for spec in specs if spec not in BASES]


TRUSTED_TYPES = sorted(
    f"{trusted.__module__}.{trusted.__qualname__}"
    for trusted in [
        *(AutoencoderTransformer, VAETransformer, VAEOverSampler),
        *_specs(likelihoods),
        *_specs(networks),
        *_specs(priors),
        *(Blueprint, CodeMixture, LinearMaps, StoredModule, Variational),
    ]
)
"""Names of skae's classes, for ``trusted`` of :func:`skops.io.load`."""
