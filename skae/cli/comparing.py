"""The command ``skae compare``: a table on the terminal, and a folder to keep."""

import shlex
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae.comparison import compare as compare_methods
from skae.naming import name_of

from .preparing import make_method, prepare, size_error, tell
from .report import write_report
from .saving import replacing
from .saying import UsageError, check_output, required, say
from .terminal import print_summary
from .writing import check_writable

__all__ = ["compare"]

# Sizes of the code, and those for tables that are too narrow for two of them.
SIZES = ((2, 8, 32), (1, 2, 4))

# Kernel PCA takes a matrix of all pairs of rows.
MOST_PAIRED_ROWS = 10_000

# Rows that a picture's models are fitted to, and that it shows.
MOST_FITTED, MOST_SHOWN = 20_000, 2_000


def compare(options):
    """Compare methods on a table; print what was found, and keep it if asked."""
    check_output()
    if options.out is not None:
        _check_out(options.out)
    methods = dict.fromkeys(["pca", *options.methods])
    made = [make_method(name, options) for name in methods]
    estimators = {name_of(estimator): estimator for estimator in made}
    rows = prepare(options, options.max_rows)
    _check_rows(methods, options.cv, rows)
    sizes = choose_sizes(options.n_components, options.cv, rows)
    tell(rows)
    comparison = compare_methods(
        rows.X,
        rows.y,
        estimators=estimators,
        n_components=sizes,
        cv=_folds(rows, options),
        downstream=_predictor(rows),
        n_jobs=options.n_jobs,
        random_state=options.random_state,
        callbacks=_progress_bar(),
    )
    summary = comparison.summary()
    if not np.isfinite(summary["explained_variance_mean"]).any():
        raise ValueError(f"no fit succeeded: {summary['error'][0]}")
    print_summary(summary, _score_name(rows))
    if options.out is not None:
        pictures = _draw(comparison, estimators, sizes, rows, options)
        _keep(comparison, pictures, rows, options)


# ------------------------------------------------------------------ what is compared


def choose_sizes(wanted, n_folds, rows):
    """Check the sizes that are wanted, or choose those that the table allows."""
    n_rows, n_columns = rows.X.shape
    limit = min(n_rows - -(-n_rows // n_folds), n_columns)
    if wanted is not None:
        if max(wanted) > limit:
            raise size_error(max(wanted), limit, rows)
        return sorted(set(wanted))
    # A code as large as the table is the table.
    limit = min(limit, n_columns - 1)
    usual, small = ([size for size in some if size <= limit] for some in SIZES)
    return usual if len(usual) > 1 else small


def _check_rows(methods, n_folds, rows):
    """Refuse what would take all memory, or fail in each fold for one reason."""
    n_rows = len(rows.X)
    if n_rows < 2 * n_folds:
        raise UsageError(
            f"argument --cv: {n_folds} folds of {n_rows:,} rows are too small to judge "
            f"by; at most {n_rows // 2} can be had"
        )
    if "kernel-pca" in methods and n_rows > MOST_PAIRED_ROWS:
        raise UsageError(
            f"argument --methods: kernel-pca takes a matrix of all pairs of rows; "
            f"{n_rows:,} rows are more than {MOST_PAIRED_ROWS:,}"
        )
    if "nmf" in methods and rows.X.min() < 0:
        remedy = ", or try --no-standardize" * rows.encoder.standardize
        raise UsageError(
            f"argument --methods: nmf takes no numbers below 0; leave it out{remedy}"
        )


def _folds(rows, options):
    """Shuffle the rows into folds; with classes, evenly, where there are enough."""
    n_folds, seed = options.cv, options.random_state
    if rows.is_class:
        rarest = np.unique(rows.y, return_counts=True)[1].min()
        if rarest >= n_folds:
            return StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        say(f"some classes have fewer rows than there are folds: as few as {rarest}")
    return KFold(n_folds, shuffle=True, random_state=seed)


def _predictor(rows):
    """Choose what predicts the target from codes."""
    if rows.y is None:
        return None
    linear = LogisticRegression(max_iter=1000) if rows.is_class else Ridge()
    return make_pipeline(StandardScaler(), linear)


def _progress_bar():
    """Give scikit-learn's progress bar, where there is someone to watch it."""
    from rich.console import Console
    from sklearn.callback import ProgressBar

    return ProgressBar(max_propagation_depth=0) if Console().is_terminal else None


# ---------------------------------------------------------------------- what is shown


def _score_name(rows):
    return "accuracy" if rows.is_class else "R²"


def _draw(comparison, estimators, sizes, rows, options):
    """Draw the curves, and what the first method but PCA makes of unseen rows."""
    import pandas as pd

    from .pictures import curve_pictures, model_pictures

    pictures = curve_pictures(comparison, rows.target)
    name = next((name for name in estimators if name != "PCA"), None)
    if name is None:
        return pictures
    X = pd.DataFrame(rows.X, columns=rows.encoder.get_feature_names_out())
    seen, unseen = train_test_split(
        np.arange(len(X)), test_size=0.25, random_state=options.random_state
    )
    seen, unseen = seen[:MOST_FITTED], unseen[:MOST_SHOWN]
    small, large = (
        tuple(
            clone(estimator).set_params(n_components=size).fit(X.iloc[seen])
            for estimator in (estimators[name], PCA(random_state=options.random_state))
        )
        for size in (sizes[0], sizes[len(sizes) // 2])
    )
    y = None if rows.y is None else pd.Series(rows.y[unseen], name=rows.target)
    shape = rows.table.image_shape
    return pictures + model_pictures(name, small, large, X.iloc[unseen], y, shape)


# ----------------------------------------------------------------------- what is kept


def _check_out(out):
    """See, before any work is done, that a folder can be filled, and pictures drawn."""
    if not out:
        raise UsageError("argument --out: '' names no folder")
    if Path(out).exists() and not Path(out).is_dir():
        raise UsageError(f"argument --out: {out!r} is a file; name a folder")
    required("matplotlib", "the pictures of --out need", "plot").use("agg")
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or "it cannot be made").lower()
        raise UsageError(f"argument --out: no folder {out!r}: {reason}") from None
    check_writable(out)


def _keep(comparison, pictures, rows, options):
    """Write the tables, the pictures and the report into a folder."""
    import pandas as pd

    folder, summary = Path(options.out), comparison.summary()
    n_rows, n_columns = rows.X.shape
    with replacing(folder / "results.csv") as path:
        pd.DataFrame(summary).to_csv(path, index=False)
    with replacing(folder / "folds.csv") as path:
        comparison.to_pandas().to_csv(path, index=False)
    for picture in pictures:
        (folder / f"{picture.name}.png").write_bytes(picture.light)
    with replacing(folder / "report.html") as path:
        write_report(
            path,
            title=f"{rows.table.name}: PCA and autoencoders compared",
            told=[f"{n_rows:,} rows of {n_columns:,} numbers", *rows.told],
            summary=summary,
            predicted=_score_name(rows),
            pictures=pictures,
            command=shlex.join(["skae", *options.arguments]),
        )
    say(f"report written to {folder / 'report.html'}")
