"""The terminal: what a comparison found, in as much room as there is."""

import io
import sys
from itertools import groupby

from .report import LEGEND, failures, findings, table_of

__all__ = ["print_summary"]

# Letters in a line of a table with all there is, which a file has room for.
WIDE = 120

# Columns that say whose the others are.
KEYS = [0, 1]


def print_summary(summary, predicted):
    """Print the table, and what it says.

    Parameters
    ----------
    summary : dict of str to ndarray
        Of :meth:`skae.Comparison.summary`.

    predicted : str
        What the score of the prediction is called.
    """
    from rich.console import Console

    # Printed in one piece: rich itself would end the program where nobody reads on.
    text, shown = io.StringIO(), Console()
    console = Console(
        file=text,
        force_terminal=shown.is_terminal,
        width=shown.width if shown.is_terminal else WIDE,
        highlight=False,
    )
    _print_tables(console, summary, predicted)
    console.print(f"\n{LEGEND}", style="dim", markup=False)
    for line in failures(summary):
        console.print(line, style="red", markup=False)
    console.print()
    for line in findings(summary):
        console.print(line, markup=False)
    sys.stdout.write(text.getvalue())


def _print_tables(console, summary, predicted):
    """Print as many tables as it takes for all columns to be read."""
    is_narrow = console.width < WIDE
    gap = 1 if is_narrow else 2
    headings, rows = table_of(summary, predicted, is_narrow=is_narrow)
    columns = list(zip(headings, zip(*rows, strict=True), strict=True))
    sizes = [_width(heading, cells) for heading, cells in columns]
    for places in parted(sizes, console.width, gap):
        console.print()
        console.print(_table([columns[j] for j in places], gap))


def _width(heading, cells):
    """Letters that a column needs: headings may be broken between words."""
    return max(map(len, [*heading.split(), *cells]))


def parted(sizes, room, gap):
    """Part columns among tables that fit, each with the columns that say whose.

    Parameters
    ----------
    sizes : list of int
        Letters that each column needs.

    room, gap : int
        Letters of a line, and between two columns.

    Returns
    -------
    list of list of int
        Numbers of the columns of each table.

    Examples
    --------
    >>> from skae.cli.terminal import parted
    >>> parted([5, 3, 9, 9, 9], room=80, gap=1)
    [[0, 1, 2, 3, 4]]
    >>> parted([5, 3, 9, 9, 9], room=30, gap=1)
    [[0, 1, 2, 3], [0, 1, 4]]
    """
    tables: list[list[int]] = [KEYS]
    for place in range(len(KEYS), len(sizes)):
        wider = [*tables[-1], place]
        fits = sum(sizes[j] + gap for j in wider) - gap <= room
        if fits or tables[-1] == KEYS:
            tables[-1] = wider
        else:
            tables.append([*KEYS, place])
    return tables


def _table(columns, gap):
    """Lay columns out, the rows of each size apart from the others."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for place, (heading, cells) in enumerate(columns):
        width = _width(heading, cells)
        table.add_column(heading, justify="right" if place else "left", width=width)
    styles = {"▲": "green", "▼": "red"}
    lines = list(zip(*(cells for _, cells in columns), strict=True))
    for size, group in groupby(lines, key=lambda cells: cells[1]):
        if size != lines[0][1]:
            table.add_row()
        for cells in group:
            texts = (Text(cell, style=styles.get(cell[-1:], "")) for cell in cells)
            table.add_row(*texts)
    return table
