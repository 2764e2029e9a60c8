"""Default fits next to PCA and others on real data, judged on held-out rows.

    SKAE_DATA=folder python -m benchmarks.quality --out quality.csv --plot quality.png
    SKAE_DATA=folder python -m benchmarks.quality --quick

A case is a data set, a number of components, a seed and a scaling: tables standardised
on the training rows, and tables as they are; images from 0 to 1. A line of the CSV is
a method in a case: its squared error on a quarter of the rows over that of
``PCA(svd_solver="full")``; for PCA and the VAE the score in nats per column; seconds
to fit; the accuracy of a nearest neighbour and of a logistic regression on the codes
where there are labels; and trustworthiness at 10 neighbours. Lines that are in the
file already, by the same ``--max-rows``, are not computed again.
"""

import argparse
import pathlib
import time
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import NMF, PCA, KernelPCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import datasets
from benchmarks.ledger import Ledger
from skae import AutoencoderTransformer, VAETransformer

KEY = ("name", "scaling", "components", "seed", "method")
VALUES = ("rows", "columns", "test_rows", "error", "nats", "seconds")
VALUES += ("neighbour", "logistic", "trust")

# Sets that between them are images, tables, spectra and counts, of many shapes.
QUICK = ("digits", "wine", "diabetes", "adb_cardio", "adb_pageblocks", "nir_tecator")
QUICK += ("uci_concrete", "uci_shuttle", "usps", "gene_khan", "sc_osmfish")

# Rows whose neighbours are compared.
TRUSTED_ROWS = 500

# More classes than this are no labels to be told apart by a code.
MOST_CLASSES = 50


class Perceptron:
    """scikit-learn's MLPRegressor from rows to themselves, its middle layer a code."""

    def __init__(self, n_components, random_state):
        self.depth = 2
        sizes = (64, n_components, 64)
        self.network = MLPRegressor(hidden_layer_sizes=sizes, random_state=random_state)

    def fit(self, X):
        self.network.fit(X, X)
        return self

    def transform(self, X):
        layers = zip(self.network.coefs_, self.network.intercepts_, strict=True)
        for weight, bias in list(layers)[: self.depth]:
            X = np.maximum(X @ weight + bias, 0)
        return X

    def reconstruct(self, X):
        return self.network.predict(X).reshape(X.shape)


METHODS = {
    "PCA": lambda k, seed: PCA(k, svd_solver="full"),
    "autoencoder": lambda k, seed: AutoencoderTransformer(k, random_state=seed),
    "random": lambda k, seed: AutoencoderTransformer(
        k, init="random", random_state=seed
    ),
    "VAE": lambda k, seed: VAETransformer(k, random_state=seed),
    "KernelPCA": lambda k, seed: KernelPCA(
        k, kernel="rbf", fit_inverse_transform=True, random_state=seed
    ),
    "NMF": lambda k, seed: NMF(k, max_iter=500, random_state=seed),
    "MLPRegressor": Perceptron,
}


