"""What estimators reach with so many components, over the folds of a comparison."""

import numpy as np

from skae.measures import MEASURES

from .canvas import check_matplotlib, panels
from .colours import NEUTRAL, PALETTE, REFERENCE
from .display import Display
from .lettering import (
    LINE,
    count_in_factors,
    keep_within,
    label_lines,
    legend_outside,
    shortened,
    thin_out,
)

__all__ = ["ComparisonDisplay"]

# What says which fit a row of numbers belongs to, and is no measure.
KEYS = ("estimator", "n_components", "fold", "error")

MARKERS = "osD^vP"

# Ratio of the largest to the least from which an axis is logarithmic.
WIDE_RANGE = 8

# Between curves that are side by side, as a share of the axis; and at most between the
# first and the last, as a share of the way to the next number of components.
SHIFT = 0.025
SPREAD = 0.7


class ComparisonDisplay(Display):
    """A measure over the number of components, one curve per estimator.

    A curve is the mean over the folds, and its bars the standard deviation; on an axis
    of seconds, which is logarithmic, no bar goes below the least of the folds. A fit
    that failed is left out, its seconds included, and said beside the name, as is a
    mean that is infinite. With one number of components it is a dot for each estimator.

    Parameters
    ----------
    curves : dict of str to dict
        By the name of the estimator: ``n_components``, ``mean``, ``std``, ``least`` and
        ``n_failed``, the number of folds that failed, each an ndarray of shape
        (n_points,). Where there is no value, they are NaN.

    measure : str
        What is drawn.

    n_folds : int
        Folds that each mean is taken over.

    Attributes
    ----------
    ax_ : matplotlib Axes

    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA, FactorAnalysis
    >>> from skae import compare
    >>> from skae.plotting import ComparisonDisplay
    >>> X, _ = load_iris(return_X_y=True)
    >>> methods = [PCA(), FactorAnalysis()]
    >>> comparison = compare(X, estimators=methods, n_components=[1, 2])
    >>> display = ComparisonDisplay.from_comparison(comparison)
    >>> list(display.curves)
    ['PCA', 'FactorAnalysis']
    """

    def __init__(self, curves, *, measure, n_folds):
        self.curves = curves
        self.measure = measure
        self.n_folds = n_folds

    @classmethod
    def from_comparison(cls, comparison, measure="explained_variance", *, ax=None):
        """Plot one measure of a comparison.

        Parameters
        ----------
        comparison : Comparison
            What ``skae.compare`` returned; its ``folds`` are read.

        measure : str, default="explained_variance"
            Name of a column of ``comparison.folds``.

        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        ComparisonDisplay
        """
        check_matplotlib()
        folds = getattr(comparison, "folds", None)
        if folds is None:
            raise TypeError(
                f"comparison={type(comparison).__name__} has no folds; give what "
                "skae.compare returned."
            )
        values = _measured(folds, measure)
        failed = _failed(folds["error"], measure) & np.isnan(values)
        curves = {
            str(name): _curve(folds, values, failed, folds["estimator"] == name)
            for name in dict.fromkeys(folds["estimator"])
        }
        n_folds = len(np.unique(folds["fold"]))
        return cls(curves, measure=measure, n_folds=n_folds).plot(ax=ax)

    def _draw(self, ax):
        every = [curve["n_components"] for curve in self.curves.values()]
        numbers = np.unique(np.concatenate(every))
        draw = self._draw_curves if len(numbers) > 1 else self._draw_dots
        return draw(ax, numbers)

    def _draw_curves(self, ax, numbers):
        """Draw a curve each, its bars beside those of the others with as many."""
        axes = panels(ax, 1, 1, (6.4, 4.8))
        panel = axes[0, 0]
        is_wide = numbers[-1] >= WIDE_RANGE * numbers[0]
        shifts = _shifts(np.log(numbers) if is_wide else numbers, len(self.curves))
        handles: list = []
        for i, (name, style) in enumerate(self._styles().items()):
            curve = self.curves[name]
            if not np.isfinite(curve["mean"]).any():
                handles += panel.plot([], [], " ")
                continue
            x = curve["n_components"]
            x = x * np.exp(shifts[i]) if is_wide else x + shifts[i]
            mean = _finite(curve["mean"])
            handles.append(panel.errorbar(x, mean, self._bars(curve), **style))
        panel.set_xscale("log" if is_wide else "linear")
        panel.set_xticks(numbers, list(map(str, numbers)))
        panel.xaxis.minorticks_off()
        thin_out(panel.xaxis)
        panel.set_xlabel("number of components")
        keep_within(panel.set_ylabel(_name(self.measure)), panel)
        self._scale(panel, "y")
        legend = {"handles": handles, "labels": self._labels, "title": self._note}
        legend_outside(axes, ax, place="within", ncols=2, alignment="left", **legend)
        return axes

    def _draw_dots(self, ax, numbers):
        """Draw a line each, as there is one number only: names down, values across."""
        axes = panels(ax, 1, 1, (6.4, 1.4 + 2 * LINE * len(self.curves)))
        panel = axes[0, 0]
        for i, (name, style) in enumerate(self._styles().items()):
            curve = self.curves[name]
            heights = np.full(len(curve["mean"]), i)
            mean = _finite(curve["mean"])
            panel.errorbar(mean, heights, xerr=self._bars(curve), **style)
        label_lines(panel, self._labels)
        panel.grid(axis="y", color=NEUTRAL, alpha=0.25)
        number = int(numbers[0])
        panel.set_title("1 component" if number == 1 else f"{number} components")
        meaning = "\n".join(filter(None, [_name(self.measure), self._note]))
        keep_within(panel.set_xlabel(meaning), panel)
        self._scale(panel, "x")
        return axes

    @property
    def _note(self):
        """What the bars are, where there are any."""
        if self.n_folds == 1:
            return ""
        return f"mean of {self.n_folds} folds ± standard deviation"

    @property
    def _labels(self):
        return [_label(name, curve) for name, curve in self.curves.items()]

    @property
    def _means(self):
        """All that is drawn."""
        means = np.concatenate([curve["mean"] for curve in self.curves.values()])
        return means[np.isfinite(means)]

    @property
    def _is_in_factors(self):
        """Whether the axis is logarithmic: seconds differ by factors."""
        means = self._means
        return self.measure.endswith("_seconds") and means.min(initial=np.inf) > 0

    def _bars(self, curve):
        """How far the bars go, down and up; where there is no 0, to the least fold."""
        mean, std = _finite(curve["mean"]), curve["std"]
        down = np.minimum(std, mean - curve["least"]) if self._is_in_factors else std
        return np.array([down, std])

    def _scale(self, panel, side):
        if self._is_in_factors:
            bars = [(_finite(c["mean"]), self._bars(c)) for c in self.curves.values()]
            ends = [np.stack([mean - down, mean + up]) for mean, (down, up) in bars]
            values = np.concatenate(ends, axis=None)
            values = values[np.isfinite(values)]
            count_in_factors(panel, side, values)

    def _styles(self):
        """How each curve is drawn, by its name."""
        colours = _colours(self.curves)
        return {
            name: {
                "color": colours[name],
                "marker": MARKERS[i % len(MARKERS)],
                "ls": "-",
                "capsize": 3,
            }
            for i, name in enumerate(self.curves)
        }


