"""Penalties: a number per row from its posterior, which keeps codes near the prior."""

__all__ = ["KullbackLeibler"]


class KullbackLeibler:
    """``beta KL(q(z | x) || p(z))``.

    Parameters
    ----------
    beta : float
    """

    def __init__(self, beta):
        self.beta = beta

    def __call__(self, posterior, z, tilt):
        """Penalty of each row.

        Parameters
        ----------
        posterior : posterior of the rows

        z : torch.Tensor of shape (n_rows, n_components)
            One draw from it per row.

        tilt : torch.Tensor of shape (n_rows,)
            Of the prior, at the draws.
        """
        return self.beta * (posterior.divergences().sum(-1) - tilt)
