"""Likelihoods and samples of the VAE: MNIST by a published protocol, and real tables.

    SKAE_DATA=folder python -m benchmarks.likelihood mnist --init random --importance 5
    SKAE_DATA=folder python -m benchmarks.likelihood tables --components 2 8
    SKAE_DATA=folder python -m benchmarks.likelihood tables --continuous
    SKAE_DATA=folder python -m benchmarks.likelihood counts
    SKAE_DATA=folder python -m benchmarks.likelihood samples

``mnist`` is the protocol of Burda, Grosse & Salakhutdinov (2016): binarised anew each
epoch, 784-200-200-50, tanh, the likelihood of the test set by 5,000 importance samples.
Theirs, after 3,280 epochs of batches of 20, in nats below 0: VAE 86.76, 86.47 and 86.35
for k = 1, 5 and 50 samples in training; IWAE 85.54 and 84.78 for k = 5 and 50. Here
batches are larger, and the learning rate falls to 0 by a cosine, over however many
epochs there is time for. For k = 1 an epoch took 1.1 s of one core of an AMD EPYC with
products in bfloat16 (batches of 20: 2.8 s), and the scores about 0.03 s a row each.
``nats_encoder`` is by their estimator, importance samples from the encoder's posterior;
``nats`` by ``score``, whose samples are drawn about where the posterior is highest.

``tables`` is the held-out log-likelihood, in nats per column, of every table next to
PCA, factor analysis, a Gaussian mixture (best BIC over 1 to 20 components and both
kinds of covariance) and kernels (bandwidth by cross-validation), by as many components
as are asked for, at most one for each column. Columns that do not vary, whose density
is arbitrary, are left out. With ``--continuous`` only continuous columns are kept
(:mod:`benchmarks.continuous`), since the densities of others have no bound. ``judged``
is what a VAE can be chosen by without test rows: minus its loss on the rows held out in
its fit.

``counts`` is that of single cells by three likelihoods. A density of counts is no
probability of theirs, and has no bound; the Gaussian learns and scores them with
uniform noise of [0, 1) added, which gives a lower bound of the log-probability that it
lends to each unit interval (Theis et al., 2016).

``samples`` trains a random forest and a linear model on samples and tests them on real
rows. A test set of 250 rows decides an accuracy within 2 % only, so methods are
compared by their means over sets and ``--seeds``.

Results that are in the file already, of as many rows and the like, are not computed
again; ``--plots`` draws all but those of ``mnist``, and ``--notes`` writes down what is
printed in the end.
"""

import argparse
import functools
import math
import pathlib
import time
import warnings

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import datasets
from benchmarks.continuous import FEWEST_COLUMNS, continuous
from benchmarks.densities import (
    DENSITIES,
    PRIORS,
    SAMPLERS,
    WITHOUT_COMPONENTS,
    is_class,
)
from benchmarks.ledger import Ledger
from benchmarks.likelihood_summary import SUMMARIES, plot
from benchmarks.notes import Notes
from skae import VAETransformer
from skae.likelihoods import Bernoulli
from skae.models.objectives import log_weights

# Held-out nats by (method, samples in training), of Burda et al. (2016), table 1.
PUBLISHED = {1: -86.76, 5: -85.54, 50: -84.78}

# What the results of ``mnist`` depend on, beside how a VAE is trained.
MNIST_OPTIONS = ("samples", "test_rows", "max_rows", "quick")

# Draws of a code that are decoded together.
DECODED_AT_ONCE = 250

QUICK_NAMES = ("wine", "breast_cancer")
COUNTS = ("sc_mouse_bladder2100", "sc_osmfish", "sc_pbmc3k")


# ---------------------------------------------------------------------- MNIST


def mnist_rows(options):
    """Grey training rows, and test rows binarised once."""
    name = "digits" if options.quick else "mnist"
    X = datasets.load(name).X
    X = X / X.max()
    n_test = 297 if options.quick else 10_000
    rng = np.random.default_rng(0)
    test = (rng.random((n_test, X.shape[1])) < X[-n_test:]).astype(np.float32)
    train = X[:-n_test].astype(np.float32)
    return train[: options.max_rows], test[: options.test_rows]


