"""What every likelihood is: a spec with parameters, and the module that it builds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from torch import nn

from skae.device import widest_dtype

__all__ = [
    "LearnedLog",
    "Likelihood",
    "LikelihoodModule",
    "PredictorStart",
    "few_of",
    "linked_start",
    "remaining_variance",
    "widest",
]

# Columns that one error names.
MOST_CALLED = 5

# Largest change of a predictor that is a logarithm or a logit, per unit of a code of
# unit spread, at the start.
LARGEST_SLOPE = 4.0


class PredictorStart(NamedTuple):
    """Where the predictor ``eta = intercept + slopes z + gain * network`` begins.

    Attributes
    ----------
    intercept : ndarray of shape (n_features,)

    slopes : ndarray of shape (n_features, n_components)

    gain : ndarray of shape (n_features,)
        Size of the correction that is to be learned, per column.

    unit : float
        Deviance of a row that counts as 1 in the optimisation of an autoencoder.
    """

    intercept: np.ndarray
    slopes: np.ndarray
    gain: np.ndarray
    unit: float


class Likelihood(BaseEstimator):
    """Base of the specs: parameters only; ``build`` makes the module.

    Attributes
    ----------
    centred : bool
        Whether rows, and the predictor, are measured from the column means.

    starts_exact : bool
        Whether the start is a maximum-likelihood solution; any other is shrunk as far
        as the training rows ask for.

    has_squared_errors : bool
        Whether an autoencoder minimises squared errors, so that it starts at PCA.

    has_column_noise : bool
        Whether each column has a noise of its own, so that the linear maps should not
        depend on the units of the columns.

    least_noise : float or ndarray of shape (n_features,)
        Share of a column's variance that no code explains, at least, where the linear
        maps have a noise per column.

    tied_noise : ndarray of int of shape (n_features,) or None
        Number of each column's noise there, which those of one number have in common.
        None gives each its own.
    """

    centred = False
    starts_exact = False
    has_squared_errors = False
    has_column_noise = False

    @property
    def least_noise(self):
        """Half: what varies by itself, as counts do, whatever the code."""
        return 0.5

    @property
    def tied_noise(self):
        """None: what noise a column has is its own."""

    def check(self, X, numbers, called):
        """Refuse rows that the likelihood cannot have made; here any are accepted.

        Of many rows some are checked after others.

        Parameters
        ----------
        X : {ndarray, CSR} of shape (n_samples, n_features)

        numbers : ndarray of shape (n_samples,)
            What an error calls the rows: their numbers in the table.

        called : ndarray of shape (n_features,)
            What an error calls the columns: their names, or numbers in the table.
        """

    @property
    def accepts_all(self):
        """Whether it may have made any rows, so that none are to be checked."""
        return type(self).check is Likelihood.check

    def bind(self, numbers, locate):
        """Copy, with columns that are given by name replaced by numbers.

        Parameters
        ----------
        numbers : ndarray of int
            Columns of the table that this likelihood is of.

        locate : callable
            From a selection of columns to their numbers in the table.
        """
        return clone(self)

    def origin(self, mean):
        """Say what rows are measured from, given the column means."""
        return mean if self.centred else np.zeros_like(mean)

    def view(self, X):
        """Rows as the encoder and the linear maps see them."""
        return X


class LikelihoodModule(nn.Module):
    """Base of the modules, which hold what is learned.

    A subclass has ``start``, ``log_prob`` and ``sample``, and ``mean`` where that is
    not ``eta`` itself. Columns are the last axis, so ``log_prob`` sums over ``dim=-1``:
    each row may have several codes, on an axis before it. Where it does not write out
    its slope, autograd finds it, through the likelihood alone.
    """

    # Whether the deviance is a squared error of eta, each column in some unit.
    is_squared_error = False

    # Whether a GPU may record its slopes: nothing on their way waits for a number. Each
    # class says so for itself, since one of the user's may be made of one of skae's.
    is_recordable = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not cls.__module__.startswith("skae."):
            cls.is_recordable = cls.__dict__.get("is_recordable", False)

    log_prob: Callable[..., torch.Tensor]
    start: Callable
    sample: Callable[..., torch.Tensor]

    def view(self, x):
        """Rows as the encoder sees them."""
        return x

    def spread(self, maps):
        """Say what the encoder's network takes for 1 in each column; 0 hides it."""
        return np.sqrt(maps.variance)

    def predictor(self, mean):
        """Give the predictor whose mean is an array's, measured from the origin."""
        return mean

    @property
    def draws_rows(self):
        """Whether what is learned from is a draw."""
        return False

    def drawn(self, x, generator):
        """Rows to be learned from: as they are, or a draw from what they stand for."""
        return x

    def fit_totals(self, counted_blocks, *, anew):
        """Find the distribution of the rows' totals, where they have one of their own.

        Parameters
        ----------
        counted_blocks : callable
            Walks through pairs of rows and how many times each counts.

        anew : bool
            Whether those of earlier calls are forgotten.
        """

    def initialize_from(self, x, weight):
        """Begin as some training rows suggest, where PCA does not say how."""

    def explain(self, variance, explained):
        """Take off the noise what explains a part of the variance left in columns."""

    def leave_to_codes(self, n_components, n_features):
        """Draw no noise in so many directions, where it is an error per other one.

        Codes that vary as rows do hold the noise of their own directions already.
        """

    def calibrate(self, remainder):
        """Take an autoencoder's noise from what it leaves of its rows."""
        self.draw_errors(remainder)

    def draw_errors(self, remainder):
        """Draw noise of the size of errors, and weigh them as before.

        Here draws have no other noise than their mean's.

        Parameters
        ----------
        remainder : Remainder
        """

    def mean(self, eta, x=None):
        """Give the mean of rows; those at hand tell their sizes, where these count."""
        return eta

    def deviance(self, x, eta):
        """Give what an autoencoder minimises."""
        return -self.log_prob(x, eta)

    def deviance_slope(self, x, eta, row_factor):
        """Give the deviance, and the derivative of its sum, rows times factors."""
        log_prob, slope = self.log_prob_slope(x, eta, -row_factor)
        return -log_prob, slope

    def log_prob_slope(self, x, eta, row_factor):
        """Give the log-probability, and the derivative of its sum, rows times factors.

        Sets the gradient of the parameters that are trained.
        """
        trained = [p for p in self.parameters() if p.requires_grad]
        with torch.enable_grad():
            eta = eta.detach().requires_grad_()
            log_prob = self.log_prob(x, eta)
            total = log_prob @ row_factor
            slope, *gradients = torch.autograd.grad(
                total, [eta, *trained], materialize_grads=True
            )
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad.copy_(gradient)  # type: ignore[union-attr]
        return log_prob.detach(), slope


