"""Curves and bars of a comparison."""

from types import SimpleNamespace

import numpy as np
import pytest

from skae.plotting import ComparisonDisplay

from .seen import overlaps, plt, says


def make_comparison(n_folds=3, fails=(), numbers=(2, 8, 32)):
    names = ["PCA", "Autoencoder", "NMF"]
    grid = [(n, k, f) for n in names for k in numbers for f in range(n_folds)]
    estimator, number, fold = (np.array(column) for column in zip(*grid, strict=True))
    failed = np.array([(n, k) in fails for n, k, _ in grid])
    value = 1 - 1 / number + 0.01 * fold + 0.1 * (estimator == "Autoencoder")
    nothing = np.full(len(grid), np.nan)
    return SimpleNamespace(
        folds={
            "estimator": estimator,
            "n_components": number,
            "fold": fold,
            "explained_variance": np.where(failed, np.nan, value),
            "log_likelihood": nothing,
            "downstream_score": nothing,
            "trustworthiness": np.where(failed, np.nan, value),
            "fit_seconds": value * number,
            "transform_seconds": value,
            "error": np.where(failed, "fit: ValueError: no", "").astype(object),
        }
    )


def test_curves_are_means_over_folds():
    comparison = make_comparison()
    display = ComparisonDisplay.from_comparison(comparison)
    assert list(display.curves) == ["PCA", "Autoencoder", "NMF"]
    for number, mean, std in zip(
        *(display.curves["PCA"][k] for k in ("n_components", "mean", "std")),
        strict=True,
    ):
        values = [1 - 1 / number + 0.01 * fold for fold in range(3)]
        assert mean == pytest.approx(np.mean(values))
        assert std == pytest.approx(np.std(values))
    ticks = [t.get_text() for t in display.ax_.get_xticklabels()]
    assert ticks == ["2", "8", "32"]
    assert says(display.figure_, "mean of 3 folds")
    assert display.figure_ is display.ax_.figure


def drawn_points(display):
    """Points that each estimator has in a picture."""
    dots = [container.lines[0] for container in display.ax_.containers]
    return [np.isfinite(dot.get_ydata()).sum() for dot in dots]


@pytest.mark.parametrize("measure", ["explained_variance", "fit_seconds"])
def test_fits_that_failed_are_not_drawn_and_said(measure):
    fails = {("NMF", 8), ("Autoencoder", 2), ("Autoencoder", 8), ("Autoencoder", 32)}
    display = ComparisonDisplay.from_comparison(make_comparison(fails=fails), measure)
    assert np.isnan(display.curves["NMF"]["mean"]).tolist() == [False, True, False]
    assert np.isnan(display.curves["Autoencoder"]["mean"]).all()
    assert display.curves["NMF"]["n_failed"].tolist() == [0, 3, 0]
    assert drawn_points(display) == [3, 2]
    assert says(display.figure_, "NMF: failed at 8")
    assert says(display.figure_, "Autoencoder: failed")
    handle = display.figure_.legends[0].legend_handles[1]
    assert handle.get_linestyle() == "None"


def test_a_fold_that_failed_is_left_out_of_the_mean_and_counted():
    comparison = make_comparison()
    comparison.folds["explained_variance"][0] = np.nan
    comparison.folds["error"][0] = "explained_variance: ValueError: no"
    display = ComparisonDisplay.from_comparison(comparison)
    assert display.curves["PCA"]["mean"][0] == pytest.approx(0.515)
    assert says(display.figure_, "PCA: 1 fit failed")


def test_an_error_in_one_measure_is_none_of_another():
    comparison = make_comparison()
    comparison.folds["error"][:] = "downstream_score: ValueError: no"
    # Others may be missing because the estimator does not have them.
    comparison.folds["explained_variance"][:] = np.nan
    comparison.folds["trustworthiness"][:] = np.nan
    display = ComparisonDisplay.from_comparison(comparison, "fit_seconds")
    assert drawn_points(display) == [3, 3, 3]
    assert display.curves["NMF"]["n_failed"].tolist() == [0, 0, 0]


def test_a_measure_that_an_estimator_does_not_have_is_said_to_be_none():
    comparison = make_comparison()
    likelihood = np.where(comparison.folds["estimator"] == "PCA", -1.0, np.nan)
    comparison.folds["log_likelihood"] = likelihood
    display = ComparisonDisplay.from_comparison(comparison, "log_likelihood")
    assert says(display.figure_, "Autoencoder: gives none")
    comparison.folds["error"][:] = "trustworthiness: ValueError: no"
    display = ComparisonDisplay.from_comparison(comparison, "log_likelihood")
    assert says(display.figure_, "Autoencoder: gives none")