def encoder_nats(vae, X, n_samples):
    """Importance-weighted bound by the encoder's posterior, as in the protocol."""
    generator = torch.Generator().manual_seed(0)
    model, scores = vae.module_, []
    with torch.inference_mode():
        for x in torch.from_numpy(X).split(20):
            posterior, logs = model.posterior(x).each_draw(), []
            for begin in range(0, n_samples, DECODED_AT_ONCE):
                size = min(DECODED_AT_ONCE, n_samples - begin)
                shape = len(x), size, vae.n_components_
                noise = torch.randn(shape, generator=generator)
                logs.append(log_weights(model, x, posterior, noise))
            scores.append(torch.cat(logs, dim=1).logsumexp(1))
    return (torch.cat(scores).mean() - math.log(n_samples)).item()


class Annealed(torch.optim.Adam):
    """Adam whose learning rate falls to 0 by a cosine, in so many steps."""

    def __init__(self, params, *, lr, n_steps):
        super().__init__(params, lr=lr, fused=True)
        self.begin, self.n_steps, self.n_taken = lr, n_steps, 0

    def step(self, closure=None):
        share = min(self.n_taken / self.n_steps, 1.0)
        for group in self.param_groups:
            group["lr"] = self.begin * (1 + math.cos(math.pi * share)) / 2
        self.n_taken += 1
        return super().step(closure)


def run_mnist(options):
    columns = ("rows", "epochs_run", "seconds", "nats", "nats_encoder", "elbo")
    ledger = Ledger(
        options.out,
        ("epochs", "importance", "prior", "init", "batch_size", "rate", "seed"),
        (*columns, "active", "published"),
        **{name: getattr(options, name) for name in MNIST_OPTIONS},
    )
    key = {name: getattr(options, name) for name in ledger.key}
    if not ledger.has(**key):
        X, X_test = mnist_rows(options)
        n_judges = len(X) // 12
        n_steps = options.epochs * math.ceil((len(X) - n_judges) / options.batch_size)
        vae = VAETransformer(
            min(50, X.shape[1] - 1),
            hidden_layer_sizes=(200, 200),
            activation="tanh",
            init=options.init,
            likelihood=Bernoulli(binarize=True),
            prior=options.prior,
            n_importance_samples=options.importance,
            n_score_samples=options.samples,
            solver=functools.partial(Annealed, n_steps=n_steps),
            learning_rate_init=options.rate,
            batch_size=options.batch_size,
            max_iter=options.epochs,
            n_iter_no_change=options.epochs,  # the rate has a schedule of its own
            validation_fraction=n_judges / len(X),
            random_state=options.seed,
            verbose=True,
        )
        begin = time.process_time()
        vae.fit(X)
        ledger.add(
            **key,
            rows=len(X),
            epochs_run=vae.n_iter_,
            seconds=time.process_time() - begin,
            nats=vae.score(X_test),
            nats_encoder=encoder_nats(vae, X_test, options.samples),
            elbo=float(vae.elbo(X_test).total.mean()),
            active=int(vae.active_components_.sum()),
            published=PUBLISHED.get(options.importance, math.nan),
        )
    return ledger


# ---------------------------------------------------------------------- tables


def dense(X):
    return X.toarray().astype(float) if sp.issparse(X) else X


def density_nats(name, X, X_test, n_components, seed):
    """Held-out nats per column of one model; NaN if it fails.

    Also those of the rows that judged a VAE, by its bound and the prior that was
    trained, and seconds to fit.
    """
    begin, judged = time.process_time(), math.nan
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = DENSITIES[name](X, n_components, seed)
            nats = float(np.mean(model.score_samples(X_test))) / X.shape[1]
            judged = -getattr(model, "best_loss_", math.nan) / X.shape[1]
    except (ValueError, np.linalg.LinAlgError) as error:
        print(f"{name} failed: {error}")
        nats = math.nan
    return dict(nats=nats, judged=judged, seconds=time.process_time() - begin)


