"""``compare``: its numbers are scikit-learn's, and nothing loses the run."""

import pickle
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_diabetes
from sklearn.decomposition import NMF, PCA, FactorAnalysis, KernelPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.manifold import trustworthiness
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_validate,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from test_callbacks import path_of

from skae import (
    AutoencoderTransformer,
    Comparison,
    VAETransformer,
    compare,
    explained_variance_scorer,
)
from skae.comparison.result import corrected_t_test

QUALITIES = [
    "explained_variance",
    "log_likelihood",
    "downstream_score",
    "trustworthiness",
]
SECONDS = ["fit_seconds", "transform_seconds"]
SMALL = {
    "hidden_layer_sizes": (4,),
    "max_iter": 2,
    "early_stopping": False,
    "random_state": 0,
}
SHUFFLED = StratifiedKFold(3, shuffle=True, random_state=0)


class Columns(TransformerMixin, BaseEstimator):
    """The first columns; there is no way back, and some ways to fail."""

    def __init__(self, n_components=2, fails=None):
        self.n_components = n_components
        self.fails = fails

    def fit(self, X, y=None):
        if self.fails == "fit" or (self.fails == "large" and self.n_components > 1):
            raise FloatingPointError("no such thing")
        self.fitted_ = True
        return self

    def transform(self, X):
        if self.fails == "transform" and len(X) < 60:
            raise FloatingPointError("no such thing")
        codes = np.array(X[:, : self.n_components])
        return codes + np.inf if self.fails == "codes" else codes


