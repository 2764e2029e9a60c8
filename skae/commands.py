"""Commands: what ``skae compare``, ``fit``, ``transform`` and ``sample`` do.

Each takes the parsed arguments. Results go to standard output, or to the files that
are named; what is said about the data goes to standard error.
"""

import difflib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import NMF, PCA, FastICA, KernelPCA
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline

from .autoencoder import AutoencoderTransformer
from .device import resolve_device, seed_from
from .reading import Table, read_table
from .saving import load_pipeline, replacing, save_pipeline
from .tables import TableEncoder, read_target
from .vae import VAETransformer

__all__ = [
    "LEAST_ROWS",
    "METHODS",
    "MODELS",
    "Rows",
    "UsageError",
    "fit",
    "make_method",
    "prepare",
    "sample",
    "say",
    "transform",
    "width_error",
]

# What a method is called in a table, and its estimator.
METHODS = {
    "pca": ("PCA", PCA),
    "autoencoder": ("autoencoder", AutoencoderTransformer),
    "vae": ("VAE", VAETransformer),
    "kernel-pca": ("kernel PCA", KernelPCA),
    "ica": ("ICA", FastICA),
    "nmf": ("NMF", NMF),
}

# Those that can be saved and sampled; the first is the default.
MODELS = ("autoencoder", "vae", "pca")

# What an estimator needs to be told so that it can take part at all.
SETTINGS = {"kernel-pca": {"kernel": "rbf", "fit_inverse_transform": True}}

# Estimators of skae, which train.
TRAINED = {"autoencoder", "vae"}

# Fewer rows say nothing, and cannot be parted into folds.
LEAST_ROWS = 4

WRITERS = (".csv", ".tsv", ".parquet", ".npy")


class UsageError(ValueError):
    """The command line asks for what there is not."""


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


# ------------------------------------------------------------------------ commands


def fit(options):
    """Fit a model to a table and save it."""
    check_folder(options.out)
    rows = prepare(options)
    limit = min(rows.X.shape)
    width = min(2, limit) if options.n_components is None else options.n_components
    if width > limit:
        raise width_error(width, limit, rows)
    model = make_method(options.method, options).set_params(n_components=width)
    model.fit(rows.X)
    save_pipeline(Pipeline([("table", rows.encoder), ("model", model)]), options.out)
    rebuilt = model.inverse_transform(model.transform(rows.X))
    share = r2_score(rows.X, rebuilt, multioutput="variance_weighted")
    say(
        f"{METHODS[options.method][0]}, n_components={model.n_components_}: explains "
        f"{share:.1%} of the variance of the rows it was fitted to"
    )
    say(f"saved as {options.out}")


def transform(options):
    """Write the codes of a table's rows."""
    import pandas as pd

    check_writer(options.out)
    pipeline = load_pipeline(options.model)
    frame = read_table(options.data).frame
    codes = pipeline.transform(frame)
    names = pipeline["model"].get_feature_names_out()
    write_table(pd.DataFrame(codes, columns=names), options.out)


def sample(options):
    """Write rows drawn from a saved model, in the columns and units of its table."""
    check_writer(options.out)
    pipeline = load_pipeline(options.model)
    rows = draw_rows(pipeline["model"], options)
    write_table(pipeline["table"].inverse_transform(rows), options.out)


def draw_rows(model, options):
    """Draw rows; PCA's from the Gaussian whose log-likelihood is its ``score``."""
    n_samples, noise = options.n_samples, options.noise
    if not isinstance(model, PCA):
        return model.sample(n_samples, noise=noise, random_state=options.random_state)
    generator = np.random.default_rng(seed_from(options.random_state))
    variance = np.maximum(model.explained_variance_ - model.noise_variance_, 0)
    codes = generator.normal(size=(n_samples, model.n_components_)) * np.sqrt(variance)
    rows = model.inverse_transform(codes)
    deviation = np.sqrt(model.noise_variance_) if noise else 0
    return rows + generator.normal(size=rows.shape) * deviation


