"""Forms: how a text file is written, told by its head."""

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

__all__ = ["HEAD", "MISSING", "Form", "ends_with_separator", "form_of"]

# Bytes of a text file by which its form is told.
HEAD = 2**18

# In this order: cells may hold decimal commas, or sentences with commas.
SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma"}

# Words for a missing value, besides those that pandas knows.
MISSING = ["?", "-", "--", "missing", "Missing", "unknown", "Unknown"]

# Numbers that have to rise if they are to be names: a few rise by chance.
FEWEST_RISING = 8

# How JSON begins; a name of a column may have brackets.
JSON = re.compile(r'\s*(\{\s*"|\[\s*[\[{"])')

FRACTION = re.compile(r"[-+]?\d+([.,])\d+(?:[eE][-+]?\d+)?")


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
    """Choose the mark that parts most lines into equally many cells."""

    def agreement(mark):
        widths = Counter(map(len, csv.reader(records, delimiter=mark)))
        width, count = widths.most_common(1)[0]
        return count / widths.total() if width > 1 else 0.0

    shares = {mark: agreement(mark) for mark in SEPARATORS}
    agreed = [mark for mark, share in shares.items() if share > 0.9]
    if agreed:
        return agreed[0]
    best = max(shares, key=lambda mark: shares[mark])
    return best if shares[best] > 0 else ","


def _decimal(cells, separator):
    """Decide between 1.5 and 1,5 by what most numbers look like."""
    if separator == ",":
        return "."
    flat = [cell.strip() for row in cells[1:] for cell in row]
    marks = [found[1] for cell in flat if (found := FRACTION.fullmatch(cell))]
    return "," if marks.count(",") > marks.count(".") else "."


def ends_with_separator(cells):
    """Whether all rows but the header end with an empty cell too many."""
    header, *rows = cells
    return all(len(row) == len(header) + 1 and not row[-1] for row in rows)


def _has_header(cells):
    """Whether the first row names the columns.

    It does unless it is all numbers, as the rows are; numbers that only rise, such as
    wavelengths, are names even so, where those of the next row do not.
    """
    first = _as_numbers(cells[0])
    if first is None:
        return True
    second = _as_numbers(cells[1]) if len(cells) > 1 else None
    if second is None or len(first) < FEWEST_RISING:
        return second is None and len(cells) > 1

    def rises(numbers):
        return bool((np.diff(numbers) > 0).all())

    return rises(first) and not rises(second)


def _as_numbers(cells):
    try:
        return np.array([float(cell.replace(",", ".")) for cell in cells])
    except ValueError:
        return None
