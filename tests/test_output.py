"""What comes out as: arrays or data frames, with the right names and index."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from given import images
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
NAMES = ["length", "width", "height", "weight"]


@pytest.fixture
def pandas_iris(iris):
    X, _ = iris
    index = [f"flower {i}" for i in range(len(X))]
    return pd.DataFrame(X, columns=NAMES, index=index)


@pytest.fixture
def polars_iris(iris):
    return pl.DataFrame(iris[0], schema=NAMES)


def names_of_codes(model):
    return [f"{type(model).__name__.lower()}{i}" for i in range(model.n_components_)]


@pytest.mark.parametrize("kind", FRAMES)
def test_codes_come_in_the_container_that_is_asked_for(Estimator, kind, iris):
    X, _ = iris
    model = Estimator(3, **SMALL).fit(X)
    codes = model.transform(X)
    assert type(codes) is np.ndarray
    model.set_output(transform=kind)
    for framed in (model.transform(X), Estimator.fit_transform(model, X)):
        assert isinstance(framed, FRAMES[kind])
        assert list(framed.columns) == names_of_codes(model)
        np.testing.assert_array_equal(framed.to_numpy(), codes)
    assert list(model.get_feature_names_out()) == names_of_codes(model)


@pytest.mark.parametrize("kind", FRAMES)
def test_rows_come_in_the_container_and_columns_of_the_input(
    Estimator, kind, pandas_iris, polars_iris
):
    for frame in (pandas_iris, polars_iris):
        model = Estimator(**SMALL).fit(frame)
        assert list(model.feature_names_in_) == NAMES
        codes = model.transform(frame)
        for rows_of in (
            lambda m, codes=codes: m.inverse_transform(codes),
            lambda m, frame=frame: m.reconstruct(frame),
            lambda m: m.sample(7, random_state=0),
        ):
            model.set_output(transform="default")
            plain = rows_of(model)
            assert type(plain) is np.ndarray
            model.set_output(transform=kind)
            framed = rows_of(model)
            assert isinstance(framed, FRAMES[kind])
            assert list(framed.columns) == NAMES
            np.testing.assert_array_equal(framed.to_numpy(), plain)


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_without_names_are_numbered(Estimator, kind, iris):
    X, _ = iris
    model = Estimator(**SMALL).fit(X).set_output(transform=kind)
    frames = (
        model.inverse_transform(model.transform(X).to_numpy()),
        model.reconstruct(X),
        model.sample(3, random_state=0),
    )
    for frame in frames:
        assert isinstance(frame, FRAMES[kind])
        assert list(frame.columns) == ["x0", "x1", "x2", "x3"]


def test_columns_whose_names_are_numbers_count_as_unnamed(Estimator, iris):
    X = pd.DataFrame(iris[0])
    model = Estimator(**SMALL).fit(X).set_output(transform="pandas")
    assert not hasattr(model, "feature_names_in_")
    assert list(model.reconstruct(X).columns) == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize("kind", FRAMES)
def test_the_global_setting_is_followed(Estimator, kind, pandas_iris):
    model = Estimator(**SMALL).fit(pandas_iris)
    with config_context(transform_output=kind):
        codes = model.transform(pandas_iris)
        frames = (
            model.inverse_transform(codes),
            model.reconstruct(pandas_iris),
            model.sample(3, random_state=0),
        )
    assert isinstance(codes, FRAMES[kind])
    for frame in frames:
        assert isinstance(frame, FRAMES[kind])
        assert list(frame.columns) == NAMES
    assert type(model.transform(pandas_iris)) is np.ndarray
    assert type(model.sample(3, random_state=0)) is np.ndarray


def test_the_estimators_own_setting_wins(Estimator, pandas_iris):
    model = Estimator(**SMALL).fit(pandas_iris).set_output(transform="pandas")
    with config_context(transform_output="polars"):
        assert isinstance(model.transform(pandas_iris), pd.DataFrame)
        assert isinstance(model.reconstruct(pandas_iris), pd.DataFrame)
        assert isinstance(model.sample(2, random_state=0), pd.DataFrame)


def test_the_index_is_kept(Estimator, pandas_iris):
    model = Estimator(**SMALL).fit(pandas_iris).set_output(transform="pandas")
    some = pandas_iris.iloc[[5, 3, 100]]
    codes = model.transform(some)
    for frame in (codes, model.inverse_transform(codes), model.reconstruct(some)):
        pd.testing.assert_index_equal(frame.index, some.index)
    numbered = model.inverse_transform(codes.to_numpy())
    pd.testing.assert_index_equal(numbered.index, pd.RangeIndex(3))
    drawn = model.sample(4, random_state=0)
    pd.testing.assert_index_equal(drawn.index, pd.RangeIndex(4))


def test_codes_in_a_data_frame_decode_like_the_array(Estimator, pandas_iris):
    model = Estimator(**SMALL).fit(pandas_iris)
    codes = model.transform(pandas_iris)
    expected = model.inverse_transform(codes)
    for kind in FRAMES:
        framed = model.set_output(transform=kind).transform(pandas_iris)
        model.set_output(transform="default")
        np.testing.assert_array_equal(model.inverse_transform(framed), expected)


def test_the_kind_of_input_does_not_matter(Estimator, pandas_iris, polars_iris):
    model = Estimator(**SMALL).fit(pandas_iris)
    codes = model.transform(pandas_iris)
    np.testing.assert_array_equal(model.transform(polars_iris), codes)
    other = Estimator(**SMALL).fit(polars_iris)
    np.testing.assert_array_equal(other.transform(polars_iris), codes)


def test_columns_in_another_order_are_refused(Estimator, pandas_iris):
    model = Estimator(**SMALL).fit(pandas_iris)
    for method in (model.transform, model.reconstruct, model.score_samples):
        with pytest.raises(ValueError, match="feature names"):
            method(pandas_iris[NAMES[::-1]])


@pytest.mark.parametrize("kind", FRAMES)
def test_standard_deviations_come_beside_the_codes(kind, pandas_iris):
    model = VAETransformer(**SMALL).fit(pandas_iris)
    codes, std = model.transform(pandas_iris, return_std=True)
    model.set_output(transform=kind)
    framed, framed_std = model.transform(pandas_iris, return_std=True)
    assert isinstance(framed, FRAMES[kind])
    assert list(framed.columns) == names_of_codes(model)
    np.testing.assert_array_equal(framed.to_numpy(), codes)
    np.testing.assert_array_equal(np.asarray(framed_std), std)


@pytest.mark.parametrize("kind", FRAMES)
def test_a_pipeline_hands_its_setting_on(Estimator, kind, pandas_iris):
    pipeline = make_pipeline(StandardScaler(), Estimator(**SMALL))
    pipeline.set_output(transform=kind)
    codes = pipeline.fit_transform(pandas_iris)
    model = pipeline[-1]
    assert isinstance(codes, FRAMES[kind])
    assert list(codes.columns) == names_of_codes(model)
    rows = model.sample(2, random_state=0)
    assert isinstance(rows, FRAMES[kind])
    assert list(rows.columns) == NAMES


def test_types_follow_the_input(Estimator, pandas_iris):
    model = Estimator(**SMALL).fit(pandas_iris).set_output(transform="pandas")
    for dtype in (np.float32, np.float64):
        rows = pandas_iris.astype(dtype)
        codes = model.transform(rows)
        frames = (codes, model.inverse_transform(codes), model.reconstruct(rows))
        for frame in frames:
            assert (frame.dtypes == dtype).all()


def test_a_row_has_the_same_code_wherever_it_stands():
    X = images(200).astype(np.float32)
    model = AutoencoderTransformer(3, **SMALL).fit(X)
    alone = np.vstack([model.transform(X[i : i + 1]) for i in range(0, 200, 20)])
    np.testing.assert_array_equal(alone, model.transform(X)[::20])
