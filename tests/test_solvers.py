"""Solvers: steps, gradients that are too long, weight decay."""

import dataclasses
import functools
import math
from unittest import mock

import numpy as np
import pytest
import torch
from given import LEARNS, SMALL, images, tensors
from torch import nn
from waiting import UnseenClipping

from skae import AutoencoderTransformer
from skae.training import clipping, solvers
from skae.training.clipping import LONGEST, USUAL_STEPS, Clipping

SOLVERS = {
    "adam": "adam",
    "adamw": "adamw",
    "sgd": "sgd",
    "rmsprop": "rmsprop",
    "adagrad": "adagrad",
    "NAdam": torch.optim.NAdam,
    "LBFGS": torch.optim.LBFGS,
    "SGD with momentum": functools.partial(torch.optim.SGD, lr=5e-3, momentum=0.9),
    "RAdam": torch.optim.RAdam,
}


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_fused_steps_are_those_of_torch(name):
    begin, *slopes = (t.float() for t in tensors(*[(40,)] * 6))
    solver = solvers.SOLVERS[name]
    p, q = (nn.Parameter(begin.clone()) for _ in range(2))
    groups = [{"params": [p], "weight_decay": 0.1}]
    ours = solvers.FusedAdam(groups, 0.01, solver.kernel)
    torchs = solver.optimizer([q], lr=0.01, weight_decay=0.1)
    for slope in slopes:
        p.grad, q.grad = slope.clone(), slope.clone()
        with torch.no_grad():
            assert ours.step(lambda: 7) == 7
        torchs.step()
    torch.testing.assert_close(p, q)
    assert (p - begin).abs().max() > 0.01


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_fused_steps_are_of_one_type_each(name):
    solver, called = solvers.SOLVERS[name], []

    def kernel(parameters, *others, **settings):
        called.append([p.dtype for p in parameters])
        solver.kernel(parameters, *others, **settings)

    narrow, wide = torch.float32, torch.float64
    begin, slope = tensors((4,), (4,))
    ours, torchs = (
        [nn.Parameter(begin.to(dtype)) for dtype in (narrow, wide, narrow, wide)]
        for _ in range(2)
    )
    groups = [{"params": ours[:3], "weight_decay": 0.1}]
    groups += [{"params": ours[3:], "weight_decay": 0.0}]
    of_torch = [{"params": torchs[:3]}, {"params": torchs[3:], "weight_decay": 0.0}]
    fused = solvers.FusedAdam(groups, 0.01, kernel)
    plain = solver.optimizer(of_torch, lr=0.01, weight_decay=0.1)
    for p in ours + torchs:
        p.grad = slope.to(p.dtype)
    with torch.no_grad():
        fused.step(lambda: None)
    plain.step()
    assert called == [[narrow, narrow], [wide], [wide]]
    torch.testing.assert_close(ours, torchs)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adagrad"])
@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps", "xpu"])
def test_steps_are_fused_where_every_torch_has_them_so(name, kind):
    fused_on = {"sgd": {"cpu", "cuda"}, "rmsprop": set(), "adagrad": {"cpu"}}
    made = mock.Mock()
    solver = dataclasses.replace(solvers.SOLVERS[name], optimizer=made)
    there = mock.Mock(device=torch.device(kind))
    solvers._make_named(solver, [{"params": [there]}], 0.1)
    assert made.call_args.kwargs.get("fused", False) == (kind in fused_on[name])


clips = pytest.mark.parametrize("Clipping", [Clipping, UnseenClipping])


@clips
def test_a_gradient_much_longer_than_usual_is_clipped(Clipping):
    gradient = [torch.tensor([3.0, 0.0]), torch.tensor([4.0], dtype=torch.float64)]
    seen = Clipping(gradient)
    for _ in range(USUAL_STEPS + 3):
        seen.clip()
        assert float(seen.usual) == pytest.approx(5.0)
    seen = Clipping(gradient, **seen.state())
    for part in gradient:
        part.mul_(100.0)
    seen.clip()
    np.testing.assert_allclose(gradient[0], [3.0 * LONGEST, 0.0], rtol=1e-6)
    np.testing.assert_allclose(gradient[1], [4.0 * LONGEST], rtol=1e-6)
    assert 5.0 < seen.usual < 5.0 * LONGEST


