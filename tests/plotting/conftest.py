"""An estimator fitted to each kind of row."""

import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer

from .rows import SMALL, make_colours, make_spectra


@pytest.fixture(scope="session")
def wine():
    return load_wine(return_X_y=True, as_frame=True)


@pytest.fixture(scope="session")
def cases(digits, wine):
    """Name -> (fitted estimator, X, image_shape, kind) for each kind of row."""
    spectra, positions = make_spectra()
    spectra = pd.DataFrame(spectra, columns=[f"{p:.1f}" for p in positions])
    colours = make_colours()
    table = make_pipeline(StandardScaler(), AutoencoderTransformer(3, **SMALL))
    return {
        "digits": (
            VAETransformer(4, **SMALL).fit(digits[0]),
            digits[0],
            (8, 8),
            "images",
        ),
        "colours": (
            AutoencoderTransformer(2, **SMALL).fit(colours),
            colours,
            (5, 4, 3),
            "images",
        ),
        "spectra": (
            AutoencoderTransformer(3, **SMALL).fit(spectra),
            spectra,
            None,
            "profiles",
        ),
        "wine": (table.fit(wine[0]), wine[0], None, "table"),
    }


@pytest.fixture(params=["digits", "colours", "spectra", "wine"])
def case(request, cases):
    return cases[request.param]
