"""Reading: a file of any usual kind, or a bundled data set, as a data frame.

What a file holds is told by its first bytes, not by its name. Whatever is guessed of a
text file (its encoding, separator, decimal mark, header) is said in a note.
"""

import bz2
import codecs
import contextlib
import csv
import gzip
import io
import itertools
import lzma
import math
import re
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn import datasets

from .saying import closest

__all__ = ["BUNDLED", "Table", "read_table"]

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")

# Bytes of a text file by which its form is told.
HEAD = 2**18

# In this order: cells may hold decimal commas, or sentences with commas.
SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma"}

# Words for a missing value, besides those that pandas knows.
MISSING = ["?", "-", "--", "missing", "Missing", "unknown", "Unknown"]

PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}

# Numbers that have to rise if they are to be names: a few rise by chance.
FEWEST_RISING = 8

# How JSON begins; a name of a column may have brackets.
JSON = re.compile(r'\s*(\{\s*"|\[\s*[\[{"])')

FRACTION = re.compile(r"[-+]?\d+([.,])\d+(?:[eE][-+]?\d+)?")

# Numbers that a sparse matrix may have when it is written out.
DENSE_LIMIT = 2**28

# Names of an archive that are listed.
MOST_NAMES = 10

# Names that rows, and what they are labelled with, go by in an archive of arrays.
ROWS = ("X", "x", "data", "X_train", "x_train", "arr_0")
LABELS = ("y", "target", "labels", "label", "y_train")


@dataclass
class Table:
    """Columns with names, and what is known about them.

    Attributes
    ----------
    name : str
        What the table is called.

    frame : pandas.DataFrame
        The columns; their names are strings, and all different.

    target : str or None
        The column that is to be predicted, where the source says so.

    has_one_unit : bool
        Whether all columns are measured alike, as pixels are.

    image_shape : tuple of int or None
        (height, width) or (height, width, channels), where a row is an image.

    notes : list of str
        What had to be guessed or mended in reading.
    """

    name: str
    frame: object
    target: str | None = None
    has_one_unit: bool = False
    image_shape: tuple | None = None
    notes: list = field(default_factory=list)


def read_table(source):
    """Read a file, or one of scikit-learn's bundled data sets.

    Parameters
    ----------
    source : str
        Path of a CSV, TSV, Parquet, NPY or NPZ file, or a name in ``BUNDLED``.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        If there is neither a file nor a bundled set of this name.

    ValueError
        If the file does not hold a table.

    Examples
    --------
    >>> from skae.cli.reading import read_table
    >>> iris = read_table("iris")
    >>> iris.frame.shape, iris.target
    ((150, 5), 'species')
    """
    path = Path(source)
    if not path.exists():
        if source in BUNDLED:
            return _bundled(source)
        raise FileNotFoundError(f"there is no file {source!r}; {_hint(source)}")
    if path.is_dir():
        raise IsADirectoryError(f"{source!r} is a folder; DATA is one file")
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ValueError(f"{source!r} is empty")
    table = _reader(start)(path)
    table.frame.columns = _distinct(table.frame.columns)
    table.frame = table.frame.reset_index(drop=True)
    if not len(table.frame):
        raise ValueError(f"{source!r} has columns, but no rows")
    return table


def _hint(source):
    """Say what might have been meant where there is no such file."""
    if "://" in source:
        return "download it first"
    path = Path(source)
    around = [*path.parent.iterdir()] if path.parent.is_dir() else []
    names = [str(found) for found in around if found.is_file()]
    if close := closest(source, [*names, *BUNDLED]):
        return f"did you mean {close!r}?"
    return (
        "DATA is the path of a CSV, TSV, Parquet, NPY or NPZ file, or one of "
        + ", ".join(BUNDLED)
    )


def _reader(start):
    """Choose how to read a file by its first bytes."""
    if start.startswith(b"PAR1"):
        return _parquet
    if start.startswith(b"\x93NUMPY"):
        return _npy
    if start.startswith(b"PK\x03\x04"):
        return _npz
    return _text


# ------------------------------------------------------------------- bundled data


def _bundled(name):
    """Load one of scikit-learn's own data sets, its classes by their names."""
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    if name == "linnerud":
        return Table(name, bunch.data.join(bunch.target), target="Weight")
    frame, target = bunch.frame, "target"
    if name in {"iris", "wine", "breast_cancer"}:
        classes = np.asarray(bunch.target_names)[frame["target"]]
        target = {"iris": "species", "wine": "cultivar"}.get(name, "diagnosis")
        frame = frame.drop(columns="target").assign(**{target: classes})
    elif name == "digits":
        frame, target = frame.rename(columns={"target": "digit"}), "digit"
    if name != "digits":
        return Table(name, frame, target)
    return Table(name, frame, target, has_one_unit=True, image_shape=(8, 8))


# ------------------------------------------------------------------------- arrays


def _npy(path):
    with _said_of(path, "an array of numbers"):
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    return _from_array(path, np.asarray(array))


