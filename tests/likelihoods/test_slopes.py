"""Slopes written out are autograd's."""

import numpy as np
import pytest
import torch
from given import built, generator, normal
from sklearn.datasets import load_iris
from torch import nn

from skae import VAETransformer
from skae.likelihoods import (
    Categorical,
    ContinuousBernoulli,
    Likelihood,
    LikelihoodModule,
    Poisson,
    PredictorStart,
)

from .made import (
    MIXED,
    START,
    counts,
    diagonal,
    gaussian,
    mixed,
    negative_binomial,
    student,
    with_totals,
)


def mixed_module():
    spec = VAETransformer(1, likelihood=MIXED, **START).fit(mixed()).likelihood_
    return spec.build(7)


MODULES = {
    "noise per column": (lambda: diagonal([0.1, 2.0, 1.0]), lambda: normal(9, 3)),
    "student": (lambda: student([0.1, 2.0, 1.0], 3.0), lambda: normal(9, 3)),
    "continuous": (
        lambda: ContinuousBernoulli().build(3),
        lambda: torch.rand(9, 3, generator=generator()).double(),
    ),
    "poisson": (
        lambda: Poisson(size=None).build(3),
        lambda: torch.from_numpy(counts(9, 3)),
    ),
    "shares": (
        lambda: with_totals(Poisson().build(3), 9.0, 2.0),
        lambda: torch.from_numpy(counts(9, 3)),
    ),
    "dispersed": (
        lambda: negative_binomial([0.1, 2.0, 1e7]),
        lambda: torch.from_numpy(counts(9, 3)),
    ),
    "dispersed shares": (
        lambda: with_totals(negative_binomial([0.1, 2.0, 90.0], "total"), 9.0, 2.0),
        lambda: torch.from_numpy(counts(9, 3)),
    ),
    "categories": (
        lambda: built(Categorical([[2, 0], [1]]), 3),
        lambda: torch.tensor([[0.0, 1, 1], [1, 1, 0]], dtype=torch.float64),
    ),
    "mixed": (
        mixed_module,
        lambda: torch.from_numpy(mixed(9) - [1e6, 0, 0, 0, 0, 0, 0]),
    ),
}


@pytest.mark.parametrize("method", ["log_prob", "deviance"])
@pytest.mark.parametrize("name", MODULES)
def test_slopes_are_those_of_autograd(name, method):
    module, x = (make() for make in MODULES[name])
    if method == "deviance":
        module.requires_grad_(False)
    eta = normal(*x.shape, seed=3).requires_grad_()
    row_factor = torch.rand(len(x), generator=generator(4), dtype=torch.float64)
    trained = [p for p in module.parameters() if p.requires_grad]
    value = getattr(module, method)(x, eta)
    wanted, *gradients = torch.autograd.grad(value @ row_factor, [eta, *trained])
    for p in trained:
        p.grad = torch.full_like(p, 7.0)
    with torch.no_grad():
        found, slope = getattr(module, f"{method}_slope")(x, eta.detach(), row_factor)
    np.testing.assert_allclose(found, value.detach(), rtol=1e-9)
    np.testing.assert_allclose(slope, wanted, rtol=1e-6, atol=1e-9)
    for p, gradient in zip(trained, gradients, strict=True):
        np.testing.assert_allclose(p.grad, gradient, rtol=1e-4, atol=1e-6)


IN_UNITS = {
    "one noise": lambda unit: gaussian(2.0 * unit**2, 3),
    "noise per column": lambda unit: diagonal(np.array([0.1, 2.0, 1.0]) * unit**2),
    "student": lambda unit: student(np.array([0.1, 2.0, 1.0]) * unit**2, 3.0),
}


def slopes_in(unit, name):
    """Log-probabilities, slopes and gradients in a unit, as they are in unit 1."""
    module = IN_UNITS[name](unit)
    for p in module.parameters():
        p.grad = torch.zeros_like(p)
    x, eta = (normal(9, 3, seed=seed).float() * unit for seed in (0, 3))
    row_factor = torch.linspace(0.5, 1.5, 9)
    with torch.no_grad():
        alone = module.log_prob(x, eta)
        log_prob, slope = module.log_prob_slope(x, eta, row_factor)
    shift = 3 * np.log(unit)
    gradients = [p.grad for p in module.parameters()]
    return [alone + shift, log_prob + shift, slope * unit, *gradients]


@pytest.mark.parametrize("unit", [1e-34, 1e34])
@pytest.mark.parametrize("name", IN_UNITS)
def test_slopes_are_those_of_units_whose_squares_float32_does_not_hold(name, unit):
    found = slopes_in(unit, name)
    for value, wanted in zip(found, slopes_in(1.0, name), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-4)


class HalfUsed(LikelihoodModule):
    """One of the user's, with something to be learned that it does not use."""

    def __init__(self):
        super().__init__()
        self.log_noise = nn.Parameter(torch.zeros(()))
        self.unused = nn.Parameter(torch.zeros(2))

    def log_prob(self, x, eta):
        error = (x - eta) / self.log_noise.exp()
        return -(error.square() / 2 + self.log_noise).sum(-1)

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        gain = np.sqrt(maps.variance)
        return PredictorStart(0 * gain, shrinkage * loadings, gain, len(gain))


class OfHalf(Likelihood):
    def build(self, n_features):
        return HalfUsed()


def test_what_is_not_used_has_no_slope(Estimator):
    module = HalfUsed()
    for p in module.parameters():
        p.grad = torch.full_like(p, 7.0)
    module.log_prob_slope(normal(9, 3), normal(9, 3, seed=3), normal(9, seed=4))
    assert not module.unused.grad.any()
    assert module.log_noise.grad not in (0.0, 7.0)
    model = Estimator(2, likelihood=OfHalf(), max_iter=2, random_state=0)
    assert np.isfinite(model.fit(load_iris().data).loss_curve_).all()