def hand_scores(X, y, estimator, predictor, cv):
    """The same measures by scikit-learn's cross_validate."""

    def measures(fitted, X, y=None):
        codes = fitted.transform(X)
        decoded = fitted.inverse_transform(codes)
        k = min(10, (len(X) - 1) // 2)
        has_likelihood = isinstance(fitted, PCA | FactorAnalysis | VAETransformer)
        return {
            "explained_variance": r2_score(X, decoded, multioutput="variance_weighted"),
            "log_likelihood": fitted.score(X) if has_likelihood else np.nan,
            "trustworthiness": trustworthiness(X, codes, n_neighbors=k),
        }

    by_hand = cross_validate(estimator, X, y, cv=cv, scoring=measures)
    pipeline = make_pipeline(estimator, StandardScaler(), predictor)
    by_hand["test_downstream_score"] = cross_validate(pipeline, X, y, cv=cv)[
        "test_score"
    ]
    return {measure: by_hand[f"test_{measure}"] for measure in QUALITIES}


def make_folds(**measures):
    """Folds of PCA and another method, with numbers for what is left out."""
    first = next(iter(measures.values()))
    n_folds = len(first[0])
    folds = {
        "estimator": ["PCA"] * n_folds + ["other"] * n_folds,
        "n_components": [2] * 2 * n_folds,
        "fold": 2 * list(range(n_folds)),
        "error": [""] * 2 * n_folds,
    }
    for measure in QUALITIES + SECONDS:
        folds[measure] = np.ravel(measures.get(measure, np.ones((2, n_folds))))
    return folds


@pytest.fixture(scope="module")
def three_methods(iris):
    return compare(
        *iris,
        estimators=[PCA(), AutoencoderTransformer(**SMALL), VAETransformer(**SMALL)],
        n_components=(1, 2),
        cv=3,
    )


# ------------------------------------------------------------ scikit-learn's numbers


@pytest.mark.parametrize(
    "estimator",
    [
        PCA(2),
        AutoencoderTransformer(2, **SMALL),
        VAETransformer(2, **SMALL),
        KernelPCA(2, fit_inverse_transform=True),
        NMF(2, tol=1e-3, max_iter=2000, random_state=0),
        make_pipeline(StandardScaler(), AutoencoderTransformer(2, **SMALL)),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_numbers_are_those_of_cross_validate(estimator, iris):
    X, y = iris
    folds = compare(X, y, estimators=[estimator], n_components=2, cv=SHUFFLED).folds
    expected = hand_scores(X, y, estimator, LogisticRegression(max_iter=1000), SHUFFLED)
    for measure, values in expected.items():
        np.testing.assert_allclose(folds[measure], values, rtol=1e-9, atol=1e-9)
    assert set(folds["error"]) == {""}


def test_a_quantity_is_predicted_by_ridge_regression():
    X, y = load_diabetes(return_X_y=True)
    for target in (y, np.log(y), y.astype(int), np.arange(len(y))):
        folds = compare(X, target, estimators=[PCA()], n_components=4, cv=3).folds
        expected = hand_scores(X, target, PCA(4), Ridge(), KFold(3))
        for measure, values in expected.items():
            np.testing.assert_allclose(folds[measure], values, rtol=1e-9, atol=1e-9)


def test_predictor_scorer_and_folds_may_be_chosen(iris):
    X, y = iris
    predictor, cv = KNeighborsClassifier(3), ShuffleSplit(4, random_state=0)
    comparison = compare(
        X,
        y,
        estimators=[PCA()],
        n_components=3,
        downstream=predictor,
        scoring="neg_log_loss",
        cv=cv,
    )
    expected = cross_validate(
        make_pipeline(PCA(3), predictor), X, y, cv=cv, scoring="neg_log_loss"
    )
    np.testing.assert_allclose(
        comparison.folds["downstream_score"], expected["test_score"], rtol=1e-9
    )
    assert comparison.test_ratio == pytest.approx(15 / 135)
    splits = list(cv.split(X))
    again = compare(X, y, estimators=[PCA()], n_components=3, cv=splits)
    np.testing.assert_array_equal(
        again.folds["explained_variance"], comparison.folds["explained_variance"]
    )


def test_folds_are_stratified_for_classes_only(iris):
    X, y = iris
    in_order = np.argsort(y)
    X, y = X[in_order], y[in_order]
    by_class = compare(X, y, estimators=[PCA()], n_components=1, cv=3)
    expected = hand_scores(X, y, PCA(1), LogisticRegression(max_iter=1000), 3)
    np.testing.assert_allclose(
        by_class.folds["downstream_score"], expected["downstream_score"]
    )
    plain = compare(X, estimators=[PCA()], n_components=1, cv=3).folds
    expected = cross_validate(
        PCA(1), X, cv=KFold(3), scoring=explained_variance_scorer
    )["test_score"]
    np.testing.assert_allclose(plain["explained_variance"], expected, rtol=1e-9)
    assert np.isnan(plain["downstream_score"]).all()
    assert set(plain["error"]) == {""}


def test_supervised_transformers_are_given_y(iris):
    X, y = iris
    folds = compare(
        X, y, estimators=[LinearDiscriminantAnalysis()], n_components=[1, 2], cv=3
    ).folds
    assert set(folds["error"]) == {""}
    assert (folds["downstream_score"] > 0.9).all()
    assert np.isnan(folds["explained_variance"]).all()


def test_without_choice_it_is_pca_and_both_of_skae():
    X = np.random.RandomState(0).standard_normal((60, 5))
    comparison = compare(X, n_components=2, cv=2, random_state=0)
    assert comparison.summary()["estimator"].tolist() == [
        "PCA",
        "Autoencoder",
        "VAE",
    ]
    assert set(comparison.folds["error"]) == {""}
    model = AutoencoderTransformer(2, random_state=0)
    expected = cross_validate(model, X, cv=2, scoring=explained_variance_scorer)
    values = comparison.folds["explained_variance"][2:4]
    np.testing.assert_allclose(values, expected["test_score"], rtol=1e-9)


# ------------------------------------------------------------------ what is measured


def test_every_fold_has_an_entry(three_methods):
    folds = three_methods.folds
    assert {values.shape for values in folds.values()} == {(3 * 2 * 3,)}
    assert list(folds) == [
        "estimator",
        "n_components",
        "fold",
        *QUALITIES,
        *SECONDS,
        "error",
    ]
    assert (folds["fit_seconds"] > 0).all()
    assert (folds["transform_seconds"] > 0).all()


def test_only_densities_have_a_log_likelihood(iris):
    X, _ = iris
    methods = {
        "pca": PCA(),
        "factors": FactorAnalysis(),
        "vae": VAETransformer(**SMALL),
        "autoencoder": AutoencoderTransformer(**SMALL),
        "svd": TruncatedSVD(),
        "scaled": make_pipeline(StandardScaler(), PCA()),
    }
    summary = compare(X, estimators=methods, n_components=2, cv=2).summary()
    has_one = ~np.isnan(summary["log_likelihood_mean"])
    found = summary["estimator"][has_one].tolist()
    assert found == ["pca", "factors", "vae"]


def test_trustworthiness_takes_fewer_neighbours_of_few_rows(iris):
    X = iris[0][:24]
    folds = compare(X, estimators=[PCA()], n_components=2, cv=4).folds
    for fold, (train, test) in enumerate(KFold(4).split(X)):
        codes = PCA(2).fit(X[train]).transform(X[test])
        expected = trustworthiness(X[test], codes, n_neighbors=2)
        assert folds["trustworthiness"][fold] == pytest.approx(expected, abs=1e-12)
    pairs = compare(X[:6], estimators=[PCA()], n_components=1, cv=3).folds
    assert np.isnan(pairs["trustworthiness"]).all()
    assert set(pairs["error"]) == {""}


def test_trustworthiness_is_that_of_two_thousand_rows():
    X = np.random.RandomState(0).standard_normal((4200, 3))
    train, test = np.arange(200), np.arange(200, 4200)
    folds = compare(X, estimators=[PCA()], n_components=1, cv=[(train, test)]).folds
    chosen = X[test][np.linspace(0, 3999, 2000).astype(int)]
    codes = PCA(1).fit(X[train]).transform(chosen)
    expected = trustworthiness(chosen, codes, n_neighbors=10)
    assert folds["trustworthiness"] == [pytest.approx(expected, abs=1e-12)]


def test_rows_may_be_sparse(iris):
    X, y = iris
    methods = [TruncatedSVD(random_state=0), AutoencoderTransformer(**SMALL)]
    dense, sparse = (
        compare(rows, y, estimators=methods, n_components=2, cv=2)
        for rows in (X, sp.csr_array(X))
    )
    assert set(sparse.folds["error"]) == {""}
    for measure in QUALITIES:
        np.testing.assert_allclose(
            sparse.folds[measure], dense.folds[measure], rtol=1e-3
        )


def test_data_frames_keep_their_names(iris):
    X, y = iris
    # No ties among the neighbours, which rounding would decide.
    X = X + 0.01 * np.random.RandomState(0).standard_normal(X.shape)
    seen = []

    def note(frame):
        seen.append(list(frame.columns))
        return frame

    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"], index=np.arange(150)[::-1])
    noting = FunctionTransformer(
        note, inverse_func=lambda rows: rows, check_inverse=False
    )
    methods = {
        "PCA": PCA().set_output(transform="pandas"),
        "noting": Pipeline(
            [("note", noting), ("codes", AutoencoderTransformer(**SMALL))]
        ),
    }
    framed = compare(
        frame, pd.DataFrame({"kind": y}), estimators=methods, n_components=2, cv=2
    )
    assert set(framed.folds["error"]) == {""}
    assert set(map(tuple, seen)) == {("a", "b", "c", "d")}
    plain = compare(X, y, estimators=[PCA()], n_components=2, cv=2)
    for measure in QUALITIES:
        np.testing.assert_allclose(
            framed.folds[measure][:2], plain.folds[measure], rtol=1e-9
        )


def test_labels_may_be_words(iris):
    X, y = iris
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    by_word = compare(X, words, estimators=[PCA()], n_components=2, cv=3)
    by_number = compare(X, y, estimators=[PCA()], n_components=2, cv=3)
    np.testing.assert_array_equal(
        by_word.folds["downstream_score"], by_number.folds["downstream_score"]
    )


# ----------------------------------------------------------- estimators, as they come


def test_in_a_list_they_are_named_by_their_classes(iris):
    methods = [
        PCA(),
        PCA(whiten=True),
        make_pipeline(StandardScaler(), PCA()),
        Pipeline([("none", "passthrough"), ("codes", PCA())]),
    ]
    comparison = compare(iris[0], estimators=methods, n_components=1, cv=2)
    assert comparison.summary()["estimator"].tolist() == [
        "PCA 1",
        "PCA 2",
        "StandardScaler + PCA",
        "passthrough + PCA",
    ]
    assert comparison.reference == "PCA 1"


def test_the_reference_is_the_first_pca(iris):
    scaled = make_pipeline(StandardScaler(), PCA())
    methods = {"svd": TruncatedSVD(), "scaled": scaled, "pca": PCA()}
    comparison = compare(iris[0], estimators=methods, n_components=2, cv=3)
    assert comparison.reference == "scaled"
    differences = comparison.summary()["explained_variance_difference"]
    assert np.isnan(differences).tolist() == [False, True, False]
    alone = compare(iris[0], estimators=[TruncatedSVD()], n_components=2, cv=3)
    assert alone.reference is None
    assert np.isnan(alone.summary()["explained_variance_difference"]).all()
    assert "differs" not in repr(alone)


def test_in_a_pipeline_the_last_width_is_set(iris):
    X, _ = iris
    nmf = NMF(1, tol=1e-2, max_iter=2000, random_state=0)
    inner = make_pipeline(PCA(3), MinMaxScaler(clip=True), nmf)
    pipeline = Pipeline([("scale", StandardScaler()), ("inner", inner)])
    folds = compare(X, estimators=[pipeline], n_components=2, cv=2).folds
    pipeline.set_params(inner__nmf__n_components=2)
    expected = cross_validate(pipeline, X, cv=2, scoring=explained_variance_scorer)
    np.testing.assert_allclose(folds["explained_variance"], expected["test_score"])


def test_estimators_are_left_as_they_are(iris):
    model = AutoencoderTransformer(3, hidden_layer_sizes=(4,), max_iter=1)
    bar = ProgressBar(max_propagation_depth=0)
    model.set_callbacks(bar)
    compare(iris[0], estimators=[model], n_components=2, cv=2, random_state=0)
    assert model.n_components == 3
    assert model.random_state is None
    assert model._skl_callbacks == [bar]
    assert not hasattr(model, "n_components_")


def test_the_seed_goes_to_those_that_have_none(iris):
    X, _ = iris
    model = AutoencoderTransformer(**(SMALL | {"random_state": None}))
    methods = {
        "open": model,
        "inside": make_pipeline(FunctionTransformer(), model),
        "same": AutoencoderTransformer(**(SMALL | {"random_state": 7})),
        "own": AutoencoderTransformer(**(SMALL | {"random_state": 8})),
    }
    folds = compare(X, estimators=methods, n_components=1, cv=2, random_state=7).folds
    trusted = folds["explained_variance"].reshape(4, 2)
    np.testing.assert_array_equal(trusted[0], trusted[2])
    same = AutoencoderTransformer(1, **(SMALL | {"random_state": 7}))
    seeded = make_pipeline(FunctionTransformer(), same)
    expected = cross_validate(seeded, X, cv=2, scoring=explained_variance_scorer)
    np.testing.assert_allclose(trusted[1], expected["test_score"], rtol=1e-9)
    assert not (trusted[0] == trusted[3]).any()


# ---------------------------------------------------------------- nothing is lost


@pytest.mark.parametrize("step", ["fit", "transform"])
def test_a_failure_is_an_entry_that_says_why(step, iris):
    X, y = iris
    methods = {"PCA": PCA(), "failing": Columns(fails=step)}
    comparison = compare(X, y, estimators=methods, n_components=2, cv=3)
    pca, failing = (comparison._select(name, 2) for name in methods)
    reason = f"{step}: FloatingPointError: no such thing"
    assert failing["error"].tolist() == [reason] * 3
    assert np.isnan(failing["explained_variance"]).all()
    assert set(pca["error"]) == {""}
    assert np.isfinite(pca["explained_variance"]).all()
    assert comparison.summary()["error"].tolist() == ["", reason]
    assert f"failing, n_components=2, 3 folds: {reason}" in repr(comparison)


def test_a_failure_costs_one_width_only(iris):
    comparison = compare(
        *iris, estimators=[Columns(fails="large")], n_components=[1, 2], cv=2
    )
    summary = comparison.summary()
    assert np.isfinite(summary["trustworthiness_mean"]).tolist() == [True, False]
    assert summary["error"][0] == ""


def test_widths_that_do_not_fit_are_told(iris):
    X, _ = iris
    methods = [PCA(), AutoencoderTransformer(**SMALL), VAETransformer(**SMALL)]
    summary = compare(X, estimators=methods, n_components=[2, 5], cv=2).summary()
    assert np.isfinite(summary["explained_variance_mean"]).tolist() == 3 * [
        True
    ] + 3 * [False]
    assert all("n_components=5 must be" in error for error in summary["error"][3:])


def test_no_way_back_is_no_error(iris):
    folds = compare(*iris, estimators=[Columns()], n_components=2, cv=2).folds
    assert np.isnan(folds["explained_variance"]).all()
    assert np.isfinite(folds["trustworthiness"]).all()
    assert np.isfinite(folds["downstream_score"]).all()
    assert set(folds["error"]) == {""}


def test_each_measure_fails_alone(iris):
    X, y = iris
    backless = compare(*iris, estimators=[KernelPCA()], n_components=2, cv=2).folds
    assert all("explained_variance: NotFitted" in error for error in backless["error"])
    assert np.isfinite(backless["downstream_score"]).all()
    folds = compare(X, y, estimators=[Columns(fails="codes")], cv=2).folds
    for error in folds["error"]:
        assert error.count("contains infinity") == 2
        assert "trustworthiness: ValueError" in error
        assert "downstream_score: ValueError" in error


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"estimators": []}, TypeError, "estimators=.. must be a list"),
        ({"estimators": PCA()}, TypeError, "must be a list"),
        ({"estimators": [PCA]}, TypeError, r"pass an instance, PCA\(\)"),
        ({"estimators": {1: PCA()}}, TypeError, "must be a str"),
        ({"estimators": [LogisticRegression()]}, TypeError, "fit and transform"),
        ({"estimators": [StandardScaler()]}, ValueError, "no parameter n_components"),
        ({"n_components": ()}, ValueError, "n_components=.* one or more integers"),
        ({"n_components": 0.5}, ValueError, "n_components=0.5 must be"),
        ({"n_components": [2, 0]}, ValueError, "integers of 1 or more"),
        ({"scoring": ["accuracy"]}, TypeError, "must be one scorer"),
        ({"scoring": "accurate"}, ValueError, "'accurate'"),
        ({"random_state": -1}, ValueError, "random_state=-1"),
        ({"callbacks": "bar"}, TypeError, "FitCallback protocol"),
        ({"cv": 1000}, ValueError, "n_splits=1000"),
        ({"cv": []}, ValueError, "cv=.. gives no folds"),
        ({"y": np.r_[np.nan, :149]}, ValueError, "y contains NaN"),
        ({"y": None, "scoring": "accuracy"}, ValueError, "pass y"),
        ({"y": None, "downstream": Ridge()}, ValueError, "pass y"),
        ({"y": [0, 1]}, ValueError, "inconsistent numbers of samples"),
        ({"y": np.eye(150)[:, :3] == 1}, ValueError, "multilabel.* as downstream"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_at_once(parameters, error, message, iris):
    X, y = iris
    with pytest.raises(error, match=message):
        compare(X, **({"y": y, "estimators": [PCA()]} | parameters))


# --------------------------------------------------------------------- differences


def test_the_difference_is_paired_and_the_test_corrected():
    rng = np.random.RandomState(0)
    values = rng.standard_normal((2, 5)) + np.array([[0.0], [1.0]])
    comparison = Comparison(make_folds(explained_variance=values))
    summary = comparison.summary()
    differences = values[1] - values[0]
    assert summary["explained_variance_difference"][1] == pytest.approx(
        differences.mean()
    )
    # 5 folds: the held-out rows are a quarter of the training rows.
    t = differences.mean() / np.sqrt((1 / 5 + 1 / 4) * differences.var(ddof=1))
    expected = 2 * stats.t.cdf(-abs(t), df=4)
    assert summary["explained_variance_p_value"][1] == pytest.approx(expected)
    assert np.isnan(summary["explained_variance_p_value"][0])
    assert summary["trustworthiness_p_value"][1] == 1


samples = st.lists(st.floats(-1e3, 1e3, width=16), min_size=2, max_size=9)


@given(samples)
def test_without_correction_it_is_students_test(differences):
    p = corrected_t_test(np.array(differences), 0)
    if np.ptp(differences) > 0:
        expected = stats.ttest_1samp(differences, 0).pvalue
        assert p == pytest.approx(expected, rel=1e-9)
    else:
        assert p == (differences[0] == 0)


@given(samples, st.floats(0, 2), st.floats(0, 2))
def test_more_held_out_rows_make_it_more_careful(differences, ratio, more):
    differences = np.array(differences)
    p = corrected_t_test(differences, ratio)
    assert 0 <= p <= corrected_t_test(differences, ratio + more) <= 1
    assert p == corrected_t_test(-differences, ratio)


def test_one_fold_tells_nothing():
    assert np.isnan(corrected_t_test(np.array([1.0]), 0.25))
    assert np.isnan(corrected_t_test(np.array([]), 0.25))


def test_only_folds_that_both_have_are_paired():
    values = np.array([[0.1, 0.2, np.nan, 0.4], [0.2, np.nan, 0.5, 0.6]])
    folds = make_folds(explained_variance=values)
    summary = Comparison(folds).summary()
    assert summary["explained_variance_difference"][1] == pytest.approx(0.15)
    expected = corrected_t_test(np.array([0.1, 0.2]), 1 / 3)
    assert summary["explained_variance_p_value"][1] == pytest.approx(expected)
    assert summary["explained_variance_mean"][1] == pytest.approx(1.3 / 3)
    assert summary["n_folds"].tolist() == [4, 4]
    order = np.random.RandomState(0).permutation(8)
    mixed = {name: np.array(values)[order] for name, values in folds.items()}
    again = Comparison(mixed).summary()
    where = again["estimator"].tolist().index("other")
    assert again["explained_variance_difference"][where] == pytest.approx(0.15)


def test_rounding_is_no_difference(iris):
    X = iris[0].astype(np.float32)
    methods = [PCA(), AutoencoderTransformer(max_iter=0)]
    comparison = compare(X, estimators=methods, n_components=[1, 3], cv=5)
    summary = comparison.summary()
    assert (summary["explained_variance_p_value"][1::2] > 0.05).all()
    assert "0*" not in repr(comparison)


# ------------------------------------------------------------------- what is shown


def test_the_table_shows_means_spread_and_stars():
    folds = make_folds(
        explained_variance=[[0.5, 0.6, 0.4], [0.81, 0.90, 0.70]],
        log_likelihood=[[-177.0, -178.0, -179.0], [np.nan] * 3],
        fit_seconds=[[0.01] * 3, [12.0] * 3],
    )
    text = repr(Comparison(folds))
    lines = text.splitlines()
    assert lines[3].split()[:6] == ["PCA", "2", "0.500", "±", "0.082", "-178.0"]
    assert lines[4].split()[:6] == ["other", "2", "0.803", "±", "0.082*", "-"]
    assert lines[4].split()[-2:] == ["12.0", "1.00"]
    assert "standard deviation over 3 folds" in text
    assert "* differs from PCA at the same width" in text
    starts = [line.index(" 2 ") for line in lines[3:5]]
    assert starts[0] == starts[1]


def test_the_table_leaves_out_what_nobody_has(iris):
    text = repr(compare(iris[0], estimators=[Columns()], n_components=2, cv=2))
    assert "downstream" not in text
    assert "explained" not in text
    assert "trustworthiness" in text


def test_widths_stand_apart(three_methods):
    lines = repr(three_methods).splitlines()
    body = lines[lines.index("-" * max(map(len, lines[:3]))) + 1 :]
    assert [line.split()[0] if line else "" for line in body[:7]] == [
        "PCA",
        "Autoencoder",
        "VAE",
        "",
        "PCA",
        "Autoencoder",
        "VAE",
    ]


def test_the_page_is_well_formed_and_escaped():
    folds = make_folds(explained_variance=[[0.5, 0.6], [0.7, 0.9]])
    folds["estimator"] = ["PCA", "PCA", "<b>&", "<b>&"]
    folds["error"] = ["", "", "<script>", ""]
    page = Comparison(folds)._repr_html_()
    opened, text = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "br":
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

        def handle_data(self, data):
            text.append(data)

    Reader().feed(page)
    assert opened == []
    assert "<b>&" in text
    assert "<script>" not in page
    assert page.count("<tr>") == 3
    assert any("<b>&, n_components=2, 1 fold: <script>" in line for line in text)


def test_to_pandas_is_tidy(three_methods):
    frame = three_methods.to_pandas()
    assert list(frame.columns) == list(three_methods.folds)
    cases = frame.groupby(["n_components", "estimator"], sort=False)
    np.testing.assert_allclose(
        cases["explained_variance"].mean(),
        three_methods.summary()["explained_variance_mean"],
    )


def test_without_pandas_the_arrays_are_named(three_methods, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install pandas.*Comparison\.folds"):
        three_methods.to_pandas()


def test_plot_draws_the_comparison(three_methods):
    pytest.importorskip("matplotlib").use("Agg")
    pytest.importorskip("skae.plotting")
    display = three_methods.plot()
    seconds = three_methods.plot(measure="fit_seconds")
    assert seconds.measure == "fit_seconds"
    assert display.figure_ is not None


def test_a_comparison_travels(three_methods):
    again = pickle.loads(pickle.dumps(three_methods))
    assert repr(again) == repr(three_methods)
    rebuilt = Comparison({k: v.tolist() for k, v in three_methods.folds.items()})
    rebuilt.test_ratio = three_methods.test_ratio
    assert repr(rebuilt) == repr(three_methods)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folds: folds.pop("fold"), "an entry for each of fold"),
        (lambda folds: folds.update(fold=[0]), "one length"),
        (lambda folds: folds.update({name: [] for name in folds}), "1 or more"),
    ],
    ids=["missing", "lengths", "empty"],
)
def test_folds_are_checked(change, message):
    folds = make_folds(explained_variance=[[0.5], [0.7]])
    change(folds)
    with pytest.raises(ValueError, match=message):
        Comparison(folds)


