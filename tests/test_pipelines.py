"""At home among scikit-learn's meta-estimators, next to PCA."""

import functools
import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_val_score,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.networks import MLP

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


@pytest.fixture
def metadata_routing():
    with config_context(enable_metadata_routing=True):
        yield


def test_a_pipeline_needs_no_y(Estimator, as_trained, iris):
    X, _ = iris
    parameters = SMALL | as_trained
    pipeline = make_pipeline(StandardScaler(), Estimator(**parameters))
    codes = pipeline.fit_transform(X)
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(codes, Estimator(**parameters).fit_transform(scaled))
    np.testing.assert_array_equal(codes, pipeline.transform(X))
    assert pipeline.score(X) == pipeline[-1].score(scaled)


def test_y_reaches_the_classifier_and_does_not_change_the_codes(Estimator, iris):
    X, y = iris
    pipeline = make_pipeline(
        StandardScaler(), Estimator(**SMALL), LogisticRegression()
    ).fit(X, y)
    without_y = make_pipeline(StandardScaler(), Estimator(**SMALL)).fit(X)
    np.testing.assert_array_equal(pipeline[:-1].transform(X), without_y.transform(X))
    assert pipeline.score(X, y) > 0.8


def test_a_pipeline_undoes_its_steps(Estimator, iris):
    X, _ = iris
    pipeline = make_pipeline(StandardScaler(), Estimator(3, **SMALL)).fit(X)
    restored = pipeline.inverse_transform(pipeline.transform(X))
    scaler, model = pipeline.named_steps.values()
    expected = scaler.inverse_transform(model.reconstruct(scaler.transform(X)))
    np.testing.assert_allclose(restored, expected, rtol=1e-6)
    assert ((X - restored) ** 2).sum() < 0.1 * ((X - X.mean(axis=0)) ** 2).sum()


def test_a_pipeline_names_the_codes(Estimator, iris):
    X, _ = iris
    pipeline = make_pipeline(StandardScaler(), Estimator(**SMALL)).fit(X)
    name = Estimator.__name__.lower()
    assert list(pipeline.get_feature_names_out()) == [f"{name}0", f"{name}1"]


def test_a_column_transformer_gives_some_columns_to_it(Estimator, iris):
    X, _ = iris
    columns = ColumnTransformer(
        [("codes", Estimator(**SMALL), [0, 2, 3]), ("rest", "passthrough", [1])]
    )
    result = columns.fit_transform(X)
    expected = Estimator(**SMALL).fit_transform(X[:, [0, 2, 3]])
    np.testing.assert_array_equal(result, np.column_stack([expected, X[:, 1]]))
    name = Estimator.__name__.lower()
    names = [f"codes__{name}0", f"codes__{name}1", "rest__x1"]
    assert list(columns.get_feature_names_out()) == names


def test_a_feature_union_sets_it_beside_pca(Estimator, iris):
    X, _ = iris
    union = FeatureUnion([("pca", PCA(2)), ("codes", Estimator(3, **SMALL))])
    result = union.fit_transform(X)
    np.testing.assert_array_equal(result[:, :2], PCA(2).fit_transform(X))
    np.testing.assert_array_equal(result[:, 2:], Estimator(3, **SMALL).fit_transform(X))


def test_a_pipeline_with_memory_fits_it_once(Estimator, iris, tmp_path, monkeypatch):
    X, y = iris
    fits = []
    fit = Estimator.fit

    @functools.wraps(fit)
    def counted(self, *args, **kwargs):
        fits.append(self)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(Estimator, "fit", counted)
    pipeline = Pipeline(
        [("codes", Estimator(**SMALL)), ("classifier", LogisticRegression())],
        memory=str(tmp_path),
    )
    first = clone(pipeline).fit(X, y)
    second = clone(pipeline).set_params(classifier__C=0.5).fit(X, y)
    assert len(fits) == 1
    np.testing.assert_array_equal(
        first["codes"].transform(X), second["codes"].transform(X)
    )
    assert second.score(X, y) > 0.8