def table_rows(data, seed, options):
    """Training and test rows of a table; None where too few columns are left."""
    X, X_test, _, _ = data.split(
        seed, max_rows=options.max_rows, standardise=not options.continuous
    )
    if X.shape[1] > options.max_columns:
        return None
    X, X_test = dense(X), dense(X_test)
    if options.continuous:
        X, X_test = continuous(X, X_test, seed)
        return (X, X_test) if X.shape[1] >= FEWEST_COLUMNS else None
    varies = X.std(axis=0) > 0
    return X[:, varies], X_test[:, varies]


def run_tables(options):
    ledger = Ledger(
        options.out,
        ("name", "components", "seed", "model"),
        ("rows", "columns", "nats", "judged", "seconds"),
        max_rows=options.max_rows,
        continuous=options.continuous,
    )
    for name in options.names:
        data = datasets.load(name)
        for seed in options.seeds:
            rows = table_rows(data, seed, options)
            if rows is None:
                continue
            X, X_test = rows
            largest = min(len(X) - 1, X.shape[1])
            sizes = sorted({min(size, largest) for size in options.components})
            for model in options.models:
                for size in [0] if model in WITHOUT_COMPONENTS else sizes:
                    key = dict(name=name, components=size, seed=seed, model=model)
                    if not ledger.has(**key):
                        found = density_nats(model, X, X_test, size, seed)
                        shape = dict(rows=len(X), columns=X.shape[1])
                        ledger.add(**key, **shape, **found)
    return ledger


# ---------------------------------------------------------------------- counts


def count_nats(likelihood, X, X_test, n_components, seed):
    """Held-out nats per column of counts."""
    if likelihood == "gaussian":
        rng = np.random.default_rng(seed)
        X, X_test = X + rng.random(X.shape), X_test + rng.random(X_test.shape)
    vae = VAETransformer(n_components, likelihood=likelihood, random_state=seed)
    return vae.fit(X).score(X_test) / X.shape[1]


def run_counts(options):
    ledger = Ledger(
        options.out,
        ("name", "components", "seed", "model"),
        ("rows", "columns", "nats", "seconds"),
        max_rows=options.max_rows,
        max_columns=options.max_columns,
    )
    for name in options.names:
        data = datasets.load(name)
        for seed in options.seeds:
            X, X_test, _, _ = data.split(
                seed, max_rows=options.max_rows, standardise=False
            )
            total = np.asarray(X.sum(axis=0)).ravel()
            kept = np.argsort(-total)[: options.max_columns]
            X, X_test = dense(X[:, kept]), dense(X_test[:, kept])
            # A cell without a count has no size, and no likelihood of shares.
            X, X_test = X[X.sum(1) > 0], X_test[X_test.sum(1) > 0]
            shape = dict(rows=len(X), columns=X.shape[1])
            for size in options.components:
                for model in ("negative_binomial", "poisson", "gaussian"):
                    key = dict(name=name, components=size, seed=seed, model=model)
                    if ledger.has(**key):
                        continue
                    begin = time.process_time()
                    nats = count_nats(model, X, X_test, size, seed)
                    seconds = time.process_time() - begin
                    ledger.add(**key, **shape, nats=nats, seconds=seconds)
    return ledger


# ---------------------------------------------------------------------- samples


def judges(y, seed):
    """Predictors that are trained on samples, by name."""
    if is_class(y):
        forest = RandomForestClassifier(200, random_state=seed)
        linear = LogisticRegression(max_iter=2000)
    else:
        forest = RandomForestRegressor(200, random_state=seed)
        linear = RidgeCV(np.logspace(-3, 3, 13))
    return {"forest": forest, "linear": make_pipeline(StandardScaler(), linear)}