# --------------------------------------------------------------------- the scorer


def test_the_scorer_is_the_autoencoders_own_score(iris):
    X, _ = iris
    model = AutoencoderTransformer(2, **SMALL).fit(X)
    assert explained_variance_scorer(model, X) == pytest.approx(model.score(X))
    pca = PCA(2).fit(X)
    share = pca.explained_variance_ratio_.sum()
    assert explained_variance_scorer(pca, X) == pytest.approx(share, rel=1e-12)
    assert explained_variance_scorer(pca, pd.DataFrame(X).to_numpy()) == (
        explained_variance_scorer(pca, X)
    )


def test_the_scorer_needs_a_way_back(iris):
    with pytest.raises(TypeError, match="Columns has no inverse_transform"):
        explained_variance_scorer(Columns().fit(iris[0]), iris[0])


def test_a_grid_ranks_pca_and_autoencoders_by_one_score(iris):
    X, _ = iris
    methods = [PCA(), AutoencoderTransformer(**SMALL), VAETransformer(**SMALL)]
    search = GridSearchCV(
        Pipeline([("reduce", PCA())]),
        {"reduce": methods, "reduce__n_components": [1, 2]},
        scoring=explained_variance_scorer,
        cv=3,
    ).fit(X)
    scores = search.cv_results_["mean_test_score"]
    summary = compare(X, estimators=methods, n_components=[1, 2], cv=3).summary()
    np.testing.assert_allclose(
        scores.reshape(3, 2).T.ravel(), summary["explained_variance_mean"], rtol=1e-9
    )


