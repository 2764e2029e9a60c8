"""Likelihoods: how a row is distributed given what the decoder predicts from its code.

The decoder gives a predictor ``eta`` per column; a likelihood reads it. It is a spec
with parameters only; ``build(n_features)`` makes the ``nn.Module`` that holds what is
learned. The module offers

    log_prob(x, eta)   log p(x | z) of each row, in nats
    deviance(x, eta)   what an autoencoder minimises: minus log_prob, up to constants
                       and the noise
    log_prob_slope, deviance_slope (x, eta, row_factor)
                       the same, and the derivative in eta of their sum, each row
                       times its factor; sets the gradient of what is learned
    mean(eta, x)       E[x | z]; of the size of the rows x, where that counts
    sample(eta, generator)
    view(x)            rows as the encoder and the linear maps see them
    spread(maps)       what the encoder takes for 1 in each column
    drawn(x, generator)   rows to be learned from, where they stand for draws
    fit_totals(weighted_blocks, anew)   the distribution of the rows' totals
    initialize_from(x, weight)   begins as some rows suggest, where PCA does not say how
    start(maps, loadings, code_scale, shrinkage)   where the predictor begins

Rows and ``eta`` are measured from an origin: the column means where ``centred`` is
true, else zero.
"""

from collections.abc import Callable
from functools import partial

from .base import Likelihood, LikelihoodModule, PredictorStart
from .categorical import Categorical
from .columns import PerColumn
from .counts import NegativeBinomial, Poisson
from .gaussian import Gaussian, GaussianDiag, StudentT
from .interval import Bernoulli, ContinuousBernoulli

__all__ = [
    "LIKELIHOODS",
    "PART_LIKELIHOODS",
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "Gaussian",
    "GaussianDiag",
    "Likelihood",
    "LikelihoodModule",
    "NegativeBinomial",
    "PerColumn",
    "Poisson",
    "PredictorStart",
    "StudentT",
]

LIKELIHOODS: dict[str, Callable[[], Likelihood]] = {
    "gaussian": Gaussian,
    "gaussian_diag": GaussianDiag,
    "student_t": StudentT,
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "categorical": Categorical,
}

# Counts of a mixed table are columns of their own, not parts of a total.
PART_LIKELIHOODS = LIKELIHOODS | {
    "poisson": partial(Poisson, size=None),
    "negative_binomial": partial(NegativeBinomial, size=None),
}
