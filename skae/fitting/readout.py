"""The readout: a decoder's last layer, which is linear, solved by ridge regression.

A network's last layer maps its last hidden layer u to the correction of a row, and
where the loss is a squared error, what is best added to it is known:

    minimise over D and b   mean |e - D u - b|^2 + rho m |D|^2

with e what the decoder leaves of a row, m the mean eigenvalue of the covariance of u,
and rho the strength, found on rows that judge. It costs half an epoch, or two to three
where codes are refined, and of very many rows less; and gives most where rows are few
and the steps of a training are too.
"""

import numpy as np
import torch

from skae.device import generator_from, one_thread_unless, widest_dtype
from skae.rows import few_if_wide

__all__ = ["Readout", "has_readout"]

# Strengths that are tried, the weakest first. Below that, rows far from all others are
# sent anywhere.
STRENGTHS = (1e-2, 3e-2, 1e-1, 3e-1, 1e0, 3e0, 1e1, 3e1, 1e2)

# Fewer multiplications than this gain nothing by several threads.
LARGE_REGRESSION = 2**30

# Rows that are regressed on, at most: a hundred and more for each coefficient of an
# output, where codes of every row would have to be refined for what more could say.
REGRESSED_ROWS = 50_000

# Rows whose hidden layer is held at a time, at most.
ROWS_AT_ONCE = 1024


def has_readout(model):
    """Whether a model's last layer can be solved."""
    return getattr(model, "readout", None) is not None


def _regressed(n_rows):
    """Numbers of the rows that are regressed on: of many some at random, in order.

    At equal steps they might be of one kind alone, where kinds come by turns.
    """
    if n_rows <= REGRESSED_ROWS:
        return torch.arange(n_rows)
    drawn = torch.randperm(n_rows, generator=generator_from(0))
    return drawn[:REGRESSED_ROWS].sort().values


class Readout:
    """What rows say about the last layer of a model's decoder.

    Parameters
    ----------
    model : nn.Module
        With ``readout``, its last layer, and ``left_to_readout(x)``: the last hidden
        layer of rows, and what is left of them, in units of the last layer's outputs.

    rows : Rows
    """

    def __init__(self, model, rows):
        self.layer = model.readout
        self.before = self._values()
        size = min(len(rows), REGRESSED_ROWS) * self.layer.weight.numel()
        with torch.no_grad(), one_thread_unless(size >= LARGE_REGRESSION):
            self._regress(model, rows)

    def _values(self):
        return [p.detach().clone() for p in (self.layer.weight, self.layer.bias)]

    def _regress(self, model, rows):
        """Find the moments of the hidden layer, with each other and with the rest.

        Products are those of float32, of blocks measured from the first one's mean,
        and their sums of the widest type.
        """
        n_outputs, n_hidden = self.layer.weight.shape
        dtype = widest_dtype(rows.device)
        index = _regressed(len(rows))
        weight = rows.weight[index.to(rows.device)].to(dtype)
        shares = (weight / weight.sum()).float()
        means = torch.zeros(n_hidden + n_outputs, dtype=dtype, device=rows.device)
        products = torch.zeros(n_hidden, len(means), dtype=dtype, device=rows.device)
        origin = torch.zeros(len(means), dtype=torch.float32, device=rows.device)
        n_together = few_if_wide(ROWS_AT_ONCE, rows.n_features)
        for start in range(0, len(index), n_together):
            x = rows.take(index[start : start + n_together])
            share = shares[start : start + n_together]
            both = torch.cat(model.left_to_readout(x), dim=1).float()
            if start == 0:
                origin = both.mean(dim=0)
            both -= origin
            means += share @ both
            products += (both[:, :n_hidden].T * share) @ both
        products -= torch.outer(means[:n_hidden], means)
        self.hidden_mean, self.rest_mean = (means + origin).split([n_hidden, n_outputs])
        # Apple's GPUs have no eigenvectors, and others are no sooner with one matrix.
        values, vectors = torch.linalg.eigh(products[:, :n_hidden].cpu())
        self.values = values.clamp_min(0).to(rows.device)
        self.vectors = vectors.to(rows.device)
        self.rotated = self.vectors.T @ products[:, n_hidden:]

    def set(self, strength):
        """Set the last layer to what is best at a strength; None is as it was."""
        with torch.no_grad():
            weight, bias = self.before
            if strength is not None:
                # Where no hidden value varies, any ridge will do.
                ridge = strength * self.values.mean().item() or 1.0
                change = self.vectors @ (self.rotated / (self.values + ridge)[:, None])
                weight = weight + change.T
                bias = bias + self.rest_mean - self.hidden_mean @ change
            self.layer.weight.copy_(weight)
            self.layer.bias.copy_(bias)

    def set_best(self, loss):
        """Set the last layer at the strength of the smallest loss.

        From the weakest strength on the loss is taken to fall, if at all, to where it
        rises again; what is stronger is not tried.

        Parameters
        ----------
        loss : callable
            Of the model as it is.

        Returns
        -------
        float or None
            The strength; None where the layer is best as it was.
        """
        self.set(None)
        as_it_was, losses = loss(), []
        for strength in STRENGTHS:
            self.set(strength)
            losses.append(loss())
            if len(losses) > 1 and losses[-1] > losses[-2]:
                break
        tried = (None, *STRENGTHS)
        # Where all are beyond their type the layer stays as it was.
        best = tried[int(np.argmin(np.nan_to_num([as_it_was, *losses], nan=np.inf)))]
        self.set(best)
        return best
