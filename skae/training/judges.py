"""Judges: the loss of rows, and by which loss weights are kept."""

import math

import torch

from skae.device import generator_from, limited_threads, widest_dtype

from .sizes import n_threads
from .steps import evaluating

__all__ = ["HeldOut", "OnTheWay", "beside_start", "row_losses"]

# A loss so many units above the start's has diverged; training then goes on from the
# weights that were kept, by smaller steps.
DIVERGED = 100.0


def row_losses(model, rows, seed=0, passes=1):
    """Loss of each row, in the widest type, by the same draws whenever asked."""
    with limited_threads(n_threads(model, len(rows))):
        return _row_losses(model, model, rows, seed, passes)


def _row_losses(model, judge, rows, seed, passes):
    """Losses of the rows of a model by itself, or by what stands for it."""
    generator = generator_from(seed, rows.device)
    # In one vector: a tensor of each block, kept among what every block allocates and
    # frees, would leave gaps that fit nothing, and memory would grow.
    losses = torch.empty(len(rows), dtype=widest_dtype(rows.device), device=rows.device)
    n_seen = 0
    with torch.no_grad(), evaluating(model):
        for x, weight in rows.weighted_blocks():
            some = slice(n_seen, n_seen + len(x))
            losses[some] = judge.row_losses(x, generator, passes, weight)
            n_seen += len(x)
    return losses


def beside_start(losses, start, share):
    """Loss of each row where the start has a share in its density.

        - log((1 - share) exp(-loss) + share exp(-loss of the start))

    A network leaves less noise than its start, by which a row far from all others is
    punished without bound, and alone decides a mean. Here it loses at most
    ``-log(share)`` more than it did at the start.

    Parameters
    ----------
    losses, start : torch.Tensor of shape (n_rows,)

    share : float
        0 leaves losses as they are.

    Returns
    -------
    torch.Tensor of shape (n_rows,)
    """
    if share == 0:
        return losses
    return -torch.logaddexp(math.log1p(-share) - losses, math.log(share) - start)


class HeldOut:
    """Rows that are not trained on judge the weights, of which the best are kept."""

    def __init__(self, steps, start_loss, rows, seed, of_start):
        self.steps, self.limit = steps, start_loss + DIVERGED * steps.unit
        self.rows, self.draws = rows, (seed, steps.settings.validation_passes)
        self.of_start, self.start_share = of_start, steps.settings.start_share

    def _losses(self, judge):
        """Loss of each row that judges, by the model or what stands for it."""
        return _row_losses(self.steps.model, judge, self.rows, *self.draws)

    def _mean_loss(self, losses):
        """Mean of what rows lose, as it is judged."""
        return self.rows.mean(beside_start(losses, self.of_start, self.start_share))

    def begin(self, result, pace):
        """Judge the start, which is among the candidates, as it will be elsewhere."""
        losses = self._losses(self.steps.model)
        if self.of_start is None:
            self.of_start = losses
        # Training goes by what rows lose by themselves, which may be far more.
        by_themselves = self.rows.mean(losses)
        self.limit = max(self.limit, by_themselves + DIVERGED * self.steps.unit)
        result.best_loss = self._mean_loss(losses)
        result.validation_curve.append(result.best_loss)
        pace.begin(result.best_loss)
        pace.plateau.observe(result.best_loss, 0.0)

    def judge(self, loss):
        """Give the loss by which an epoch is judged; None where it has diverged."""
        judged = self._mean_loss(self._losses(self.steps.loss))
        return judged if loss < self.limit and judged < self.limit else None

    def enter(self, result, judged):
        """Enter a loss; say whether its weights are to be kept."""
        result.validation_curve.append(judged)
        return judged < result.best_loss


class OnTheWay:
    """Without such rows the loss that an epoch saw on its way judges it.

    What its last step made of the weights is seen by a few rows.
    """

    def __init__(self, steps, start_loss):
        self.look, self.unit = steps.probe, steps.unit
        self.limit = start_loss + DIVERGED * steps.unit

    def begin(self, result, pace):
        """See what the few rows are at the start, as they are trained on.

        A call of a stream may have none but a far one, which is no divergence.
        """
        start = self.look()
        self.limit_of_few = start + DIVERGED * max(self.unit, abs(start))
        self.limit = max(self.limit, self.limit_of_few)

    def judge(self, loss):
        """Give the loss by which an epoch is judged; None where it has diverged."""
        if not (loss < self.limit and self.look() < self.limit_of_few):
            return None
        return loss

    def enter(self, result, judged):
        """Keep the last weights, whatever they gave."""
        return True
