"""Seconds to train the same autoencoder, next to plain torch loops and peers.

    python -m benchmarks.speed --rounds 3 --epochs-of-peers 1 --out results.txt

Every round runs every contender once, one after the other, so that whatever else the
machine does falls on all; of the rounds the fastest counts. What is compared are
seconds per epoch, all that comes before the first one included, so other libraries may
be given fewer epochs. The table also has the seconds of ``transform``, of
``inverse_transform``, of ``sample`` and of a pickle, next to the matrix products that
they cannot do without.
"""

import argparse
import contextlib
import math
import pathlib
import pickle
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_digits

from benchmarks import datasets
from benchmarks.contenders import OWN_LOOPS, Case, contenders, rows_like, skae
from benchmarks.notes import Notes

CASES = {
    "small": Case("small", (128, 64), 8, 128, 60),
    "medium": Case("medium", (512, 256), 16, 256, 6),
    "wide": Case("wide", (1000, 500, 250), 30, 256, 2),
    "vae": Case("vae", (512, 256), 16, 256, 6, is_vae=True),
}


def rows_of(case, n_rows):
    if case.name == "small":
        return load_digits().data.astype(np.float32) / 16
    if "fashion_mnist" in datasets.names():
        X = datasets.load("fashion_mnist").X
        return np.ascontiguousarray(X[:n_rows], dtype=np.float32)
    return rows_like(n_rows, 784)


def seconds(device, function, *arguments):
    begin = time.perf_counter()
    function(*arguments)
    if device != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - begin


def shortened(case, who, n_epochs):
    """Give a case to a contender: for fewer epochs, if it is another library."""
    if n_epochs is None or who in OWN_LOOPS:
        return case
    return replace(case, n_epochs=min(case.n_epochs, n_epochs))


def warm_up(fit, X, case):
    """Let a contender load what it loads on first use."""
    with contextlib.suppress(ImportError):
        fit(X[: 2 * case.batch_size], replace(case, n_epochs=1))


def time_fits(case, X, n_rounds, wanted, epochs_of_peers):
    """Seconds per epoch of each one's fastest fit; NaN where it is not installed."""
    best = {}
    for number in range(n_rounds + 1):
        for name, fit in contenders(case).items():
            if wanted and name not in wanted:
                continue
            if number == 0:
                warm_up(fit, X, case)
                continue
            own = shortened(case, name, epochs_of_peers)
            try:
                taken = seconds(case.device, fit, X, own) / own.n_epochs
                best[name] = min(best.get(name, math.inf), taken)
            except ImportError:
                best[name] = math.nan
    return best


def time_inference(case, X, n_rounds):
    """Seconds of everything after fit, and of the products behind them."""
    model = skae(X, replace(case, batch_size=256, n_epochs=1))
    Z = model.transform(X)
    widths = case.widths(X.shape[1])
    weights = [torch.randn(b, a, device=case.device) for a, b in pairwise(widths)]
    rows = torch.from_numpy(X)

    def encode_alone():
        for rows_together in rows.split(4096):
            block = rows_together.to(case.device)
            for weight in weights:
                block = block @ weight.t()

    tasks = {
        "transform": lambda: model.transform(X),
        "products of transform": encode_alone,
        "inverse_transform": lambda: model.inverse_transform(Z),
        "sample as many rows": lambda: model.sample(len(X), random_state=0),
        "pickle and back": lambda: pickle.loads(pickle.dumps(model)),
    }
    found = {
        name: min(seconds(case.device, t) for _ in range(n_rounds))
        for name, t in tasks.items()
    }
    return found, len(pickle.dumps(model))


def report_case(case, X, n_rounds, wanted, epochs_of_peers, notes):
    """Time a case, and note it line by line."""
    epochs = f"{case.n_epochs} epochs of {case.batch_size}"
    notes.add(f"\n{case.name}: {X.shape}, {epochs}, {case.device}")
    fits = time_fits(case, X, n_rounds, wanted, epochs_of_peers)
    for who, taken in fits.items():
        ratio = fits["skae"] / taken if "skae" in fits else math.nan
        notes.add(f"  epoch, {who:<24} {taken:8.4f} s   skae / it {ratio:6.2f}")
    if not case.is_vae:
        inference, size = time_inference(case, X, n_rounds)
        for task, taken in inference.items():
            notes.add(f"  {task:<31} {taken:8.3f} s")
        notes.add(f"  pickle of {size / 1e6:.2f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--contenders", nargs="+", default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--epochs-of-peers", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=pathlib.Path, default=None)
    args = parser.parse_args()
    with Notes(args.out) as notes:
        for name in args.cases:
            case = replace(CASES[name], device=args.device)
            if args.epochs:
                case = replace(case, n_epochs=args.epochs)
            X = rows_of(case, args.rows)
            chosen = args.rounds, args.contenders, args.epochs_of_peers
            report_case(case, X, *chosen, notes)


if __name__ == "__main__":
    main()
