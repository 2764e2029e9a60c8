"""Saving: a fitted Pipeline as a file that can be opened without trusting it.

skops keeps an estimator as plain data and the names of its classes. Before anything is
made of a file, those names are checked: scikit-learn's and skae's own classes are
opened, and a file that names anything else is refused.
"""

import os
import zipfile
from contextlib import contextmanager
from pathlib import Path

from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

from skae.estimators.autoencoder import AutoencoderTransformer
from skae.estimators.vae import VAETransformer
from skae.trust import TRUSTED_TYPES

from . import dates, kinds
from .saying import required
from .tables import TableEncoder

__all__ = ["check_saver", "load_pipeline", "replacing", "save_pipeline"]

# Classes of skae that a file may name.
OWN_TYPES = {
    *TRUSTED_TYPES,
    *(
        f"{own.__module__}.{own.__qualname__}"
        for own in (
            kinds.Category,
            kinds.Constant,
            dates.Date,
            kinds.Number,
            TableEncoder,
        )
    ),
}


@contextmanager
def replacing(path):
    """Give a path to write to; what is there is replaced once that went well."""
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        scratch.replace(path)
    except OSError as error:
        if error.strerror:  # a write that fails names no file, or the scratch
            error.filename = str(path)
        raise
    finally:
        scratch.unlink(missing_ok=True)


def check_saver():
    """See, before any work is done, that a model can be saved."""
    _skops()


def save_pipeline(pipeline, path):
    """Write a Pipeline to a file.

    Parameters
    ----------
    pipeline : Pipeline
        A :class:`~skae.cli.tables.TableEncoder` and a model.

    path : str or path-like
    """
    with replacing(path) as scratch:
        _skops().dump(pipeline, scratch, compression=zipfile.ZIP_DEFLATED)


def load_pipeline(path):
    """Open a file that ``skae fit`` wrote.

    Parameters
    ----------
    path : str or path-like
        Where the file lies.

    Returns
    -------
    Pipeline
        Of the steps ``"table"``, from a data frame to numbers, and ``"model"``.

    Raises
    ------
    ValueError
        If the file is damaged, asks for a class that is neither scikit-learn's nor
        skae's, or holds something else than such a Pipeline.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from skae.cli import load_pipeline, main
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.skops")
    ...     main(["fit", "iris", "--out", path, "--method", "pca"])
    ...     pipeline = load_pipeline(path)
    0
    >>> pipeline.transform(load_iris(as_frame=True).data).shape
    (150, 2)
    """
    io = _skops()
    try:
        unknown = io.get_untrusted_types(file=path)
    except OSError as error:
        if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
            raise
        raise _damaged(path) from error
    except Exception as error:  # a damaged file can fail in any way
        raise _damaged(path) from error
    foreign = sorted(set(unknown) - OWN_TYPES)
    if foreign:
        raise ValueError(
            f"{str(path)!r} is refused: it asks for {', '.join(foreign)}, which no "
            "model of skae needs"
        )
    try:
        pipeline = io.load(path, trusted=unknown)
    except Exception as error:  # as above
        raise _damaged(path) from error
    _check_pipeline(pipeline, path)
    return pipeline


def _skops():
    return required("skops.io", "saved models need")


def _damaged(path):
    return ValueError(f"{str(path)!r} is not a model that skae saved, or is damaged")


def _check_pipeline(pipeline, path):
    """See that what was opened is what ``save_pipeline`` writes."""
    models = (AutoencoderTransformer, VAETransformer, PCA)
    if (
        isinstance(pipeline, Pipeline)
        and len(pipeline.steps) == 2
        and isinstance(pipeline[0], TableEncoder)
        and isinstance(pipeline[1], models)
    ):
        return
    raise ValueError(
        f"{str(path)!r} holds {type(pipeline).__name__}, not a model that "
        "'skae fit' wrote"
    )
