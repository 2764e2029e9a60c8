"""What each estimator reaches at each width, over the folds of a comparison."""

import numpy as np

from .canvas import (
    LINE,
    NEUTRAL,
    PALETTE,
    REFERENCE,
    check_matplotlib,
    count_in_factors,
    label_features,
    legend_outside,
    panels,
)
from .display import Display

__all__ = ["ComparisonDisplay"]

# What measures are called in a picture.
LABELS = {
    "explained_variance": "share of variance explained, held-out rows",
    "log_likelihood": "log-likelihood of a held-out row (nats)",
    "downstream_score": "downstream score, held-out rows",
    "trustworthiness": "trustworthiness of the codes",
    "fit_seconds": "seconds to fit",
    "transform_seconds": "seconds to transform",
}

# What says which fit a row of numbers belongs to, and is no measure.
KEYS = ("estimator", "n_components", "fold", "error")

MARKERS = "osD^vP"

# Ratio of the largest to the least from which an axis is logarithmic.
WIDE_RANGE = 8


class ComparisonDisplay(Display):
    """A measure over the number of components, one curve per estimator.

    A curve is the mean over the folds, and its bars the standard deviation. A fold on
    which it failed is left out of both and counted beside the name. With one width only
    it is a dot for each estimator.

    Parameters
    ----------
    curves : dict of str to dict
        By the name of the estimator: ``n_components``, ``mean``, ``std``, each an
        ndarray of shape (n_widths,), and ``n_failed``, an int.

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
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from skae.plotting import ComparisonDisplay
    >>> folds = {
    ...     "estimator": np.array(["PCA", "PCA", "PCA", "PCA"]),
    ...     "n_components": np.array([2, 2, 8, 8]),
    ...     "fold": np.array([0, 1, 0, 1]),
    ...     "explained_variance": np.array([0.28, 0.30, 0.66, 0.68]),
    ...     "error": np.array(["", "", "", ""]),
    ... }
    >>> comparison = SimpleNamespace(folds=folds)
    >>> display = ComparisonDisplay.from_comparison(comparison)
    >>> display.curves["PCA"]["mean"]
    array([0.29, 0.67])
    """

    def __init__(self, curves, *, measure, n_folds):
        self.curves = curves
        self.measure = measure
        self.n_folds = n_folds

    @classmethod
    def from_comparison(cls, comparison, measure="explained_variance", ax=None):
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
        curves = {
            str(name): _curve(folds, values, folds["estimator"] == name)
            for name in dict.fromkeys(folds["estimator"])
        }
        n_folds = len(np.unique(folds["fold"]))
        return cls(curves, measure=measure, n_folds=n_folds).plot(ax=ax)

    def _draw(self, ax):
        every = [curve["n_components"] for curve in self.curves.values()]
        widths = np.unique(np.concatenate(every))
        draw = self._draw_curves if len(widths) > 1 else self._draw_dots
        return draw(ax, widths)

    def _draw_curves(self, ax, widths):
        """Draw a curve each, its bars beside those of the others at the same width."""
        axes = panels(ax, 1, 1, (8.0, 4.2))
        panel = axes[0, 0]
        is_wide = widths[-1] >= WIDE_RANGE * widths[0]
        middle = (len(self.curves) - 1) / 2
        for i, (name, style) in enumerate(self._styles().items()):
            curve = self.curves[name]
            x = curve["n_components"]
            if is_wide:
                x = x * 1.03 ** (i - middle)
            else:
                x = x + 0.01 * np.ptp(widths) * (i - middle)
            panel.errorbar(x, curve["mean"], curve["std"], **style)
        panel.set_xscale("log" if is_wide else "linear")
        panel.set_xticks(widths, [str(width) for width in widths])
        panel.xaxis.minorticks_off()
        panel.set(xlabel="number of components", ylabel=_name(self.measure))
        self._scale(panel, "y")
        legend_outside(axes, ax, "right upper", title=self._note, alignment="left")
        return axes

    def _draw_dots(self, ax, widths):
        """Draw a line each, as there is one width only: names down, values across."""
        axes = panels(ax, 1, 1, (6.4, 1.4 + 2 * LINE * len(self.curves)))
        panel = axes[0, 0]
        for i, (name, style) in enumerate(self._styles().items()):
            curve = self.curves[name]
            heights = np.full(len(curve["mean"]), i)
            panel.errorbar(curve["mean"], heights, xerr=curve["std"], **style)
        label_features(panel, [style["label"] for style in self._styles().values()])
        panel.grid(axis="y", color=NEUTRAL, alpha=0.25)
        width = int(widths[0])
        panel.set_title("1 component" if width == 1 else f"{width} components")
        panel.set_xlabel("\n".join(filter(None, [_name(self.measure), self._note])))
        self._scale(panel, "x")
        return axes

    @property
    def _note(self):
        """What the bars are, where there are any."""
        if self.n_folds == 1:
            return ""
        return f"mean of {self.n_folds} folds\n± standard deviation"

    def _scale(self, panel, side):
        """Give seconds, which differ by factors, an axis of factors."""
        means = np.concatenate([curve["mean"] for curve in self.curves.values()])
        if self.measure.endswith("_seconds") and (means > 0).all():
            count_in_factors(panel, side, means)

    def _styles(self):
        """How each curve is drawn, by its name."""
        colours = _colours(self.curves)
        return {
            name: {
                "color": colours[name],
                "marker": MARKERS[i % len(MARKERS)],
                "capsize": 3,
                "label": _label(name, curve["n_failed"]),
            }
            for i, (name, curve) in enumerate(self.curves.items())
        }


def _measured(folds, measure):
    """Give the values of a measure; refuse one that nobody has."""
    has_values = [
        name
        for name, column in folds.items()
        if name not in KEYS and np.isfinite(np.asarray(column, dtype=float)).any()
    ]
    if measure not in has_values:
        raise ValueError(
            f"measure={measure!r} is not among those this comparison has values of: "
            f"{', '.join(has_values) or 'none'}."
        )
    return np.asarray(folds[measure], dtype=float)


def _curve(folds, values, chosen):
    """Mean and standard deviation over the folds, at each width that has values."""
    widths, failed = folds["n_components"][chosen], folds["error"][chosen] != ""
    values = values[chosen]
    is_there = np.isfinite(values)
    present = np.unique(widths[is_there])
    groups = [values[is_there & (widths == width)] for width in present]
    return {
        "n_components": present,
        "mean": np.array([group.mean() for group in groups]),
        "std": np.array([group.std(ddof=min(1, len(group) - 1)) for group in groups]),
        "n_failed": int((failed & ~is_there).sum()),
    }


def _name(measure):
    return LABELS.get(measure, measure.replace("_", " "))


def _label(name, n_failed):
    return f"{name} ({n_failed} failed)" if n_failed else name


def _colours(names):
    """Give PCA the colour it has everywhere, and the others those that are left."""
    others = [colour for colour in PALETTE if colour != REFERENCE]
    left = (others[i % len(others)] for i in range(len(names)))
    return {name: REFERENCE if name.lower() == "pca" else next(left) for name in names}
