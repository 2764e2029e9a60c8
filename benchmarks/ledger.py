"""A CSV file that a benchmark goes on with where it was interrupted."""

import csv
import os


class Ledger:
    """Rows of results, each with a key of its own, all by the same options.

    Parameters
    ----------
    path : pathlib.Path or None
        Where the rows are, and new ones are added; None keeps no file. Rows of other
        options stay there, and are passed by.

    key, values : sequence of str
        Names of the columns.

    **options : object
        What the results depend on beside the key, each a column too. A file that says
        nothing of one, since it is older, is read as of those asked for; nothing can
        be added to it.
    """

    def __init__(self, path, key, values, **options):
        self.path, self.key = path, key
        self.options = {name: str(value) for name, value in options.items()}
        self.columns = [*key, *options, *values]
        self.header, rows = _read(path)
        self.rows = [row for row in rows if self._is_of_options(row)]
        self._done = {self._key_of(row) for row in self.rows}

    def _is_of_options(self, row):
        asked = self.options.items()
        return all(row.get(name, value) == value for name, value in asked)

    def _key_of(self, row):
        return tuple(str(row[name]) for name in self.key)

    def has(self, **key):
        """Whether there is a row of this key; if not, it can be added."""
        found = self._key_of(key) in self._done
        if not found:
            self._refuse_other_columns()
        return found

    def add(self, **row):
        """Write a row down, and show it."""
        row |= self.options
        if self.path is not None:
            self._write(row)
        self.rows.append({name: str(value) for name, value in row.items()})
        self._done.add(self._key_of(row))
        shown = (
            f"{value:.4g}" if isinstance(value, float) else value
            for value in (row[name] for name in self.columns)
        )
        print("  ".join(map(str, shown)), flush=True)

    def _refuse_other_columns(self):
        if self.header and self.header != self.columns:
            raise SystemExit(f"{self.path} has other columns; name another file.")

    def _write(self, row):
        self._refuse_other_columns()
        _take_off_cut_line(self.path)
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            if not self.header:
                writer.writeheader()
                self.header = self.columns
            writer.writerow(row)


def _read(path):
    """Columns and rows of a file; a last line that was cut short is passed by."""
    if path is None or not path.exists():
        return [], []
    with path.open(newline="") as file:
        lines = file.readlines()
    reader = csv.DictReader(line for line in lines if line.endswith("\n"))
    return list(reader.fieldnames or []), list(reader)


def _take_off_cut_line(path):
    """Make room for a row where a last line was cut short."""
    if path.exists():
        written = path.read_bytes()
        os.truncate(path, written.rfind(b"\n") + 1)
