"""The density of rows: of whichever class, of one class, and bounded from below.

    log p(x) = log sum_y p(y) p(x | y)

A model without classes is one of a single class. Where the density at the start is
known exactly, it has the share of one row (:mod:`skae.models.start_density`).
"""

import torch

from .evidence import bound_terms, log_likelihood

__all__ = ["RowDensity"]


class RowDensity:
    """Density of rows under a model, by draws of their codes.

    Parameters
    ----------
    model : VariationalAutoencoder

    draws : torch.Tensor of shape (n_draws, n_components)
        Standard normal; the same for all rows.

    start : StartDensity, default=None
        What has the share of one row. None is nothing.

    n_seen : float, default=0
        Rows that the model has seen, beside that one.
    """

    def __init__(self, model, draws, start=None, n_seen=0):
        self.model, self.draws = model, draws
        self.start, self.n_seen = start, n_seen

    def log_prob(self, x):
        """Log-likelihood of each row, of whichever class."""
        each = [log_likelihood(of, x, self.draws) for of in self.model.each_class()]
        joint = torch.stack(each, dim=1) + self.model.log_shares
        return self._with_start(torch.logsumexp(joint, dim=1), x)

    def log_prob_given(self, x, number):
        """Log-likelihood of each row given the number of their class."""
        of_class = self.model.given_class(number)
        return self._with_start(log_likelihood(of_class, x, self.draws), x)

    def bound_terms(self, x):
        """Terms of the evidence lower bound of each row, in which the start is not."""
        return bound_terms(self.model, x, self.draws)

    def _with_start(self, log_prob, x):
        if self.start is None:
            return log_prob
        return self.start.mixed(log_prob, x, self.n_seen)