# ---------------------------------------------------------------------- callbacks


class Recorder:
    """Writes down the name and place of every task."""

    def __init__(self):
        self.record = []

    def setup(self, estimator, context):
        self.record.append(("setup", "", ()))

    def on_fit_task_begin(self, estimator, context):
        self.record.append(("begin", context.task_name, path_of(context)))

    def on_fit_task_end(self, estimator, context):
        self.record.append(("end", context.task_name, path_of(context)))

    def teardown(self, estimator, context):
        self.record.append(("teardown", "", ()))

    def paths(self, hook):
        return [path for name, _, path in self.record if name == hook]


class PropagatedRecorder(Recorder):
    max_propagation_depth = None


def test_callbacks_follow_the_whole_run(iris):
    recorder = PropagatedRecorder()
    methods = [PCA(), AutoencoderTransformer(**SMALL)]
    compare(iris[0], estimators=methods, n_components=[1, 2], cv=2, callbacks=recorder)
    record = recorder.record
    assert record[0][0] == "setup"
    assert record[1] == ("begin", "compare", (0,))
    assert record[-2] == ("end", "compare", (0,))
    assert record[-1][0] == "teardown"
    names = [name for hook, name, path in record if hook == "begin" and len(path) == 2]
    assert names == [
        "PCA, n_components=1",
        "Autoencoder, n_components=1",
        "PCA, n_components=2",
        "Autoencoder, n_components=2",
    ]
    folds = [path for path in recorder.paths("begin") if len(path) == 3]
    assert folds == [(0, case, fold) for case in range(4) for fold in range(2)]
    epochs = [path for path in recorder.paths("begin") if len(path) == 4]
    assert epochs == [
        (0, case, fold, epoch)
        for case in (1, 3)
        for fold in range(2)
        for epoch in range(2)
    ]
    assert sorted(recorder.paths("begin")) == sorted(recorder.paths("end"))


