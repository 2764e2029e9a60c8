"""Significance: whether rows gain for certain, or as chance would have it.

The gain has to be above 0 with :data:`CONFIDENCE`, by Student's test, or by Wilcoxon's
and by so many standard errors. What neither can tell from nothing is no gain.
"""

import numpy as np
from scipy.stats import norm, rankdata
from scipy.stats import t as student_t

__all__ = ["CONFIDENCE", "gains_surely", "signed_ranks"]

CONFIDENCE = 0.99
QUANTILE = norm.ppf(CONFIDENCE)
STANDARD_ERRORS = 1.5


def gains_surely(gain, rows):
    """Whether rows gain: by Student's test, or by Wilcoxon's where a few rows decide.

    Where tails are heavy the standard error of a mean is that of a few rows, and
    Student's test cannot see what nearly all rows agree on. The mean has to be above
    one and a half of its standard errors all the same: one far row alone makes one.

    Parameters
    ----------
    gain : torch.Tensor of shape (n_rows,)

    rows : Rows
        Whose gain it is; they count by their weights.

    Returns
    -------
    bool
    """
    mean, error = rows.mean_and_error(gain)
    n_rows = rows.n_effective
    if n_rows <= 1 or mean <= 0:
        return False
    if mean > student_t.ppf(CONFIDENCE, n_rows - 1) * error:
        return True
    if mean <= STANDARD_ERRORS * error:
        return False
    return signed_ranks(gain.cpu().numpy(), rows.weight.cpu().numpy()) > QUANTILE


def signed_ranks(gain, weight):
    """Wilcoxon's sum of signed ranks, each times its weight, by its standard deviation.

    Where a row is as likely to lose as to gain, signs are tosses of a coin.

    Parameters
    ----------
    gain, weight : ndarray of shape (n_rows,)
        Some gain is other than 0.

    Returns
    -------
    float
    """
    differs = gain != 0
    ranks = weight[differs] * rankdata(np.abs(gain[differs]))
    return ranks @ np.sign(gain[differs]) / np.sqrt(ranks @ ranks)
