"""Texts: a text file as a data frame, with whatever had to be guessed of it."""

import codecs
import contextlib
import csv
import itertools
import re
import warnings
from collections import Counter

from .forms import HEAD, MISSING, ends_with_separator, form_of

__all__ = ["distinct", "read_text"]


def read_text(source):
    """Read a text file, whatever its encoding, separator and decimal mark."""
    with source.taken_as("text"), source.open() as file:
        head = file.read(HEAD)
    for encoding in _encodings(source, head):
        with contextlib.suppress(UnicodeDecodeError):
            return _parse(source, head, encoding)
    raise ValueError(f"{source} is text of an unknown encoding; write it as UTF-8")


def _encodings(source, head):
    """Choose the encodings to try, in turn."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if re.search(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]", head):
        raise ValueError(f"{source} is neither text nor a Parquet, NPY or NPZ file")
    return ["utf-8-sig", "cp1252"]


def _parse(source, head, encoding):
    """Read a text file of a given encoding with pandas, in the form its head has."""
    import pandas as pd

    with _parser_errors(source):
        form = form_of(source, head, encoding)
    with (
        source.open() as file,
        _parser_errors(source),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        frame = pd.read_csv(
            file,
            sep=form.separator,
            decimal=form.decimal,
            encoding=encoding,
            header=0 if form.has_header else None,
            index_col=False if ends_with_separator(form.cells) else None,
            na_values=MISSING,
            skipinitialspace=True,
            low_memory=False,
        )
    notes = form.notes()
    if not isinstance(frame.index, pd.RangeIndex):
        notes.insert(0, "the first column has no name, and is taken for row labels")
    if form.has_header:
        frame.columns = distinct(frame.columns)
        notes += _notes_on_names(form.cells[0], frame)
    else:
        frame.columns = [f"x{j}" for j in range(frame.shape[1])]
    is_empty = frame.isna().all(axis=1)
    if is_empty.any():
        notes.append(f"{is_empty.sum():,} rows are empty, and left out")
    return frame[~is_empty], notes


@contextlib.contextmanager
def _parser_errors(source):
    """Say in one line what pandas says of a text that is no table."""
    import pandas as pd

    try:
        yield
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        reason = str(error).strip().replace("\n", " ")
        reason = reason.removeprefix("Error tokenizing data. C error: ")
        raise ValueError(f"{source} is not a table: {reason}") from error


def distinct(names):
    """Names without blanks around them, a number after those that occur before."""
    distinct: dict = {}
    for name in names:
        bare = str(name).strip()
        numbered = (f"{bare}.{number}" for number in itertools.count(1))
        found = itertools.chain([bare], numbered)
        distinct[next(each for each in found if each not in distinct)] = name
    return [*distinct]


def _notes_on_names(header, frame):
    """Say of names that occur twice what their columns are called."""
    counts = Counter(name.strip() for name in header if name.strip())
    twice = [name for name, count in counts.items() if count > 1]
    return [
        f"{counts[name]} columns are called {name!r}: they are now "
        + ", ".join(
            repr(str(found))
            for found in frame.columns
            if re.fullmatch(re.escape(name) + r"(\.\d+)?", str(found).strip())
        )
        for name in twice
    ]