def _measured(folds, measure):
    """Give the values of a measure; refuse one that nobody has."""
    gave_nothing = _failed(folds["error"])
    columns = {
        name: np.where(gave_nothing, np.nan, np.asarray(column, dtype=float))
        for name, column in folds.items()
        if name not in KEYS
    }
    has_values = [name for name, column in columns.items() if np.isfinite(column).any()]
    if measure not in has_values:
        raise ValueError(
            f"measure={measure!r} is not among those this comparison has values of: "
            f"{', '.join(has_values) or 'none'}."
        )
    return columns[measure]


def _failed(errors, *measures):
    """Which entries say that a fit failed, or one of some measures."""
    steps = tuple(f"{step}: " for step in ("fit", "transform", *measures))
    return np.array(
        [any(r.startswith(steps) for r in str(error).split("; ")) for error in errors]
    )


def _curve(folds, values, failed, chosen):
    """Mean, spread and least over the folds, and failed ones, by components."""
    numbers, values = folds["n_components"][chosen], values[chosen]
    every = np.unique(numbers)
    groups = [values[~np.isnan(values) & (numbers == number)] for number in every]
    bounded = [g if np.isfinite(g).all() else g[:0] for g in groups]
    return {
        "n_components": every,
        "mean": np.array([g.mean() if len(g) else np.nan for g in groups]),
        "std": np.array([g.std() if len(g) else np.nan for g in bounded]),
        "least": np.array([g.min() if len(g) else np.nan for g in groups]),
        "n_failed": np.array([failed[chosen][numbers == k].sum() for k in every]),
    }


def _finite(values):
    """Give what can be drawn: what is infinite is as NaN."""
    return np.where(np.isfinite(values), values, np.nan)


def _shifts(places, n_curves):
    """How far each curve is moved aside: more than a cap is wide, if there is room."""
    step = min(SHIFT * np.ptp(places), SPREAD * np.diff(places).min() / n_curves)
    return step * (np.arange(n_curves) - (n_curves - 1) / 2)


def _name(measure):
    """Say what is measured; a column of the user's own is called by its name."""
    known = MEASURES.get(measure)
    return known.axis if known else measure.replace("_", " ")


def _label(name, curve):
    """Name a curve, and say what is missing from it."""
    name = shortened(name)
    is_there, n_failed = ~np.isnan(curve["mean"]), curve["n_failed"]
    if not is_there.any():
        return f"{name}: failed" if n_failed.any() else f"{name}: gives none"
    numbers, some = curve["n_components"], int(n_failed[is_there].sum())
    places = {
        "failed": numbers[~is_there & (n_failed > 0)],
        "infinite": numbers[np.isinf(curve["mean"])],
    }
    notes = [
        f"{what} at {', '.join(map(str, at))}" for what, at in places.items() if len(at)
    ]
    notes += ["1 fit failed" if some == 1 else f"{some} fits failed"] * bool(some)
    return f"{name}: {'; '.join(notes)}" if notes else name


def _colours(names):
    """Give PCA the colour it has everywhere, and the others those that are left."""
    others = [colour for colour in PALETTE if colour != REFERENCE]
    left = (others[i % len(others)] for i in range(len(names)))
    return {name: REFERENCE if name.lower() == "pca" else next(left) for name in names}
