"""Writing: a data frame to a file of the kind that its name says."""

import os
import sys
from pathlib import Path

import numpy as np

from .saving import replacing
from .saying import UsageError, check_output, required, say, shape_of

__all__ = [
    "check_apart",
    "check_ending",
    "check_writable",
    "check_writer",
    "write_table",
]

WRITERS = [".csv", ".tsv", ".parquet", ".npy"]


def check_writer(out, *read):
    """See, before any work is done, that a table can be written there."""
    if out is None:
        check_output()
        return
    check_ending(out, WRITERS)
    if Path(out).suffix.lower() == ".parquet":
        required("pyarrow", "writing Parquet needs")
    check_apart(out, *read)


def check_ending(out, endings):
    """See, before any work is done, that a file of some kind can be made there."""
    check_folder(out)
    if Path(out).suffix.lower() not in endings:
        *others, last = endings
        listed = f"{', '.join(others)} or {last}" if others else last
        raise UsageError(f"argument --out: {out!r} has to end in {listed}")


def check_apart(out, *read):
    """See that no file that is read would be replaced."""
    path = Path(out)
    for source in map(Path, read):
        if path.exists() and source.exists() and path.samefile(source):
            raise UsageError(
                f"argument --out: {out!r} is read, and would be lost; name another file"
            )


def check_folder(out):
    """See, before any work is done, that a file can be made there."""
    path = Path(out)
    if not path.parent.is_dir():
        raise UsageError(f"argument --out: there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise UsageError(f"argument --out: {out!r} is a folder; name a file")
    check_writable(path.parent)


def check_writable(folder):
    """See, before any work is done, that files can be made in a folder."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"argument --out: there is no permission to write in {str(folder)!r}"
        )


def write_table(frame, out):
    """Write a data frame as the end of the path says, or as CSV to standard output."""
    if out is None:
        frame.to_csv(sys.stdout, index=False)
        return
    with replacing(out) as path:
        match Path(out).suffix.lower():
            case ".parquet":
                frame.to_parquet(path, index=False)
            case ".npy":
                with path.open("wb") as file:
                    np.save(file, _plain(frame, out), allow_pickle=False)
            case suffix:
                separator = "\t" if suffix == ".tsv" else ","
                frame.to_csv(path, index=False, sep=separator)
    say(f"{shape_of(frame)} written to {out}")


def _plain(frame, out):
    """Take a data frame as an array of numbers."""
    array = frame.to_numpy()
    if array.dtype.kind not in "biuf":
        raise UsageError(
            f"argument --out: {out!r} holds numbers only, and these rows hold text or "
            "dates too; use .csv or .parquet"
        )
    return array
