"""Reading: a file of any usual kind, or a bundled data set, as a data frame.

What a file holds is told by its first bytes, not by its name. Whatever is guessed of a
text file (its encoding, separator, decimal mark, header) is said in a note.
"""

import functools
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn import datasets

from .saying import closest, listed, required
from .sources import at_rest
from .texts import distinct, read_text

__all__ = ["Table", "read_table"]

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")

# Numbers that a sparse matrix may have when it is written out.
DENSE_LIMIT = 2**28

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


def read_table(source, kinds=None):
    """Read a file, or one of scikit-learn's bundled data sets.

    Parameters
    ----------
    source : str
        Path of a CSV, TSV, Parquet, NPY or NPZ file, or a name in ``BUNDLED``.

    kinds : dict of str to str, default=None
        What columns were to a model: ``"number"``, ``"date"`` or ``"category"``. The
        cells of a text file are then read as theirs, whatever is beside them, and its
        empty rows kept, so that codes line up with the rows.

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
    with at_rest(source) as file:
        start = file.start()
        if not start:
            raise ValueError(f"{file} is empty")
        table = _reader(start, kinds)(file)
    table.frame.columns = distinct(table.frame.columns)
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


def _reader(start, kinds):
    """Choose how to read a file by its first bytes."""
    if start.startswith(b"PAR1"):
        return _parquet
    if start.startswith(b"\x93NUMPY"):
        return _npy
    if start.startswith(b"PK\x03\x04"):
        return _npz
    return functools.partial(_text, kinds=kinds)


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


def _npy(source):
    with source.taken_as("an array of numbers"):
        array = np.load(source.path, allow_pickle=False, mmap_mode="r")
    return _from_array(source, np.asarray(array))


def _npz(source):
    with source.taken_as("an archive of arrays"):
        with np.load(source.path, allow_pickle=False) as file:
            _check_archive(file.zip.namelist())
            names = file.files
            rows = next((name for name in ROWS if name in names), None)
            label = next((name for name in LABELS if name in names), None)
            is_sparse = {"format", "shape", "data"} <= set(names)
            if rows is None and len(names) == 1:
                rows = names[0]
            array = None if rows is None or is_sparse else _member(file, rows)
            labels = None if label is None else _member(file, label)
        if is_sparse:
            array = _dense(sp.load_npz(source.path))
    if array is None:
        raise ValueError(
            f"{source} holds {listed(names) or 'nothing'}; the rows of an NPZ "
            f"file are called {ROWS[0]!r}, and their labels {LABELS[0]!r}"
        )
    table = _from_array(source, array)
    if labels is not None and label != rows:
        table.frame[label] = _column(source, label, labels, len(table.frame))
        table.target = label
    others = [name for name in names if name not in {rows, label}]
    if others and not is_sparse:
        table.notes.append(
            f"left out, neither the rows ({rows}) nor their labels "
            f"({label or LABELS[0]}): {listed(others)}"
        )
    return table


def _member(file, name):
    """Take an array out of an archive, if it can be had without running its code."""
    try:
        return file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ValueError(
            f"{name!r} holds Python objects, which are not opened; keep numbers, or "
            "text (astype(str))"
        ) from error


def _check_archive(members):
    """See that an archive is one of arrays."""
    if "schema.json" in members:
        raise ValueError("it is a model, as 'skae fit' writes it; DATA is a table")
    if members and not any(name.endswith(".npy") for name in members):
        raise ValueError(
            "it holds no arrays; unpack it first, or save a sheet of it as CSV"
        )


def _column(source, name, labels, n_rows):
    """Take labels as a column, one for each row."""
    if labels.shape not in {(n_rows,), (n_rows, 1)}:
        raise ValueError(
            f"{source}: labels {name!r} have shape {labels.shape}, but there are "
            f"{n_rows:,} rows; give each row one label"
        )
    return labels.ravel()


def _dense(matrix):
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)  # SciPy trusts the indices of a file
    if math.prod(matrix.shape) > DENSE_LIMIT:
        raise ValueError(f"its {matrix.shape} numbers do not fit as a dense table")
    return matrix.toarray()


def _from_array(source, array):
    """Take the first axis as rows, and whatever is left as columns."""
    import pandas as pd

    if array.dtype.kind not in "biuf":
        raise ValueError(f"{source} holds {array.dtype}, not numbers")
    if array.ndim == 0:
        raise ValueError(f"{source} holds a single number, not a table")
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
        source.title,
        frame,
        has_one_unit=array.dtype == np.uint8,
        image_shape=shape if is_image else None,
        notes=notes,
    )


def _parquet(source):
    import pandas as pd

    required("pyarrow", "reading Parquet needs")
    with source.taken_as("a Parquet file"):
        return Table(source.title, pd.read_parquet(source.path))


def _text(source, kinds):
    frame, notes = read_text(source, kinds)
    return Table(source.title, frame, notes=notes)
