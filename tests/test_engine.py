"""Schedules of a training: warm-up, planned rates, patience."""

import gc
import weakref
from typing import ClassVar

import numpy as np
import pytest
import torch
from given import images
from torch import nn

from skae import AutoencoderTransformer
from skae.rows import Rows
from skae.training.engine import replay, train
from skae.training.judges import row_losses
from skae.training.settings import Settings
from skae.training.steps import Steps
from skae.training.weights import KeptBuffers

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
CPU = torch.device("cpu")


class Quadratic(nn.Module):
    """A model with one number, that writes down how its warm-up goes."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((3,), 2.0))
        self.loss_unit = nn.Buffer(torch.ones((), dtype=torch.float64))
        self.progress = []

    def row_losses(self, x, *_):
        return ((x - self.weight) ** 2).sum(1)

    def batch_loss(self, x, row_factor, generator):
        return self.row_losses(x) @ row_factor

    def warm_up(self, progress):
        self.progress.append(progress)


def trained(warmup, learning_rates=None, state=None, **changes):
    rows = Rows(np.random.RandomState(0).randn(40, 3), np.ones(40), np.zeros(3), CPU)
    parameters = {
        "solver": "sgd",
        "learning_rate": 1e-9,
        "alpha": 0.0,
        "batch_size": 20,
        "max_iter": 10,
        "tol": 1e-3,
        "patience": 2,
        "dtype": torch.float32,
        "warmup": warmup,
    }
    model, settings = Quadratic(), Settings(**parameters | changes)
    known = {"seed": 0, "start_loss": 100.0}
    if learning_rates is None:
        result = train(model, rows, settings, valid=rows, state=state, **known)
    else:
        result = replay(model, rows, settings, learning_rates, **known)
    return model.progress, result


def test_a_warm_up_goes_from_nothing_to_all_within_its_share():
    progress, result = trained(0.4, patience=10)
    assert progress[:10] == pytest.approx([*np.arange(8) / 8, 1, 1])
    assert set(progress[8:]) == {1.0}
    assert result.n_epochs == 10


def test_patience_does_not_count_before_the_end_of_the_warm_up():
    # Nothing improves: patience ends a training after 2 epochs, twice.
    assert trained(0.0)[1].n_epochs == 4
    progress, result = trained(0.5)
    assert result.n_epochs == 5 + 4
    assert progress[-1] == 1


def test_a_refit_warms_up_in_shares_of_its_own_epochs():
    progress, _ = trained(0.5, learning_rates=[1e-9] * 4)
    assert progress[:8] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1, 1])


def test_no_warm_up_starts_over():
    _, result = trained(0.5)
    progress, _ = trained(0.5, state=result.state)
    assert set(progress) == {1.0}
    assert set(trained(0.0)[0]) == {1.0}


def test_no_step_leaves_a_tensor_of_its_own(monkeypatch):
    """Those of a long epoch would part the memory into gaps that fit nothing."""
    alive, losses, take = [], weakref.WeakSet(), Steps.take

    def counted(*args):
        alive.append(len(losses))
        losses.add(loss := take(*args))
        return loss

    monkeypatch.setattr(Steps, "take", counted)
    trained(0.0, batch_size=4, max_iter=2)
    assert len(alive) == 20
    assert max(alive) <= 1


def test_what_a_training_held_is_free_at_its_end(monkeypatch):
    """Rows and weights wait for no collection of garbage."""
    held, n_held, begin = weakref.WeakSet(), [], Steps.__init__

    def seen(steps, *args):
        held.add(steps)
        begin(steps, *args)
        n_held.append(len(held))

    monkeypatch.setattr(Steps, "__init__", seen)
    gc.disable()
    try:
        AutoencoderTransformer(2, **SMALL).fit(images(100))
    finally:
        gc.enable()
    assert n_held == [1, 1]  # the second training uses all rows
    assert len(held) == 0


def test_no_block_that_is_judged_leaves_a_tensor_of_its_own(monkeypatch):
    """Rows that are judged are many blocks, too."""
    monkeypatch.setattr("skae.rows.BLOCK_SIZE", 12)
    alive, losses = [], weakref.WeakSet()

    class Counted(Quadratic):
        def row_losses(self, x, *_):
            alive.append(len(losses))
            losses.add(loss := super().row_losses(x))
            return loss

    X = np.random.RandomState(0).randn(40, 3)
    found = row_losses(Counted(), Rows(X, np.ones(40), np.zeros(3), CPU))
    np.testing.assert_allclose(found, ((X - 2) ** 2).sum(1), rtol=1e-5)
    assert len(alive) == 10
    assert max(alive) <= 1


def test_the_learning_rate_falls_along_a_line_over_the_last_epochs():
    _, result = trained(0.0, learning_rate=0.001, patience=10, descent=0.4)
    shares = [1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert result.learning_rates == pytest.approx(np.multiply(shares, 0.001))
    assert trained(0.0, learning_rate=0.001)[1].learning_rates[-1] == 0.001


def test_a_loss_that_stands_still_lowers_what_is_left_of_the_line():
    _, result = trained(0.0, learning_rate=0.001, tol=1.0, descent=1.0)
    # Two epochs bring too little, then two more at a fifth of what was planned.
    shares = np.array([1.0, 0.9, 0.8 / 5, 0.7 / 5])
    assert result.learning_rates == pytest.approx(0.001 * shares)


def test_a_refit_repeats_the_rates_and_plans_none():
    rates = [0.01, 0.02, 0.005]
    _, result = trained(0.0, learning_rates=rates, descent=1.0)
    assert result.learning_rates == rates


class Recorded(torch.optim.SGD):
    """Remembers its learning rates."""

    rates: ClassVar[list] = []

    def step(self, closure=None):
        self.rates.append(self.param_groups[0]["lr"])
        return super().step(closure)


@pytest.mark.parametrize(
    ("parameters", "is_planned"),
    [({}, True), ({"early_stopping": False}, False), ({"warm_start": True}, False)],
    ids=str,
)
def test_rates_are_planned_where_rows_judge_and_the_end_is_known(
    parameters, is_planned, iris
):
    Recorded.rates.clear()
    parameters |= SMALL | {"solver": Recorded, "learning_rate_init": 1e-5, "tol": 0}
    AutoencoderTransformer(2, **parameters | {"max_iter": 4}).fit(iris[0])
    shares = np.unique(Recorded.rates) / 1e-5
    assert shares == pytest.approx([0.5, 1.0] if is_planned else [1.0])


@pytest.mark.parametrize(("n_rows", "is_shared"), [(2**14, True), (2**14 - 1, False)])
def test_only_large_products_are_shared_among_threads(n_rows, is_shared):
    """What is small would wait for a thread that another program holds up."""
    before = torch.get_num_threads()
    counts = []

    class Counted(Quadratic):
        def __init__(self):
            super().__init__()
            self.matrix = nn.Parameter(torch.zeros(32, 32))

        def row_losses(self, x, *_):
            counts.append(torch.get_num_threads())
            return super().row_losses(x)

    rows = Rows(np.zeros((n_rows, 3)), np.ones(n_rows), np.zeros(3), CPU)
    try:
        torch.set_num_threads(2)
        row_losses(Counted(), rows)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(counts) == {2 if is_shared else 1}


class Buffers(nn.Module):
    """Buffers of a model: one by two names, one spread out, one yet to be made."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Module()
        self.inner.changed, self.inner.replaced = (nn.Buffer(t) for t in torch.eye(2))
        self.again = self.inner.changed
        self.grown = nn.Buffer(torch.ones(1))
        self.spread = nn.Buffer(torch.zeros(1).expand(3))
        self.register_buffer("waiting", None)


def test_buffers_are_put_back_whatever_has_become_of_them():
    model = Buffers()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    changed = model.inner.changed
    kept = KeptBuffers(model)
    for _ in range(2):
        model.inner.changed += 1
        model.inner.replaced = model.inner.changed
        model.grown = torch.full((3,), torch.nan)
        model.waiting = model.grown
        model.register_buffer("added", model.grown)
        kept.put_back()
        after = model.state_dict()
        assert after.keys() == before.keys()
        for name, value in before.items():
            assert torch.equal(after[name], value)
        assert model.waiting is None
        # What is recorded of it is recorded by its place in memory.
        assert model.inner.changed is model.again is changed