@dataclass
class Case:
    """A data set, split, and a number of components.

    Attributes
    ----------
    data : DataSet
    scaling : {"standard", "raw", "unit"}
    components, seed, max_rows : int
    """

    data: datasets.DataSet
    scaling: str
    components: int
    seed: int
    max_rows: int

    @cached_property
    def split(self):
        """Dense rows that train and that test, and their labels."""
        X, X_test, y, y_test = self.data.split(
            self.seed, max_rows=self.max_rows, standardise=self.scaling == "standard"
        )
        X, X_test = (
            rows.toarray().astype(np.float64) if sp.issparse(rows) else rows
            for rows in (X, X_test)
        )
        return X, X_test, y, y_test

    @property
    def exists(self):
        """Whether the data have so many components."""
        return self.components < min(self.split[0].shape)

    @property
    def has_classes(self):
        y = self.split[2]
        if y is None or np.ndim(y) != 1 or (np.asarray(y) != np.round(y)).any():
            return False
        return 2 <= len(np.unique(y)) <= MOST_CLASSES

    @cached_property
    def reference(self):
        """PCA's squared error on the rows that test."""
        X, X_test, _, _ = self.split
        return squared_error(PCA(self.components, svd_solver="full").fit(X), X_test)

    def key(self, method):
        """Name a line of the table."""
        return {
            "name": self.data.name,
            "scaling": self.scaling,
            "components": self.components,
            "seed": self.seed,
            "method": method,
        }

    def measure(self, method):
        """Fit a method; return the values of its line."""
        X, X_test, y, y_test = self.split
        line = dict.fromkeys(VALUES, np.nan) | {
            "rows": X.shape[0],
            "columns": X.shape[1],
            "test_rows": X_test.shape[0],
        }
        if method == "NMF" and min(X.min(), X_test.min()) < 0:
            return line
        model = METHODS[method](self.components, self.seed)
        begin = time.perf_counter()
        model.fit(X)
        line["seconds"] = time.perf_counter() - begin
        line["error"] = squared_error(model, X_test) / self.reference
        if method == "VAE" or (method == "PCA" and X.shape[0] > X.shape[1]):
            line["nats"] = model.score(X_test) / X.shape[1]
        codes, codes_test = model.transform(X), model.transform(X_test)
        few = slice(TRUSTED_ROWS)
        if len(X_test) > 30:
            line["trust"] = trustworthiness(
                X_test[few], codes_test[few], n_neighbors=10
            )
        if self.has_classes:
            neighbour = KNeighborsClassifier(1).fit(codes, y)
            line["neighbour"] = neighbour.score(codes_test, y_test)
            logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
            line["logistic"] = logistic.fit(codes, y).score(codes_test, y_test)
        return line


def squared_error(model, X):
    """Squared error of what a model makes of rows it has not seen."""
    if hasattr(model, "reconstruct"):
        return np.square(X - model.reconstruct(X)).sum()
    return np.square(X - model.inverse_transform(model.transform(X))).sum()


def cases(options):
    """Walk through the cases that were asked for."""
    for name in options.names:
        data = datasets.load(name)
        scalings = ("standard", "raw")
        if data.is_image or sp.issparse(data.X):
            scalings = ("unit",)
        for scaling in scalings:
            if scaling not in (*options.scalings, "unit"):
                continue
            for components in options.components:
                for seed in options.seeds:
                    case = Case(data, scaling, components, seed, options.max_rows)
                    if case.exists:
                        yield case


def run(options):
    """Measure what is not in the file yet; return all lines."""
    ledger = Ledger(options.out, KEY, VALUES, max_rows=options.max_rows)
    for case in cases(options):
        for method in options.methods:
            if ledger.has(**case.key(method)):
                continue
            with warnings.catch_warnings():
                # Peers warn that they have not converged; the table shows it.
                warnings.simplefilter("ignore")
                measured = case.measure(method)
            ledger.add(**case.key(method), **measured)
    return ledger.rows


def at_most_pca(error):
    """Share of the cases at or below PCA, to be printed."""
    return f"{np.mean(error <= 1.0005):.1%}" if len(error) else "-"


