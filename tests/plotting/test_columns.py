"""What the columns are: an image, a profile, a table."""

import numpy as np

from skae import AutoencoderTransformer
from skae.networks import Conv
from skae.plotting import ReconstructionDisplay
from skae.plotting.columns import Columns

from .rows import make_colours, make_spectra


def describe(rows, names=None, **kwargs):
    return Columns.describe(rows, names, **kwargs)


def test_neighbours_that_go_together_are_a_profile(digits, iris, wine):
    spectra, positions = make_spectra()
    assert describe(spectra).kind == "profiles"
    assert describe(spectra + 1e4 * positions).kind == "profiles"
    mixed = np.random.default_rng(0).permutation(spectra, axis=1)
    for rows in (mixed, digits[0], iris[0], wine[0].to_numpy()):
        assert describe(rows).kind == "table"


def test_names_that_are_words_make_a_table_and_numbers_are_positions():
    spectra, positions = make_spectra()
    numbers = [f"{p:.1f}" for p in positions]
    found = describe(spectra, numbers)
    assert found.kind == "profiles"
    np.testing.assert_allclose(found.positions, positions, atol=0.05)
    np.testing.assert_array_equal(
        describe(spectra, numbers[::-1]).positions, found.positions[::-1]
    )
    named = [f"gene {n}" for n in numbers]
    assert describe(spectra, named).kind == "table"
    assert describe(spectra, named, kind="profiles").kind == "profiles"


def test_what_is_said_goes_before_what_is_found(digits):
    X = digits[0]
    assert describe(X, image_shape=(8, 8)).kind == "images"
    assert describe(X, image_shape=(8, 8), kind="table").kind == "table"
    assert describe(X, kind="profiles").kind == "profiles"


def test_black_and_white_of_colours_are_the_usual():
    colours = make_colours()
    shape = (5, 4, 3)
    assert describe(colours, image_shape=shape).limits == (0, 1)
    assert describe(255 * colours, image_shape=shape).limits == (0, 255)
    low, high = describe(colours - 3, image_shape=shape).limits
    assert (low, high) == ((colours - 3).min(), (colours - 3).max())


def test_a_constant_column_has_no_spread():
    rows = np.column_stack([np.full(50, 98.6), np.arange(50.0)])
    np.testing.assert_allclose(describe(rows).scale, [1, rows[:, 1].std()])


def test_a_convolutional_estimator_knows_the_shape_of_images(digits):
    X = digits[0]
    network = Conv((8, 8), channels=(2,))
    model = AutoencoderTransformer(2, encoder=network, decoder=network, max_iter=0)
    display = ReconstructionDisplay.from_estimator(model.fit(X), X)
    assert display.columns.image_shape == (8, 8, 1)