@clips
def test_a_gradient_beyond_what_can_be_measured_is_no_end(Clipping):
    gradient = [torch.ones(3)]
    seen = Clipping(gradient)
    for _ in range(USUAL_STEPS):
        seen.clip()
    gradient[0].fill_(1e30)
    seen.clip()
    assert (gradient[0] == 0).all()
    assert 3**0.5 < seen.usual < 3**0.5 * LONGEST


@clips
@pytest.mark.parametrize("far", [np.inf, -np.inf, np.nan])
def test_a_length_that_is_no_number_says_nothing_of_what_is_usual(Clipping, far):
    gradient = [torch.ones(3)]
    seen = Clipping(gradient)
    for step in range(3 * USUAL_STEPS):
        gradient[0].fill_(far if step == 3 else 1.0)
        seen.clip()
    assert float(seen.usual) == pytest.approx(3**0.5)
    gradient[0].fill_(100.0)
    seen.clip()
    np.testing.assert_allclose(gradient[0], LONGEST, rtol=1e-6)


@clips
def test_the_first_gradients_say_what_is_usual(Clipping):
    gradient = [torch.zeros(3)]
    seen = Clipping(gradient)
    for step in range(USUAL_STEPS):
        gradient[0].fill_(step)
        seen.clip()
        assert (gradient[0] == step).all()
    usual = 3**0.5 * np.arange(USUAL_STEPS).mean()
    assert float(seen.usual) == pytest.approx(usual, rel=1e-5)


@clips
def test_a_training_begins_where_there_was_nothing_to_learn(Clipping):
    gradient = [torch.zeros(3)]
    seen = Clipping(gradient)
    for _ in range(USUAL_STEPS + 1):
        seen.clip()
    gradient[0].fill_(1.0)
    seen.clip()
    assert (gradient[0] == 1).all()


def test_gradients_of_an_optimizer_of_the_users_are_left_alone(monkeypatch):
    """It may search along a line, or measure them itself."""

    def clip(self):
        raise AssertionError("a gradient was looked at")

    monkeypatch.setattr(Clipping, "clip", clip)
    settings = {"max_iter": 1, "hidden_layer_sizes": (4,), "random_state": 0}
    X = np.random.default_rng(0).normal(size=(40, 5))
    AutoencoderTransformer(2, solver=torch.optim.NAdam, **settings).fit(X)
    with pytest.raises(AssertionError, match="looked at"):
        AutoencoderTransformer(2, **settings).fit(X)


@functools.cache
def score_of_start(Estimator, **parameters):
    model = Estimator(3, max_iter=0, random_state=0, **parameters)
    return model.fit(images(200)).score(images(200))


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_improves_on_the_start(Estimator, as_trained, name):
    X = images(200)
    parameters = LEARNS | {"solver": SOLVERS[name], "early_stopping": False}
    whole = {"batch_size": len(X), "max_iter": 4}
    parameters |= whole if name == "LBFGS" else {"max_iter": 30}
    model = Estimator(3, **parameters, **as_trained).fit(X)
    assert model.score(X) > score_of_start(Estimator, **as_trained)
    if Estimator is AutoencoderTransformer:
        assert model.loss_curve_[-1] < 0.99 * model.start_loss_


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_gives_the_same_model_twice(name):
    parameters = SMALL | {"solver": SOLVERS[name], "max_iter": 2}
    first, again = (
        AutoencoderTransformer(2, **parameters).fit(images(100)) for _ in range(2)
    )
    np.testing.assert_array_equal(
        first.transform(images(100)), again.transform(images(100))
    )


def test_the_learning_rate_reaches_the_solver(monkeypatch):
    # Gradients are clipped for solvers by name alone.
    monkeypatch.setattr(clipping, "LONGEST", math.inf)
    curves = []
    for solver in ("adam", torch.optim.Adam, functools.partial(torch.optim.Adam)):
        for rate in (1e-5, 1e-2):
            parameters = SMALL | {"solver": solver, "early_stopping": False}
            model = AutoencoderTransformer(2, learning_rate_init=rate, **parameters)
            curves.append(model.fit(images(100)).loss_curve_[-1])
    slow, fast = curves[::2], curves[1::2]
    np.testing.assert_allclose(slow, slow[0], rtol=1e-4)
    np.testing.assert_allclose(fast, fast[0], rtol=1e-4)
    assert fast[0] < slow[0]


