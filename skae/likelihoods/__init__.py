"""Likelihoods: how a row is distributed given what the decoder predicts from its code.

The decoder gives a predictor ``eta`` per column; a likelihood reads it. It is a spec
with parameters only; ``build(n_features)`` makes the ``nn.Module`` that holds what is
learned. A module has

    log_prob(x, eta)   log p(x | z) of each row, in nats
    sample(eta, generator)
    start(maps, loadings, code_scale, shrinkage)   where the predictor begins; sets
                       the noise of the module, too

Columns are the last axis, and any others come before it: a VAE asks for ``log_prob`` of
rows (n, 1, p) and predictors (n, d, p), of d codes for each row, and gets (n, d).

Where it is not as :class:`LikelihoodModule` has it, it has

    mean(eta, x)       E[x | z]; of the size of the rows x, where that counts
    predictor(mean)    the eta whose mean is that
    view(x)            rows as the encoder and the linear maps see them
    spread(maps)       what the encoder takes for 1 in each column
    deviance(x, eta)   what an autoencoder minimises: minus log_prob, up to constants
                       and the noise
    log_prob_slope, deviance_slope (x, eta, row_factor)
                       the same, and the derivative in eta of their sum, each row
                       times its factor; sets the gradient of what is learned
    is_squared_error   whether the deviance is one, of eta
    is_recordable      whether a GPU may record the slopes
    draws_rows         whether what is learned from is a draw
    drawn(x, generator)   rows to be learned from, where they stand for draws
    initialize_from(x, weight)   begins as some rows suggest, where PCA does not say how
    fit_totals(counted_blocks, anew)   the distribution of the rows' totals
    explain(variance, explained)   takes off the noise what classes explain
    leave_to_codes(n_components, n_features)   draws no noise along codes
    calibrate(remainder)     takes an autoencoder's noise from what it leaves of rows
    draw_errors(remainder)   draws such noise, and weighs errors as before

An estimator that finds it there asks for

    noise_variance     of what is around the mean, in the units of the rows

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
