"""Evidence: how likely a row is, from draws of its code.

    log p(x) = log E_r p(x | z) p(z) / r(z)          z ~ r, for any r

The fewer draws that takes the nearer r is to the posterior p(z | x): it is Laplace's
approximation (:mod:`skae.models.laplace`), with which one draw is exact for a linear
decoder with Gaussian noise. The evidence lower bound has the encoder's posterior.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from .draws import MOST_ROWS, most_draws
from .laplace import log_joint, propose, rows_together

__all__ = ["EvidenceBound", "bound_terms", "log_likelihood"]


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
    # But for the volume of the proposal and the terms in log(2 pi), which cancel.
    log_r = -draws.square().sum(-1) / 2
    scores = []
    for piece in x.split(rows_together(model, x)):
        proposal, size = propose(model, piece), most_draws(piece)
        log_weights = []
        for some, own in zip(draws.split(size), log_r.split(size), strict=True):
            z = proposal.mean[:, None] + some @ proposal.factor.mT
            log_weights.append(log_joint(model, piece, z) - own)
        total = torch.logsumexp(torch.cat(log_weights, dim=1), dim=1)
        scores.append(total - math.log(len(draws)) + proposal.log_volume)
    return torch.cat(scores)


def bound_terms(model, x, draws):
    """Terms of the evidence lower bound of each row, by the encoder's posterior.

    Parameters
    ----------
    model : VariationalAutoencoder
        Of one class or of several, the class being a part of the code.

    x, draws
        As of :func:`log_likelihood`.

    Returns
    -------
    torch.Tensor of shape (n_rows, 2)
        ``E_q log p(x | z)``, and the divergence of q from the prior; with the posterior
        of the class ``q(y | x)`` at which the bound is highest: proportional to the
        class's share times the exponential of its bound.
    """
    terms = torch.stack([_class_terms(of, x, draws) for of in model.each_class()])
    fit, divergence = terms.unbind(-1)
    log_shares = model.log_shares[:, None]
    # Where a row cannot be of any class, none is more out of the question than others.
    bounds = torch.nan_to_num(log_shares + fit - divergence)
    log_q = torch.log_softmax(bounds, dim=0)
    divergence = divergence + log_q - log_shares
    q, terms = log_q.exp(), torch.stack([fit, divergence])
    # Those of a class that is out of the question may be infinite.
    terms = torch.where(q > 0, terms, 0.0)
    return _side_by_side(*torch.einsum("cn,tcn->nt", q, terms).unbind(1))


def _class_terms(model, x, draws):
    """Give the same for a model of one class."""
    draws = draws.to(x)
    pieces = []
    for piece in x.split(MOST_ROWS):
        posterior = model.posterior(piece)
        spread = posterior.each_draw()
        fit, divergence = torch.zeros_like(piece[:, 0]), posterior.divergences().sum(-1)
        for some in draws.split(most_draws(piece)):
            z = spread.at(some)
            fit = fit + model.log_prob_given(piece, z).sum(1) / len(draws)
            divergence = divergence - model.tilt(z).sum(1) / len(draws)
        pieces.append(_side_by_side(fit, divergence))
    return torch.cat(pieces)


def _side_by_side(fit, divergence):
    """Put the two terms of each row together.

    One is infinite where rows are so far that their squares are beyond their type.
    """
    fit = torch.nan_to_num(fit, nan=-math.inf, neginf=-math.inf)
    divergence = torch.nan_to_num(divergence, nan=math.inf, posinf=math.inf)
    return torch.stack([fit, divergence], dim=1)
