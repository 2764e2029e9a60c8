"""Autoencoders for scikit-learn that start as PCA."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import likelihoods as likelihoods
    from . import networks as networks
    from . import plotting as plotting
    from . import priors as priors
    from .comparison import Comparison, compare, explained_variance_scorer
    from .estimators.autoencoder import AutoencoderTransformer
    from .estimators.oversampling import VAEOverSampler
    from .estimators.vae import VAETransformer
    from .trust import TRUSTED_TYPES

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

# Rooms that public names are taken from when they are first asked for: a command has to
# hear Ctrl-C before torch is there.
ROOMS = {
    "AutoencoderTransformer": "estimators.autoencoder",
    "Comparison": "comparison",
    "TRUSTED_TYPES": "trust",
    "VAEOverSampler": "estimators.oversampling",
    "VAETransformer": "estimators.vae",
    "compare": "comparison",
    "explained_variance_scorer": "comparison",
}

# Rooms of specs and of pictures, which are public as they are.
PUBLIC_ROOMS = ("likelihoods", "networks", "plotting", "priors")


if not TYPE_CHECKING:  # which then knows what there is not

    def __getattr__(name):
        if name in PUBLIC_ROOMS:
            return import_module(f".{name}", __name__)
        if name not in ROOMS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(
            import_module(f".{ROOMS[name]}", __name__), name
        )
        return found


def __dir__():
    return sorted({*globals(), *ROOMS, *PUBLIC_ROOMS})
