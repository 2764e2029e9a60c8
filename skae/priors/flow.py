"""The standard normal, bent by a flow."""

from typing import Any

import torch
from torch import nn

from skae.device import widest_dtype

from .base import Prior, PriorModule, in_pieces
from .couplings import Coupling

__all__ = ["Flow"]


class Flow(Prior):
    """The standard normal, bent by a coupling flow of monotone splines.

    Half of the components at a time are bent, each by a rational quadratic spline on
    [-5, 5] whose knots follow from the other half (Durkan et al., 2019). It starts at
    the identity.

    Parameters
    ----------
    n_couplings : int, default=4
        Number of times that half of the components are bent.

    n_hidden : int, default=32
        Width of the hidden layer from which the knots follow.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> from skae.priors import Flow
    >>> VAETransformer(prior=Flow(6))
    VAETransformer(prior=Flow(n_couplings=6))
    """

    def __init__(self, n_couplings=4, n_hidden=32):
        self.n_couplings = n_couplings
        self.n_hidden = n_hidden

    def build(self, n_components, n_features):
        """Make the module."""
        return _FlowModule(n_components, self.n_couplings, self.n_hidden)


class _FlowModule(PriorModule):
    """``u = T(z)`` is standard normal, so ``tilt = (z^2 - u^2) / 2 + log |T'|``."""

    couplings: Any

    def __init__(self, n_components, n_couplings, n_hidden):
        super().__init__(n_components)
        self.couplings = nn.ModuleList(
            Coupling(n_components, n_hidden, parity=number % 2)
            for number in range(n_couplings)
        )

    def tilt(self, z, infer):
        return in_pieces(self._tilt, z)

    def _tilt(self, z):
        u, total = z, torch.zeros_like(z[:, 0])
        for coupling in self.couplings:
            u, log_slope = coupling(u)
            total = total + log_slope
        return (z.square() - u.square()).sum(-1) / 2 + total

    def sample(self, n, generator, infer):
        device = next(self.parameters()).device
        z = self._noise(n, generator).to(device, widest_dtype(device))
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)
        return z.cpu().double()