def test_a_callback_that_is_not_handed_on_hears_of_the_run_only(iris):
    recorder = Recorder()
    model = AutoencoderTransformer(**SMALL)
    compare(iris[0], estimators=[model], n_components=1, cv=2, callbacks=[recorder])
    assert recorder.paths("begin") == [(0,), (0, 0), (0, 0, 0), (0, 0, 1)]


def test_a_callback_of_one_estimator_hears_its_fits_and_no_others(iris):
    recorder = Recorder()
    model = AutoencoderTransformer(**SMALL)
    methods = [PCA(), model.set_callbacks(recorder), VAETransformer(**SMALL)]
    compare(iris[0], estimators=methods, n_components=1, cv=2)
    assert recorder.paths("begin") == [
        (0, 1, fold, *epoch) for fold in range(2) for epoch in ((), (0,), (1,))
    ]


def test_a_bar_on_an_estimator_follows_the_whole_run(iris, capsys):
    bar = ProgressBar(max_propagation_depth=0)
    methods = {
        "PCA": PCA(),
        "small": AutoencoderTransformer(**SMALL).set_callbacks(bar),
        "wide": VAETransformer(**SMALL).set_callbacks(bar),
        "failing": Columns(fails="fit"),
    }
    compare(iris[0], estimators=methods, n_components=[1], cv=2)
    shown = capsys.readouterr().out
    assert shown.count("Comparer - compare") == 1
    for name in methods:
        assert f"{name}, n_components=1" in shown
    assert shown.count("100%") == 5


