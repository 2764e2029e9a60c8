"""Commands: what ``skae fit``, ``transform`` and ``sample`` do.

Each takes the parsed arguments. Results go to standard output, or to the files that
are named; what is said about the data goes to standard error.
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

from skae.comparison import explained_variance_scorer
from skae.device import seed_from
from skae.naming import name_of

from .preparing import make_method, prepare, size_error, tell
from .reading import read_table
from .saving import check_saver, load_pipeline, save_pipeline
from .saying import UsageError, percent, say
from .writing import check_apart, check_ending, check_writer, write_table

__all__ = ["fit", "sample", "transform"]


def fit(options):
    """Fit a model to a table and save it."""
    check_saver()
    check_ending(options.out, [".skops"])
    check_apart(options.out, options.data)
    model, asked = make_method(options.method, options), options.n_components
    if asked == "auto" and isinstance(model, PCA):
        raise UsageError(
            "argument --n-components: 'auto' is for an autoencoder or a vae; give PCA "
            "a number, or a share of the variance"
        )
    rows = prepare(options)
    limit = min(rows.X.shape)
    size = min(2, limit) if asked is None else asked
    if isinstance(size, int) and size > limit:
        raise size_error(size, limit, rows)
    tell(rows)
    model.set_params(n_components=size).fit(rows.X)
    save_pipeline(Pipeline([("table", rows.encoder), ("model", model)]), options.out)
    share = explained_variance_scorer(model, rows.X)
    say(
        f"{name_of(model)}, n_components={model.n_components_}: explains "
        f"{percent(share)} of the variance of the rows it was fitted to"
    )
    say(f"saved as {options.out}")


def transform(options):
    """Write the codes of a table's rows."""
    import pandas as pd

    check_writer(options.out, options.model, options.data)
    pipeline = load_pipeline(options.model)
    columns = pipeline["table"].columns_
    kinds = {name: column.kind for name, column in columns.items()}
    table = read_table(options.data, kinds)
    codes = pipeline.transform(table.frame)
    for note in table.notes:
        say(note)
    names = pipeline["model"].get_feature_names_out()
    write_table(pd.DataFrame(codes, columns=names), options.out)


def sample(options):
    """Write rows drawn from a saved model, in the columns and units of its table."""
    check_writer(options.out, options.model)
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
