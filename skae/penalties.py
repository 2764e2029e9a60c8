"""Penalties: a number per row from its code or its posterior."""

__all__ = ["kl_to_standard_normal"]


def kl_to_standard_normal(mean, log_variance):
    """Kullback-Leibler divergence of a diagonal Gaussian from the standard normal.

    KL(N(m, diag(v)) || N(0, I)) = 1/2 sum(m^2 + v - log v - 1)

    Parameters
    ----------
    mean, log_variance : torch.Tensor of shape (n_rows, n_components)

    Returns
    -------
    torch.Tensor of shape (n_rows,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> from skae.penalties import kl_to_standard_normal
    >>> kl_to_standard_normal(torch.ones(1, 2), torch.zeros(1, 2))
    tensor([1.])
    """
    terms = mean.square() + log_variance.exp() - log_variance - 1
    return terms.sum(-1) / 2
