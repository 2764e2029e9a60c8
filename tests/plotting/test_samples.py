"""Samples, and real rows beside them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.plotting import SampleDisplay
from skae.plotting.columns import Columns

from .seen import plt, says


def test_samples_are_the_estimators(case):
    model, _, image_shape, kind = case
    display = SampleDisplay.from_estimator(
        model, n_samples=7, image_shape=image_shape, random_state=3
    )
    if hasattr(model, "sample"):
        expected = model.sample(7, random_state=3)
    else:
        drawn = model[-1].sample(7, random_state=3)
        expected = model[:-1].inverse_transform(drawn)
    np.testing.assert_array_equal(display.samples, expected)
    assert display.columns.kind == kind
    assert says(display.figure_, "sampled from ")
    assert not says(display.figure_, "real rows")


def test_real_rows_stand_beside_samples(case):
    model, X, image_shape, kind = case
    display = SampleDisplay.from_estimator(
        model, X, n_samples=7, image_shape=image_shape, random_state=3
    )
    assert len(display.rows) == (len(X) if kind == "table" else 7)
    assert says(display.figure_, "real rows")


def test_columns_that_hardly_vary_do_not_decide_the_axis():
    rng = np.random.default_rng(0)
    rows, samples = rng.normal(size=(2, 200, 10))
    rows[:, 3] *= 1e-4
    display = SampleDisplay(samples, Columns.describe(rows, None), rows=rows).plot()
    low, high = display.ax_.get_xlim()
    assert -4 < low < -1.5
    assert 1.5 < high < 4
    assert says(display.figure_, "lines that meet the frame go on")
    # Without such a column all lines end on the axis.
    samples[:, 3] *= 1e-4
    display = SampleDisplay(samples, Columns.describe(rows, None), rows=rows).plot()
    low, high = display.ax_.get_xlim()
    ends = [path.vertices for path in display.ax_.collections[0].get_paths()]
    assert low < np.min(ends, axis=(0, 1))[0] < np.max(ends, axis=(0, 1))[0] < high
    assert not says(display.figure_, "frame")


def test_samples_without_noise(cases):
    model, _, shape, _ = cases["digits"]
    display = SampleDisplay.from_estimator(
        model, n_samples=4, noise=False, image_shape=shape, random_state=0
    )
    expected = model.sample(4, noise=False, random_state=0)
    np.testing.assert_array_equal(display.samples, expected)


def test_other_densities_are_shown_too(iris):
    X, _ = iris
    for density in (KernelDensity(), GaussianMixture(2, random_state=0)):
        model = make_pipeline(StandardScaler(), PCA(2), density).fit(X)
        display = SampleDisplay.from_estimator(model, X, n_samples=5)
        assert display.samples.shape == (5, 4)
        SampleDisplay.from_estimator(make_pipeline(density).fit(X), n_samples=5)


def test_what_is_wrong_with_samples_is_named(iris, cases):
    X, _ = iris
    with pytest.raises(TypeError, match="estimator=PCA has no sample"):
        SampleDisplay.from_estimator(PCA().fit(X))
    with pytest.raises(NotFittedError):
        SampleDisplay.from_estimator(VAETransformer())
    density = KernelDensity().fit(X)
    with pytest.raises(TypeError, match="noise is not for estimator=KernelDensity"):
        SampleDisplay.from_estimator(density, noise=False)
    with pytest.raises(TypeError, match=r"noise must be an instance of .*, not str"):
        SampleDisplay.from_estimator(density, noise="no")
    with pytest.raises(ValueError, match="n_samples == 0"):
        SampleDisplay.from_estimator(density, n_samples=0)
    with pytest.raises(ValueError, match="X has 3 columns, but the samples have 4"):
        SampleDisplay.from_estimator(density, X[:, :3])


def test_missing_values_are_refused_by_name():
    X = np.random.default_rng(0).normal(size=(20, 3))
    model = AutoencoderTransformer(2, max_iter=0).fit(X)
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        SampleDisplay.from_estimator(model, X)
    missing = pd.DataFrame(X).astype(object).where(np.isfinite(X), pd.NA)
    with pytest.raises(ValueError, match="Only numbers can be drawn"):
        SampleDisplay.from_estimator(model, missing)
    assert not plt.get_fignums()


def test_a_column_of_one_value_has_a_mark():
    rows = np.random.default_rng(0).normal(size=(100, 3))
    rows[:, 1] = np.arange(100) == 7  # from 5 to 95 % they are 0
    display = SampleDisplay(rows[:1], Columns.describe(rows, None), rows=rows).plot()
    *_, samples, _, real = display.ax_.lines[:4]
    x = samples.get_xdata()
    assert samples.get_color() != display.ax_.get_facecolor()
    np.testing.assert_array_equal(x[:3], x[3:])  # one sample ends where it begins
    rare = real.get_xdata()[[1, 4]]
    assert rare[0] == rare[1] < 0