class LearnedLog(nn.Module):
    """The logarithm of something positive that is learned, one number or an array.

    Adam moves every parameter by about the learning rate, whatever its gradient; a
    logarithm may have several units to go, so it is learned in units of ``RATE``.
    """

    RATE = 10.0

    def __init__(self, *shape):
        super().__init__()
        self.begin = nn.Buffer(torch.zeros(shape, dtype=torch.float64))
        self.shift = nn.Parameter(torch.zeros(shape, dtype=torch.float32))

    def forward(self):
        """Give the logarithm, in float64."""
        return self.begin + self.RATE * self.shift

    def set(self, value):
        """Begin at a value."""
        with torch.no_grad():
            value = torch.as_tensor(value, dtype=self.begin.dtype)
            self.begin.copy_(value.log().expand_as(self.begin))
            self.shift.zero_()

    def set_gradient(self, gradient):
        """Take the derivative in the logarithm as the gradient."""
        if self.shift.requires_grad:
            torch.mul(gradient.to(torch.float32), self.RATE, out=self.shift.grad)


def few_of(columns):
    """Write the names or numbers of some columns, the first of many."""
    more = ", ..." * (len(columns) > MOST_CALLED)
    return f"[{', '.join(map(repr, columns[:MOST_CALLED].tolist()))}{more}]"


def clipped_slopes(slopes, code_scale):
    """Bound how far a code within its spread moves a logit or a logarithm."""
    spread = np.where(code_scale > 0, code_scale, 1.0)
    return np.clip(slopes * spread, -LARGEST_SLOPE, LARGEST_SLOPE) / spread


def linked_start(intercept, slopes, code_scale, shrinkage):
    """Begin a predictor that is a logit or a logarithm; each column counts as 1."""
    slopes = clipped_slopes(slopes, code_scale) * shrinkage
    n_features = len(intercept)
    return PredictorStart(intercept, slopes, np.ones(n_features), float(n_features))


def remaining_variance(maps, shrinkage):
    """Variance that a start leaves in each column; all of it if it is shrunk to 0."""
    explained = maps.variance - maps.residual_variance
    return maps.residual_variance + (1 - shrinkage) ** 2 * explained


def widest(tensor):
    """Of the widest type that its device has."""
    return tensor.to(widest_dtype(tensor.device))
