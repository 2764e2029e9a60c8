"""Penalties: a number per row from its code or its posterior."""

__all__ = ["NormalDivergence"]


class NormalDivergence:
    """Kullback-Leibler divergence of a diagonal Gaussian from the standard normal.

    KL(N(m, diag(v)) || N(0, I)) = 1/2 sum(m^2 + v - log v - 1), in nats.

    Examples
    --------
    >>> import torch
    >>> from skae.penalties import NormalDivergence
    >>> NormalDivergence()(torch.ones(1, 2), torch.zeros(1, 2))
    tensor([1.])
    """

    def __call__(self, mean, log_variance):
        """Divergence of each row's posterior, from its mean and log-variance."""
        terms = mean.square() + log_variance.exp() - log_variance - 1
        return terms.sum(-1) / 2

    def slope(self, mean, log_variance, row_factor):
        """Give the divergence, and the derivatives of its sum, rows times factors."""
        factor = row_factor[:, None]
        in_log_variance = (log_variance.exp() - 1) / 2 * factor
        return self(mean, log_variance), mean * factor, in_log_variance
