"""A comparison: what the folds gave, and what they say about the methods."""

import html
import math
import textwrap

import numpy as np
from scipy import stats

from skae.measures import MEASURES

__all__ = ["LEVEL", "Comparison", "corrected_t_test"]

# What is measured on held-out rows, the more the better.
QUALITIES = [name for name, measure in MEASURES.items() if not measure.is_cost]

# Differences of less than one in so many are rounding: networks compute in float32.
ROUNDING = np.finfo(np.float32).eps

# Probability below which a difference is marked as more than noise.
LEVEL = 0.05

# What the table is in a notebook; colours are the page's own, light or dark.
HTML = """<div style="overflow-x: auto">
<table style="border-collapse: collapse">
{rows}
</table>
<p><small>{remarks}</small></p>
</div>"""
HTML_CELL = (
    '<{tag} style="padding: 0.2em 0.8em; text-align: {side}; white-space: nowrap">'
    "{text}</{tag}>"
)


def corrected_t_test(differences, test_ratio):
    """Tell a mean difference over folds from noise.

    Folds share training rows, so their differences d are not independent, and the
    variance of their mean is more than var(d) / J. Nadeau and Bengio's correction is

        t = mean(d) / sqrt((1 / J + n_test / n_train) var(d))     J - 1 degrees

    Parameters
    ----------
    differences : array-like of shape (n_folds,)

    test_ratio : float
        Held-out rows over training rows; 0 is Student's paired test.

    Returns
    -------
    float
        Two-sided probability of such a mean if there is no difference; NaN for fewer
        than two folds, and where a difference is infinite.

    References
    ----------
    C. Nadeau and Y. Bengio (2003), Inference for the generalization error, Machine
    Learning 52, 239-281.
    """
    n_folds = len(differences)
    if n_folds < 2 or not np.isfinite(differences).all():
        return math.nan
    mean, variance = np.mean(differences), np.var(differences, ddof=1)
    if variance == 0:
        return float(mean == 0)
    t = mean / math.sqrt((1 / n_folds + test_ratio) * variance)
    return float(2 * stats.t.sf(abs(t), n_folds - 1))


