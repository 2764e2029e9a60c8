"""The program: exit codes, one line for each error and warning, and Ctrl-C."""

import contextlib
import os
import signal
import sys
import threading
import warnings

from .arguments import make_parser
from .saying import UsageError, required, say

__all__ = ["main"]

DONE, BAD_DATA, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

# What the command line needs and the library does not.
EXTRA = ("pandas", "rich")


class Interrupted(BaseException):
    """Ctrl-C, as an exception that no fit takes for a wish to stop early."""


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, default=None
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit code: 0 if all went well, 1 if the data cannot be used, 2 if the arguments
        are wrong, 130 if the user interrupted.

    Examples
    --------
    >>> from skae.cli import main
    >>> main(["--version"])
    skae ...
    0
    """
    with _interruptible(), _one_line_warnings():
        return _run(sys.argv[1:] if argv is None else argv)


def _run(argv):
    """Run a command; say in one line what went wrong."""
    try:
        options = make_parser().parse_args(argv)
        options.arguments = argv
        for package in EXTRA:
            required(package, "the command line needs")
        options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return DONE
    except SystemExit as stop:
        return int(stop.code or 0)
    except (Interrupted, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (UsageError, FileNotFoundError, IsADirectoryError) as error:
        return _complain(error, BAD_USAGE)
    except MemoryError:
        return _complain("there is not enough memory for this table", BAD_DATA)
    except (ValueError, OSError, ImportError) as error:
        return _complain(error, BAD_DATA)
    except Exception as error:
        return _complain(f"{type(error).__name__}: {error}", BAD_DATA)


def _complain(message, code):
    if isinstance(message, OSError) and message.strerror:
        where = "" if message.filename is None else f": {message.filename!r}"
        message = message.strerror.lower() + where
    say(f"skae: {_one_line(message)}")
    return code


def _one_line(message):
    return " ".join(str(message).split())


@contextlib.contextmanager
def _interruptible():
    """Let Ctrl-C end the command, where a fit would keep its best weights and go on."""

    def interrupt(number, frame):
        raise Interrupted

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _one_line_warnings():
    """Say each warning once, in one line."""
    said = set()

    def show(message, category, *place, **more):
        line = _one_line(message)
        if line not in said:
            said.add(line)
            say(f"skae: note: {line}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
