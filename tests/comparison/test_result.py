"""Differences, tests, and how a comparison is shown."""

import pickle
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, Comparison, compare
from skae.comparison.result import corrected_t_test

from .folds import Columns, make_folds


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
    assert "* differs by more than noise from PCA with as many components: p <" in text
    starts = [line.index(" 2 ") for line in lines[3:5]]
    assert starts[0] == starts[1]


def test_one_method_that_is_far_off_leaves_the_others_their_figures():
    folds = make_folds(
        explained_variance=[[0.873, 0.875], [-1500.0, -1600.0]],
        log_likelihood=[[-17.0, -18.0], [-np.inf, -20.0]],
    )
    comparison = Comparison(folds)
    lines = repr(comparison).splitlines()
    assert lines[3].split()[2:8] == ["0.874", "±", "0.001", "-17.50", "±", "0.50"]
    assert lines[4].split()[2:6] == ["-1550", "±", "50*", "-inf"]
    summary = comparison.summary()
    assert summary["log_likelihood_difference"][1] == -np.inf
    assert np.isnan(summary["log_likelihood_p_value"][1])


def test_the_table_leaves_out_what_nobody_has(iris):
    text = repr(compare(iris[0], estimators=[Columns()], n_components=2, cv=2))
    assert "downstream" not in text
    assert "explained" not in text
    assert "trustworthiness" in text


def test_numbers_of_components_stand_apart(three_methods):
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
