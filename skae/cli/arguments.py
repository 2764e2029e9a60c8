"""Arguments: what each command takes, and what its help says."""

import argparse
import contextlib
import shutil
import textwrap

import skae

from .commands import fit, sample, transform
from .comparing import compare
from .preparing import LEAST_ROWS, METHODS, MODELS
from .saying import UsageError

__all__ = ["make_parser"]

BAD_USAGE = 2

# Rows that are enough to tell methods apart, in a minute or so.
MOST_COMPARED = 5_000

# What scikit-learn takes.
LARGEST_SEED = 2**32 - 1

# Letters of a line that is easily read.
WIDEST_HELP = 86

OVERVIEW = "Does an autoencoder beat PCA on your data, how small, and at what cost?"

EXAMPLES = """\
examples:
  skae compare digits
  skae compare customers.csv --target churned --n-components 2 8 --out report
  skae fit customers.csv --out model.skops --method vae --n-components 8
  skae transform model.skops more_customers.csv --out codes.csv
  skae sample model.skops -n 1000 --out invented.csv

'skae COMMAND --help' explains a command."""

DATA = """\
DATA is a CSV, TSV, Parquet, NPY or NPZ file, or one of scikit-learn's bundled sets:
breast_cancer, diabetes, digits, iris, linnerud, wine.

Columns are taken as they come: text and truth values are one-hot encoded, dates are
days since the first, missing numbers become the median; constant columns, identifiers
and free text are left out. What became of each is said."""

COMPARE = """\
Fit PCA, an autoencoder and a VAE, each of which reduces a row to a few numbers, its
code, at several sizes of the code, and judge them on rows they were not fitted to:
variance explained, log-likelihood, how well the codes predict a target, how well they
keep neighbours, and seconds.
"""

COMPARE_EXAMPLES = """\
examples:
  skae compare digits
  skae compare spectra.npy --n-components 2 4 8 --no-standardize
  skae compare customers.csv --target churned --drop email phone --out report

With --out, DIR holds results.csv (a row for each method and size), folds.csv (a row
for each fit), the pictures as PNG, and report.html, which needs no other file."""

FIT_EXAMPLES = """\
examples:
  skae fit customers.csv --out model.skops
  skae fit customers.csv --out model.skops --method vae --n-components 8 --drop email

The file is a scikit-learn Pipeline; skae.cli.load_pipeline opens it in Python."""

TRANSFORM_EXAMPLES = """\
examples:
  skae transform model.skops more_customers.csv --out codes.csv
  skae transform model.skops more_customers.csv | head
  unzip -p customers.zip | skae transform model.skops /dev/stdin"""

SAMPLE_EXAMPLES = """\
examples:
  skae sample model.skops -n 1000 --out invented.csv
  skae sample model.skops -n 5 --no-noise

Integers, dates and categories come back as such, within the range that was fitted.
A column that was constant is that constant; one of names or of free text, which was
left out of the fit, is left out here too."""


class _Help(argparse.HelpFormatter):
    """Help that fills the lines of a terminal, but leaves examples as they are."""

    def __init__(self, prog):
        room = shutil.get_terminal_size().columns - 2
        super().__init__(prog, max_help_position=28, width=min(room, WIDEST_HELP))
        # argparse forgets that commands are indented, and breaks the longest line.
        self._action_max_length = 13

    def _fill_text(self, text, width, indent):
        parts = text.split("\n\n")
        return "\n\n".join(
            part if "\n  " in part else textwrap.fill(part, width) for part in parts
        )


