"""Texts: a text file as a data frame, with whatever had to be guessed of it."""

import codecs
import contextlib
import csv
import io
import itertools
import re
import warnings
from collections import Counter

from .forms import GROUPING, HEAD, MISSING, NUMERAL, ends_with_separator, form_of
from .kinds import MOSTLY, has_codes, numbers_of, texts_of
from .saying import counted, listed, quoted

__all__ = ["distinct", "read_text"]

# Cells of a column, drawn at random, by which it is told whether it holds numbers.
DRAWN = 1000

# What the marks in numbers are called.
MARKS = {",": "commas", ".": "points"}

# Letters of a text file that are searched for codes at a time.
BLOCK = 2**20


def read_text(source, kinds=None):
    """Read a text file, whatever its encoding, separator and decimal mark.

    Parameters
    ----------
    source : Source

    kinds : dict of str to str, default=None
        As of :func:`~skae.cli.reading.read_table`.

    Returns
    -------
    frame : pandas.DataFrame

    notes : list of str
        What had to be guessed or mended.
    """
    with source.taken_as("text"), source.open() as file:
        head = file.read(HEAD)
    for encoding in _encodings(source, head):
        with contextlib.suppress(UnicodeDecodeError):
            return _parse(source, head, encoding, kinds)
    raise ValueError(f"{source} is text of an unknown encoding; write it as UTF-8")


def _encodings(source, head):
    """Choose the encodings to try, in turn."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if re.search(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]", head):
        raise ValueError(f"{source} is neither text nor a Parquet, NPY or NPZ file")
    return ["utf-8-sig", "cp1252"]


def _parse(source, head, encoding, kinds):
    """Read a text file of a given encoding, in the form its head has."""
    import pandas as pd

    with _parser_errors(source):
        form = form_of(source, head, encoding)
        frame = _read_frame(source, form, kinds)
    notes = form.notes()
    if not isinstance(frame.index, pd.RangeIndex):
        notes.insert(0, "the first column has no name, and is taken for row labels")
    frame.columns = _names(frame.columns, form)
    if form.has_header:
        notes += _notes_on_names(form.cells[0], frame)
    notes += _notes_on_decimals(frame, form.decimal)
    grouped = _mend_numerals(frame, form.decimal, kinds or {})
    if grouped:
        mark = MARKS[GROUPING[form.decimal]]
        notes.append(f"thousands are parted by {mark}: {listed(map(quoted, grouped))}")
    is_empty = frame.isna().all(axis=1)
    if is_empty.any():
        count = counted(int(is_empty.sum()), "row")
        done = "left out" if kinds is None else "kept"
        notes.append(f"{done}, without any value: {count}")
    return frame if kinds is not None else frame[~is_empty], notes


def _read_frame(source, form, kinds):
    """Read a text file with pandas; codes and categories as they are written.

    Left to itself, pandas takes 01 for 1 and true for True in a column of nothing else.
    """
    import pandas as pd

    def read(as_written=(), **more):
        with source.open() as file:
            return pd.read_csv(
                file,
                sep=form.separator,
                decimal=form.decimal,
                encoding=form.encoding,
                header=0 if form.has_header else None,
                index_col=False if ends_with_separator(form.cells) else None,
                na_values=MISSING,
                skipinitialspace=True,
                dtype=dict.fromkeys(as_written, str),
                low_memory=False,
                **more,
            )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        if kinds is not None:
            columns = read(nrows=0).columns
            named = zip(columns, _names(columns, form), strict=True)
            return read(at for at, name in named if kinds.get(name) == "category")
        frame = read()
        if _holds_codes(source, form):
            whole = [at for at in frame if _are_whole(frame[at])]
            written = read(whole)
            codes = [at for at in whole if has_codes(written[at])]
            frame[codes] = written[codes]
        return frame


def _holds_codes(source, form):
    """Whether a cell of a text file is a code, of whatever column."""
    ends = rf'{re.escape(form.separator)}"\s'
    # It begins with what is rare and easily found: the two digits.
    code = re.compile(rf"0\d(?<![^{ends}]0.)\d*(?![^{ends}])")
    with source.open() as file, io.TextIOWrapper(file, form.encoding) as text:
        while block := text.read(BLOCK):
            if code.search(block + text.readline()):
                return True
    return False


def _are_whole(column):
    """Whether a column holds numbers, none of which has a fraction."""
    return not _is_text(column) and not (numbers_of(column) % 1 > 0).any()


def _is_text(column):
    import pandas as pd

    return pd.api.types.infer_dtype(column, skipna=True) == "string"


def _names(columns, form):
    """Name the columns that pandas has read."""
    if form.has_header:
        return distinct(columns)
    return [f"x{j}" for j in range(len(columns))]


def _notes_on_decimals(frame, decimal):
    """Say which columns are numbers but for a decimal mark that is not the file's."""

    def share(texts, mark):
        return texts.str.fullmatch(NUMERAL[mark].pattern).mean()

    other = GROUPING[decimal]
    texts = {name: _drawn(frame[name]) for name in frame if _is_text(frame[name])}
    names = [
        name
        for name, some in texts.items()
        if share(some, other) >= MOSTLY > share(some, decimal)
    ]
    if not names:
        return []
    return [
        f"numbers with decimal {MARKS[other]}, in a file with decimal "
        f"{MARKS[decimal]}, are left as text: {listed(map(quoted, names))}"
    ]


def _drawn(column):
    """Draw some texts of a column at random."""
    some = column.dropna()
    return texts_of(some.sample(min(DRAWN, len(some)), random_state=0))


def _mend_numerals(frame, decimal, kinds):
    """Write numbers as Python does in columns that pandas left as text.

    It leaves those with marks between thousands, or with a cell that is no number. A
    column is numbers if most of its cells are, or if it was to a model.

    Returns
    -------
    list of str
        Columns that had marks between thousands.
    """
    grouped, group = [], GROUPING[decimal]
    for name in frame.columns:
        kind = kinds.get(name)
        if not _is_text(frame[name]) or kind not in {None, "number"}:
            continue
        numeral = NUMERAL[decimal].pattern
        least = MOSTLY if kind is None else 0.0
        if kind is None and not _drawn(frame[name]).str.fullmatch(numeral).any():
            continue
        texts = texts_of(frame[name])
        if kind is None and has_codes(texts):
            continue
        is_number = texts.str.fullmatch(numeral, na=False)
        n_marks = texts[is_number].str.count(re.escape(group))
        is_version = n_marks.min() == n_marks.max() > 1  # or an address
        if is_version or is_number.sum() < least * texts.notna().sum():
            continue
        if (n_marks > 0).any():
            grouped.append(name)
        plain = texts.str.replace(group, "", regex=False)
        plain = plain.str.replace(decimal, ".", regex=False)
        frame[name] = texts.where(~is_number, plain)
    return grouped


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
