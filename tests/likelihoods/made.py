"""Rows of all kinds, and likelihoods with settings of one's own."""

import numpy as np
from given import built

from skae.likelihoods import Gaussian, GaussianDiag, NegativeBinomial, StudentT

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 3, "random_state": 0}
START = {"hidden_layer_sizes": (16,), "max_iter": 0, "random_state": 0}


def negative_binomial(theta, size=None):
    module = built(NegativeBinomial(size), len(theta))
    module.log_dispersion.set(np.asarray(theta, dtype=float))
    return module


def student(scale2, freedom):
    module = built(StudentT(), len(scale2))
    module.log_scale2.set(np.asarray(scale2, dtype=float))
    module.log_excess.set(freedom - 1.0)
    return module


def with_totals(module, mean, shape):
    module.rates.total_mean.fill_(mean)
    module.rates.total_shape.fill_(shape)
    return module


def gaussian(noise, n_columns):
    module = built(Gaussian(), n_columns)
    module.set_noise_variance(noise)
    return module


def diagonal(noise):
    module = built(GaussianDiag(), len(noise))
    module.log_noise.set(np.asarray(noise, dtype=float))
    return module


def counts(n_rows=300, n_features=12, seed=0):
    """Counts of two kinds of row, of all sizes, that vary more than Poisson's."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(n_features), size=2)[rng.integers(2, size=n_rows)]
    size = rng.gamma(3.0, 20.0, size=(n_rows, 1))
    theta = rng.uniform(1.0, 4.0, n_features)
    return rng.poisson(size * shares * rng.gamma(theta, 1 / theta, shares.shape)) * 1.0


def mixed(n_rows=240, seed=0):
    """Two real columns of odd units, a truth, a count, and a category of three."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n_rows)
    return np.column_stack(
        [
            1e6 + 50 * kind + 10 * rng.normal(size=n_rows),
            rng.random(n_rows) < 0.2 + 0.3 * kind,
            0.01 * kind + 0.001 * rng.normal(size=n_rows),
            np.eye(3)[kind],
            rng.poisson(1 + 4 * kind) + rng.poisson(rng.gamma(1, 2, n_rows)),
        ]
    ).astype(np.float64)


MIXED = [
    ("gaussian_diag", [0, 2]),
    ("bernoulli", [1]),
    ("categorical", slice(3, 6)),
    ("negative_binomial", [-1]),
]
