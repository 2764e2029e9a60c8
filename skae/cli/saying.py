"""Saying: what the user is told beside the results, on standard error."""

import difflib
import importlib
import sys

__all__ = [
    "UsageError",
    "check_output",
    "closest",
    "counted",
    "listed",
    "percent",
    "quoted",
    "required",
    "say",
    "shape_of",
]


# Names that one line tells.
MOST_LISTED = 8


class UsageError(ValueError):
    """The command line asks for what there is not."""


def say(line):
    """Tell the user something, beside the results; never among them."""
    if sys.stderr is not None:  # as where it was closed
        print(line, file=sys.stderr, flush=True)


def required(package, what, extra="cli"):
    """Import what not everybody has installed, or say how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        name = package.partition(".")[0]
        message = f'{what} {name}: pip install "skae[{extra}]"'
        raise ImportError(message) from None


def check_output():
    """See, before any work is done, that results can be printed."""
    if sys.stdout is None:
        raise UsageError(
            "standard output, where the results go, is closed; send it to a file, or "
            "to /dev/null"
        )


def shape_of(frame):
    """Say how large a data frame is."""
    n_rows, n_columns = frame.shape
    return f"{counted(n_rows, 'row')}, {counted(n_columns, 'column')}"


def counted(number, noun):
    """Say a number of things."""
    plural = noun.removesuffix("y") + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"


def closest(name, names):
    """Find the name that was meant, in spite of a slip or of capitals; else None."""
    folded = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else None


def quoted(name):
    """Write a name, in quotes where a list would part it at its comma."""
    return repr(name) if "," in name else name


def listed(names):
    """List names, the first of many.

    Examples
    --------
    >>> from skae.cli.saying import listed, quoted
    >>> listed(map(quoted, ["age", "income, monthly"]))
    "age, 'income, monthly'"
    """
    names = list(names)
    rest = len(names) - MOST_LISTED
    more = f" and {rest:,} more" if rest > 0 else ""
    return ", ".join(names[:MOST_LISTED]) + more


def percent(share):
    """Write a share with the decimals that tell it from all, at least one.

    Examples
    --------
    >>> from skae.cli.saying import percent
    >>> percent(0.957), percent(0.99986), percent(1.0)
    ('95.7%', '99.99%', '100.0%')
    """
    few = (f"{share:.{decimals}%}" for decimals in (1, 2, 3))
    return next((text for text in few if float(text[:-1]) < 100), f"{share:.1%}")
