"""Preparing: a table as rows of numbers, its target apart, and methods for it."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import NMF, PCA, FastICA, KernelPCA

from skae.device import resolve_device
from skae.estimators.autoencoder import AutoencoderTransformer
from skae.estimators.vae import VAETransformer

from .reading import Table, read_table
from .saying import UsageError, closest, counted, listed, quoted, say, shape_of
from .tables import TableEncoder, read_target

__all__ = [
    "LEAST_ROWS",
    "METHODS",
    "MODELS",
    "make_method",
    "prepare",
    "size_error",
    "tell",
]

METHODS = {
    "pca": PCA,
    "autoencoder": AutoencoderTransformer,
    "vae": VAETransformer,
    "kernel-pca": KernelPCA,
    "ica": FastICA,
    "nmf": NMF,
}

# Those that can be saved and sampled; the first is the default.
MODELS = ("autoencoder", "vae", "pca")

# What an estimator needs to be told so that it can take part at all.
SETTINGS = {"kernel-pca": {"kernel": "rbf", "fit_inverse_transform": True}}

# Estimators of skae, which train.
TRAINED = {"autoencoder", "vae"}

# Fewer rows say nothing, and cannot be parted into folds.
LEAST_ROWS = 4


@dataclass
class Rows:
    """A table, ready to be fitted.

    Attributes
    ----------
    table : Table
        What was read.

    encoder : TableEncoder
        Fitted to the columns that are used.

    X : ndarray of shape (n_samples, n_encoded)
        The columns as numbers.

    y : ndarray of shape (n_samples,) or None
        What is to be predicted.

    target : str or None
        The column that y was.

    is_class : bool
        Whether y is classes.

    told : list of str
        What became of the columns.
    """

    table: Table
    encoder: TableEncoder
    X: np.ndarray
    y: np.ndarray | None
    target: str | None
    is_class: bool
    told: list


def prepare(options, max_rows=None):
    """Read a table, part its target from it, and turn its columns into numbers.

    Parameters
    ----------
    options : argparse.Namespace

    max_rows : int, default=None
        Rows beyond so many are left out at random.

    Returns
    -------
    Rows
    """
    table = read_table(options.data)
    for name in options.drop:
        check_column(name, table, "--drop")
    target = table.target if options.target is None else options.target
    if target is not None:
        check_column(target, table, "--target")
    frame, about_rows = _drawn(table.frame, max_rows, options.random_state)
    frame, y, is_class, about_target = split_target(frame, target)
    if len(frame) < LEAST_ROWS:
        raise ValueError(
            f"{table.name} has {counted(len(frame), 'row')} to learn from; it takes "
            f"at least {LEAST_ROWS}"
        )
    frame = frame.drop(columns=[name for name in options.drop if name != target])
    standardize = options.standardize
    if standardize is None:
        standardize = not table.has_one_unit
    encoder = TableEncoder(standardize, drop_constant=not table.has_one_unit)
    encoder.fit(frame)
    told = [*about_rows, *table.notes, *encoder.describe(), *about_target]
    check_width(encoder, table)
    return Rows(table, encoder, encoder.transform(frame), y, target, is_class, told)


def tell(rows):
    """Say what was read, and what became of it, once nothing is wrong with it."""
    for line in [f"{rows.table.name}: {shape_of(rows.table.frame)}", *rows.told]:
        say(line)


def _drawn(frame, max_rows, random_state):
    """Draw some of the rows, in their order, where there are too many."""
    if max_rows is None or len(frame) <= max_rows:
        return frame, []
    rows = np.random.default_rng(random_state).permutation(len(frame))[:max_rows]
    note = (
        f"compared on {max_rows:,} of the {len(frame):,} rows, drawn at random "
        "(--max-rows asks for more; 'skae fit' takes them all)"
    )
    return frame.iloc[np.sort(rows)].reset_index(drop=True), [note]


def split_target(frame, target):
    """Take the target's column out, and the rows that lack it."""
    if target is None:
        return frame, None, False, []
    notes = []
    present = frame[target].notna()
    n_lost = int((~present).sum())
    if n_lost == len(frame):
        raise ValueError(f"the target {target!r} has no value in any row")
    if n_lost:
        frame = frame[present].reset_index(drop=True)
        notes.append(f"left out, without a target: {counted(n_lost, 'row')}")
    y, is_class = read_target(frame[target])
    kind = f"{len(np.unique(y))} classes" if is_class else "a number"
    notes.append(f"target: {target} ({kind})")
    return frame.drop(columns=target), y, is_class, notes


def make_method(name, options):
    """Make the estimator of a method, as the command line wants it."""
    trains = name in TRAINED
    parameters = dict(SETTINGS.get(name, {}), random_state=options.random_state)
    if trains:
        parameters["device"] = str(checked_device(options.device))
    if trains and options.max_iter is not None:
        parameters["max_iter"] = options.max_iter
    return METHODS[name](**parameters)


def checked_device(device):
    """See that a device is there; "auto" is found where the model is."""
    try:
        resolve_device(device)
    except ValueError as error:
        reason = str(error).removeprefix("device=").removesuffix(".")
        raise UsageError(f"argument --device: {reason}") from None
    return device


# -------------------------------------------------------------------------- checks


def check_column(name, table, argument):
    """See that a column is there."""
    names = list(table.frame.columns)
    if name in names:
        return
    close = closest(name, names)
    known = listed(map(quoted, names))
    hint = f"did you mean {close!r}?" if close else f"there is {known}"
    raise UsageError(
        f"argument {argument}: {table.name} has no column {name!r}; {hint}"
    )


def check_width(encoder, table):
    """See that there is something to be reduced."""
    used = [name for name, kind in encoder.columns_.items() if kind.names(name)]
    if len(used) < 2:
        one = f"a single column ({used[0]})" if used else "no column"
        why = "".join(f"; {reason}" for reason in encoder.unused())
        raise ValueError(
            f"{table.name} has {one} to learn from; it takes at least two{why}"
        )


def size_error(size, limit, rows):
    """Say why there are no codes of a size."""
    n_rows, n_columns = rows.X.shape
    return UsageError(
        f"argument --n-components: {size} is too many for {n_rows:,} rows of "
        f"{n_columns:,} numbers; at most {limit:,} can be had"
    )