# ------------------------------------------------------------------- rows and methods


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
    frame, notes = _drawn(table.frame, max_rows, options.random_state)
    frame, y, is_class, about_target = split_target(frame, target)
    notes += about_target
    if len(frame) < LEAST_ROWS:
        raise ValueError(
            f"{table.name} has {len(frame)} rows to learn from; it takes at least "
            f"{LEAST_ROWS}"
        )
    frame = frame.drop(columns=[name for name in options.drop if name != target])
    standardize = options.standardize
    if standardize is None:
        standardize = not table.has_one_unit
    encoder = TableEncoder(standardize, drop_constant=not table.has_one_unit)
    encoder.fit(frame)
    told = [*table.notes, *encoder.describe(), *notes]
    for line in [f"{table.name}: {_shape(table.frame)}", *told]:
        say(line)
    check_width(encoder, table)
    return Rows(table, encoder, encoder.transform(frame), y, target, is_class, told)


def _drawn(frame, max_rows, random_state):
    """Draw some of the rows, in their order, where there are too many."""
    if max_rows is None or len(frame) <= max_rows:
        return frame, []
    rows = np.random.default_rng(random_state).permutation(len(frame))[:max_rows]
    note = f"{max_rows:,} of the {len(frame):,} rows are drawn at random (--max-rows)"
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
        rows = "row" if n_lost == 1 else "rows"
        notes.append(f"left out, without a target: {n_lost:,} {rows}")
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
    return METHODS[name][1](**parameters)


def checked_device(device):
    """See that a device is there; "auto" is found where the model is."""
    try:
        resolve_device(device)
    except ValueError as error:
        raise UsageError(f"argument --device: {error}") from None
    return device


# -------------------------------------------------------------------------- checks


def check_column(name, table, argument):
    """See that a column is there."""
    names = list(table.frame.columns)
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else "there is " + _listed(names)
    raise UsageError(
        f"argument {argument}: {table.name} has no column {name!r}; {hint}"
    )


def check_width(encoder, table):
    """See that there is something to be reduced."""
    used = [name for name, kind in encoder.columns_.items() if kind.names(name)]
    if len(used) < 2:
        one = f"a single column ({used[0]})" if used else "no column"
        raise ValueError(f"{table.name} has {one} to learn from; it takes at least two")


def width_error(width, limit, rows):
    """Say why there are no codes of a size."""
    n_rows, n_columns = rows.X.shape
    return UsageError(
        f"argument --n-components: {width} is too many for {n_rows:,} rows of "
        f"{n_columns:,} numbers; at most {limit:,} can be had"
    )


def check_writer(out):
    """See, before any work is done, that a table can be written there."""
    if out is None:
        return
    check_folder(out)
    if Path(out).suffix.lower() not in WRITERS:
        raise UsageError(
            f"argument --out: {out!r} has to end in {', '.join(WRITERS[:-1])} or "
            f"{WRITERS[-1]}"
        )


def check_folder(out):
    """See, before any work is done, that a file can be made there."""
    path = Path(out)
    if not path.parent.is_dir():
        raise UsageError(f"argument --out: there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise UsageError(f"argument --out: {out!r} is a folder; name a file")


# -------------------------------------------------------------------------- output


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
    say(f"{_shape(frame)} written to {out}")


def _plain(frame, out):
    """Take a data frame as an array of numbers."""
    array = frame.to_numpy()
    if array.dtype.kind not in "biuf":
        raise UsageError(
            f"argument --out: {out!r} holds numbers only, and these rows hold text or "
            "dates too; use .csv or .parquet"
        )
    return array


def say(line):
    """Tell the user something, beside the results."""
    print(line, file=sys.stderr, flush=True)


def _shape(frame):
    n_rows, n_columns = frame.shape
    rows = "1 row" if n_rows == 1 else f"{n_rows:,} rows"
    columns = "1 column" if n_columns == 1 else f"{n_columns:,} columns"
    return f"{rows}, {columns}"


def _listed(names, most=12):
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
