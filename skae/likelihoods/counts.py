"""Likelihoods of counts: Poisson and negative binomial.

    poisson             x_j | z ~ Poisson(mu_j)
    negative_binomial   x_j | z ~ NB(mean mu_j, variance mu_j + mu_j^2 / theta_j)

The decoder predicts rates, in one of two ways:

    size=None      mu_j = exp(eta_j)
    size="total"   mu_j = t softmax(eta)_j,   t = sum_j x_j: what the row counts in all

With ``size="total"`` codes say what a row is made of, not how much of it there is. The
total is part of the row, so a product of the columns' probabilities given the total
would be no distribution of rows: it forgets that they have to add up to t. What is
scored is

    log p(x | z) = log p(t) + sum_j log p(x_j | mu_j) - log Poisson(t | t)

with a negative binomial p(t) of the training rows' totals. For Poisson columns this is
exact: given their sum they are multinomial, and the last term is the probability of
the sum. Negative binomial columns are Poisson with rates of their own, so their sum
is t with a probability that is at most Poisson(t | t): the score is a lower bound of
the normalised one, closer the nearer they are to Poisson.
"""

import math

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn import functional

from skae.rows import SeenRows, dense_blocks

from .base import (
    LearnedLog,
    Likelihood,
    LikelihoodModule,
    linked_start,
    widest,
)

__all__ = ["LARGEST_LOG_RATE", "SMALLEST_SIZE", "NegativeBinomial", "Poisson"]

SIZES = ("total", None)

# Largest logarithm of a rate, whatever a code far from all others makes of it.
LARGEST_LOG_RATE = 30.0

# Stands for the size of a row without counts, whose rates are 0.
SMALLEST_SIZE = 1e-30

# A column that was never seen is taken to be seen half a time.
UNSEEN = 0.5

# What is within this of 0, seen from its logarithm, is as good as 0.
SMALLEST_VIEW = 1e-3

# Dispersions theta at the start, and bounds of their logarithm ever after.
DISPERSIONS = (0.05, 100.0)
LOG_DISPERSIONS = (-7.0, 12.0)

# The shape of the totals' distribution is at most this: nearly a Poisson's.
LARGEST_SHAPE = 1e6


class _Counts(Likelihood):
    """Base of the specs of counts."""

    # What it is called where it is asked for.
    _name: str

    def __init__(self, size="total"):
        self.size = size

    def check(self, X, numbers, called):
        """Refuse what is no count."""
        if self.size not in SIZES:
            raise ValueError(
                f"likelihood: {type(self).__name__}(size={self.size!r}) has to have a "
                f"size in {SIZES}."
            )
        if X.dtype.kind == "u":
            return
        values = X.data if sp.issparse(X) else X
        wrong = values[(values < 0) | (values != np.floor(values))]
        if wrong.size:
            raise ValueError(
                f"likelihood={self._name!r} needs counts, 0, 1, 2, ..., but X has the "
                f"value {wrong[0]:.6g}; give raw counts, neither scaled nor "
                "logarithms, or use likelihood='gaussian'."
            )

    def view(self, X):
        """Logarithms ``log(1 + x)``, of the rows' shares of the total where it counts.

        Shares are times the number of columns, so that they are 1 on the average.
        """
        if sp.issparse(X):
            X = sp.csr_array(X, dtype=np.float64)
            if self.size == "total":
                total = np.maximum(X.sum(axis=1), SMALLEST_SIZE)
                X = sp.diags_array(X.shape[1] / total) @ X
            return X.log1p()
        factor = np.ones((X.shape[0], 1))
        if self.size == "total":
            totals = [block.sum(axis=1, keepdims=True) for _, block in dense_blocks(X)]
            factor = X.shape[1] / np.maximum(np.concatenate(totals), SMALLEST_SIZE)
        return SeenRows(X, lambda counts, rows, _: np.log1p(counts * factor[rows]))

    def _rates(self):
        return _Shares() if self.size == "total" else _Rates()