def test_a_failing_fit_still_ends_and_tears_down(iris):
    recorder = PropagatedRecorder()
    model = AutoencoderTransformer(hidden_layer_sizes="nonsense")
    comparison = compare(
        iris[0], estimators=[model], n_components=1, cv=2, callbacks=recorder
    )
    assert all("nonsense" in error for error in comparison.folds["error"])
    assert recorder.paths("end")[-2:] == [(0, 0), (0,)]
    assert recorder.record[-1][0] == "teardown"


def test_two_workers_give_the_same_numbers_and_one_bar(iris, capsys):
    X, y = iris
    monitor = ScoringMonitor(scoring={"score": lambda fitted, X, y: fitted.score(X)})
    model = AutoencoderTransformer(**SMALL)
    methods = {
        "PCA": PCA(),
        "small": model.set_callbacks(monitor),
        "failing": Columns(fails="fit"),
    }
    bar = ProgressBar(max_propagation_depth=None)
    options = {"estimators": methods, "n_components": [1, 2], "cv": 2}
    one = compare(X, y, **options)
    two = compare(X, y, n_jobs=2, callbacks=bar, **options)
    for name in ("estimator", "n_components", "fold", "error"):
        np.testing.assert_array_equal(one.folds[name], two.folds[name])
    for measure in QUALITIES:
        np.testing.assert_allclose(
            one.folds[measure], two.folds[measure], rtol=1e-6, atol=1e-9
        )
    shown = capsys.readouterr().out
    assert "Comparer - compare" in shown
    assert "AutoencoderTransformer - fit" in shown
    epochs = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    # The most recent run: 2 widths, 2 folds, 2 epochs.
    assert len(epochs) == 2 * 2 * 2