class _Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, formatter_class=_Help, **settings)

    def parse_known_args(self, args=None, namespace=None):
        """Leave nothing unknown: a command knows best what it does not take."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message):
        self.exit(BAD_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser():
    """Make the parser of all commands."""
    parser = _Parser(
        prog="skae", usage="skae COMMAND ...", description=OVERVIEW, epilog=EXAMPLES
    )
    parser.add_argument(
        "--version", action="version", version=f"skae {skae.__version__}"
    )
    parser.set_defaults(run=_ask_for_command)
    commands = parser.add_subparsers(title="commands", prog="skae", metavar="COMMAND")
    for add in (_add_compare, _add_fit, _add_transform, _add_sample):
        add(commands)
    return parser


def _ask_for_command(options):
    raise UsageError("name a command: compare, fit, transform or sample (see --help)")


def _add_compare(commands):
    parser = commands.add_parser(
        "compare",
        usage="skae compare DATA [options]",
        help="PCA against autoencoders, on rows they have not seen",
        description=f"{COMPARE}\n{DATA}",
        epilog=COMPARE_EXAMPLES,
    )
    parser.set_defaults(run=compare)
    _add_data(parser)
    _add_comparison(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the tables, pictures and report.html"
    )
    _add_training(parser)
    parser.add_argument(
        "--n-jobs",
        type=_whole_number(-1),
        metavar="N",
        help="fits at a time (default: 1; -1: as many as there are cores)",
    )


def _add_fit(commands):
    parser = commands.add_parser(
        "fit",
        usage="skae fit DATA --out FILE [options]",
        help="fit a model and save it",
        description=f"Fit a model to a table and save it.\n\n{DATA}",
        epilog=FIT_EXAMPLES,
    )
    parser.set_defaults(run=fit)
    _add_data(parser)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="where to save, a name that ends in .skops",
    )
    parser.add_argument(
        "--method",
        choices=MODELS,
        default=MODELS[0],
        help=f"default: {MODELS[0]}",
    )
    parser.add_argument(
        "--n-components",
        type=_code_size,
        metavar="N",
        help="size of the code: a number, the share of the variance that PCA is to "
        "explain with it, as 0.9, or auto (default: 2)",
    )
    _add_training(parser)


def _add_transform(commands):
    parser = commands.add_parser(
        "transform",
        usage="skae transform MODEL DATA [options]",
        help="give rows their codes",
        description="Give the rows of a table their codes, by a saved model.",
        epilog=TRANSFORM_EXAMPLES,
    )
    parser.set_defaults(run=transform)
    parser.add_argument("model", metavar="MODEL", help="file that 'skae fit' wrote")
    parser.add_argument(
        "data", metavar="DATA", help="table with the columns that were fitted"
    )
    _add_table_out(parser)


def _add_sample(commands):
    parser = commands.add_parser(
        "sample",
        usage="skae sample MODEL [options]",
        help="invent rows, in the original columns and units",
        description="Draw new rows from a saved model, in the columns and units of "
        "its table.",
        epilog=SAMPLE_EXAMPLES,
    )
    parser.set_defaults(run=sample)
    parser.add_argument("model", metavar="MODEL", help="file that 'skae fit' wrote")
    parser.add_argument(
        "-n",
        "--n-samples",
        type=_whole_number(1),
        default=1,
        metavar="N",
        help="number of rows (default: 1)",
    )
    parser.add_argument(
        "--noise",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="scatter about what a code stands for, as the data do (default: yes)",
    )
    _add_seed(parser, default=None, word="fresh")
    _add_table_out(parser)


def _add_data(parser):
    parser.add_argument("data", metavar="DATA", help="a file, or a bundled set")
    parser.add_argument(
        "--target",
        metavar="COL",
        help="column to be predicted, which no code is made of (default: that of a "
        "bundled set, or y of an NPZ file)",
    )
    parser.add_argument(
        "--drop",
        nargs="+",
        action="extend",
        default=[],
        metavar="COL",
        help="columns to leave out",
    )
    parser.add_argument(
        "--standardize",
        action=argparse.BooleanOptionalAction,
        help="bring numbers and dates to mean 0 and variance 1 (default: yes, except "
        "for pixels: digits, and arrays of bytes)",
    )


def _add_comparison(parser):
    parser.add_argument(
        "--n-components",
        nargs="+",
        type=_whole_number(1),
        metavar="N",
        help="sizes of the code (default: those of 2, 8 and 32, or of 1, 2 and 4 where "
        "columns are few, that are fewer than the columns)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=[*METHODS],
        default=["pca", "autoencoder", "vae"],
        metavar="METHOD",
        help=f"of {', '.join(METHODS)} (default: pca autoencoder vae); PCA always "
        "takes part",
    )
    parser.add_argument(
        "--cv",
        type=_whole_number(2),
        default=5,
        metavar="N",
        help="number of folds (default: 5)",
    )
    parser.add_argument(
        "--max-rows",
        type=_whole_number(LEAST_ROWS),
        default=MOST_COMPARED,
        metavar="N",
        help=f"rows to compare on, drawn at random from a larger table (default: "
        f"{MOST_COMPARED}; 'skae fit' takes all)",
    )


def _add_training(parser):
    parser.add_argument(
        "--max-iter",
        type=_whole_number(0),
        metavar="N",
        help="largest number of epochs of what is trained (default: by the size of "
        "the table)",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto, cpu, cuda, cuda:1, mps, ... (default: auto)",
    )
    _add_seed(parser, default=0, word="0")


def _add_seed(parser, *, default, word):
    parser.add_argument(
        "--random-state",
        type=_whole_number(0, LARGEST_SEED),
        default=default,
        metavar="SEED",
        help=f"seed of whatever is random (default: {word})",
    )


def _add_table_out(parser):
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="CSV, TSV, Parquet or NPY file, by its ending (default: CSV on standard "
        "output)",
    )


def _code_size(text):
    """Take the size of a code in any of the ways that it can be given."""
    if text == "auto":
        return text
    with contextlib.suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    try:
        return _whole_number(1)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{error}, a share of the variance below 1, or auto"
        ) from error


def _whole_number(least, most=None):
    """Make the type of an argument that is a whole number."""
    what = f"a whole number of {least} or more"
    if least < 0:
        what = "-1, or a whole number of 1 or more"
    if most is not None:
        what += f", at most {most}"

    def whole_number(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        too_large = most is not None and value > most
        if value < least or too_large or (least < 0 and value == 0):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return whole_number