class Poisson(_Counts):
    """Counts with the variance of their mean.

    Parameters
    ----------
    size : {"total", None}, default="total"
        ``"total"`` predicts what share of its total a row has in each column; the
        total itself is scored by a distribution of its own. None predicts the counts
        as they are.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.likelihoods import Poisson
    >>> VAETransformer(likelihood=Poisson(size=None))
    VAETransformer(likelihood=Poisson(size=None))
    """

    _name = "poisson"

    def build(self, n_features):
        """Make the module."""
        return _PoissonModule(self._rates())


class NegativeBinomial(_Counts):
    """Counts that vary more than Poisson's, with a dispersion per column.

    The variance is ``mu + mu^2 / theta``. A VAE learns ``theta``; an autoencoder
    leaves it as it is at the start, by moments, and draws with that of its errors.

    Parameters
    ----------
    size : {"total", None}, default="total"
        ``"total"`` predicts what share of its total a row has in each column; the
        total itself is scored by a distribution of its own. The score is then a lower
        bound of the log-probability, and decoded rows are rates times the total, not
        the means of what is drawn: a draw shares its total out by rates that vary, and
        a column that varies more than others gets less of it on average. None predicts
        the counts as they are.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> VAETransformer(likelihood="negative_binomial")
    VAETransformer(likelihood='negative_binomial')
    """

    _name = "negative_binomial"

    def build(self, n_features):
        """Make the module."""
        return _NegativeBinomialModule(self._rates(), n_features)


class _Rates(nn.Module):
    """``log mu = eta``: columns that count each for itself."""

    def view(self, x):
        return torch.log1p(x)

    def fit_totals(self, counted_blocks, anew):
        """There are no totals."""

    def log_rates(self, x, eta):
        return eta.clamp(max=LARGEST_LOG_RATE)

    def slope(self, in_log_rates, eta):
        return in_log_rates * (eta <= LARGEST_LOG_RATE)

    def log_prob(self, x):
        """Log-probability of what is not in the rates."""
        return 0.0

    def typical(self, eta, x):
        return torch.exp(self.log_rates(x, eta))

    def draw(self, eta, generator):
        return self.typical(eta, None)

    def of_size(self, varied, rates):
        """Rates that vary about others: each column has its own."""
        return varied

    def intercept(self, mean):
        return np.log(mean)


class _Shares(nn.Module):
    """``log mu = log t + log softmax(eta)``: columns that are parts of a total t."""

    def __init__(self):
        super().__init__()
        self.total_mean = nn.Buffer(torch.ones((), dtype=torch.float64))
        self.total_shape = nn.Buffer(torch.ones((), dtype=torch.float64))
        self.n_seen = nn.Buffer(torch.zeros((), dtype=torch.float64))

    def view(self, x):
        total = x.sum(-1, keepdim=True).clamp(min=SMALLEST_SIZE)
        return torch.log1p(x * (x.shape[-1] / total))

    def fit_totals(self, counted_blocks, anew):
        """Find the distribution of the totals, by the moments of all rows seen."""
        mean, n_seen = self.total_mean, 0.0 if anew else self.n_seen
        square = mean**2 * (1 + 1 / self.total_shape) + mean
        moments = n_seen * torch.stack([torch.ones_like(mean), mean, square])
        for x, weight in counted_blocks():
            total = widest(x).sum(-1)
            powers = torch.stack([torch.ones_like(total), total, total.square()])
            moments = moments + powers @ widest(weight)
        n_seen, total, square = moments
        mean = torch.where(total > 0, total, UNSEEN) / n_seen
        excess = square / n_seen - mean**2 - mean
        self.n_seen.copy_(n_seen)
        self.total_mean.copy_(mean)
        self.total_shape.copy_(mean**2 / excess.clamp(min=mean**2 / LARGEST_SHAPE))

    def log_rates(self, x, eta):
        total = x.sum(-1, keepdim=True).clamp(min=SMALLEST_SIZE)
        return torch.log(total) + torch.log_softmax(eta, -1)

    def slope(self, in_log_rates, eta):
        total = in_log_rates.sum(-1, keepdim=True)
        return in_log_rates - torch.softmax(eta, -1) * total

    def log_prob(self, x):
        total = widest(x).sum(-1)
        log_mean, log_shape = torch.log(self.total_mean), torch.log(self.total_shape)
        prior = _log_negative_binomial(total, log_mean, log_shape)
        return (prior - _log_peak(total)).to(x.dtype)

    def typical(self, eta, x):
        size = self.total_mean.to(eta) if x is None else x.sum(-1, keepdim=True)
        return size * torch.softmax(eta, -1)

    def draw(self, eta, generator):
        shape = self.total_shape.cpu().expand(*eta.shape[:-1], 1)
        gamma = torch._standard_gamma(shape, generator=generator)
        size = gamma.to(eta) * (self.total_mean / self.total_shape).to(eta)
        return size * torch.softmax(eta, -1)

    def of_size(self, varied, rates):
        """Rates that vary about others: the total has its own distribution already."""
        total = varied.sum(-1, keepdim=True).clamp(min=SMALLEST_SIZE)
        return varied * (rates.sum(-1, keepdim=True) / total)

    def intercept(self, mean):
        return np.log(mean / mean.sum(-1, keepdims=True))


