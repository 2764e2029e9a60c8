"""Significance: what rows gain for certain."""

import numpy as np
import pytest
import torch
from scipy.stats import sem, ttest_1samp, wilcoxon

from skae.fitting.significance import gains_surely, signed_ranks
from skae.rows import Rows


def surely(gain, weight):
    rows = Rows(np.zeros((len(gain), 1)), weight, np.zeros(1), torch.device("cpu"))
    return gains_surely(torch.as_tensor(gain), rows)


def test_rows_of_one_weight_gain_by_the_tests_of_scipy():
    rng = np.random.default_rng(0)
    one_sided, decided = {"alternative": "greater"}, set()
    for gain in rng.standard_t(2, size=(400, 30)) + 0.6:
        by_student = ttest_1samp(gain, 0.0, **one_sided).pvalue < 0.01
        by_ranks = wilcoxon(gain, method="approx", **one_sided).pvalue < 0.01
        is_far = gain.mean() > 1.5 * sem(gain)
        assert surely(gain, np.ones(30)) == (by_student or (is_far and by_ranks))
        decided.add((by_student, is_far, by_ranks))
    # Each of the three has its say.
    assert {(True, True, False), (False, True, True), (False, False, True)} <= decided
    assert (False, True, False) in decided


@pytest.mark.parametrize("spread", [0.0, 0.2, 2.0])
def test_chance_is_seldom_taken_for_a_gain_whatever_the_weights(spread):
    rng = np.random.default_rng(0)
    gains = rng.normal(size=(1000, 200))
    weights = rng.lognormal(0, spread, size=(1000, 200))
    assert np.mean([*map(surely, gains, weights)]) < 0.025
    assert np.mean([*map(surely, gains + 10, weights)]) > 0.95


def test_rows_in_many_copies_do_not_hide_a_gain_of_nearly_all():
    """Where copies gain as much as the mean, they do not make it uncertain."""
    rng = np.random.default_rng(0)
    weight = rng.geometric(0.02, 150) ** 1.5
    gain = 0.5 + 0.1 * rng.normal(size=150)
    gain[np.argsort(weight)[:3]] = 40.0
    assert surely(gain, weight)
    assert not surely(-gain, weight)


def test_ranks_weigh_as_their_rows_do():
    """Of a heavy tail, by Wilcoxon's test; with one weight it is SciPy's."""
    rng = np.random.default_rng(0)
    gain = rng.standard_cauchy(200) + 0.3
    same = signed_ranks(gain, np.ones(200))
    ranks = wilcoxon(gain, alternative="greater", method="approx")
    assert same == pytest.approx(ranks.zstatistic)
    losers = np.where(gain > 0, 1.0, 10.0)
    assert signed_ranks(gain, losers) < 0 < same


def test_a_gain_of_rows_that_hardly_count_is_none():
    rng = np.random.default_rng(0)
    weight = np.repeat([1000.0, 1e-3], [20, 180])
    gains = rng.normal(size=(300, 200)) * np.repeat([10.0, 1e-3], [20, 180])
    gains[:, 20:] = np.abs(gains[:, 20:])
    assert np.mean([surely(gain, weight) for gain in gains]) < 0.05
