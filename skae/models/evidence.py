"""Evidence: how likely a row is, from draws of its code.

    log p(x) = log E_r p(x | z) p(z) / r(z)          z ~ r, for any r

The fewer draws that takes the nearer r is to the posterior p(z | x). An encoder says
in one pass where the code of a row is, and of a row that it has not been trained on it
says so only roughly. So the posterior of each row is looked for, from what the encoder
says, by a few steps of Gauss and Newton; r is the Gaussian with the curvature found
there (Laplace's approximation). For a linear decoder with Gaussian noise, as at the
start of training, that is the posterior, and one draw is exact.

Slopes of the decoder are differences over a deviation of the code to either side, so
any network will do; those of the likelihood in its predictor are autograd's.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import solve_triangular
from scipy.stats import norm, qmc
from torch.nn import functional

from skae.networks.products import padded
from skae.normal import LOG_2PI

__all__ = [
    "PIECE",
    "EvidenceBound",
    "StartDensity",
    "bound_terms",
    "class_bound_terms",
    "draw_table",
    "independent_log_likelihood",
    "log_likelihood",
    "start_log_likelihood",
]

# Steps from the encoder's mean to where the posterior is highest, and shares of a step
# of which the best is taken.
N_STEPS = 3
STEP_SHARES = (1.0, 0.5, 0.2)

# A scrambled Sobol point, a multiple of 2**-30, may be 0, whose quantile is not finite.
LEAST_UNIFORM = 2.0**-31

# Draws for each component from which on a table of them has exact moments.
ENOUGH_DRAWS = 4

# Codes among which a second place to set out from is found, where the code has so few
# components that they cover its space.
N_PLACES = 256
MOST_COVERED = 4

# Rows that are looked at together, at most; their number does not depend on how many
# there are.
PIECE = 64

# A side of a matrix that is decomposed is a multiple of this.
SIDE = 4

# Numbers that the decoded draws of a piece may take, and those that codes beside the
# means of a piece are decoded to, to see how the decoder bends.
DECODED_NUMBERS = 2**22


class EvidenceBound(NamedTuple):
    """Terms of the evidence lower bound of each row, in nats.

    Attributes
    ----------
    reconstruction : ndarray of shape (n_samples,)
        ``E_q log p(x | z)``: how likely the row is, given what its code may be.

    kl : ndarray of shape (n_samples,)
        Divergence of ``q(z | x)`` from the prior: what the code says about the row.
    """

    reconstruction: np.ndarray
    kl: np.ndarray

    @property
    def total(self):
        """The bound on the log-likelihood."""
        return self.reconstruction - self.kl


class Proposal(NamedTuple):
    """A Gaussian for the code of each row, ``z = mean + factor @ noise``.

    Attributes
    ----------
    mean : torch.Tensor of shape (n_rows, n_components)

    factor : torch.Tensor of shape (n_rows, n_components, n_components)

    log_volume : torch.Tensor of shape (n_rows,)
        Logarithm of the determinant of the factor.
    """

    mean: torch.Tensor
    factor: torch.Tensor
    log_volume: torch.Tensor


def draw_table(n_draws, n_components, seed):
    """Draw from the standard normal so that the draws cover their space evenly.

    Where there are enough, their mean is 0 and their covariance the identity, so that
    means over them of whatever is quadratic in a code are exact.
    """
    sobol = qmc.Sobol(n_components, rng=seed)
    uniform = sobol.random_base2(math.ceil(math.log2(n_draws)))[:n_draws]
    draws = norm.ppf(np.maximum(uniform, LEAST_UNIFORM))
    if n_draws >= ENOUGH_DRAWS * n_components:
        draws -= draws.mean(axis=0)
        root = np.linalg.cholesky(draws.T @ draws / n_draws)
        draws = solve_triangular(root, draws.T, lower=True).T
    return torch.from_numpy(np.ascontiguousarray(draws))


def log_likelihood(model, x, draws):
    """Importance-weighted bound on ``log p(x)`` of each row.

    log 1/S sum_s p(x | z_s) p(z_s) / r(z_s),    z_s drawn from r by draws_s

    Parameters
    ----------
    model : VariationalAutoencoder

    x : torch.Tensor of shape (n_rows, n_features)

    draws : torch.Tensor of shape (n_draws, n_components)
        Standard normal; the same for all rows.

    Returns
    -------
    torch.Tensor of shape (n_rows,)
    """
    draws = draws.to(x)
    # log r(z_s), but for the volume of the proposal and the terms in log(2 pi), which
    # cancel.
    height = -draws.square().sum(-1) / 2
    scores = []
    for piece in x.split(_piece_rows(model, x)):
        proposal = _propose(model, piece)
        log_weights = []
        for some, log_r in zip(*_at_once(piece, draws, height), strict=True):
            z = proposal.mean[:, None] + some @ proposal.factor.mT
            log_weights.append(_log_joint(model, piece, z) - log_r)
        total = torch.logsumexp(torch.cat(log_weights, dim=1), dim=1)
        scores.append(total - math.log(len(draws)) + proposal.log_volume)
    return torch.cat(scores)


class StartDensity:
    """Density of rows at the start, which bounds what a far row can cost.

        p(x) = (n p_model(x) + p_start(x)) / (n + 1)

    A network leaves less noise, by which a row far from all others is punished
    without bound; here no row is less likely than at the start, whose variances and
    noise are those of ``PCA.score``, by more than ``log(n + 1)``. Factor analysis
    may itself leave a column hardly any noise, if two columns vary in the same few
    rows; so with a noise per column independent columns have half of that share.

    Parameters
    ----------
    model : VariationalAutoencoder

    maps : LinearMaps
        That it started from.

    has_column_noise : bool
    """

    def __init__(self, model, maps, *, has_column_noise):
        self.model, self.has_column_noise = model, has_column_noise
        noise, self.excess = maps.column_noise, 1.0
        if not has_column_noise:
            noise, self.excess = np.full_like(noise, noise.mean()), maps.noise_excess
        n_rows = max(maps.n_rows, 2.0)
        self.factor = n_rows / (n_rows - 1)
        variance = self.factor * np.maximum(maps.variance, noise)
        self.variance, self.noise = torch.from_numpy(variance), torch.from_numpy(noise)

    def mixed(self, log_likelihood, x, n_seen):
        """Give rows that the model has seen so many like the share of one by it."""
        learned = log_likelihood + math.log(n_seen)
        return torch.logaddexp(learned, self.log_prob(x)) - math.log1p(n_seen)

    def log_prob(self, x):
        """Log-likelihood of each row."""
        by_maps = start_log_likelihood(
            self.model, self.noise, self.factor, x, self.excess
        )
        if not self.has_column_noise:
            return by_maps
        by_column = independent_log_likelihood(self.variance, x)
        return torch.logaddexp(by_maps, by_column) - math.log(2)


def start_log_likelihood(model, noise, factor, x, excess=1.0):
    """Log-likelihood of each row under the linear model at which a training began.

    p(x) = p(x | z) p(z) / p(z | x),    exactly, at the mean z of p(z | x)

    of which the logarithm is a constant less half of the row's square, by the
    covariance C. That may be a multiple of the start's, and its noise, where all
    columns share it, a further multiple; with v the variance of z given x,

        x' C^-1 x = |x - W z|^2 / (excess noise) + sum c z^2

        c = (1 - v / excess) / (1 - v)      where  excess v < 1;  1 without excess
            (1 + v) / (excess v)            else, a direction having no less than noise

    Parameters
    ----------
    model : VariationalAutoencoder
        Whose paths hold the linear maps of probabilistic PCA or factor analysis.

    noise : torch.Tensor of shape (n_features,)
        Variance of the noise of each column, at the start.

    factor : float
        Of all variances.

    x : torch.Tensor of shape (n_rows, n_features)

    excess : float, default=1.0
        Of the noise besides, 1 or more; with noise that all columns share.

    Returns
    -------
    torch.Tensor of shape (n_rows,)
    """
    k, noise = model.prior.n_components, noise.to(x)
    statistics = model.encoder.linear_part(x)
    z, log_variance = statistics[:, :k], statistics[:, k : 2 * k]
    errors = (x - model.decoder.linear_part(z)).square() / (excess * noise)
    variance = log_variance.exp()
    raised = excess * variance
    is_noise = raised >= 1
    beyond = (1 - variance / excess) / torch.where(is_noise, 1.0, 1 - variance)
    weight = torch.where(is_noise, (1 + variance) / raised, beyond)
    square = (errors.sum(-1) + (weight * z.square()).sum(-1)) / factor
    volume = (LOG_2PI + (factor * excess * noise).log()).sum()
    volume = volume - raised.clamp(max=1).log().sum(-1)
    return -(volume + square) / 2


def independent_log_likelihood(variance, x):
    """Log-likelihood of each row under independent Gaussian columns of some variance.

    Parameters
    ----------
    variance : torch.Tensor of shape (n_features,)

    x : torch.Tensor of shape (n_rows, n_features)
        Measured from the column means.

    Returns
    -------
    torch.Tensor of shape (n_rows,)
    """
    variance = variance.to(x)
    return -(x.square() / variance + LOG_2PI + variance.log()).sum(-1) / 2


def bound_terms(model, x, draws):
    """Terms of the evidence lower bound of each row, by the encoder's posterior.

    Parameters
    ----------
    model, x, draws
        As of :func:`log_likelihood`.

    Returns
    -------
    torch.Tensor of shape (n_rows, 2)
        ``E_q log p(x | z)``, and the divergence of q from the prior.
    """
    draws = draws.to(x)
    pieces = []
    for piece in x.split(PIECE):
        posterior = model.posterior(piece)
        spread = posterior.each_draw()
        fit, divergence = torch.zeros_like(piece[:, 0]), posterior.divergences().sum(-1)
        for (some,) in zip(*_at_once(piece, draws), strict=True):
            z = spread.at(some)
            fit = fit + model.log_prob_given(piece, z).sum(1) / len(draws)
            divergence = divergence - model.tilt(z).sum(1) / len(draws)
        pieces.append(torch.stack([fit, divergence], dim=1))
    return torch.cat(pieces)


def class_bound_terms(model, x, draws):
    """Do the same for a model of classes, the class being a part of the code.

    Parameters
    ----------
    model : ConditionalAutoencoder

    x, draws
        As of :func:`log_likelihood`.

    Returns
    -------
    torch.Tensor of shape (n_rows, 2)
        With the posterior of the class ``q(y | x)`` at which the bound is highest:
        proportional to the class's share times the exponential of its bound.
    """
    terms = torch.stack([bound_terms(given, x, draws) for given in model.each_class()])
    fit, divergence = terms.unbind(-1)
    log_shares = model.shares.log()[:, None]
    log_q = torch.log_softmax(log_shares + fit - divergence, dim=0)
    divergence = divergence + log_q - log_shares
    return torch.einsum("cn,tcn->nt", log_q.exp(), torch.stack([fit, divergence]))


def _at_once(x, *tables):
    """Split tables of draws into what is decoded together."""
    size = max(1, DECODED_NUMBERS // x.numel())
    return [table.split(size) for table in tables]


def _log_joint(model, x, z):
    """``log p(x, z)``, without the terms in log(2 pi) of the prior.

    Where rows are so far that their squares are beyond their type it is minus infinity.
    """
    log_prior = model.tilt(z) - z.square().sum(-1) / 2
    height = model.log_prob_given(x, z) + log_prior
    return torch.nan_to_num(height, nan=-math.inf, neginf=-math.inf)


def _piece_rows(model, x):
    """Rows of a piece: as many as can be, halved until their neighbours have room."""
    beside = (2 * model.prior.n_components + 1) * x.shape[1]
    size = PIECE
    while size > 1 and size * beside > DECODED_NUMBERS:
        size //= 2
    return size


def _propose(model, x):
    """Find a Gaussian near the posterior of each row.

    Where a posterior has several peaks the encoder may be at the foot of a small one,
    so there is a second place to set out from, and the higher peak is taken.
    """
    posterior = model.posterior(x)
    places = [posterior.mean]
    if posterior.mean.shape[1] <= MOST_COVERED:
        places.append(_best_place(model, x))
    n = len(places)
    rows, spread = x.repeat(n, 1), posterior.std.repeat(n, 1)
    height, found = _climb(model, rows, torch.cat(places), spread)
    highest = height.unflatten(0, (n, -1)).argmax(dim=0)
    own = torch.arange(len(x), device=x.device)
    return Proposal(*(part.unflatten(0, (n, -1))[highest, own] for part in found))


def _best_place(model, x):
    """Find which of some codes, the same for all rows, suits each row best."""
    places = draw_table(N_PLACES, model.prior.n_components, seed=0).to(x)
    heights = []
    for (some,) in zip(*_at_once(x, places), strict=True):
        given = model.likelihood.log_prob(x[:, None], model.decoder(some)[None])
        heights.append(given + model.tilt(some) - some.square().sum(-1) / 2)
    height = torch.nan_to_num(torch.cat(heights, dim=1), nan=-math.inf)
    return places[height.argmax(dim=1)]


def _climb(model, x, mean, spread):
    """Go up to a peak of ``log p(x, z)``; give its height, and the Gaussian there."""
    highest = _log_joint(model, x, mean[:, None])[:, 0]
    shares = torch.tensor(STEP_SHARES, dtype=torch.float64).to(x)[:, None]
    for _ in range(N_STEPS):
        slope, curvature = _shape(model, x, mean, spread)
        values, axes = _eigh(curvature)
        # No wider than the standard normal, whatever the curvature.
        values = values.clamp(min=1.0)
        step = axes @ ((axes.mT @ slope[..., None]) / values[..., None])
        tried = mean[:, None] + shares * step.mT
        height, which = _log_joint(model, x, tried).max(dim=1)
        found = tried[torch.arange(len(x), device=x.device), which]
        mean = torch.where((height > highest)[:, None], found, mean)
        highest = torch.maximum(height, highest)
        factor = axes / values.sqrt()[:, None]
        spread = factor.square().sum(-1).sqrt()
    return highest, Proposal(mean, factor, -values.log().sum(-1) / 2)


def _eigh(matrices):
    """Eigenvalues and vectors of each matrix, wherever it stands among others.

    What is filled up so that each begins at a boundary has larger eigenvalues.
    """
    k = matrices.shape[-1]
    n_more = -k % SIDE
    if n_more:
        beyond = 1 + 2 * matrices.abs().sum((-1, -2))
        matrices = functional.pad(matrices, (0, n_more, 0, n_more))
        matrices.diagonal(dim1=-2, dim2=-1)[:, k:] = beyond[:, None]
    # Apple's GPUs have no eigenvectors.
    there = matrices.cpu() if matrices.device.type == "mps" else matrices
    values, axes = (found.to(matrices.device) for found in torch.linalg.eigh(there))
    return values[:, :k], axes[:, :k, :k].contiguous()


def _shape(model, x, mean, spread):
    """Slope of ``log p(x, z)`` in each code at a mean, and minus its curvature."""
    k = mean.shape[1]
    shift = torch.diag_embed(spread)
    sides = torch.cat([torch.zeros_like(shift[:, :1]), shift, -shift], dim=1)
    codes = mean[:, None] + sides
    predictor = model.decoder(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
    in_predictor = _slope(model.likelihood.log_prob, x[:, None], predictor)
    decoder = padded(_difference(predictor, spread))
    bend = padded(_difference(in_predictor, spread))
    slope = (decoder @ padded(in_predictor[:, 0])[..., None])[..., 0] - mean
    curvature = -decoder @ bend.mT
    if not model.prior.is_standard:
        in_code = _slope(lambda _, z: model.tilt(z), x, codes)
        slope = slope + in_code[:, 0]
        curvature = curvature - _difference(in_code, spread)
    curvature = (curvature + curvature.mT) / 2 + torch.eye(k).to(x)
    return torch.nan_to_num(slope), torch.nan_to_num(curvature)


def _difference(values, spread):
    """Slope in each code, of values at the mean and to its two sides in each."""
    k = spread.shape[1]
    return (values[:, 1 : k + 1] - values[:, k + 1 :]) / (2 * spread[..., None])


def _slope(function, x, at):
    """Slope of a function of rows and of something else in the latter."""
    with torch.inference_mode(False), torch.enable_grad():
        x, at = x.clone(), at.clone().requires_grad_()
        return torch.autograd.grad(function(x, at).sum(), at)[0]
