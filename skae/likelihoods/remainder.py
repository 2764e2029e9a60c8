"""What an autoencoder leaves of its rows, from which its noise is found."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch

__all__ = ["Remainder"]


@dataclass
class Remainder:
    """What an autoencoder leaves of its rows.

    Attributes
    ----------
    judge : callable
        Gives the mean deviance of the rows that judge, per degree of freedom.

    noise_floor : float
        No column's noise is smaller, or its rows could not be told from their rounding.

    share : float
        Of these rows among all that count; the others have been seen before.

    rebuild : callable
        Gives some rows, their means given their codes, and their weights, which add up
        to 1, in the widest type. It and ``judge`` may take a while, and are called only
        where they are needed.
    """

    judge: Callable[[], float]
    noise_floor: float
    share: float
    rebuild: Callable[[], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]

    @cached_property
    def deviance(self):
        """Mean deviance per degree of freedom."""
        return self.judge()

    @cached_property
    def rows(self):
        """Rows, means and weights."""
        return self.rebuild()

    @property
    def squared_errors(self):
        """Squared error of each row in each column."""
        x, mean, _ = self.rows
        return (x - mean).square()

    def average(self, values):
        """Mean over the rows."""
        return self.rows[2] @ values

    def of(self, columns):
        """Give what is left in some columns."""
        return replace(self, rebuild=lambda: self._rows_of(columns))

    def _rows_of(self, columns):
        x, mean, weight = self.rows
        return x[:, columns], mean[:, columns], weight
