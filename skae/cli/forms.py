"""Forms: how a text file is written, told by its head."""

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from .saying import listed

__all__ = [
    "GROUPING",
    "HEAD",
    "MISSING",
    "NUMERAL",
    "ends_with_separator",
    "form_of",
]

# Bytes of a text file by which its form is told.
HEAD = 2**18

# In this order: cells may hold decimal commas, or sentences with commas.
SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma"}

# Words for a missing value, besides those that pandas knows.
MISSING = ["?", "-", "--", "missing", "Missing", "unknown", "Unknown"]

# Those of pandas that a first row is likely to have, where it is no header.
LACKING = {"", "NA", "N/A", "n/a", "NULL", "null", "None", "<NA>", "#N/A", *MISSING}

# The mark that parts thousands, by that of the decimals.
GROUPING = {",": ".", ".": ","}

# How a number is written, by the mark of its decimals; it may be per cent.
NUMERAL = {
    mark: re.compile(
        rf"[-+]?(?:\d+|[1-9]\d{{0,2}}(?:\{group}\d{{3}})+)(?:\{mark}\d+)?"
        r"(?:[eE][-+]?\d+)?(?:\s?%)?"
    )
    for mark, group in GROUPING.items()
}

# A number with a fraction, and one that may be of thousands; how much the latter says.
FRACTION = re.compile(
    r"[-+]?(?:\d+[.,]\d+|\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:,\d{3})+\.\d+)"
    r"(?:[eE][-+]?\d+)?"
)
EITHER = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}")
UNSURE = 0.1

# Share of the lines that a mark parts alike, from which it is taken for the separator.
AGREED = 0.9

# Numbers that have to rise if they are to be names: a few rise by chance.
FEWEST_RISING = 8

# How JSON begins; a name of a column may have brackets.
JSON = re.compile(r'\s*(\{\s*"|\[\s*[\[{"])')


@dataclass
class Form:
    """How a text file is written, told by its head; ``cells`` are those of the head."""

    encoding: str
    separator: str
    decimal: str
    has_header: bool
    cells: list

    def notes(self):
        """Say what is not as usual."""
        notes = []
        if self.separator != ",":
            notes.append(f"columns are parted by a {SEPARATORS[self.separator]}")
        if self.decimal == ",":
            notes.append("numbers have decimal commas")
        if self.encoding in {"cp1252", "utf-16"}:
            notes.append(f"text is read as {self.encoding}")
        if not self.has_header:
            notes.append("there is no header: columns are called x0, x1, ...")
        elif _as_numbers(self.cells[0]) is not None:
            names = listed(filter(None, map(str.strip, self.cells[0])))
            notes.append(f"the first row is taken for names, not for numbers: {names}")
        return notes


def form_of(source, head, encoding):
    """Find out how a text file is written."""
    text = codecs.getincrementaldecoder(encoding)().decode(head)
    if not text.strip():
        raise ValueError(f"{source} is empty")
    if JSON.match(text):
        raise ValueError(f"{source} looks like JSON, which is not read; write CSV")
    records = _records(text, is_whole=len(head) < HEAD)
    separator = _separator(records)
    cells = [*csv.reader(records, delimiter=separator, skipinitialspace=True)]
    decimal = _decimal(cells, separator)
    return Form(encoding, separator, decimal, _has_header(cells), cells)


def _records(text, *, is_whole):
    """Lines of a head, less the last where it may be cut."""
    lines = io.StringIO(text, newline=None).readlines()
    lines = lines if is_whole or len(lines) < 2 else lines[:-1]
    return [line for line in lines[:1000] if line.strip()]


def _separator(records):
    """Choose the mark that parts most lines into equally many cells.

    The first line has as many; or one less, where it has no name for row labels, or
    where only rows end with a mark.
    """

    def agreement(mark):
        rows = csv.reader(records, delimiter=mark, skipinitialspace=True)
        widths = [len(row) for row in rows]
        width, count = Counter(widths).most_common(1)[0]
        fits = 1 < widths[0] and widths[0] in {width, width - 1}
        return fits, count / len(widths) if width > 1 else 0.0

    shares = {mark: agreement(mark) for mark in SEPARATORS}
    agreed = [mark for mark, (fits, share) in shares.items() if fits and share > AGREED]
    best = agreed[0] if agreed else max(shares, key=lambda mark: shares[mark])
    return best if shares[best][1] > 0 else ","


def _decimal(cells, separator):
    """Decide between 1.5 and 1,5 by what most numbers look like.

    1.500 may be written either way, and says little; so may 1,500, but where commas
    part the columns, too, it is of thousands.
    """
    votes = {",": 0.0, ".": 0.0}
    for cell in itertools.chain(*cells[1:]):
        bare = cell.strip(" \t%")
        if FRACTION.fullmatch(bare):
            mark = "," if bare.rfind(",") > bare.rfind(".") else "."
            unsure = UNSURE if mark != separator else 0.0
            votes[mark] += unsure if EITHER.fullmatch(bare) else 1.0
    return "," if votes[","] > votes["."] else "."


def ends_with_separator(cells):
    """Whether all rows but the header end with an empty cell too many."""
    header, *rows = cells
    return all(len(row) == len(header) + 1 and not row[-1] for row in rows)


def _has_header(cells):
    """Whether the first row names the columns.

    It does unless it is all numbers, some of them missing, as the rows are; numbers
    that only rise, such as wavelengths, are names even so, where those of the next row
    do not. So are numbers after an empty cell, or a word for a missing one, as pandas
    writes its own.
    """
    first = _as_numbers(cells[0])
    if first is None or cells[0][0].strip() in LACKING:
        return True
    second = _as_numbers(cells[1]) if len(cells) > 1 else None
    if second is None or len(first) < FEWEST_RISING:
        return second is None and len(cells) > 1

    def rises(numbers):
        return bool((np.diff(numbers[~np.isnan(numbers)]) > 0).all())

    return rises(first) and not rises(second)


def _as_numbers(cells):
    """Numbers of a row, NaN where one is missing; None where it has another word."""
    if all(cell.strip() in LACKING for cell in cells):
        return None
    try:
        return np.array(
            [
                np.nan if cell.strip() in LACKING else float(cell.replace(",", "."))
                for cell in cells
            ]
        )
    except ValueError:
        return None
