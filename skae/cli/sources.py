"""Sources: a file by the name that it was given, to be opened as often as it takes."""

import bz2
import contextlib
import gzip
import lzma
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["at_rest"]

PACKED: dict = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


@dataclass(frozen=True)
class Source:
    """A file; written as text it is its name, in quotes.

    Attributes
    ----------
    name : str
        What the user calls it.

    path : Path
        Where its bytes are.
    """

    name: str
    path: Path

    def __str__(self):
        return repr(self.name)

    @property
    def title(self):
        """What its table is called."""
        return Path(self.name).name

    def start(self):
        """Read the bytes by which its kind is told."""
        with self.path.open("rb") as file:
            return file.read(8)

    def open(self):
        """Open it, unpacked."""
        start = self.start()
        packed = (PACKED[mark] for mark in PACKED if start.startswith(mark))
        return next(packed, open)(self.path, "rb")

    @contextlib.contextmanager
    def taken_as(self, kind):
        """Say of it that it is not what it began as."""
        try:
            yield
        except Exception as error:  # whatever a reader says of a file that is damaged
            first = str(error).strip().partition("\n")[0]
            raise ValueError(f"{self} cannot be read as {kind}: {first}") from error


@contextlib.contextmanager
def at_rest(name):
    """Give a file that can be opened again; a pipe, which cannot, is copied to one."""
    path = Path(name)
    if path.is_file():
        yield Source(name, path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        with path.open("rb") as pipe, copy.open("wb") as file:
            shutil.copyfileobj(pipe, file)
        yield Source(name, copy)