def test_a_mean_that_is_infinite_is_said_and_not_drawn():
    comparison = make_comparison()
    likelihood = np.where(comparison.folds["fold"] == 0, -np.inf, -1.0)
    likelihood[comparison.folds["n_components"] > 2] = -2.0
    comparison.folds["log_likelihood"] = likelihood
    display = ComparisonDisplay.from_comparison(comparison, "log_likelihood")
    assert display.curves["PCA"]["mean"].tolist() == [-np.inf, -2, -2]
    assert drawn_points(display) == [2, 2, 2]
    assert says(display.figure_, "PCA: infinite at 2")
    display.figure_.canvas.draw()


@pytest.mark.parametrize("numbers", [range(1, 41), (2, 48, 50)])
def test_numbers_are_written_where_there_is_room(numbers):
    display = ComparisonDisplay.from_comparison(make_comparison(numbers=numbers))
    assert not overlaps(display.figure_)
    assert says(display.figure_, str(numbers[1]))


@pytest.mark.parametrize("n_letters", [5, 40])
def test_a_legend_ends_within_the_figure(n_letters):
    comparison = make_comparison()
    names = comparison.folds["estimator"].astype(object) + "m" * n_letters
    comparison.folds["estimator"] = names
    figure = ComparisonDisplay.from_comparison(comparison).figure_
    figure.canvas.draw()
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1


def test_bars_of_seconds_end_above_nothing():
    comparison = make_comparison()
    comparison.folds["fit_seconds"][:3] = 0.01, 0.01, 10.0
    display = ComparisonDisplay.from_comparison(comparison, "fit_seconds")
    (bars,) = display.ax_.containers[0].lines[2]
    (_, low), (_, high) = bars.get_segments()[0]
    assert low == pytest.approx(0.01)
    assert not overlaps(display.figure_)
    assert high == pytest.approx(np.mean([0.01, 0.01, 10]) + np.std([0.01, 0.01, 10]))


def test_one_fold_has_no_spread():
    display = ComparisonDisplay.from_comparison(make_comparison(n_folds=1))
    assert display.curves["NMF"]["std"].tolist() == [0, 0, 0]
    assert not says(display.figure_, "standard deviation")


def test_with_one_number_of_components_there_is_a_line_for_each_name():
    comparison = make_comparison(numbers=[8], fails={("NMF", 8)})
    display = ComparisonDisplay.from_comparison(comparison)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["PCA", "Autoencoder", "NMF: failed"]
    dots = [container.lines[0] for container in display.ax_.containers]
    for i, (dot, curve) in enumerate(zip(dots, display.curves.values(), strict=True)):
        np.testing.assert_array_equal(dot.get_xdata(), curve["mean"])
        assert set(dot.get_ydata()) == {i}
    assert says(display.figure_, "8 components")
    assert says(display.figure_, "mean of 3 folds ± standard deviation")
    seconds = ComparisonDisplay.from_comparison(comparison, "fit_seconds")
    assert seconds.ax_.get_xscale() == "log"


def test_what_dots_mean_is_written_within_the_figure():
    comparison = make_comparison(numbers=[8])
    names = comparison.folds["estimator"].astype(object) + "m" * 40
    comparison.folds["estimator"] = names
    for measure in ("explained_variance", "trustworthiness"):
        display = ComparisonDisplay.from_comparison(comparison, measure)
        display.figure_.canvas.draw()
        label = display.ax_.xaxis.label.get_window_extent()
        paper = display.figure_.bbox
        assert paper.x0 <= label.x0 < label.x1 <= paper.x1
        assert paper.y0 <= label.y0


@pytest.mark.parametrize("seconds", [(0.0011, 0.09), (0.005, 0.45)])
def test_seconds_are_written_where_there_is_room(seconds):
    comparison = make_comparison(numbers=[8])
    names = comparison.folds["estimator"].astype(object) + "m" * 40
    comparison.folds["estimator"] = names
    comparison.folds["fit_seconds"] = np.geomspace(*seconds, len(names))
    display = ComparisonDisplay.from_comparison(comparison, "fit_seconds")
    assert not overlaps(display.figure_)
    assert len(display.ax_.get_xticks()) > 1


def test_seconds_and_given_axes():
    ax = plt.figure().add_subplot()
    display = ComparisonDisplay.from_comparison(make_comparison(), "fit_seconds", ax=ax)
    assert display.ax_ is ax
    assert ax.get_yscale() == "log"
    assert ax.get_ylabel() == "seconds to fit"


def test_what_is_wrong_with_a_comparison_is_named():
    comparison = make_comparison()
    for measure in ("log_likelihood", "accuracy", "estimator"):
        with pytest.raises(
            ValueError, match=f"measure='{measure}' .*: explained_variance, trust"
        ):
            ComparisonDisplay.from_comparison(comparison, measure)
    with pytest.raises(TypeError, match="comparison=dict has no folds"):
        ComparisonDisplay.from_comparison({})