class _CountsModule(LikelihoodModule):
    """What the two distributions share: rates, and their start."""

    is_recordable = True

    def __init__(self, rates):
        super().__init__()
        self.rates = rates

    def view(self, x):
        return self.rates.view(x)

    def fit_totals(self, counted_blocks, *, anew):
        self.rates.fit_totals(counted_blocks, anew)

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        mean = np.maximum(maps.mean, UNSEEN / max(maps.n_rows, 1))
        # Of log(x) by log(1 + x): 1 / (1 - exp(-v)).
        in_view = -1 / np.expm1(-np.maximum(maps.center, SMALLEST_VIEW))
        slopes = loadings * in_view[:, None]
        return linked_start(self.predictor(mean), slopes, code_scale, shrinkage)

    def predictor(self, mean):
        return self.rates.intercept(np.maximum(mean, SMALLEST_SIZE))

    def mean(self, eta, x=None):
        return self.rates.typical(eta, x)


class _PoissonModule(_CountsModule):
    def log_prob(self, x, eta):
        log_rates = self.rates.log_rates(x, eta)
        return _log_poisson(x, log_rates).sum(-1) + self.rates.log_prob(x)

    def log_prob_slope(self, x, eta, row_factor):
        in_log_rates = x - torch.exp(self.rates.log_rates(x, eta))
        slope = self.rates.slope(in_log_rates, eta)
        return self.log_prob(x, eta), slope * row_factor[:, None]

    def sample(self, eta, generator):
        rates = self.rates.draw(eta, generator).cpu().double()
        return torch.poisson(rates, generator=generator).to(eta)


class _NegativeBinomialModule(_CountsModule):
    def __init__(self, rates, n_features):
        super().__init__(rates)
        self.log_dispersion = LearnedLog(n_features)
        # Share of 1 / theta that is drawn; below 0 it is 0.
        self.drawn_share = nn.Buffer(torch.ones(n_features, dtype=torch.float64))

    @property
    def log_theta(self):
        return self.log_dispersion().clamp(*LOG_DISPERSIONS)

    def initialize_from(self, x, weight):
        # Each row about the rates of the mean row: E (x - mu)^2 - mu = mu^2 / theta.
        x, share = widest(x), widest(weight) / weight.sum()
        expected = self.rates.typical(torch.log(share @ x + SMALLEST_SIZE), x)
        variability = _variability(x, expected.expand_as(x), share)
        lowest, highest = DISPERSIONS
        self.log_dispersion.set(1 / variability.clamp(1 / highest, 1 / lowest))

    def _drawn_theta(self):
        lowest, highest = map(math.exp, LOG_DISPERSIONS)
        share = self.drawn_share.clamp(min=torch.finfo(self.drawn_share.dtype).tiny)
        return (torch.exp(self.log_theta).detach() / share).clamp(lowest, highest)

    def draw_errors(self, remainder):
        """Draw counts that vary about their rates as those of the rows do."""
        share = _variability(*remainder.rows) * torch.exp(self.log_theta.detach())
        self.drawn_share.lerp_(share.to(self.drawn_share), remainder.share)

    def log_prob(self, x, eta):
        log_rates = self.rates.log_rates(x, eta)
        log_prob = _log_negative_binomial(x, log_rates, self.log_theta)
        return log_prob.sum(-1) + self.rates.log_prob(x)

    def log_prob_slope(self, x, eta, row_factor):
        log_theta = self.log_theta
        theta = torch.exp(log_theta)
        narrow = theta.to(x.dtype)
        logit = self.rates.log_rates(x, eta) - log_theta.to(x.dtype)
        in_log_rates = x * torch.sigmoid(-logit) - narrow * torch.sigmoid(logit)
        slope = self.rates.slope(in_log_rates, eta)
        rising = _at_counts(
            x, theta, lambda x, t: torch.digamma(x + t) - torch.digamma(t)
        )
        in_log_theta = narrow * (rising - functional.softplus(logit)) - in_log_rates
        begun = self.log_dispersion()
        is_free = (begun == log_theta).to(begun.dtype)
        self.log_dispersion.set_gradient((row_factor @ in_log_theta) * is_free)
        return self.log_prob(x, eta), slope * row_factor[:, None]

    def sample(self, eta, generator):
        rates = self.rates.draw(eta, generator).cpu().double()
        theta = self._drawn_theta().cpu()
        gamma = torch._standard_gamma(theta.expand(rates.shape), generator=generator)
        varied = self.rates.of_size(rates * gamma / theta, rates)
        return torch.poisson(varied, generator=generator).to(eta)