def run_samples(options):
    """Train on samples, test on real rows: accuracy, or R2."""
    ledger = Ledger(
        options.out,
        ("name", "seed", "model"),
        ("forest", "linear", "seconds"),
        max_rows=options.max_rows,
    )
    for name in options.names:
        data = datasets.load(name)
        if data.y is None or sp.issparse(data.X) or data.y.ndim > 1:
            continue
        for seed in options.seeds:
            X, X_test, y, y_test = data.split(seed, max_rows=options.max_rows)
            if X.shape[1] > options.max_columns:
                continue
            if not is_class(y):  # one more column, in units like the others'
                center, scale = y.mean(), y.std()
                y, y_test = (y - center) / scale, (y_test - center) / scale
            for model in options.models:
                key = dict(name=name, seed=seed, model=model)
                if ledger.has(**key):
                    continue
                begin = time.process_time()
                try:
                    drawn, target = SAMPLERS[model](X, y, seed)
                except ImportError as error:
                    print(f"{model}: {error}")
                    continue
                seconds = time.process_time() - begin
                scores = {
                    judge: predictor.fit(drawn, target).score(X_test, y_test)
                    for judge, predictor in judges(y, seed).items()
                }
                ledger.add(**key, **scores, seconds=seconds)
    return ledger


# ---------------------------------------------------------------------- command line


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    mnist = parts.add_parser("mnist")
    mnist.add_argument("--epochs", type=int, default=2000)
    mnist.add_argument("--importance", type=int, default=1)
    mnist.add_argument("--prior", default="normal", choices=PRIORS)
    mnist.add_argument("--init", default="pca", choices=("pca", "random"))
    mnist.add_argument("--batch-size", type=int, default=100)
    mnist.add_argument("--rate", type=float, default=2e-3)
    mnist.add_argument("--samples", type=int, default=5000)
    mnist.add_argument("--test-rows", type=int, default=10_000)
    mnist.add_argument("--max-rows", type=int, default=60_000)
    mnist.add_argument("--seed", type=int, default=0)
    for name, names, models in (
        ("tables", datasets.names(), DENSITIES),
        ("counts", COUNTS, None),
        ("samples", datasets.names(), SAMPLERS),
    ):
        part = parts.add_parser(name)
        part.add_argument("--names", nargs="+", default=names)
        if name != "samples":  # whose models have sizes of their own
            part.add_argument("--components", nargs="+", type=int, default=[2, 8])
        part.add_argument("--seeds", nargs="+", type=int, default=[0])
        part.add_argument("--max-rows", type=int, default=3000)
        part.add_argument("--max-columns", type=int, default=1000)
        if models is not None:
            part.add_argument("--models", nargs="+", default=[*models])
        if name == "tables":
            part.add_argument("--continuous", action="store_true")
        part.add_argument("--plots", type=pathlib.Path)
    for part in parts.choices.values():
        part.add_argument("--quick", action="store_true")
        part.add_argument("--out", type=pathlib.Path)
        part.add_argument("--notes", type=pathlib.Path)
    options = parser.parse_args(arguments)
    if options.out is None:
        options.out = pathlib.Path(f"likelihood_{options.part}.csv")
    return quick(options) if options.quick else options


def quick(options):
    """Make the whole a matter of a minute."""
    options.max_rows = min(options.max_rows, 300)
    if options.part == "mnist":
        options.epochs, options.samples = min(options.epochs, 3), 64
        options.test_rows = 100
        return options
    if options.part != "samples":
        options.components = options.components[:1]
    if options.part != "counts":
        options.names = [name for name in options.names if name in QUICK_NAMES]
    return options


def main():
    options = parse()
    run = {
        "mnist": run_mnist,
        "tables": run_tables,
        "counts": run_counts,
        "samples": run_samples,
    }[options.part]
    ledger = run(options)
    with Notes(options.notes) as notes:
        for line in SUMMARIES[options.part](ledger.rows):
            notes.add(line)
    if options.part != "mnist" and options.plots is not None:
        options.plots.mkdir(parents=True, exist_ok=True)
        value = "forest" if options.part == "samples" else "nats"
        plot(ledger, value, options.plots / f"{options.part}.svg")


if __name__ == "__main__":
    main()
