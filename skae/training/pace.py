"""Pace: the learning rate of each epoch, and when a training ends.

A training that finds its own pace goes on until its loss has stood still for long. Then
the rate is lowered, and it goes on from the best weights; the next time it ends.
Besides, rates fall from epoch to epoch as planned, and are smaller after a loss that
diverged. A training may also replay the rates of another.
"""

import math
from dataclasses import asdict, dataclass, replace

__all__ = ["DECAY", "Pace", "Replay"]

# Where the loss stands still, the rate is multiplied by DECAY, at most MAX_DECAYS
# times; where it diverged, by RETRY_FACTOR.
DECAY = 0.2
MAX_DECAYS = 1
RETRY_FACTOR = 0.1


@dataclass
class Plateau:
    """For how many epochs the loss has stood still."""

    reference: float = math.inf
    waited: int = 0
    n_decays: int = 0

    def observe(self, loss, tolerance):
        """Wait for a loss that is lower by more than the tolerance."""
        if loss < self.reference - tolerance:
            self.reference, self.waited = loss, 0
        else:
            self.waited += 1


class Pace:
    """Rates of a training that finds out by itself when to end.

    Parameters
    ----------
    settings : Settings

    full_rate : float
        Learning rate, of which those that are planned are shares.

    unit : float
        Loss that counts as 1.

    plateau : dict
        :meth:`state` of a training to be continued.
    """

    def __init__(self, settings, full_rate, unit, plateau):
        self.settings, self.full_rate = settings, full_rate
        self.n_epochs = settings.max_iter
        self.n_warm = settings.warmup * self.n_epochs
        self.tolerance = settings.tol * unit
        self.plateau, self.is_new = Plateau(**plateau), True

    def rate(self, n_before):
        """Learning rate of the epoch after so many."""
        return self.full_rate * self.settings.planned_rate(n_before)

    def slow_down(self, n_before):
        """Go on by smaller steps, the epoch after so many having diverged."""
        self.full_rate *= RETRY_FACTOR

    def observe(self, loss, n_epochs):
        """See the loss after so many epochs; a warm-up is not waited through."""
        if self.is_new:
            self.begin(loss)
        if n_epochs <= self.n_warm:
            self.plateau.reference = loss
        else:
            self.plateau.observe(loss, self.tolerance)

    def begin(self, loss):
        """Wait anew where the first loss is that of other rows than before."""
        self.is_new = False
        if loss > self.plateau.reference + self.tolerance:
            self.plateau = Plateau()

    @property
    def stands_still(self):
        """Whether the loss has been waited for long enough."""
        return self.plateau.waited >= self.settings.patience

    @property
    def is_over(self):
        """Whether the training ends, the loss standing still at the lowest rate."""
        return self.stands_still and self.plateau.n_decays == MAX_DECAYS

    def lower(self):
        """Lower the rate, and wait anew."""
        self.plateau.n_decays += 1
        self.plateau.waited = 0
        self.full_rate *= DECAY

    def state(self):
        """Give what going on later takes."""
        return asdict(self.plateau)


class Replay(Pace):
    """Rates of another training, an epoch each, whatever the loss."""

    stands_still = False

    def __init__(self, settings, rates, unit):
        super().__init__(replace(settings, max_iter=len(rates)), None, unit, {})
        self.rates = list(rates)

    def rate(self, n_before):
        """Learning rate of the epoch after so many."""
        return self.rates[n_before]

    def slow_down(self, n_before):
        """Repeat an epoch that diverged by smaller steps."""
        self.rates[n_before] *= RETRY_FACTOR
