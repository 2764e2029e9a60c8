"""Objectives: what a variational autoencoder minimises, a bound or what stands for it.

An objective gives the loss of each row from the parts of a model. In training the rows
have weights, where an objective compares them, and ``warmth`` is between 0 and 1
while the prior is warmed up. What is judged is judged with ``warmth`` 1, by the mean
over several passes, each with draws of its own; where rows are not compared, the draws
of many passes are decoded together.
"""

import math

import torch

from skae.normal import noise_like

from .draws import most_draws

__all__ = ["COMPARED_ROWS", "ImportanceBound", "PenalisedBound"]

# Rows that a penalty compares with each other where they are judged, at most; in
# training it is those of a batch.
COMPARED_ROWS = 256


class PenalisedBound:
    """``- E_q log p(x | z) + penalty``, at one draw of z per row.

    With :class:`~skae.models.penalties.KullbackLeibler` at beta 1 it is minus the
    evidence lower bound.

    Parameters
    ----------
    penalty : callable
        Of :mod:`skae.models.penalties`.
    """

    def __init__(self, penalty):
        self.penalty = penalty

    @property
    def plain_beta(self):
        """Weight of the divergence, where it is each row's own, in closed form."""
        return self.penalty.beta if self.penalty.is_plain else None

    @property
    def compares_rows(self):
        """Whether the loss of a row depends on the others."""
        return not self.penalty.is_plain

    def judged_losses(self, model, x, generator, passes=1, weight=None):
        """Loss of each row as it is judged; one pass at a time where rows compare."""
        if self.compares_rows:
            return self._compared_losses(model, x, generator, weight)
        posterior = model.posterior(x)
        drawn, tilt, log_prob = posterior.each_draw(), 0.0, 0.0
        for noise in _noise_of_passes(posterior.mean[:, None], generator, passes, x):
            z = drawn.at(noise)
            tilt = tilt + model.tilt(z).sum(1)
            log_prob = log_prob + model.log_prob_given(x, z).sum(1)
        penalty = self.penalty(posterior, posterior.mean, tilt / passes)
        return penalty - log_prob / passes

    def _compared_losses(self, model, x, generator, weight):
        """Compare rows with some at random, as in training: neighbours may be alike."""
        if weight is None:
            weight = torch.ones_like(x[:, 0])
        losses = torch.empty_like(x[:, 0])
        order = torch.randperm(len(x), generator=generator, device=x.device)
        for some in order.tensor_split(-(-len(x) // COMPARED_ROWS)):
            losses[some] = self.row_losses(model, x[some], generator, weight[some])
        return losses

    def row_losses(self, model, x, generator, weight=None, warmth=1.0):
        """Loss of each row as it is trained on."""
        posterior = model.posterior(x)
        z = posterior.at(noise_like(posterior.mean, generator))
        penalty = self.penalty(posterior, z, model.tilt(z), weight, generator)
        return warmth * penalty - model.likelihood.log_prob(x, model.decoder(z))


class ImportanceBound:
    """Minus the importance-weighted bound (Burda et al., 2016).

    - log 1/S sum_s p(x | z_s) (p(z_s) / q(z_s | x))^beta,    z_s ~ q(z | x)

    The encoder gets the doubly reparameterised gradient (Tucker et al., 2019): with
    ``share_s`` the weight of a draw by the sum of all, it reaches the encoder through
    the draws alone, each times ``(1 - beta) share_s + beta share_s^2``.

    Parameters
    ----------
    n_draws : int

    beta : float
    """

    plain_beta = None
    compares_rows = False

    def __init__(self, n_draws, beta):
        self.n_draws, self.beta = n_draws, beta

    def judged_losses(self, model, x, generator, passes=1, weight=None):
        """Loss of each row as it is judged."""
        posterior = model.posterior(x).each_draw()
        like, bound = self._draws_of(posterior.mean), 0.0
        for noise in _noise_of_passes(like, generator, passes, x):
            logs = log_weights(model, x, posterior, noise, self.beta)
            bound = bound + logs.unflatten(1, (-1, self.n_draws)).logsumexp(2).sum(1)
        return math.log(self.n_draws) - bound / passes

    def _draws_of(self, mean):
        """Make room for the draws of a row, of whose posterior this is the mean."""
        return mean.expand(-1, self.n_draws, -1)

    def row_losses(self, model, x, generator, weight=None, warmth=1.0):
        """Loss of each row as it is trained on."""
        posterior = model.posterior(x).each_draw()
        noise = noise_like(self._draws_of(posterior.mean), generator)
        power = self.beta * warmth
        z = posterior.at(noise)
        fixed = posterior.map(torch.Tensor.detach)
        log_ratio = model.log_prior(z) - fixed.log_prob(z)
        logs = model.log_prob_given(x, z) + power * log_ratio
        share = logs.detach().softmax(1)
        z.register_hook(lambda slope: slope * (1 - power + power * share)[..., None])
        bound = logs.detach().logsumexp(1) - math.log(self.n_draws)
        surrogate = (share * logs).sum(1)
        return -(bound + surrogate - surrogate.detach())


def _noise_of_passes(like, generator, passes, x):
    """Draw what one pass after the other would; give that of some passes together.

    Parameters
    ----------
    like : torch.Tensor of shape (n_rows, n_draws, n_components)
        What a pass draws.

    passes : int

    x : torch.Tensor of shape (n_rows, n_features)
        What draws are decoded to.
    """
    n_together = most_draws(x, like.shape[1])
    while passes > 0:
        some = range(min(n_together, passes))
        yield torch.cat([noise_like(like, generator) for _ in some], dim=1)
        passes -= n_together


def log_weights(model, x, posterior, noise, power=1.0):
    """Logarithm of ``p(x | z) (p(z) / q(z | x))^power`` of each draw of each row.

    Draws are decoded a few at a time, so that memory is bounded.

    Parameters
    ----------
    model : VariationalAutoencoder

    x : torch.Tensor of shape (n_rows, n_features)

    posterior : posterior of the rows, after ``each_draw``

    noise : torch.Tensor of shape (n_rows or 1, n_draws, n_components)

    power : float, default=1.0
    """
    logs = []
    for some in noise.split(most_draws(x), dim=1):
        z = posterior.at(some)
        # log p(z) - log q(z | x): the terms in log(2 pi) cancel.
        log_ratio = some.square() - z.square() + posterior.log_variance
        log_ratio = log_ratio.sum(-1) / 2 + model.tilt(z)
        logs.append(model.log_prob_given(x, z) + power * log_ratio)
    return torch.cat(logs, dim=1)