def test_cross_val_score_is_the_score_of_each_fold(Estimator, as_trained, iris):
    X, parameters = iris[0][:60], SMALL | as_trained
    folds = KFold(3)
    scores = cross_val_score(Estimator(**parameters), X, cv=folds)
    expected = [
        Estimator(**parameters).fit(X[train]).score(X[test])
        for train, test in folds.split(X)
    ]
    np.testing.assert_array_equal(scores, expected)


def test_a_grid_with_two_workers_goes_over_its_parameters(Estimator, iris):
    X, _ = iris
    grid = {"n_components": [1, 3], "hidden_layer_sizes": ["auto", (), (4, 3)]}
    search = GridSearchCV(
        Estimator(max_iter=3, random_state=0), grid, cv=2, n_jobs=2, error_score="raise"
    ).fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_params_["n_components"] == 3
    assert search.best_estimator_.transform(X).shape == (len(X), 3)
    best = Estimator(max_iter=3, random_state=0, **search.best_params_).fit(X)
    np.testing.assert_allclose(search.transform(X), best.transform(X), rtol=1e-5)


def test_a_grid_tries_it_in_place_of_pca(iris):
    X, y = iris
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("reduce", "passthrough"),
            ("classify", LogisticRegression()),
        ]
    )
    steps = [PCA(2), AutoencoderTransformer(2, **SMALL), VAETransformer(2, **SMALL)]
    search = GridSearchCV(
        pipeline, {"reduce": steps}, cv=3, n_jobs=2, error_score="raise"
    ).fit(X, y)
    tried = [type(step) for step in search.cv_results_["param_reduce"]]
    assert tried == [PCA, AutoencoderTransformer, VAETransformer]
    assert (search.cv_results_["mean_test_score"] > 0.8).all()
    assert not hasattr(steps[1], "module_")


def test_a_grid_reaches_into_a_part(Estimator, iris):
    X, _ = iris
    model = Estimator(encoder=MLP((4,)), max_iter=3, random_state=0)
    search = GridSearchCV(
        model,
        {"encoder__hidden_layer_sizes": [(5,), (7, 6)]},
        cv=2,
        n_jobs=2,
        error_score="raise",
    ).fit(X)
    assert model.encoder.hidden_layer_sizes == (4,)
    best = search.best_estimator_
    widths = search.best_params_["encoder__hidden_layer_sizes"]
    assert best.encoder.hidden_layer_sizes == widths
    shapes = [tuple(p.shape) for p in best.module_.parameters()]
    assert (widths[0], X.shape[1]) in shapes
    assert (X.shape[1], widths[0]) in shapes, "the decoder mirrors the encoder"


def test_parameters_of_a_part_that_change_after_fit_do_not_reach_the_model(
    Estimator, iris
):
    X, _ = iris
    model = Estimator(encoder=MLP((4,)), max_iter=2, random_state=0).fit(X)
    codes = model.transform(X)
    model.set_params(encoder__hidden_layer_sizes=(9,), n_components=1)
    np.testing.assert_array_equal(_opened(model).transform(X), codes)


def _opened(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize(
    "resource", [{}, {"resource": "max_iter", "min_resources": 1, "max_resources": 4}]
)
def test_halving_grid_search_runs(Estimator, as_trained, resource, iris):
    X = iris[0][:60]
    search = HalvingGridSearchCV(
        Estimator(hidden_layer_sizes=(8,), max_iter=2, random_state=0, **as_trained),
        {"n_components": [1, 2, 3]},
        cv=2,
        factor=2,
        random_state=0,
        error_score="raise",
        **resource,
    ).fit(X)
    assert search.n_iterations_ > 1
    assert search.best_params_["n_components"] == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.usefixtures("metadata_routing")
def test_validation_rows_reach_the_step_transformed(Estimator, iris):
    X, y = iris
    X, X_val = X[:100], X[100:]
    parameters = SMALL | {"max_iter": 5}
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("codes", Estimator(**parameters).set_fit_request(X_val=True)),
            ("classify", LogisticRegression()),
        ],
        transform_input=["X_val"],
    ).fit(X, y[:100], X_val=X_val)
    scaler = StandardScaler().fit(X)
    direct = Estimator(**parameters)
    direct.fit(scaler.transform(X), X_val=scaler.transform(X_val))
    model = pipeline["codes"]
    assert model.validation_loss_curve_ == direct.validation_loss_curve_
    np.testing.assert_array_equal(
        pipeline[:-1].transform(X_val), direct.transform(scaler.transform(X_val))
    )
    without = Estimator(**parameters).fit(scaler.transform(X))
    assert model.validation_loss_curve_ != without.validation_loss_curve_


