"""A likelihood per column: a mixed table has one, the product of those of its parts."""

from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from skae.rows import SeenRows

from .base import Likelihood, LikelihoodModule, PredictorStart, few_of

__all__ = ["PerColumn"]


class PerColumn(Likelihood):
    """Columns with a likelihood each, as the transformers of a ColumnTransformer.

    Parameters
    ----------
    parts : list of (likelihood, columns)
        Likelihood specs, and the columns of the table that each is of, in their
        order. Every column is in exactly one part.

    Examples
    --------
    >>> from skae import VAETransformer
    >>> parts = [("gaussian_diag", [0, 2]), ("bernoulli", [1])]
    >>> vae = VAETransformer(likelihood=parts)
    >>> X = [[0.3, 0, 1.5], [0.1, 1, 1.1], [0.7, 0, 1.3]]
    >>> vae.fit(X).likelihood_
    PerColumn(parts=[(GaussianDiag(), [0, 2]), (Bernoulli(), [1])])
    """

    # Columns of different kinds have different units.
    has_column_noise = True

    def __init__(self, parts):
        self.parts = parts

    @property
    def least_noise(self):
        """Share of each column's variance that no code explains, at least."""
        least = np.empty(sum(len(columns) for _, columns in self.parts))
        for spec, columns in self.parts:
            least[columns] = spec.least_noise
        return least

    @property
    def tied_noise(self):
        """Number of each column's noise; errors in one unit have one noise."""
        ties = np.arange(sum(len(columns) for _, columns in self.parts))
        for spec, columns in self.parts:
            if spec.has_squared_errors and not spec.has_column_noise:
                ties[columns] = columns[0]
        return ties

    def check(self, X, numbers, called):
        """Refuse what one of the parts refuses, naming its columns."""
        for spec, columns in self.parts:
            if spec.accepts_all:
                continue
            try:
                spec.check(X[:, columns], numbers, called[columns])
            except ValueError as error:
                few = few_of(called[columns])
                raise ValueError(f"columns {few}: {error}") from error

    @property
    def accepts_all(self):
        """Whether each part does."""
        return all(spec.accepts_all for spec, _ in self.parts)

    def origin(self, mean):
        """Say what rows are measured from: the means of columns that are centred."""
        origin = np.zeros_like(mean)
        for spec, columns in self.parts:
            origin[columns] = spec.origin(mean[columns])
        return origin

    def view(self, X):
        """Rows as the encoder and the linear maps see them."""
        if sp.issparse(X):
            views = [spec.view(X[:, columns]) for spec, columns in self.parts]
            order = np.concatenate([columns for _, columns in self.parts])
            return sp.hstack(views, format="csr")[:, np.argsort(order)]
        seen = SeenRows(X, self._view, by_column=False)
        # Where columns are looked at a few at a time, rows would be whole each time.
        return seen[:] if X.shape[1] > X.shape[0] else seen

    def _view(self, X, rows, columns):
        seen = np.empty_like(X)
        for spec, own in self.parts:
            seen[:, own] = spec.view(X[:, own])[:]
        return seen

    def build(self, n_features):
        """Make the module."""
        return _PerColumnModule(self.parts)


class _Part(nn.Module):
    """A likelihood and the columns that it is of."""

    likelihood: LikelihoodModule
    columns: torch.Tensor

    def __init__(self, spec, columns):
        super().__init__()
        self.likelihood = spec.build(len(columns))
        self.columns = nn.Buffer(torch.as_tensor(columns))

    def of(self, x):
        return x[..., self.columns]


def _blocks_of(part, counted_blocks):
    """Walk through the columns of a part, and the weights of the rows."""
    for x, weight in counted_blocks():
        yield part.of(x), weight


class _PerColumnModule(LikelihoodModule):
    """``log p(x | z)`` is the sum over parts."""

    parts: Any

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList(_Part(*part) for part in parts)
        self.is_recordable = all(p.likelihood.is_recordable for p in self.parts)

    def _gathered(self, like, function):
        """Put what each part gives where its columns are."""
        gathered = torch.empty_like(like)
        for part in self.parts:
            gathered[..., part.columns] = function(part)
        return gathered

    def view(self, x):
        return self._gathered(x, lambda part: part.likelihood.view(part.of(x)))

    @property
    def draws_rows(self):
        return any(part.likelihood.draws_rows for part in self.parts)

    def drawn(self, x, generator):
        return self._gathered(
            x, lambda part: part.likelihood.drawn(part.of(x), generator)
        )

    def fit_totals(self, counted_blocks, *, anew):
        for part in self.parts:
            part.likelihood.fit_totals(
                partial(_blocks_of, part, counted_blocks), anew=anew
            )

    def explain(self, variance, explained):
        for part in self.parts:
            columns = part.columns.cpu().numpy()
            part.likelihood.explain(variance[columns], explained[columns])

    def leave_to_codes(self, n_components, n_features):
        for part in self.parts:
            part.likelihood.leave_to_codes(n_components, n_features)

    def draw_errors(self, remainder):
        for part in self.parts:
            part.likelihood.draw_errors(remainder.of(part.columns))

    def initialize_from(self, x, weight):
        for part in self.parts:
            part.likelihood.initialize_from(part.of(x), weight)

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        n_features = maps.n_features
        intercept, gain = np.zeros(n_features), np.zeros(n_features)
        slopes = np.zeros_like(loadings)
        for part in self.parts:
            columns = part.columns.cpu().numpy()
            start = part.likelihood.start(
                maps.of_columns(columns), loadings[columns], code_scale, shrinkage
            )
            intercept[columns], gain[columns] = start.intercept, start.gain
            slopes[columns] = start.slopes
        return PredictorStart(intercept, slopes, gain, float(n_features))

    def predictor(self, mean):
        predictor = np.empty_like(mean)
        for part in self.parts:
            columns = part.columns.cpu().numpy()
            predictor[..., columns] = part.likelihood.predictor(mean[..., columns])
        return predictor

    def log_prob(self, x, eta):
        return sum(
            part.likelihood.log_prob(part.of(x), part.of(eta)) for part in self.parts
        )

    def log_prob_slope(self, x, eta, row_factor):
        total, slope = 0.0, torch.empty_like(eta)
        for part in self.parts:
            log_prob, slope[:, part.columns] = part.likelihood.log_prob_slope(
                part.of(x), part.of(eta), row_factor
            )
            total = total + log_prob
        return total, slope

    def mean(self, eta, x=None):
        return self._gathered(
            eta,
            lambda part: part.likelihood.mean(
                part.of(eta), None if x is None else part.of(x)
            ),
        )

    def sample(self, eta, generator):
        return self._gathered(
            eta, lambda part: part.likelihood.sample(part.of(eta), generator)
        )