def size(model, is_matrix):
    """Length of the networks' matrices, or of biases, gains and noise."""
    parts = [p for p in model.module_.parameters() if (p.ndim >= 2) == is_matrix]
    return sum(p.square().sum().item() for p in parts) ** 0.5


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", torch.optim.AdamW])
def test_alpha_shrinks_the_networks_and_not_pca(Estimator, solver):
    X = images(200)
    parameters = LEARNS | {"solver": solver, "early_stopping": False}
    free = Estimator(3, **parameters).fit(X)
    held = Estimator(3, alpha=1.0, **parameters).fit(X)
    assert size(held, True) < 0.95 * size(free, True)
    for name, buffer in held.module_.named_buffers():
        if name.endswith("linear.weight"):
            assert torch.equal(buffer, dict(free.module_.named_buffers())[name])


@pytest.mark.parametrize("solver", ["adamw", torch.optim.AdamW])
def test_alpha_leaves_biases_and_the_noise_free(Estimator, solver):
    parameters = SMALL | {"solver": solver, "learning_rate_init": 5e-3}
    parameters |= {"early_stopping": False, "max_iter": 10}
    free = Estimator(2, **parameters).fit(images(100))
    held = Estimator(2, alpha=20.0, **parameters).fit(images(100))
    assert size(held, True) < 0.5 * size(free, True)
    assert size(held, False) > 0.7 * size(free, False)


def test_no_training_changes_the_linear_maps(Estimator):
    start = Estimator(3, **LEARNS | {"max_iter": 0}).fit(images())
    model = Estimator(3, early_stopping=False, **LEARNS).fit(images())
    before, after = (dict(m.module_.named_buffers()) for m in (start, model))
    for name in ("encoder.linear.weight", "decoder.linear.weight"):
        assert torch.equal(before[name], after[name])


class Clearing(torch.optim.SGD):
    """An optimizer that clears its gradients, and returns nothing."""

    def step(self, closure):
        super().step(closure)
        self.zero_grad()


class Deaf(torch.optim.SGD):
    def step(self, closure=None):
        super().step()


class Broken(torch.optim.SGD):
    def step(self, closure):
        closure()
        raise RuntimeError("no dense gradients")


class Unpaced(torch.optim.Optimizer):
    """An optimizer that knows no learning rate."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    def step(self, closure):
        raise AssertionError("it was asked to train")


@pytest.mark.parametrize("network", [None, nn.Linear])
def test_an_optimizer_may_clear_gradients_and_return_nothing(network):
    parameters = LEARNS | {"learning_rate_init": 0.05, "encoder": network}
    parameters |= {"early_stopping": False, "max_iter": 3}
    model, plain = (
        AutoencoderTransformer(3, solver=solver, **parameters).fit(images(100))
        for solver in (Clearing, torch.optim.SGD)
    )
    assert model.loss_curve_ == plain.loss_curve_


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        (Broken, "fails at its step: no dense gradients"),
        (Deaf, "does not call its closure"),
        (torch.optim.SparseAdam, "fails at its step"),
        (Unpaced, "gives them no 'lr'.*; use another class"),
    ],
)
def test_an_optimizer_that_cannot_train_is_named(Estimator, solver, said):
    with pytest.raises(ValueError, match=f"^solver=.*{said}"):
        Estimator(2, solver=solver, **SMALL).fit(images(50))


def test_an_error_of_a_network_is_not_the_optimizers():
    class Failing(nn.Linear):
        def forward(self, x):
            if self.training and len(x) > 3:  # not where it is tried out
                raise RuntimeError("of my own")
            return super().forward(x)

    model = AutoencoderTransformer(2, solver=torch.optim.SGD, encoder=Failing, **SMALL)
    with pytest.raises(RuntimeError, match=r"^of my own"):
        model.fit(images(50))


def test_no_alpha_is_no_decay_of_a_class_and_auto_is_its_own_of_matrices():
    parameters = LEARNS | {"early_stopping": False, "learning_rate_init": 0.01}

    def sizes(alpha, **own):
        solver = functools.partial(torch.optim.AdamW, **own)
        model = AutoencoderTransformer(3, solver=solver, alpha=alpha, **parameters)
        model.fit(images(100))
        return [p.square().sum().item() for p in model.module_.parameters()]

    assert sizes(0.0, weight_decay=1.0) == sizes("auto", weight_decay=0.0)
    assert sizes(0.0) == sizes(0.0, weight_decay=0.0)
    assert sizes("auto", weight_decay=1.0) == sizes(1.0)
    assert sizes("auto", weight_decay=1.0) != sizes(0.0)