class Comparison:
    """Methods compared at several numbers of components, fold by fold.

    :func:`skae.compare` makes one. Shown, it is a table of means over the folds.

    Parameters
    ----------
    folds : dict of str to array-like of shape (n_entries,)
        One entry for each estimator, number of components and fold: ``"estimator"``,
        ``"n_components"``, ``"fold"``, the measures ``"explained_variance"``,
        ``"log_likelihood"``, ``"downstream_score"``, ``"trustworthiness"``,
        ``"fit_seconds"``, ``"transform_seconds"`` (NaN where there is none), and
        ``"error"``, the reasons why measures are missing, each after the name of what
        failed (``"fit: "``, ``"transform: "`` or a measure), or ``""``.

    reference : str or None, default="PCA"
        Name of the estimator that the others are set against.

    test_ratio : float, default=None
        Held-out rows over training rows. None is that of k folds, 1 / (k - 1).

    Attributes
    ----------
    folds : dict of str to ndarray of shape (n_entries,)

    reference : str or None

    test_ratio : float or None

    See Also
    --------
    compare : Fits and measures.

    Examples
    --------
    >>> from skae import Comparison
    >>> comparison = Comparison(
    ...     {
    ...         "estimator": ["PCA", "PCA", "AE", "AE"],
    ...         "n_components": [2, 2, 2, 2],
    ...         "fold": [0, 1, 0, 1],
    ...         "explained_variance": [0.50, 0.52, 0.70, 0.73],
    ...         "log_likelihood": [-9.0, -8.0, float("nan"), float("nan")],
    ...         "downstream_score": [0.80, 0.90, 0.90, 0.90],
    ...         "trustworthiness": [0.91, 0.92, 0.97, 0.97],
    ...         "fit_seconds": [0.01, 0.01, 1.10, 1.30],
    ...         "transform_seconds": [0.001, 0.001, 0.002, 0.002],
    ...         "error": ["", "", "", ""],
    ...     }
    ... )
    >>> comparison.summary()["explained_variance_mean"]
    array([0.51 , 0.715])
    >>> comparison.summary()["explained_variance_difference"]
    array([  nan, 0.205])
    """

    def __init__(self, folds, *, reference="PCA", test_ratio=None):
        required = ("estimator", "n_components", *MEASURES, "fold", "error")
        missing = [name for name in required if name not in folds]
        if missing:
            raise ValueError(f"folds needs an entry for each of {', '.join(missing)}.")
        self.folds = {name: np.asarray(values) for name, values in folds.items()}
        shapes = {values.shape for values in self.folds.values()}
        if len(shapes) > 1 or shapes <= {(), (0,)} or len(*shapes) > 1:
            raise ValueError(
                "folds needs arrays of one dimension and one length, 1 or more, but "
                f"their shapes are {sorted(shapes)}."
            )
        self.reference = reference
        self.test_ratio = test_ratio

    # ------------------------------------------------------------------ numbers

    def summary(self):
        """Take means over the folds, and set them against the reference.

        Returns
        -------
        dict of str to ndarray of shape (n_cases,)
            One entry for each estimator and number of components: ``"estimator"``,
            ``"n_components"``, ``"n_folds"``; for each measure m ``"m_mean"`` and
            ``"m_std"``, over the folds that have it; for the measures of quality also
            ``"m_difference"``, the mean difference from the reference with as many
            components, paired by fold, and ``"m_p_value"``, two-sided, by the corrected
            resampled t-test (NaN for the reference itself); and ``"error"``, the first
            reason for a missing measure.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.decomposition import PCA, FastICA
        >>> from skae import compare
        >>> X, y = load_iris(return_X_y=True)
        >>> methods = [PCA(), FastICA(random_state=0)]
        >>> summary = compare(X, y, estimators=methods, n_components=2).summary()
        >>> summary["estimator"].tolist()
        ['PCA', 'FastICA']
        >>> bool(abs(summary["explained_variance_difference"][1]) < 1e-12)
        True
        """
        cases = [self._summarise(*case) for case in self._cases()]
        return {key: np.array([case[key] for case in cases]) for key in cases[0]}

    def to_pandas(self):
        """Give the folds as a data frame.

        Returns
        -------
        pandas.DataFrame
            A row for each estimator, number of components and fold.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.decomposition import PCA
        >>> from skae import compare
        >>> X, y = load_iris(return_X_y=True)
        >>> comparison = compare(X, y, estimators=[PCA()], n_components=[1, 2])
        >>> comparison.to_pandas().groupby("n_components")["fold"].count()
        n_components
        1    5
        2    5
        Name: fold, dtype: int64
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "Comparison.to_pandas needs pandas: pip install pandas. Without it, "
                "Comparison.folds holds the same columns as arrays."
            ) from error
        return pandas.DataFrame(self.folds)

    def plot(self, ax=None, *, measure="explained_variance"):
        """Draw a measure over the number of components.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        measure : str, default="explained_variance"
            Name of one of the measures in ``folds``.

        Returns
        -------
        skae.plotting.ComparisonDisplay
            Holds the figure and its axes.
        """
        from skae.plotting import ComparisonDisplay

        return ComparisonDisplay.from_comparison(self, measure, ax=ax)

    def _cases(self):
        """Estimators with their numbers of components, one number after the other."""
        names, numbers = self.folds["estimator"], self.folds["n_components"]
        cases = dict.fromkeys(zip(names.tolist(), numbers.tolist(), strict=True))
        order = list(dict.fromkeys(numbers.tolist()))
        return sorted(cases, key=lambda case: order.index(case[1]))

    def _select(self, name, n_components):
        """Entries of one estimator and number of components."""
        chosen = self.folds["estimator"] == name
        chosen &= self.folds["n_components"] == n_components
        return {key: values[chosen] for key, values in self.folds.items()}

    def _summarise(self, name, n_components):
        own = self._select(name, n_components)
        other = self._select(self.reference, n_components)
        case = {
            "estimator": name,
            "n_components": n_components,
            "n_folds": len(own["fold"]),
        }
        for measure in MEASURES:
            values = own[measure][~np.isnan(own[measure])]
            case[f"{measure}_mean"] = values.mean() if len(values) else np.nan
            has_spread = len(values) and np.isfinite(values).all()
            case[f"{measure}_std"] = values.std() if has_spread else np.nan
        for measure in QUALITIES:
            differences = np.array([])
            if name != self.reference:
                differences = paired_differences(own, other, measure)
            mean = differences.mean() if len(differences) else np.nan
            case[f"{measure}_difference"] = mean
            case[f"{measure}_p_value"] = corrected_t_test(differences, self._ratio)
        return case | {"error": next(filter(None, own["error"].tolist()), "")}

    @property
    def _ratio(self):
        """Held-out rows over training rows."""
        if self.test_ratio is not None:
            return self.test_ratio
        return 1 / max(len(np.unique(self.folds["fold"])) - 1, 1)

    # -------------------------------------------------------------------- tables

    def __repr__(self):
        header, rows = self._table()
        lines = _aligned([heading.split() for heading in header], rows)
        return "\n".join([*lines, "", *self._remarks()])

    def _repr_html_(self):
        header, rows = self._table()
        lines = [_html_row("th", header), *[_html_row("td", row) for row in rows]]
        remarks = "<br>\n".join(map(html.escape, self._remarks()))
        return HTML.format(rows="\n".join(lines), remarks=remarks)

    def _table(self):
        """Headings, and the cells of each row, of what was measured at all."""
        summary = self.summary()
        columns = {
            "estimator": list(map(str, summary["estimator"])),
            "components": list(map(str, summary["n_components"])),
        }
        for name, measure in MEASURES.items():
            if not np.isnan(summary[f"{name}_mean"]).all():
                columns[measure.heading] = _cells(summary, name)
        return list(columns), list(zip(*columns.values(), strict=True))

    def _remarks(self):
        """Lines below the table: what its signs mean, and what went wrong."""
        summary = self.summary()
        lines = [f"Mean ± standard deviation over {_folds(summary['n_folds'].max())}."]
        p_values = [summary[f"{measure}_p_value"] for measure in QUALITIES]
        if not np.isnan(p_values).all():
            lines.append(
                f"* differs by more than noise from {self.reference} with as many "
                f"components: p < {LEVEL}, paired over folds (corrected resampled "
                "t-test)."
            )
        for name, number in self._cases():
            errors = list(filter(None, self._select(name, number)["error"].tolist()))
            if errors:
                reason = textwrap.shorten(errors[0], 200, placeholder=" ...")
                where = f"{name}, n_components={number}, {_folds(len(errors))}"
                lines.append(f"{where}: {reason}")
        return lines


def paired_differences(own, other, measure):
    """Differences of a measure, fold by fold, where both have it."""
    _, mine, theirs = np.intersect1d(own["fold"], other["fold"], return_indices=True)
    a, b = own[measure][mine], other[measure][theirs]
    with np.errstate(invalid="ignore"):  # two that are infinite have no difference
        differences = a - b
    rounding = ROUNDING * np.maximum(np.abs(a), np.abs(b))
    differences[(np.abs(differences) <= rounding) & np.isfinite(rounding)] = 0
    return differences[~np.isnan(differences)]


def _cells(summary, measure):
    """Means with their spread; a dash where there is none, and room for a star."""
    means, spreads = (summary[f"{measure}_{which}"] for which in ("mean", "std"))
    if MEASURES[measure].is_cost:
        digits = _digits(means, figures=3, most=4)
        return ["-" if math.isnan(mean) else f"{mean:.{digits}f}" for mean in means]
    stars = np.where(summary[f"{measure}_p_value"] < LEVEL, "*", " ")
    # One score far below 0 leaves the others, which are near 1, their figures.
    of_all = measure == "log_likelihood"
    alike = [means] * len(means) if of_all else means[:, None]
    digits = [_digits(values, figures=4, most=3) for values in alike]
    return list(map(_cell, means, spreads, digits, stars))


def _cell(mean, std, digits, star):
    if not math.isfinite(mean):
        return "- " if math.isnan(mean) else f"{mean} "
    return f"{mean:.{digits}f} ± {std:.{digits}f}{star}"


def _digits(values, *, figures, most):
    """Decimals that show so many figures of the largest number."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=10.0**-most)
    return min(max(figures - 1 - math.floor(math.log10(largest)), 0), most)


def _folds(number):
    return "1 fold" if number == 1 else f"{number} folds"


def _aligned(header, rows):
    """Lines of a table: names to the left, numbers to the right.

    There is a gap wherever the number of components changes.
    """
    depth = max(map(len, header))
    heads = [[""] * (depth - len(words)) + words for words in header]
    table = [*zip(*heads, strict=True), *rows]
    sizes = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for name, *numbers in table:
        cells = [name.ljust(sizes[0]), *map(str.rjust, numbers, sizes[1:])]
        lines.append("  ".join(cells).rstrip())
    lines.insert(depth, "-" * max(map(len, lines)))
    for index in range(len(rows) - 1, 0, -1):
        if rows[index][1] != rows[index - 1][1]:
            lines.insert(depth + 1 + index, "")
    return lines


def _html_row(tag, cells):
    """One row of a table; the first cell is a name."""
    sides = ["left", *["right"] * (len(cells) - 1)]
    texts = [html.escape(cell.strip()) for cell in cells]
    filled = [
        HTML_CELL.format(tag=tag, side=side, text=text)
        for side, text in zip(sides, texts, strict=True)
    ]
    return f"<tr>{''.join(filled)}</tr>"
