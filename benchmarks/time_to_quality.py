"""Held-out error against seconds of training, for skae, a plain loop and peers.

    SKAE_DATA=folder python -m benchmarks.time_to_quality --out quality.txt \
        --csv quality.csv --plot quality.png
    SKAE_DATA=folder python -m benchmarks.time_to_quality --stop \
        --contenders skae "plain loop" skorch "Keras on torch"

A point is a whole fit of so many epochs, start included: what a user gets for the
seconds. skae is fitted with its defaults, rows held out among them. The plain loop and
the peers train on all rows, and are given the best of several learning rates at each
point, and only the seconds of that one. The error is the mean squared error of rows
that nobody trained on, over that of PCA. ``--stop`` ends each one's fits at the first
that reaches the target.
"""

import argparse
import csv
import math
import pathlib
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from benchmarks import contenders, datasets
from benchmarks.contenders import Case
from benchmarks.notes import Notes
from skae import AutoencoderTransformer

LEARNING_RATES = (3e-4, 1e-3, 3e-3)
EPOCHS = (1, 2, 3, 4, 6, 8)
TARGET = 0.7
USUAL = ("skae", "plain loop")


def skae_defaults(X, case):
    return AutoencoderTransformer(
        case.n_components,
        hidden_layer_sizes=case.hidden,
        max_iter=case.n_epochs,
        device=case.device,
        random_state=0,
    ).fit(X)


def by_module(module, X):
    device = next(module.parameters()).device
    with torch.no_grad():
        return module(torch.from_numpy(X).to(device)).cpu().numpy()


# Each by its fit, how it reconstructs rows, and whether it is given learning rates.
CONTENDERS = {
    "skae": (skae_defaults, lambda model, X: model.reconstruct(X), False),
    "plain loop": (contenders.plain_loop, by_module, True),
    "skorch": (contenders.skorch_net, lambda net, X: net.predict(X), True),
    "Keras on torch": (
        contenders.keras_model,
        lambda model, X: model.predict(X, verbose=0),
        True,
    ),
}


@dataclass(frozen=True)
class Point:
    """What a fit took, and what it gave; the error is relative to PCA's."""

    contender: str
    n_epochs: int
    learning_rate: float
    seconds: float
    error: float


def load_rows(name, n_rows):
    """Rows to train on and rows to judge by, in float32."""
    if name == "digits":
        X = load_digits().data / 16
    else:
        X = datasets.load(name).X
    X = np.ascontiguousarray(X[:n_rows], dtype=np.float32)
    return train_test_split(X, test_size=1 / 7, random_state=0)


def squared_error(X, reconstructed):
    return float(np.square(X - reconstructed).sum(axis=1).mean())


def measure(name, case, X, X_test, reference):
    """Fit a contender once for each learning rate it is given; return the best."""
    fit, reconstruct, takes_rates = CONTENDERS[name]
    points = []
    for rate in LEARNING_RATES if takes_rates else (case.learning_rate,):
        begin = time.perf_counter()
        model = fit(X, replace(case, learning_rate=rate))
        if case.device != "cpu":
            torch.accelerator.synchronize(case.device)
        seconds = time.perf_counter() - begin
        error = squared_error(X_test, reconstruct(model, X_test)) / reference
        used = rate if takes_rates else math.nan
        points.append(Point(name, case.n_epochs, used, seconds, error))
    return min(points, key=lambda point: point.error)


def run(names, epochs, case, X, X_test, notes, stop_at=-math.inf):
    """Measure every contender at every number of epochs, until an error is reached."""
    pca = PCA(case.n_components).fit(X)
    reference = squared_error(X_test, pca.inverse_transform(pca.transform(X_test)))
    notes.add(f"PCA's squared error per row, held out: {reference:.4g}")
    points = []
    for name in names:
        fit = CONTENDERS[name][0]
        try:
            fit(
                X[: 2 * case.batch_size], replace(case, n_epochs=1)
            )  # loads on first use
        except ImportError as error:
            notes.add(f"{name}: {error}")
            continue
        for n_epochs in epochs:
            point = measure(
                name, replace(case, n_epochs=n_epochs), X, X_test, reference
            )
            points.append(point)
            notes.add(
                f"{name:<16} {n_epochs:4d} epochs {point.seconds:8.2f} s   "
                f"error / PCA's {point.error:.4f}   rate {point.learning_rate:g}"
            )
            if point.error <= stop_at:
                break
    return points


def seconds_to(points, target):
    """Seconds of the shortest fit that reaches an error; NaN if none does."""
    return min((p.seconds for p in points if p.error <= target), default=math.nan)


def draw(points, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name in dict.fromkeys(point.contender for point in points):
        own = sorted((p.seconds, p.error) for p in points if p.contender == name)
        axes.plot(*zip(*own, strict=True), marker="o", markersize=3, label=name)
    axes.axhline(1.0, color="grey", linewidth=1, linestyle="--", label="PCA")
    axes.set(xscale="log", xlabel="seconds to fit", ylabel="held-out error / PCA's")
    axes.legend()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion_mnist")
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--components", type=int, default=16)
    parser.add_argument("--hidden", type=int, nargs="+", default=[512, 256])
    parser.add_argument("--epochs", type=int, nargs="+", default=list(EPOCHS))
    parser.add_argument("--contenders", nargs="+", default=list(USUAL))
    parser.add_argument("--stop", action="store_true", help="at the target")
    parser.add_argument("--target", type=float, default=TARGET)
    parser.add_argument("--device", default="cpu")
    for name in ("--out", "--csv", "--plot"):
        parser.add_argument(name, type=pathlib.Path, default=None)
    args = parser.parse_args()
    hidden = tuple(args.hidden)
    case = Case(args.data, hidden, args.components, 256, 1, device=args.device)
    X, X_test = load_rows(args.data, args.rows)
    with Notes(args.out) as notes:
        shape = f"{X.shape} to train on, {len(X_test)} rows to judge by"
        notes.add(f"{args.data}: {shape}, {args.device}")
        stop_at = args.target if args.stop else -math.inf
        points = run(args.contenders, args.epochs, case, X, X_test, notes, stop_at)
        for name in dict.fromkeys(point.contender for point in points):
            own = [point for point in points if point.contender == name]
            taken = seconds_to(own, args.target)
            notes.add(f"{name:<16} to {args.target:.2f} of PCA's error: {taken:.2f} s")
    if args.csv is not None:
        with args.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, Point.__dataclass_fields__)
            writer.writeheader()
            writer.writerows(vars(point) for point in points)
    if args.plot is not None:
        draw(points, args.plot)


if __name__ == "__main__":
    main()