def _npz(path):
    with _said_of(path, "an archive of arrays"):
        with np.load(path, allow_pickle=False) as file:
            names = file.files
            rows = next((name for name in ROWS if name in names), None)
            label = next((name for name in LABELS if name in names), None)
            is_sparse = {"format", "indices", "shape"} <= set(names)
            if rows is None and len(names) == 1:
                rows = names[0]
            array = None if rows is None or is_sparse else file[rows]
            labels = None if label is None else file[label]
        if is_sparse:
            array = _dense(sp.load_npz(path))
    if array is None:
        raise ValueError(
            f"{str(path)!r} holds {_listed(names)}; the rows of an NPZ "
            f"file are called {ROWS[0]!r}, and their labels {LABELS[0]!r}"
        )
    table = _from_array(path, array)
    if labels is not None and labels.shape == (len(table.frame),):
        table.frame[label] = labels
        table.target = label
    return table


def _listed(names):
    """List a few names."""
    more = ", ..." if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more if names else "nothing"


def _dense(matrix):
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)  # SciPy trusts the indices of a file
    if np.prod(matrix.shape) > DENSE_LIMIT:
        raise ValueError(f"its {matrix.shape} numbers do not fit as a dense table")
    return matrix.toarray()


def _from_array(path, array):
    """Take the first axis as rows, and whatever is left as columns."""
    import pandas as pd

    if array.dtype.kind not in "biuf":
        raise ValueError(f"{str(path)!r} holds {array.dtype}, not numbers")
    if array.ndim == 0:
        raise ValueError(f"{str(path)!r} holds a single number, not a table")
    notes, shape = [], array.shape[1:]
    if array.ndim > 2:
        side = " x ".join(map(str, shape))
        notes.append(f"each row is {side} numbers, which are taken as columns")
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
    array = array.reshape(len(array), math.prod(shape))
    names = [f"x{j}" for j in range(array.shape[1])]
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    frame = pd.DataFrame(array, columns=names)
    return Table(
        path.name,
        frame,
        has_one_unit=array.dtype == np.uint8,
        image_shape=shape if is_image else None,
        notes=notes,
    )


def _parquet(path):
    import pandas as pd

    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ImportError(
            'reading Parquet needs pyarrow: pip install "skae[cli]"'
        ) from None
    with _said_of(path, "a Parquet file"):
        return Table(path.name, pd.read_parquet(path).reset_index(drop=True))


@contextlib.contextmanager
def _said_of(path, kind):
    """Say of a file that it is not what it began as."""
    try:
        yield
    except Exception as error:  # whatever a reader says of a file that is damaged
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{str(path)!r} cannot be read as {kind}: {first}") from error


# --------------------------------------------------------------------------- text


def _text(path):
    """Read a text file, whatever its encoding, separator and decimal mark."""
    opener = _opener(path)
    with _said_of(path, "text"), opener(path, "rb") as file:
        head = file.read(HEAD)
    for encoding in _encodings(path, head):
        with contextlib.suppress(UnicodeDecodeError):
            return _parse(path, opener, head, encoding)
    raise ValueError(f"{str(path)!r} is text of an unknown encoding; write it as UTF-8")


def _opener(path):
    with path.open("rb") as file:
        start = file.read(8)
    return next((PACKED[mark] for mark in PACKED if start.startswith(mark)), open)


def _encodings(path, head):
    """Choose the encodings to try, in turn."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if re.search(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]", head):
        raise ValueError(
            f"{str(path)!r} is neither text nor a Parquet, NPY or NPZ file"
        )
    return ["utf-8-sig", "cp1252"]


def _parse(path, opener, head, encoding):
    """Read a text file of a given encoding with pandas, in the form its head has."""
    import pandas as pd

    with _parser_errors(path):
        form = _form_of(path, head, encoding)
    with (
        opener(path, "rb") as file,
        _parser_errors(path),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        frame = pd.read_csv(
            file,
            sep=form.separator,
            decimal=form.decimal,
            encoding=encoding,
            header=0 if form.has_header else None,
            index_col=False if _ends_with_separator(form.cells) else None,
            na_values=MISSING,
            skipinitialspace=True,
            low_memory=False,
        )
    notes = form.notes()
    if not isinstance(frame.index, pd.RangeIndex):
        notes.insert(0, "the first column has no name, and is taken for row labels")
    if form.has_header:
        frame.columns = _distinct(frame.columns)
        notes += _notes_on_names(form.cells[0], frame)
    else:
        frame.columns = [f"x{j}" for j in range(frame.shape[1])]
    is_empty = frame.isna().all(axis=1)
    if is_empty.any():
        notes.append(f"{is_empty.sum():,} rows are empty, and left out")
    return Table(path.name, frame[~is_empty], notes=notes)


@dataclass
class _Form:
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


def _form_of(path, head, encoding):
    """Find out how a text file is written."""
    text = codecs.getincrementaldecoder(encoding)().decode(head)
    if not text.strip():
        raise ValueError(f"{str(path)!r} is empty")
    if JSON.match(text):
        raise ValueError(f"{str(path)!r} looks like JSON, which is not read; write CSV")
    records = _records(text, is_whole=len(head) < HEAD)
    separator = _separator(records)
    cells = [*csv.reader(records, delimiter=separator, skipinitialspace=True)]
    decimal = _decimal(cells, separator)
    return _Form(encoding, separator, decimal, _has_header(cells), cells)


@contextlib.contextmanager
def _parser_errors(path):
    """Say in one line what pandas says of a text that is no table."""
    import pandas as pd

    try:
        yield
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        reason = str(error).strip().replace("\n", " ")
        reason = reason.removeprefix("Error tokenizing data. C error: ")
        raise ValueError(f"{str(path)!r} is not a table: {reason}") from error


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


def _ends_with_separator(cells):
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


def _distinct(names):
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
