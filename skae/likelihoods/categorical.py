"""The likelihood of categories: groups of columns of which one is 1, the others 0.

categorical   log p(x | z) = sum over groups of sum_j x_j log softmax(eta)_j
"""

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn import functional

from .base import Likelihood, LikelihoodModule, few_of, linked_start

__all__ = ["Categorical"]

# Shares of a category are at least this before the logarithm is taken.
SHARE_FLOOR = 1e-4


class Categorical(Likelihood):
    """Groups of columns, each a category that is one-hot encoded.

    Parameters
    ----------
    groups : list of lists of columns, default=None
        The columns of each category, by number or name, each column in one group.
        None is a single category of all columns.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import VAETransformer
    >>> from skae.likelihoods import Categorical
    >>> X = np.eye(3)[[0, 1, 2, 1, 0, 2, 1, 1, 0, 0, 2, 1]]
    >>> vae = VAETransformer(1, likelihood=Categorical(), max_iter=0).fit(X)
    >>> vae.sample(4, random_state=0).sum(axis=1)
    array([1., 1., 1., 1.])
    """

    def __init__(self, groups=None):
        self.groups = groups

    def bind(self, numbers, locate):
        """Copy with groups of positions among the columns that this is of."""
        if self.groups is None:
            return Categorical([list(range(len(numbers)))])
        if not isinstance(self.groups, list | tuple):
            raise ValueError(
                f"likelihood: groups={self.groups!r} of Categorical is no list of "
                "lists of columns, as in [[0, 1, 2], ['red', 'green']]."
            )
        position = {int(number): i for i, number in enumerate(numbers)}
        located = [[int(j) for j in locate(group)] for group in self.groups]
        flat = [j for group in located for j in group]
        if sorted(flat) != sorted(position):
            raise ValueError(
                "likelihood: the groups of Categorical have to have every column "
                f"exactly once, but groups={self.groups!r} are columns {sorted(flat)} "
                f"of {sorted(position)}."
            )
        return Categorical([[position[j] for j in group] for group in located])

    def check(self, X, numbers, called):
        """Refuse groups that are not one-hot."""
        for group in self.groups:
            columns = X[:, group]
            columns = columns.toarray() if sp.issparse(columns) else columns
            is_binary = ((columns == 0) | (columns == 1)).all(axis=1)
            wrong = np.flatnonzero(~is_binary | (columns.sum(axis=1) != 1))
            if wrong.size:
                found = _what_is_wrong(columns[wrong[0]], called[group])
                raise ValueError(
                    "likelihood='categorical' needs groups of columns of which one is "
                    f"1 and the others 0, but in row {numbers[wrong[0]]} {found}; "
                    "encode categories by OneHotEncoder(drop=None, "
                    "handle_unknown='error'), or use likelihood='bernoulli'."
                )

    def build(self, n_features):
        """Make the module."""
        return _CategoricalModule(self.groups, n_features)


def _what_is_wrong(values, called):
    """Say why the values of a group in one row are no category."""
    odd = np.flatnonzero((values != 0) & (values != 1))
    if odd.size:
        return f"column {called.tolist()[odd[0]]!r} is {values[odd[0]]:.6g}"
    if values.any():
        return f"the columns {few_of(called[values == 1])} are 1"
    return f"none of the columns {few_of(called)} is 1"


class _CategoricalModule(LikelihoodModule):
    """Softmax in each group; groups of all sizes are padded to the largest."""

    is_recordable = True

    def __init__(self, groups, n_features):
        super().__init__()
        padded = torch.full((len(groups), max(map(len, groups))), n_features)
        group_of = torch.zeros(n_features, dtype=torch.int64)
        place = torch.zeros(n_features, dtype=torch.int64)
        for i, group in enumerate(groups):
            padded[i, : len(group)] = torch.as_tensor(group)
            group_of[group] = i
            place[group] = torch.arange(len(group))
        self.padded = nn.Buffer(padded)
        self.position = nn.Buffer(group_of * padded.shape[1] + place)

    def _grouped(self, eta):
        """Values of each group, filled up by minus infinity; draws are on the CPU."""
        padded = self.padded.to(eta.device)
        return functional.pad(eta, (0, 1), value=-torch.inf)[..., padded]

    def _flat(self, grouped):
        return grouped.flatten(-2)[..., self.position.to(grouped.device)]

    def _log_shares(self, eta):
        return self._flat(torch.log_softmax(self._grouped(eta), -1))

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        share = np.maximum(maps.mean, SHARE_FLOOR)
        slopes = loadings / share[:, None]
        return linked_start(self.predictor(share), slopes, code_scale, shrinkage)

    def predictor(self, mean):
        return np.log(np.maximum(mean, SHARE_FLOOR))

    def log_prob(self, x, eta):
        return (x * self._log_shares(eta)).sum(-1)

    def log_prob_slope(self, x, eta, row_factor):
        log_shares = self._log_shares(eta)
        slope = (x - torch.exp(log_shares)) * row_factor[:, None]
        return (x * log_shares).sum(-1), slope

    def mean(self, eta, x=None):
        return self._flat(torch.softmax(self._grouped(eta), -1))

    def sample(self, eta, generator):
        uniform = torch.rand(eta.shape, generator=generator, dtype=torch.float64)
        # The largest of logits with Gumbel's noise is a draw.
        gumbel = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
        grouped = self._grouped(eta.cpu().double() + gumbel)
        chosen = functional.one_hot(grouped.argmax(-1), grouped.shape[-1])
        return self._flat(chosen).to(eta)
