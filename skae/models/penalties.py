"""Penalties: what keeps codes near the prior, per row.

A penalty is called with the posterior of some rows, one draw z from it per row, and
the prior's tilt at the draws. Those that compare all rows' codes take the rows'
weights too, and give each row its share.
"""

import torch

from skae.normal import noise_like

__all__ = ["DIVERGENCES", "KullbackLeibler", "MeanDiscrepancy", "TotalCorrelation"]

# Squared lengths at which codes are compared, by that of a pair of draws of the prior.
KERNEL_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

# Draws of the prior that codes are compared with.
PRIOR_DRAWS = 256


class KullbackLeibler:
    """``beta KL(q(z | x) || p(z))``.

    With free bits each component counts at least so many nats, in the mean over the
    rows, and has nothing to gain from fewer (Kingma et al., 2016).

    Parameters
    ----------
    beta : float

    free_bits : float, default=0.0
    """

    def __init__(self, beta, free_bits=0.0):
        self.beta, self.free_bits = beta, free_bits

    @property
    def is_plain(self):
        """Whether a row's penalty is its own, in closed form."""
        return self.free_bits == 0

    def __call__(self, posterior, z, tilt, weight=None, generator=None):
        """Penalty of each row.

        Parameters
        ----------
        posterior : posterior of the rows

        z : torch.Tensor of shape (n_rows, n_components)
            One draw per row.

        tilt : torch.Tensor of shape (n_rows,)
            Of the prior, at the draws.

        weight : torch.Tensor of shape (n_rows,), optional
            How much each row counts where rows are compared.

        generator : torch.Generator, optional
        """
        divergences = posterior.divergences()
        if self.free_bits:
            mean = _share(weight, z) @ divergences
            is_costly = mean > self.free_bits
            divergences = torch.where(is_costly, divergences, self.free_bits)
        return self.beta * (divergences.sum(-1) - tilt)


class MeanDiscrepancy:
    """``beta MMD^2(q(z), p(z))``: codes of all rows together against the prior.

    Of a Wasserstein autoencoder (Tolstikhin et al., 2018), with the mean of inverse
    multiquadratic kernels ``c / (c + |z - z'|^2)`` of several scales c.

    Parameters
    ----------
    beta : float
    """

    is_plain = False

    def __init__(self, beta):
        self.beta = beta

    def __call__(self, posterior, z, tilt, weight=None, generator=None):
        """Penalty of each row; see :class:`KullbackLeibler`."""
        share = _share(weight, z)
        normal = noise_like(z[:1].expand(PRIOR_DRAWS, -1), generator)
        others = share * (1 - torch.eye(len(z), dtype=z.dtype, device=z.device))
        others = others / others.sum(1, keepdim=True).clamp(min=1e-30)
        among_codes = (_kernel(z[:, None] - z) * others).sum(1)
        across = _kernel(z[:, None] - normal).mean(1)
        first, second = torch.triu_indices(
            PRIOR_DRAWS, PRIOR_DRAWS, offset=1, device=z.device
        )
        among_normal = _kernel(normal[first] - normal[second]).mean()
        return self.beta * (among_codes - 2 * across + among_normal)


class TotalCorrelation:
    """``KL(q(z | x) || p(z)) + (beta - 1) KL(q(z) || q(z_1) ... q(z_k))``.

    Of a beta-TCVAE (Chen et al., 2018): beta weighs the dependence of components.
    ``q(z)`` is estimated by minibatch-weighted sampling, the mixture of the posteriors
    of the rows at hand, of which the row's own has a share larger than among all rows:
    where posteriors are narrow, the estimate is too high, by up to ``k - 1`` times the
    logarithm of the rows at hand.

    Parameters
    ----------
    beta : float
    """

    is_plain = False

    def __init__(self, beta):
        self.beta = beta

    def __call__(self, posterior, z, tilt, weight=None, generator=None):
        """Penalty of each row; see :class:`KullbackLeibler`."""
        log_share = _share(weight, z).log()
        pairs = z[:, None]  # each draw under each row's posterior
        joint = posterior.log_prob(pairs) + log_share
        marginals = posterior.log_marginals(pairs) + log_share[:, None]
        correlation = joint.logsumexp(1) - marginals.logsumexp(1).sum(-1)
        divergence = posterior.divergences().sum(-1) - tilt
        return divergence + (self.beta - 1) * correlation


DIVERGENCES = {"kl": KullbackLeibler, "mmd": MeanDiscrepancy, "tc": TotalCorrelation}


def _share(weight, z):
    """Weights that add up to 1; without any, all the same."""
    if weight is None:
        weight = torch.ones_like(z[:, 0])
    # All of some rows may weigh next to nothing.
    weight = weight.clamp(min=torch.finfo(weight.dtype).tiny)
    return weight / weight.sum()


def _kernel(difference):
    """Compare codes by how they differ; 1 where they are the same."""
    squares = difference.square().sum(-1)
    # The mean squared distance of two standard normal draws.
    typical = 2 * difference.shape[-1]
    terms = [typical * c / (typical * c + squares) for c in KERNEL_SCALES]
    return torch.stack(terms).mean(0)
