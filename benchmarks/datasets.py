"""Real data for the benchmarks: a folder of ``.npz`` files, or scikit-learn's own.

The folder is named by the environment variable ``SKAE_DATA``. A file holds rows as
``X`` (or ``X_train`` and ``X_test``), or a CSR matrix as its parts ``data``,
``indices``, ``indptr`` and ``shape``; labels, where there are any, as ``y`` or
``y_train``.
"""

import os
import pathlib
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

IMAGES = ("mnist", "fashion_mnist", "olivetti", "freyfaces", "usps", "cifar10_sub")
BUNDLED = ("digits", "wine", "breast_cancer", "diabetes", "iris")


@dataclass
class DataSet:
    """Rows, and labels where there are any.

    Attributes
    ----------
    name : str
    X : ndarray or CSR
    y : ndarray or None
    is_image : bool
        Whether the columns are pixels, which are not standardised.
    """

    name: str
    X: object
    y: np.ndarray | None
    is_image: bool

    def split(self, seed, *, max_rows=None, standardise=True):
        """Three quarters to train on, a quarter to test on.

        Tables are standardised on the training rows if asked; images are not.

        Returns
        -------
        X_train, X_test, y_train, y_test
        """
        rows = np.arange(self.X.shape[0])
        if max_rows is not None and len(rows) > max_rows:
            rows = np.random.RandomState(seed).permutation(rows)[:max_rows]
        train, test = train_test_split(rows, test_size=0.25, random_state=seed)
        X_train, X_test = self.X[train], self.X[test]
        if standardise and not self.is_image and not sp.issparse(self.X):
            scaler = StandardScaler().fit(X_train)
            X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
        labels = (None, None) if self.y is None else (self.y[train], self.y[test])
        return X_train, X_test, *labels


def names():
    """Names of all data sets that are here."""
    folder = os.environ.get("SKAE_DATA")
    files = sorted(pathlib.Path(folder).glob("*.npz")) if folder else []
    return [*BUNDLED, *(file.stem for file in files)]


def load(name):
    """Load a data set by its name."""
    if name in BUNDLED:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return DataSet(name, X, y, name == "digits")
    path = pathlib.Path(os.environ["SKAE_DATA"]) / f"{name}.npz"
    with np.load(path, allow_pickle=False) as file:
        parts = {key: file[key] for key in file.files}
    if "indptr" in parts:
        csr = (parts["data"], parts["indices"], parts["indptr"])
        X = sp.csr_array(csr, shape=tuple(parts["shape"])).astype(np.float32)
    elif "X" in parts:
        X = parts["X"]
    else:
        X = np.concatenate([parts["X_train"], parts["X_test"]])
    y = parts.get("y")
    if y is None and "y_train" in parts:
        y = np.concatenate([parts["y_train"], parts["y_test"]])
    is_image = name in IMAGES
    if not sp.issparse(X):
        X = X.astype(np.float64)
        X = X / 255 if is_image and X.max() > 1 else X
    if y is not None and len(y) != X.shape[0]:
        y = None
    return DataSet(name, X, y, is_image)
