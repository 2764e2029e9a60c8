"""Report: what a comparison found, as sentences, a table, and one page of HTML.

The page needs no other file and no script: pictures are part of it, and it follows the
reader's preference for light or dark.
"""

import base64
import html
import math
from dataclasses import dataclass

import numpy as np

from skae.comparison.result import LEVEL
from skae.measures import MEASURES

from .saying import percent

__all__ = [
    "LEGEND",
    "Picture",
    "components",
    "failures",
    "findings",
    "table_of",
    "write_report",
]

LEGEND = (
    "Means over the folds (± standard deviation), of rows held out from the fit. "
    f"▲ better and ▼ worse than PCA by more than noise (p < {LEVEL}, paired over "
    "folds)."
)


@dataclass
class Picture:
    """A picture, and what it shows.

    Attributes
    ----------
    name : str
        Of its file, without an ending.

    title, caption : str
        What is to be read beside it.

    light, dark : bytes
        PNG, for a light and for a dark page.

    is_narrow : bool
        Whether two stand side by side.
    """

    name: str
    title: str
    caption: str
    light: bytes
    dark: bytes
    is_narrow: bool


# ---------------------------------------------------------------- table and sentences


def table_of(summary, predicted=None, *, is_narrow=False):
    """Give a summary's headings, and its cells as text.

    Parameters
    ----------
    summary : dict of str to ndarray
        Of :meth:`skae.Comparison.summary`.

    predicted : str, default=None
        What the score of the prediction is called.

    is_narrow : bool, default=False
        Whether there is room for the means only, without how they spread.

    Returns
    -------
    headings : list of str

    cells : list of list of str
        A list for each method and size; an empty cell where nothing was measured.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.cli.report import table_of
    >>> nan = float("nan")
    >>> summary = {"estimator": ["PCA"], "n_components": [2], "error": [""]}
    >>> for measure in ("explained_variance", "fit_seconds"):
    ...     summary |= {f"{measure}_mean": [0.5], f"{measure}_std": [0.1]}
    >>> table_of({name: np.array(value) for name, value in summary.items()})
    (['method', 'components', 'variance explained', 'fit seconds'],
     [['PCA', '2', '0.500 ± 0.100', '0.50']])
    """
    shown = [
        measure
        for measure in _measured(summary)
        if not (is_narrow and measure == "transform_seconds")
    ]
    cells = [
        [
            str(summary["estimator"][row]),
            str(summary["n_components"][row]),
            *(_cell(summary, row, measure, is_narrow) for measure in shown),
        ]
        for row in range(len(summary["estimator"]))
    ]
    headings = [_heading(measure, predicted) for measure in shown]
    return ["method", "components", *headings], cells


def _measured(summary):
    """Name the measures that some method has."""
    return [
        measure
        for measure in MEASURES
        if np.isfinite(summary.get(f"{measure}_mean", [np.nan])).any()
    ]


def _heading(measure, predicted):
    if predicted and measure == "downstream_score":
        return predicted
    return MEASURES[measure].heading


def _cell(summary, row, measure, is_narrow):
    mean = summary[f"{measure}_mean"][row]
    if not math.isfinite(mean):
        return ""
    decimals = MEASURES[measure].decimals
    text = f"{mean:.{decimals}f}"
    if MEASURES[measure].is_cost:
        return text
    if not is_narrow:
        text += f" ± {summary[f'{measure}_std'][row]:.{decimals}f}"
    return f"{text} {_mark(summary, row, measure)}".strip()


def _mark(summary, row, measure):
    """Say whether a difference from PCA is more than noise, and which way."""
    p_values = summary.get(f"{measure}_p_value")
    if p_values is None or not p_values[row] < LEVEL:
        return ""
    return "▲" if summary[f"{measure}_difference"][row] > 0 else "▼"


def components(size):
    """Say how large a code is."""
    return "1 component" if size == 1 else f"{size} components"


def failures(summary):
    """Say for each method and size why a measure is missing, where a fit failed."""
    cases = zip(
        summary["estimator"], summary["n_components"], summary["error"], strict=True
    )
    return [f"{name}, {components(size)}: {why}" for name, size, why in cases if why]


def findings(summary):
    """Say in a sentence for each size what beats PCA, and by how much.

    Parameters
    ----------
    summary : dict of str to ndarray
        Of :meth:`skae.Comparison.summary`.

    Returns
    -------
    list of str
    """
    return [
        sentence
        for size in dict.fromkeys(summary["n_components"].tolist())
        if (sentence := _finding(summary, size))
    ]


