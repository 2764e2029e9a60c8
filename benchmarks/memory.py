"""Peak memory of one fit over the interpreter's own, and of a thousand in a row.

    python -m benchmarks.memory --rows 2000000 --kind memmap

Counted is memory that cannot be given back (anonymous memory, by ``/proc``): pages of a
file that the system keeps in its cache are not.
"""

import argparse
import pathlib
import tempfile
import threading
import time

import numpy as np
from sklearn.datasets import load_iris

from benchmarks.contenders import rows_like
from benchmarks.notes import Notes
from skae import AutoencoderTransformer

MEGABYTE = 2**20


def anonymous_memory():
    """Bytes of this process that no file backs."""
    status = pathlib.Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


class Peak:
    """Largest memory within a ``with`` block, over what there was before."""

    def __enter__(self):
        self.before = self.highest = anonymous_memory()
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def _watch(self):
        while not self._is_over.wait(0.01):
            self.highest = max(self.highest, anonymous_memory())

    def __exit__(self, *_):
        self._is_over.set()
        self._watcher.join()

    @property
    def megabytes(self):
        return (self.highest - self.before) / MEGABYTE


def mapped_rows(folder, n_rows, n_features):
    """Rows on disk, written some at a time."""
    path = pathlib.Path(folder) / "rows.npy"
    shape = (n_rows, n_features)
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, n_rows, 20_000):
        stop = min(start + 20_000, n_rows)
        X[start:stop] = rows_like(stop - start, n_features, seed=start)
    X.flush()
    return np.load(path, mmap_mode="r")


def fit_once(X):
    model = AutoencoderTransformer(
        16, hidden_layer_sizes=(512, 256), batch_size=256, max_iter=1, random_state=0
    )
    begin = time.perf_counter()
    with Peak() as peak:
        model.fit(X)
    return peak.megabytes, time.perf_counter() - begin


def fit_often(n_fits):
    X = load_iris().data
    model = AutoencoderTransformer(2, max_iter=2, random_state=0)
    for _ in range(20):
        model.fit(X)
    before = anonymous_memory()
    for _ in range(n_fits):
        model.fit(X)
    return (anonymous_memory() - before) / MEGABYTE


def measure(kind, shape):
    """Peak memory of one fit, as a line."""
    fit_once(rows_like(500, shape[1]))  # what loads on first use
    if kind == "uint8":
        X = (255 * rows_like(*shape)).astype(np.uint8)
        peak, taken = fit_once(X)
    else:
        with tempfile.TemporaryDirectory() as folder:
            X = mapped_rows(folder, *shape)
            peak, taken = fit_once(X)
    size = X.nbytes / MEGABYTE
    return f"{kind} of {size:.0f} MB: peak {peak:.0f} MB, {taken:.1f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=["memmap", "uint8", "many"], required=True)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--columns", type=int, default=784)
    parser.add_argument("--fits", type=int, default=1000)
    parser.add_argument("--out", type=pathlib.Path, default=None)
    args = parser.parse_args()
    with Notes(args.out) as notes:
        if args.kind == "many":
            notes.add(f"{args.fits:,} fits in a row: {fit_often(args.fits):+.2f} MB")
        else:
            notes.add(measure(args.kind, (args.rows, args.columns)))


if __name__ == "__main__":
    main()
