"""A CSV file that a benchmark goes on with where it was interrupted."""

import csv


class Ledger:
    """Rows of results, each with a key of its own.

    Parameters
    ----------
    path : pathlib.Path
        Where the rows are, and new ones are added.

    key, values : sequence of str
        Names of the columns.
    """

    def __init__(self, path, key, values):
        self.path, self.key, self.columns = path, key, (*key, *values)
        self.rows = []
        if path.exists():
            with path.open(newline="") as file:
                self.rows = list(csv.DictReader(file))
        self._done = {self._key_of(row) for row in self.rows}

    def _key_of(self, row):
        return tuple(str(row[name]) for name in self.key)

    def has(self, **key):
        """Whether there is a row of this key."""
        return self._key_of(key) in self._done

    def add(self, **row):
        """Write a row down, and show it."""
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            if not self.rows:
                writer.writeheader()
            writer.writerow(row)
        self.rows.append({name: str(value) for name, value in row.items()})
        self._done.add(self._key_of(row))
        shown = (
            f"{value:.4g}" if isinstance(value, float) else value
            for value in (row[name] for name in self.columns)
        )
        print("  ".join(map(str, shown)), flush=True)
