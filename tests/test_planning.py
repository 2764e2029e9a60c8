"""What an estimator's parameters are resolved to."""

import numpy as np
import pytest
import torch

from skae import AutoencoderTransformer, VAETransformer
from skae.training import solvers


class Resolved(Exception):
    """Carries what a fit would have been trained with."""


def settings_of(monkeypatch, shape, Estimator=AutoencoderTransformer, **parameters):
    """What a fit of so many rows and columns is to be trained with."""

    def stop(task, **_):
        raise Resolved(task.settings)

    monkeypatch.setattr("skae.estimators.base.carry_out", stop)
    X = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with pytest.raises(Resolved) as resolved:
        Estimator(2, **parameters).fit(X)
    return resolved.value.args[0]


def test_networks_of_many_values_decay_and_learn_faster(monkeypatch):
    few, many = (12_500, 399), (12_500, 400)  # 5 million values are many
    for shape, rate, alpha in ((few, 2e-3, 0.0), (many, 4e-3, 0.2)):
        settings = settings_of(monkeypatch, shape)
        assert settings.learning_rate == pytest.approx(rate)
        assert settings.alpha == alpha
    assert settings_of(monkeypatch, many, VAETransformer).alpha == 0.0
    assert settings_of(monkeypatch, many, VAETransformer).learning_rate == 2e-3
    given = {"alpha": 0.0, "learning_rate_init": 0.5}
    assert settings_of(monkeypatch, many, **given).alpha == 0.0
    assert settings_of(monkeypatch, many, **given).learning_rate == 0.5
    for solver in ("adam", "sgd", torch.optim.AdamW):
        settings = settings_of(monkeypatch, many, solver=solver)
        known = solvers.SOLVERS.get(solver)  # a class has defaults of its own
        assert settings.alpha == (None if known is None else 0.0)
        assert settings.learning_rate == (known and known.learning_rate)
