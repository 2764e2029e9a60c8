"""Saying: what the user is told beside the results, on standard error."""

import sys

__all__ = ["UsageError", "listed", "say", "shape_of"]


class UsageError(ValueError):
    """The command line asks for what there is not."""


def say(line):
    """Tell the user something, beside the results."""
    print(line, file=sys.stderr, flush=True)


def shape_of(frame):
    """Say how large a data frame is."""
    n_rows, n_columns = frame.shape
    rows = "1 row" if n_rows == 1 else f"{n_rows:,} rows"
    columns = "1 column" if n_columns == 1 else f"{n_columns:,} columns"
    return f"{rows}, {columns}"


def listed(names, most=12):
    """List names, the first of many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