class Table:
    """Lines as columns, and what they say together."""

    def __init__(self, lines, methods):
        self.methods = [m for m in methods if any(x["method"] == m for x in lines)]
        self.by_method = {
            method: {
                tuple(str(line[name]) for name in KEY[:-1]): line
                for line in lines
                if line["method"] == method
            }
            for method in self.methods
        }

    def column(self, method, name, keep=lambda line: True):
        lines = self.by_method[method].values()
        values = np.array([float(x[name]) for x in lines if keep(x)])
        return values[np.isfinite(values)]

    def difference(self, method, name, components):
        """Mean of a number minus PCA's, over the cases of as many components."""
        pairs = [
            (float(line[name]), float(self.by_method["PCA"][key][name]))
            for key, line in self.by_method[method].items()
            if key in self.by_method["PCA"] and int(line["components"]) == components
        ]
        ours, theirs = np.array(pairs).reshape(-1, 2).T
        gain = (ours - theirs)[np.isfinite(ours - theirs)]
        return gain.mean() if len(gain) else np.nan

    def print(self):
        print(
            f"\n{'error over PCA':<14}{'cases':>6}{'mean':>8}{'median':>8}{'95 %':>8}"
            f"{'largest':>9}{'few rows':>9}{'<= PCA':>8}{'raw':>8}{'s':>7}{'s max':>7}"
        )
        for method in self.methods:
            error = self.column(method, "error")
            if not len(error):
                continue
            many = self.column(method, "error", lambda x: int(x["test_rows"]) >= 100)
            few = self.column(method, "error", lambda x: int(x["test_rows"]) < 100)
            raw = self.column(method, "error", lambda x: x["scaling"] == "raw")
            small = self.column(method, "seconds", lambda x: int(x["rows"]) <= 2000)
            print(
                f"{method:<14}{len(error):>6}{np.exp(np.log(error).mean()):>8.3f}"
                f"{np.median(error):>8.3f}{np.quantile(error, 0.95):>8.3f}"
                f"{max(many, default=np.nan):>9.3f}{max(few, default=np.nan):>9.3f}"
                f"{at_most_pca(error):>8}{at_most_pca(raw):>8}"
                f"{np.median(small):>7.2f}{max(small, default=np.nan):>7.2f}"
            )
        if "PCA" not in self.methods:
            return
        numbers = sorted({int(x["components"]) for x in self.by_method["PCA"].values()})
        print(f"\n{'minus PCA':<14}" + "".join(f"{k:>24}" for k in numbers))
        print(" " * 14 + "   1-NN  logistic  trust" * len(numbers))
        for method in self.methods:
            gains = [
                self.difference(method, name, k)
                for k in numbers
                for name in ("neighbour", "logistic", "trust")
            ]
            print(f"{method:<14}" + "".join(f"{gain:>+8.3f}" for gain in gains))

    def print_worst(self, method):
        """Name the ten cases in which a method does worst."""
        lines = sorted(
            self.by_method[method].items(), key=lambda x: -float(x[1]["error"])
        )
        print(f"\n{method}, worst:")
        for key, line in lines[:10]:
            print(f"  {' '.join(key):<40} {float(line['error']):.4f}")

    def print_best_of_both(self):
        """Compare the default with the better of the two starts."""
        both = [
            (float(line["error"]), float(self.by_method["random"][key]["error"]))
            for key, line in self.by_method["autoencoder"].items()
            if key in self.by_method["random"]
        ]
        ours, plain = np.array(both).T
        ratio = ours / np.minimum(ours, plain)
        print(
            "\nerror over the better of both starts': 95th percentile "
            f"{np.quantile(ratio, 0.95):.3f}, largest {ratio.max():.3f}"
        )

    def plot(self, path):
        """Draw the sorted ratios of each method."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
        for method in self.methods:
            error = np.sort(self.column(method, "error"))
            if method != "PCA" and len(error):
                axes.plot(np.linspace(0, 100, len(error)), error, label=method)
        axes.axhline(1, color="black", linewidth=1, linestyle="--", label="PCA")
        axes.set(
            yscale="log",
            ylim=(0.01, 10),
            xlabel="percent of the cases",
            ylabel="held-out squared error over PCA's",
        )
        axes.legend(frameon=False)
        figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", nargs="+", default=datasets.names())
    parser.add_argument("--components", nargs="+", type=int, default=[2, 8, 32])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--scalings", nargs="+", default=["standard", "raw"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--max-rows", type=int, default=2600)
    parser.add_argument("--out", type=pathlib.Path, help="CSV to go on with, or new")
    parser.add_argument("--plot", type=pathlib.Path, help="picture of sorted ratios")
    parser.add_argument(
        "--quick", action="store_true", help="a few sets and rows, in five minutes"
    )
    options = parser.parse_args()
    if options.quick:
        known = set(options.names)
        options.names = [name for name in QUICK if name in known]
        options.components, options.max_rows = [2, 8], 1000
    table = Table(run(options), options.methods)
    table.print()
    if "autoencoder" in table.methods:
        table.print_worst("autoencoder")
        if "random" in table.methods:
            table.print_best_of_both()
    if options.plot is not None:
        table.plot(options.plot)


if __name__ == "__main__":
    main()
