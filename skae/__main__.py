"""``skae`` and ``python -m skae``: the command line, from its first moment on."""

import os
import signal
import sys

__all__ = ["main"]


def main():
    """Run the command line; Ctrl-C ends it while torch is still being imported, too.

    Returns
    -------
    int
        Exit code, as of :func:`skae.cli.main`.
    """
    before = signal.signal(signal.SIGINT, _leave)
    from .cli import main as run

    signal.signal(signal.SIGINT, before)
    return run()


def _leave(number, frame):
    """End at once: nothing was begun that would have to be ended."""
    os.write(2, b"skae: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