def _finding(summary, size):
    means = summary["explained_variance_mean"]
    here = (summary["n_components"] == size) & np.isfinite(means)
    is_pca = summary["estimator"] == "PCA"
    if not (here & is_pca).any() or not (here & ~is_pca).any():
        return ""
    pca = means[np.flatnonzero(here & is_pca)[0]]
    others = np.flatnonzero(here & ~is_pca)
    best = others[np.argmax(means[others])]
    name, share = summary["estimator"][best], means[best]
    start = (
        f"{components(size)}: {name} explains {percent(share)} of the variance of "
        "unseen rows"
    )
    if not _mark(summary, best, "explained_variance"):
        return f"{start}, PCA {percent(pca)}; the difference is no more than noise."
    if share < pca:
        return f"{start}, less than PCA's {percent(pca)}."
    left = (1 - share) / (1 - pca) if pca < 1 else 1.0
    part = "less than 1%" if left < 0.005 else f"{left:.0%}"
    return f"{start}, PCA {percent(pca)}; it leaves {part} of PCA's squared error."


# -------------------------------------------------------------------------- the page


def write_report(path, *, title, told, summary, predicted, pictures, command):
    """Write one page of HTML that holds all there is to say.

    Parameters
    ----------
    path : str or path-like

    title : str
        What was compared.

    told : list of str
        What became of the columns.

    summary : dict of str to ndarray

    predicted : str or None
        What the score of the prediction is called.

    pictures : list of Picture

    command : str
        How to make the page again.
    """
    sections = [
        _section("What was found", _list(findings(summary))),
        _section("Numbers", _numbers(summary, predicted)),
        *(
            _section(picture.title, _figure(picture), picture.is_narrow)
            for picture in pictures
        ),
        _section("The data", _list(told)),
        _section("How to make this again", f"<pre>{html.escape(command)}</pre>"),
    ]
    page = PAGE.format(title=html.escape(title), style=STYLE, body="\n".join(sections))
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)


def _section(heading, body, is_narrow=False):
    kind = ' class="narrow"' if is_narrow else ""
    return f"<section{kind}>\n<h2>{html.escape(heading)}</h2>\n{body}\n</section>"


def _list(lines):
    items = "\n".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<ul>\n{items}\n</ul>" if items else "<p>Nothing that could be said.</p>"


def _numbers(summary, predicted):
    headings, rows = table_of(summary, predicted)
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in headings)
    body, size = [], None
    for cells in rows:
        first = ' class="first"' if size not in (None, cells[1]) else ""
        size = cells[1]
        body.append(f"<tr{first}>{_row(cells)}</tr>")
    errors = failures(summary)
    terms = "".join(
        f"<dt>{html.escape(_heading(measure, predicted))}</dt>"
        f"<dd>{html.escape(MEASURES[measure].meaning)}</dd>"
        for measure in _measured(summary)
    )
    return "\n".join(
        [
            f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>',
            *body,
            f"</tbody>\n</table></div>\n<p>{html.escape(LEGEND)}</p>",
            _list(errors) if errors else "",
            f"<dl>{terms}</dl>",
        ]
    )


def _row(cells):
    name, *numbers = map(html.escape, cells)
    marks = {"▲": "better", "▼": "worse"}
    told = "".join(
        f'<td class="{marks.get(text[-1:], "plain")}">{text or "-"}</td>'
        for text in numbers
    )
    return f'<th scope="row">{name}</th>{told}'


def _figure(picture):
    light, dark = (
        f"data:image/png;base64,{base64.b64encode(image).decode()}"
        for image in (picture.light, picture.dark)
    )
    caption = html.escape(picture.caption)
    return (
        '<figure><div class="drawn"><picture>\n'
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">\n'
        f'<img src="{light}" alt="{caption}">\n'
        f"</picture></div><figcaption>{caption}</figcaption></figure>"
    )


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main>
{body}
</main>
</body>
</html>
"""

STYLE = """
:root {
  --ink: #1d2433; --dim: #5a6478; --page: #ffffff; --card: #f4f6fa;
  --line: #d5dbe6; --better: #0b6e4f; --worse: #a33b20;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9f0; --dim: #a3adc2; --page: #14171f; --card: #1d222d;
    --line: #363e4f; --better: #5fd3a8; --worse: #ff9b7d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 74rem; padding: 1.5rem 1rem 4rem;
  background: var(--page); color: var(--ink); overflow-wrap: break-word;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
ul { padding-left: 1.2rem; margin: .4rem 0; }
p, figcaption, dd { color: var(--dim); }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; }
table {
  border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
}
th, td { padding: .4rem .65rem; text-align: right; white-space: nowrap; }
thead th { background: var(--card); white-space: normal; vertical-align: bottom; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--card); }
tbody th { font-weight: 600; }
tr.first > * { border-top: 1px solid var(--line); }
td.better { color: var(--better); font-weight: 600; }
td.worse { color: var(--worse); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
figure { margin: 0; }
.drawn { overflow-x: auto; }
img { max-width: min(100%, 54rem); height: auto; display: block; }
pre {
  background: var(--card); padding: .8rem; border-radius: .5rem;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
@media (min-width: 64rem) {
  main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 2rem; }
  section:not(.narrow) { grid-column: 1 / -1; }
}
@media (max-width: 40rem) {
  /* Letters in a wide picture stay as large as these; it is moved sideways instead. */
  section:not(.narrow) img { max-width: none; width: 38rem; }
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .4rem; }
}
"""
