"""Codes, coloured by class and beside PCA's."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from skae.plotting import CodeDisplay

from .seen import plt, says


def dots(ax):
    return np.concatenate([c.get_offsets() for c in ax.collections])


def test_codes_are_coloured_by_class_and_shown_beside_pcas(wine):
    X, y = wine
    model = PCA(2).fit(X)
    names = y.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"}).rename("cultivar")
    display = CodeDisplay.from_estimator(model, X, names)
    left, right = display.axes_
    codes = model.transform(X)
    groups = [codes[names == name] for name in ("Barbera", "Barolo", "Grignolino")]
    np.testing.assert_allclose(dots(left), np.concatenate(groups))
    np.testing.assert_allclose(dots(right), dots(left))
    legend = [text.get_text() for text in right.get_legend().get_texts()]
    assert legend == ["Barbera", "Barolo", "Grignolino"]
    assert right.get_legend().get_title().get_text() == "cultivar"
    colours = {tuple(c.get_facecolor()[0]) for c in left.collections}
    assert len(colours) == 3


def test_numbers_get_a_scale(wine):
    X, _ = wine
    model = PCA(2).fit(X)
    for y in (X["alcohol"], pd.Series(np.arange(len(X)), name="alcohol")):
        display = CodeDisplay.from_estimator(model, X, y)
        np.testing.assert_array_equal(display.axes_[0].collections[0].get_array(), y)
        assert says(display.figure_, "alcohol")


@pytest.mark.parametrize("constant", [False, True])
def test_a_scale_is_one_for_all_panels(constant, iris):
    X, _ = iris
    y = np.full(len(X), 0.5) if constant else X[:, 0]
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, y)
    display.figure_.canvas.draw()
    left, right = (ax.collections[0] for ax in display.axes_)
    np.testing.assert_array_equal(left.get_facecolors(), right.get_facecolors())
    low, high = left.get_clim()
    assert low <= y.min() <= y.max() <= high
    assert low < high


def test_rare_classes_are_drawn_together(digits):
    X, _ = digits
    y = np.array([f"c{min(i % 40, 30)}" for i in range(len(X))])
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, y)
    legend = [t.get_text() for t in display.axes_[-1].get_legend().get_texts()]
    assert len(legend) == 18
    assert legend[-1] == "all others"
    assert "c30" in legend
    assert len(dots(display.axes_[0])) == len(X)


def test_a_class_may_be_called_all_others(digits):
    X, _ = digits
    y = np.array([f"c{min(i % 40, 30)}" for i in range(len(X))])
    y = np.where(y == "c30", "all others", y)
    for classes in (y, np.where(np.isin(y, ["c0", "c1"]), y, "all others")):
        display = CodeDisplay.from_estimator(PCA(2).fit(X), X, classes)
        drawn = sorted(map(tuple, dots(display.axes_[0])))
        assert drawn == sorted(map(tuple, display.codes["PCA"]))
        names = [text.get_text() for text in display.ax_.texts]
        assert "all others" in names


def test_names_of_classes_do_not_cover_one_another(digits):
    X, y = digits
    names = np.array([f"a handwritten digit {i}" for i in y])
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, names, reference=None)
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.texts]
    assert 2 < len(boxes) < 10
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


@pytest.mark.parametrize("size", [None, (9, 4)])
def test_names_of_classes_lie_within_their_panels(size, wine):
    X, y = wine
    classes = np.array([f"wine of the maker {i}" for i in y])
    ax = plt.subplots(1, 2, figsize=size, layout="constrained")[1][1] if size else None
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, classes, ax=ax)
    display.figure_.canvas.draw()
    names = [text for ax in display.axes_ for text in ax.texts]
    assert bool(names) == (size is None)  # the panels of half a figure have no room
    for text in names:
        name, frame = text.get_window_extent(), text.axes.get_window_extent()
        assert frame.x0 <= name.x0 < name.x1 <= frame.x1
        assert frame.y0 <= name.y0 < name.y1 <= frame.y1


def test_two_of_many_components_and_the_only_one(digits):
    X, _ = digits
    pca = PCA(4).fit(X)
    display = CodeDisplay.from_estimator(pca, X, reference=None, components=(2, 1))
    np.testing.assert_array_equal(dots(display.axes_[0]), pca.transform(X)[:, [2, 1]])
    assert says(display.figure_, "PCA, 2 of 4 components")
    one = PCA(1).fit(X)
    display = CodeDisplay.from_estimator(one, X, reference=None)
    np.testing.assert_array_equal(dots(display.axes_[0])[:, 0], one.transform(X)[:, 0])


def test_what_is_wrong_with_codes_is_named(digits):
    X, y = digits
    pca = PCA(4).fit(X)
    with pytest.raises(ValueError, match="components=4: the codes of PCA have 4 comp"):
        CodeDisplay.from_estimator(pca, X, components=(0, 4))
    with pytest.raises(ValueError, match=r"components=.* must be two integers"):
        CodeDisplay.from_estimator(pca, X, components=1)
    with pytest.raises(ValueError, match="components=True must be an integer"):
        CodeDisplay.from_estimator(pca, X, components=(True, 0))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        CodeDisplay.from_estimator(pca, X, y[:5])
    with pytest.raises(ValueError, match="y contains NaN"):
        CodeDisplay.from_estimator(pca, X, np.where(y == 3, np.nan, y))


def test_classes_that_are_missing_are_refused_by_name():
    X = np.random.default_rng(0).normal(size=(20, 3))
    pca = PCA(2).fit(X)
    for missing in (None, pd.NA, np.nan):
        for some in (["a", missing], [missing, "a"]):
            with pytest.raises(ValueError, match=r"^y: 10 rows have no class; give"):
                CodeDisplay.from_estimator(pca, X, np.array(some * 10, dtype=object))
    with pytest.raises(ValueError, match=r"y: .* an order, but these are int, str"):
        CodeDisplay.from_estimator(pca, X, np.array(["a", 1] * 10, dtype=object))
    assert not plt.get_fignums()


def test_dates_and_times_of_every_kind_are_refused():
    X = np.random.default_rng(0).normal(size=(20, 3))
    pca = PCA(2).fit(X)
    days = pd.date_range("2026-01-01", periods=20)
    times = [days, days - days[0], days.tz_localize("Europe/Berlin"), list(days.date)]
    times += [days.to_period("D"), list((days - days[0]).to_pytimedelta())]
    times += [np.r_[1, days.date[1:]], np.array([*days.to_numpy()], dtype=object)]
    for y in times:
        with pytest.raises(ValueError, match="y: dates and times have no colours"):
            CodeDisplay.from_estimator(pca, X, y)
    assert not plt.get_fignums()


def test_names_are_written_as_they_are():
    X = np.random.default_rng(0).normal(size=(40, 3))
    classes = pd.DataFrame({"price $ and $_$": ["_hidden", "$_$", "$", "b"] * 10})
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, classes, name="$_$")
    display.figure_.canvas.draw()
    legend = display.axes_[-1].get_legend()
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == [r"\$", r"\$_\$", "_hidden", "b"]
    assert legend.get_title().get_text() == r"price \$ and \$_\$"
    assert display.ax_.get_title().startswith(r"\$_\$")


def test_the_name_of_a_class_of_one_row_does_not_hide_it():
    X = np.random.default_rng(0).normal(size=(21, 2))
    y = np.array([*["many"] * 20, "one"])
    display = CodeDisplay.from_estimator(PCA(2).fit(X), X, y, reference=None)
    display.figure_.canvas.draw()
    (name,) = [text for text in display.ax_.texts if text.get_text() == "one"]
    dot = display.ax_.transData.transform(display.ax_.collections[1].get_offsets())
    assert not name.get_window_extent().contains(*dot[0])
