"""What rows say of their classes at a start: moments of codes, and what is left."""

import torch

__all__ = ["ClassMoments", "ClassResiduals"]

# Weight of a class that no row has, and what keeps a square of 0 from dividing by 0.
LEAST_COUNT, LEAST_SQUARE = 1e-9, 1e-30


class ClassMoments:
    """Moments of the codes of each class."""

    def __init__(self):
        self.count = self.total = self.squares = torch.zeros(())

    def add(self, mean, std, belongs):
        """Look at posteriors of rows, and the weight of these in each class."""
        dtype = belongs.dtype
        self.count = self.count + belongs.sum(1, keepdim=True)
        self.total = self.total + belongs @ mean.to(dtype)
        self.squares = self.squares + belongs @ (mean.square() + std.square()).to(dtype)

    def prior(self):
        """Give the center of each class and the logarithm of its deviations.

        They are as if one row more had been seen, so that a class of few rows does not
        believe them too much: its code is standard normal, about 0 where the center of
        the class is asked for, and about that where its spread is.
        """
        count, own = self.count, self.count.clamp(min=LEAST_COUNT)
        of_codes = self.squares / own - (self.total / own).square()
        variance = (1 + count * of_codes) / (count + 1)
        return self.total / (count + 1), variance.log() / 2


class ClassResiduals:
    """What a start leaves of the mean of each class."""

    def __init__(self):
        self.count = self.expected = self.error = self.squares = torch.zeros(())

    def add(self, x, mean, belongs):
        """Look at rows, what they are expected to be, and the weight in each class."""
        mean = mean.to(belongs.dtype)
        error = x.to(belongs.dtype) - mean
        self.count = self.count + belongs.sum(1, keepdim=True)
        self.expected = self.expected + belongs @ mean
        self.error = self.error + belongs @ error
        self.squares = self.squares + (belongs @ error.square()).sum(0)

    def told(self):
        """Give the mean of each class that is expected, and that told from chance.

        The mean of n rows errs by a variance of v / n in each of p columns. By so much
        its square d2 / v is too large, and the mean is shortened (James and Stein):

            (sum d2 / v - p / n) / (sum d2 / v)        0 at least

        One row more is taken to be as it is expected.
        """
        count = self.count.clamp(min=LEAST_COUNT)
        expected, left = self.expected / count, self.error / count
        variance = self.variance
        varies = variance > 0
        precision = torch.where(varies, 1 / torch.where(varies, variance, 1.0), 0.0)
        square = (left.square() * precision).sum(1, keepdim=True)
        excess = (square - varies.sum() / count).clamp(min=0)
        share = excess / square.clamp(min=LEAST_SQUARE) * count / (count + 1)
        return expected, expected + share * left

    @property
    def variance(self):
        """What is left of the variance of each column."""
        return self.squares / self.count.sum()

    def explained_by(self, added):
        """Say how much of that goes where so much is added to the classes."""
        gained = 2 * added * self.error - added.square() * self.count
        return gained.sum(0) / self.count.sum()
