"""Densities of rows: skae's next to scikit-learn's, to score and to sample from.

Each contender of ``DENSITIES`` is a function of rows, a number of components and a
seed that returns something with ``score_samples``. Each of ``SAMPLERS`` is a function
of rows, targets and a seed that returns new rows and targets.
"""

import warnings
from functools import partial

import numpy as np
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from skae import VAETransformer
from skae.likelihoods.gaussian import LEAST_NOISE

PRIORS = ("normal", "gmm", "vamp", "flow", "posterior")

MIXTURE_SIZES = range(1, 21)
BANDWIDTHS = np.logspace(-1.5, 1, 16)

# Columns from which on a mixture's full covariances are left out.
WIDE = 300

# Components of the codes of which KernelDensity draws.
KERNEL_COMPONENTS = 10

# A VAE draws from as many components as have this share of the variance: what is left
# is noise in its rows, of every column alike, and hides what hardly varies.
SHARE = 0.999

# Rows of a class below which they are drawn from as they are.
FEWEST_ROWS = 4


def vae(X, n_components, seed, **parameters):
    return VAETransformer(n_components, random_state=seed, **parameters).fit(X)


def pca(X, n_components, seed):
    return PCA(n_components, svd_solver="full").fit(X)


def likeliest_pca(X, n_components, seed):
    """PCA whose moments are divided by the number of rows, not by one less."""
    model = pca(X, n_components, seed)
    model.explained_variance_ *= (len(X) - 1) / len(X)
    model.noise_variance_ *= (len(X) - 1) / len(X)
    return model


def factor_analysis(X, n_components, seed):
    return FactorAnalysis(n_components, max_iter=2000, random_state=seed).fit(X)


def bounded_factor_analysis(X, n_components, seed):
    """Factor analysis whose noise is no less than the VAE's may be.

    Where columns are collinear, its likelihood has no bound but that of the noise.
    """
    model = factor_analysis(X, n_components, seed)
    least = LEAST_NOISE * X.var(axis=0)
    model.noise_variance_ = np.maximum(model.noise_variance_, least)
    return model


def mixture(X, n_components, seed, *, sizes=MIXTURE_SIZES):
    """Gaussian mixture of the best BIC, over sizes and both kinds of covariance."""
    kinds = ["diag"] if X.shape[1] > WIDE else ["full", "diag"]
    best, best_bic = None, np.inf
    for kind in kinds:
        for size in sizes:
            if size > len(X) // 2:
                continue
            model = GaussianMixture(size, covariance_type=kind, random_state=seed)
            bic = model.fit(X).bic(X)
            if bic < best_bic:
                best, best_bic = model, bic
    return best


def kernels(X, n_components, seed):
    """Kernel density, with the bandwidth of the best likelihood by 3-fold CV."""
    n_folds = min(3, len(X))
    return (
        GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=n_folds, refit=True)
        .fit(X)
        .best_estimator_
    )


DENSITIES = {
    "PCA": pca,
    "PCA likeliest": likeliest_pca,
    "FactorAnalysis": factor_analysis,
    "FactorAnalysis bounded": bounded_factor_analysis,
    "GaussianMixture": mixture,
    "KernelDensity": kernels,
    **{f"VAE {prior}": partial(vae, prior=prior) for prior in PRIORS},
    **{
        f"VAE diag {prior}": partial(vae, likelihood="gaussian_diag", prior=prior)
        for prior in PRIORS
    },
}

# Those that have no components.
WITHOUT_COMPONENTS = ("GaussianMixture", "KernelDensity")


# ---------------------------------------------------------------------- samples


def is_class(y):
    """Whether targets are classes: whole numbers, or names, of which there are few."""
    distinct = np.unique(y)
    is_whole = y.dtype.kind in "iubUSO" or bool((y == np.round(y)).all())
    return is_whole and len(distinct) <= 50


def of_each_class(sample):
    """Make a sampler of rows with their targets from one of rows alone.

    Classes are sampled one by one, as many rows as there are; a number is one more
    column.
    """

    def sampler(X, y, seed):
        if not is_class(y):
            joint = sample(np.column_stack([X, y]), len(X), seed)
            return joint[:, :-1], joint[:, -1]
        parts = [sample(X[y == c], int((y == c).sum()), seed) for c in np.unique(y)]
        return np.concatenate(parts), np.sort(y)

    return sampler


def of_few(X, n_rows, seed):
    """Draw from rows that are too few for any model."""
    return X[np.random.RandomState(seed).randint(len(X), size=n_rows)]


def from_mixture(X, n_rows, seed):
    if len(X) < FEWEST_ROWS:
        return of_few(X, n_rows, seed)
    return mixture(X, None, seed, sizes=range(1, 11)).sample(n_rows)[0]


def from_kernels(X, n_rows, seed):
    if len(X) < FEWEST_ROWS:
        return of_few(X, n_rows, seed)
    codes = PCA(min(KERNEL_COMPONENTS, *X.shape), random_state=seed).fit(X)
    drawn = kernels(codes.transform(X), None, seed).sample(n_rows, random_state=seed)
    return codes.inverse_transform(drawn)


def from_vae(X, n_rows, seed):
    if len(X) < FEWEST_ROWS:
        return of_few(X, n_rows, seed)
    return vae(X, SHARE, seed).sample(n_rows, random_state=seed)


def from_conditional_vae(X, y, seed):
    """Draw from one model of all classes; of numbers, from the usual one."""
    if not is_class(y):
        return of_each_class(from_vae)(X, y, seed)
    model = VAETransformer(SHARE, conditional=True, random_state=seed).fit(X, y)
    return model.sample(len(y), y=np.sort(y), random_state=seed), np.sort(y)


def from_tvae(X, y, seed):
    """Draw from TVAE (ctgan), at its defaults."""
    import pandas as pd
    import torch
    from ctgan import TVAE

    torch.manual_seed(seed)
    np.random.seed(seed)
    names = [f"x{j}" for j in range(X.shape[1])]
    table = pd.DataFrame(X, columns=names).assign(y=y)
    model = TVAE()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(table, discrete_columns=["y"] if is_class(y) else [])
    drawn = model.sample(len(y))
    return drawn[names].to_numpy(), drawn["y"].to_numpy().astype(y.dtype)


SAMPLERS = {
    "real rows": lambda X, y, seed: (X, y),
    "VAE": of_each_class(from_vae),
    "VAE conditional": from_conditional_vae,
    "GaussianMixture": of_each_class(from_mixture),
    "KernelDensity": of_each_class(from_kernels),
    "TVAE": from_tvae,
}