@pytest.mark.usefixtures("metadata_routing")
def test_weights_reach_the_step_of_a_pipeline(Estimator, iris):
    X, y = iris
    weight = np.random.RandomState(0).randint(0, 4, len(X))
    pipeline = make_pipeline(
        Estimator(**SMALL).set_fit_request(sample_weight=True),
        LogisticRegression().set_fit_request(sample_weight=True),
    ).fit(X, y, sample_weight=weight)
    direct = Estimator(**SMALL).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(pipeline[:-1].transform(X), direct.transform(X))
    unweighted = Estimator(**SMALL).fit(X)
    assert not np.allclose(pipeline[:-1].transform(X), unweighted.transform(X))


@pytest.mark.usefixtures("metadata_routing")
def test_weights_reach_fit_and_score_of_a_grid(Estimator, as_trained, iris):
    X, parameters = iris[0][:60], SMALL | as_trained
    weight = np.random.RandomState(0).randint(0, 4, len(X))
    model = Estimator(**parameters).set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    folds = KFold(2)
    search = GridSearchCV(
        model, {"n_components": [1, 2]}, cv=folds, error_score="raise"
    ).fit(X, sample_weight=weight)
    expected = [
        Estimator(2, **parameters)
        .fit(X[train], sample_weight=weight[train])
        .score(X[test], sample_weight=weight[test])
        for train, test in folds.split(X)
    ]
    results = search.cv_results_
    scores = [results["split0_test_score"][1], results["split1_test_score"][1]]
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    best = Estimator(2, **parameters).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(search.transform(X), best.transform(X))


@pytest.mark.usefixtures("metadata_routing")
def test_weights_reach_the_step_of_a_pipeline_in_a_grid(Estimator, iris):
    X, y = iris
    weight = np.random.RandomState(0).randint(0, 4, len(X))
    pipeline = Pipeline(
        [
            ("codes", Estimator(**SMALL).set_fit_request(sample_weight=True)),
            (
                "classify",
                LogisticRegression()
                .set_fit_request(sample_weight=True)
                .set_score_request(sample_weight=True),
            ),
        ]
    )
    search = GridSearchCV(
        pipeline, {"codes__n_components": [2]}, cv=2, n_jobs=2, error_score="raise"
    ).fit(X, y, sample_weight=weight)
    direct = Estimator(2, **SMALL).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(
        search.best_estimator_["codes"].transform(X), direct.transform(X)
    )


@pytest.mark.usefixtures("metadata_routing")
def test_weights_that_nobody_asked_for_are_refused(Estimator, iris):
    X, _ = iris
    pipeline = make_pipeline(StandardScaler(), Estimator(**SMALL))
    with pytest.raises(ValueError, match="sample_weight"):
        pipeline.fit(X, sample_weight=np.ones(len(X)))


@pytest.mark.usefixtures("metadata_routing")
def test_what_transform_returns_is_not_routed(iris):
    X, _ = iris
    model = VAETransformer(**SMALL)
    assert "return_std" not in model.get_metadata_routing().transform.requests
    assert not hasattr(model, "set_transform_request")
    pipeline = make_pipeline(StandardScaler(), model).fit(X)
    with pytest.raises(TypeError, match="return_std"):
        pipeline.transform(X, return_std=True)
