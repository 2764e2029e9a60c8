"""Held-out error and log-likelihood of the default fits, next to PCA's, on real data.

    SKAE_DATA=folder python -m benchmarks.quality --components 2 8 --out quality.csv

A row for each data set, width and seed: the squared error of the default autoencoder
on a quarter of the rows over that of ``PCA(svd_solver="full")``, the default VAE's
``score`` minus PCA's in nats per column (for n > p, where PCA's is the likelihood),
and seconds to fit. Rows that are in the file already are not computed again.
"""

import argparse
import csv
import pathlib
import time

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA

from benchmarks import datasets
from skae import AutoencoderTransformer, VAETransformer

COLUMNS = ("name", "rows", "columns", "components", "seed", "error", "seconds")
COLUMNS += ("nats", "seconds_vae")
KEY = ("name", "components", "seed")


def timed_fit(model, X):
    begin = time.perf_counter()
    return model.fit(X), time.perf_counter() - begin


def measure(data, n_components, seed, max_rows):
    """Fit PCA, an autoencoder and a VAE; return a row, or None where there is none."""
    X, X_test, _, _ = data.split(seed, max_rows=max_rows)
    if n_components >= min(X.shape):
        return None
    if sp.issparse(X):
        X, X_test = X.toarray().astype(float), X_test.toarray().astype(float)
    pca = PCA(n_components, svd_solver="full").fit(X)
    left = X_test - pca.inverse_transform(pca.transform(X_test))
    model, seconds = timed_fit(
        AutoencoderTransformer(n_components, random_state=seed), X
    )
    vae, seconds_vae = timed_fit(VAETransformer(n_components, random_state=seed), X)
    error = -model.score_samples(X_test).sum() / (left**2).sum()
    nats = np.nan
    if X.shape[0] > X.shape[1]:
        nats = (vae.score(X_test) - pca.score(X_test)) / X.shape[1]
    values = (data.name, *X.shape, n_components, seed, error, seconds, nats)
    return dict(zip(COLUMNS, (*values, seconds_vae), strict=True))


def read(path):
    """Rows that an earlier run has left."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def summarise(rows):
    """Print what the rows say together."""
    errors, nats, seconds = (
        np.array([float(row[name]) for row in rows])
        for name in ("error", "nats", "seconds")
    )
    print(
        f"{len(rows)} cases; error over PCA's: geometric mean "
        f"{np.exp(np.log(errors).mean()):.3f}, largest {errors.max():.3f}, at most "
        f"1.005 in {np.mean(errors <= 1.005):.1%}; VAE minus PCA: median "
        f"{np.nanmedian(nats):+.3f}, smallest {np.nanmin(nats):+.3f} nats per column; "
        f"seconds: median {np.median(seconds):.2f}, largest {seconds.max():.1f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", nargs="+", default=datasets.names())
    parser.add_argument("--components", nargs="+", type=int, default=[2, 8, 32])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-rows", type=int, default=3000)
    parser.add_argument("--out", type=pathlib.Path, default="quality.csv")
    options = parser.parse_args()
    rows = read(options.out)
    done = {tuple(str(row[name]) for name in KEY) for row in rows}
    with options.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if not rows:
            writer.writeheader()
        for name in options.names:
            data = datasets.load(name)
            for n_components in options.components:
                for seed in options.seeds:
                    if (name, str(n_components), str(seed)) in done:
                        continue
                    row = measure(data, n_components, seed, options.max_rows)
                    if row is None:
                        continue
                    rows.append(row)
                    writer.writerow(row)
                    file.flush()
                    print(
                        f"{name:<22} {n_components:>3} {row['error']:>8.4f} "
                        f"{row['nats']:>+9.4f} {row['seconds']:>6.2f}",
                        flush=True,
                    )
    summarise(rows)


if __name__ == "__main__":
    main()