def _variability(x, rates, weight):
    """Give ``1 / theta`` of each column, of which ``E (x - mu)^2 - x = mu^2 / theta``.

    It is negative where counts vary less than Poisson's do.
    """
    excess = weight @ ((x - rates).square() - x)
    return excess / (weight @ rates.square()).clamp(min=SMALLEST_SIZE)


def _log_poisson(x, log_rate):
    """Log-probability of each count, seen from the rate at which it is likeliest.

        log p(x | mu) = log p(x | x) - x (e^d - 1 - d),   d = log mu - log x

    The usual terms are of the size of x log x, and all but equal: of a large count they
    would leave no digits.
    """
    is_none = x == 0
    d = log_rate - torch.log(x.masked_fill(is_none, 1))
    lost = torch.where(is_none, torch.exp(log_rate), x * (torch.expm1(d) - d))
    return _log_peak(x) - lost


def _log_peak(x):
    """Log-probability of each count where it is the rate, which no other exceeds."""
    return _at_counts(x, None, lambda x, _: torch.xlogy(x, x) - x - torch.lgamma(x + 1))


def _log_negative_binomial(x, log_rate, log_theta):
    """Log-probability of each count.

        log p(x | mu) = log C - x log(1 + theta / mu) - theta log(1 + mu / theta)

    with C = Gamma(x + theta) / (Gamma(theta) x!): again no term is of the size of
    x log x, where x is far above theta.
    """
    theta = torch.exp(log_theta)
    logit = log_rate - log_theta.to(x.dtype)
    log_ways = _at_counts(
        x,
        theta,
        lambda x, t: torch.lgamma(x + t) - torch.lgamma(t) - torch.lgamma(x + 1),
    )
    lost = x * functional.softplus(-logit)
    return log_ways - lost - theta.to(x.dtype) * functional.softplus(logit)


def _at_counts(x, theta, function):
    """Apply a function that is 0 at 0 where there are counts, in float64.

    Most counts of a large table are 0, and gamma functions are dear; their differences
    at large arguments need the digits. A GPU would have to be waited for to say where
    they are, so there the function is applied everywhere.
    """
    if x.device.type != "cpu":
        return _everywhere(x, theta, function)
    flat, n_columns = x.flatten(), x.shape[-1]
    where = flat.nonzero().squeeze(1)
    given = None
    if theta is not None:
        given = theta.double().expand(n_columns).index_select(0, where % n_columns)
    values = function(flat.index_select(0, where).double(), given).to(x.dtype)
    return torch.zeros_like(flat).index_copy(0, where, values).view(x.shape)


def _everywhere(x, theta, function):
    """Apply a function to all counts, in float64 where there is one."""
    given = None if theta is None else widest(theta)
    return function(widest(x), given).to(x.dtype)
