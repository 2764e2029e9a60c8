"""Who judges a fit, and what a fit says of itself."""

import re

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from given import LEARNS, SMALL, images, normal
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats
from sklearn.decomposition import PCA
from torch import nn

from skae import AutoencoderTransformer, VAETransformer
from skae.fitting import learning
from skae.fitting.planning import make_task
from skae.fitting.task import Occasion
from skae.likelihoods import Gaussian
from skae.training.judges import beside_start
from skae.weighted import WeightedSet


def pca_loss(train, test, n_components):
    """PCA's squared error per row on rows it has not seen."""
    pca = PCA(n_components, svd_solver="full").fit(train)
    decoded = pca.inverse_transform(pca.transform(test))
    return np.square(test - decoded).sum(axis=1).mean()


def test_rows_of_the_users_own_judge_a_start_of_all_rows():
    X, X_val = images(400)[:300], images(400)[300:]
    model = AutoencoderTransformer(3, **SMALL).fit(X, X_val=X_val)
    assert model.start_loss_ == pytest.approx(pca_loss(X, X_val, 3), rel=1e-4)
    assert model.validation_loss_curve_[0] == pytest.approx(model.start_loss_, rel=1e-9)


def test_the_start_is_judged_on_rows_it_has_not_seen():
    X = images(60)
    model = AutoencoderTransformer(20, **SMALL).fit(X)
    seen = AutoencoderTransformer(20, **SMALL | {"max_iter": 0}).fit(X)
    # Of the 60 rows 20 components leave far less than of unseen ones.
    assert model.start_loss_ > 1.3 * seen.start_loss_
    assert seen.start_loss_ == pytest.approx(pca_loss(X, X, 20), rel=1e-4)


def test_held_out_rows_judge_the_start_of_the_others():
    # With two kinds of rows, the one who is held out is known by the loss.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4))
    losses = []
    for i in range(len(X)):
        losses.append(pca_loss(np.delete(X, i, axis=0), X[i : i + 1], 2))
    model = AutoencoderTransformer(2, validation_fraction=0.01, **SMALL).fit(X)
    assert np.isclose(losses, model.start_loss_, rtol=1e-4).sum() == 1


def test_a_vae_and_an_autoencoder_judge_by_the_rows_that_the_user_gives(Estimator):
    X, X_val = images(400)[:300], images(400)[300:]
    # They say when to stop, and nothing else.
    parameters = LEARNS | {"max_iter": 40}
    model = Estimator(3, **parameters).fit(X, X_val=X_val)
    again = Estimator(3, **parameters).fit(X, X_val=X_val[::-1])
    np.testing.assert_allclose(model.mean_, X.mean(axis=0), atol=1e-12)
    assert model.best_loss_ < model.start_loss_
    if Estimator is AutoencoderTransformer:
        np.testing.assert_allclose(model.best_loss_, again.best_loss_, rtol=1e-6)
    assert model.n_iter_ == len(model.loss_curve_)


def test_rows_of_the_users_own_judge_whether_others_would_be_held_out(Estimator):
    X, X_val = images(400)[:300], images(400)[300:]
    stops, trains_on = (
        Estimator(3, early_stopping=held_out, **SMALL).fit(X, X_val=X_val)
        for held_out in (True, False)
    )
    assert trains_on.validation_loss_curve_ == stops.validation_loss_curve_
    assert len(trains_on.validation_loss_curve_) > 1
    np.testing.assert_array_equal(trains_on.transform(X), stops.transform(X))


@pytest.mark.parametrize("n_rows", [60, 400])
@pytest.mark.parametrize("has_judges", [True, False])
def test_curves_and_losses_belong_together(Estimator, n_rows, has_judges):
    X = images(n_rows)
    X_val = images(500)[n_rows : n_rows + 50] if has_judges else None
    model = Estimator(3, **LEARNS).fit(X, X_val=X_val)
    curve, validation = model.loss_curve_, model.validation_loss_curve_
    assert len(validation) == len(curve) + 1
    assert validation[0] == pytest.approx(model.start_loss_, rel=1e-6)
    if model.best_loss_ == model.start_loss_:
        assert model.best_epoch_ == 0
        assert model.n_iter_ == len(curve)
    else:
        # After the last epoch networks are limited to what they were trained on, and an
        # autoencoder's last layer is solved.
        assert model.best_loss_ < model.start_loss_
        assert model.best_loss_ <= 1.01 * min(validation)
        if Estimator is VAETransformer:
            assert model.best_loss_ == pytest.approx(min(validation), rel=0.01)
        # The epochs of a second training on all rows are counted, those that judge
        # not being among them.
        n_again = model.n_iter_ - len(curve)
        assert model.best_epoch_ == np.argmin(validation)
        most = 0 if has_judges else model.best_epoch_
        assert min(most, 1) <= n_again <= most
    kinds = {type(value) for value in [*curve, *validation, model.best_loss_]}
    assert kinds == {float}


def test_where_training_does_not_pay_the_start_of_all_rows_is_returned(Estimator):
    X = np.random.default_rng(1).normal(size=(80, 6))
    parameters = SMALL | {"learning_rate_init": 0.5}
    model = Estimator(2, **parameters).fit(X)
    start = Estimator(2, **parameters | {"max_iter": 0}).fit(X)
    assert model.best_loss_ == model.start_loss_
    assert model.n_iter_ > 0
    np.testing.assert_array_equal(model.transform(X), start.transform(X))
    np.testing.assert_array_equal(model.reconstruct(X), start.reconstruct(X))
    assert model.noise_variance_ == start.noise_variance_


@pytest.mark.parametrize(
    ("n_rows", "parameters", "reason"),
    [
        (9, {}, "9 distinct rows are too few to judge by"),
        (20, {"max_iter": 0}, "Nothing was to be trained"),
        (
            20,
            {"max_iter": 1, "learning_rate_init": 0.5},
            "No epoch was better for the rows",
        ),
    ],
)
def test_a_fit_says_why_it_returned_the_start(n_rows, parameters, reason, capsys):
    X = np.random.default_rng(2).normal(size=(n_rows, 6))
    AutoencoderTransformer(2, verbose=True, **SMALL | parameters).fit(X)
    assert reason in capsys.readouterr().out


def test_a_gain_that_is_not_sure_is_told_with_its_losses(capsys):
    # No epoch gains, but the last layer, solved, does: by chance.
    X = np.random.default_rng(0).normal(size=(100, 6))
    model = AutoencoderTransformer(2, verbose=True, random_state=4).fit(X)
    assert model.best_loss_ == model.start_loss_
    told = capsys.readouterr().out.splitlines()[-1]
    losses = re.search(r"used \(validation loss (.*)\) is better .* \((.*)\)", told)
    judged, start = map(float, losses.groups())
    assert judged < start == pytest.approx(model.start_loss_, rel=1e-3)
    assert judged < 0.98 * min(model.validation_loss_curve_)


def test_each_epoch_is_told_after_the_start(Estimator, capsys):
    model = Estimator(2, verbose=True, warm_start=True, **SMALL).fit(images(100))
    lines = capsys.readouterr().out.splitlines()[1:]  # the first is the likelihood
    losses = zip(model.loss_curve_, model.validation_loss_curve_[1:], strict=True)
    expected = [f"Start, validation loss = {model.start_loss_:.6g}"]
    for number, (loss, judged) in enumerate(losses, start=1):
        epoch = f"Epoch {number} of at most {SMALL['max_iter']}, loss = {loss:.6g}"
        expected.append(f"{epoch}, validation loss = {judged:.6g}")
    told = [f"[{Estimator.__name__}] {line}" for line in expected]
    assert lines[: len(told)] == told


def test_a_second_training_is_told_apart(capsys):
    model = AutoencoderTransformer(2, verbose=True, **SMALL).fit(images(100))
    lines = capsys.readouterr().out.splitlines()
    n_again = model.n_iter_ - len(model.loss_curve_)
    assert n_again > 0
    for number, line in enumerate(lines[-n_again:], start=1):
        assert f"Again, on all rows: epoch {number} of at most {n_again}, " in line


def test_without_rows_that_judge_no_start_is_told(capsys):
    model = AutoencoderTransformer(2, verbose=True, **SMALL, early_stopping=False)
    model.fit(images(60))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == model.n_iter_ == SMALL["max_iter"]
    assert not [line for line in lines if "Start" in line or "validation" in line]


def test_each_epoch_of_a_stream_is_told(Estimator, capsys):
    model = Estimator(2, verbose=True, likelihood=Gaussian(), **SMALL)
    for _ in range(2):
        model.partial_fit(images(100))
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"[{Estimator.__name__}] Epoch {number}, loss = {loss:.6g}"
        for number, loss in enumerate(model.loss_curve_, start=1)
    ]
    assert len(told) == 2


def test_a_fit_says_that_pca_leaves_nothing_to_be_learned(capsys):
    X = normal(50, 1).numpy() @ normal(1, 6, seed=1).numpy()
    AutoencoderTransformer(2, verbose=True, **SMALL).fit(X)
    assert "PCA leaves no more than rounding" in capsys.readouterr().out


def task_of(X, X_val=None):
    own_judges = None if X_val is None else WeightedSet(X_val, np.ones(len(X_val)))
    return make_task(
        AutoencoderTransformer(1),
        WeightedSet(X, np.ones(X.shape[0])),
        own_judges,
        likelihood=Gaussian(),
        seed=0,
        occasion=Occasion.WHOLE,
    )


@pytest.mark.parametrize(("most", "times"), [(100, 2), (99, 1)])
def test_epochs_are_announced_twice_where_a_network_may_be_trained_again(
    most, times, monkeypatch
):
    monkeypatch.setattr(learning, "REFIT_ROWS", most)
    task = task_of(normal(100, 4).numpy())
    assert learning.most_epochs(task) == times * task.settings.max_iter
    own = task_of(normal(100, 4).numpy(), normal(10, 4).numpy())
    assert learning.most_epochs(own) == own.settings.max_iter


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, torch.from_numpy])
@pytest.mark.parametrize("n_copies", [1, 7, 5000])
def test_no_row_judges_its_own_copy(kind, n_copies):
    # More rows than are merged.
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(10_500 // n_copies, 3)), n_copies, axis=0)
    X = X[rng.permutation(len(X))]
    task = task_of(kind(X))
    kept, held_out = learning._split(task)
    assert sorted([*kept, *held_out]) == list(range(len(X)))
    assert {*map(bytes, X[kept])}.isdisjoint(map(bytes, X[held_out]))
    if n_copies < 5000:
        assert 0.8 * task.n_validation < len(held_out) <= task.n_validation
    if n_copies == 1:
        order = np.random.RandomState(0).permutation(len(X))
        np.testing.assert_array_equal(held_out, np.sort(order[: task.n_validation]))


@pytest.mark.parametrize("seed", range(4))
def test_what_has_very_many_copies_does_not_judge_in_place_of_all_others(seed):
    X = np.random.default_rng(0).normal(size=(12_000, 1))
    X[np.random.default_rng(1).permutation(12_000)[:6000]] = 0.0
    order = np.random.RandomState(seed).permutation(12_000)
    kept, out = WeightedSet(X, np.ones(12_000)).split(1200, order)
    assert len(out) == 1200
    assert X[out].all()
    np.testing.assert_array_equal(np.sort([*kept, *out]), np.arange(12_000))
    # Nor what has their weight.
    weight = np.r_[6000.0, np.ones(6000)]
    order = np.r_[0, 1 + np.random.RandomState(seed).permutation(6000)]
    kept, out = WeightedSet(np.arange(6001.0)[:, None], weight).split(1200, order)
    assert len(out) == 1200
    assert 0 not in out


def test_copies_of_nothing_but_one_row_are_trained_on_without_a_judge():
    parameters = {"max_iter": 1, "hidden_layer_sizes": (4,), "random_state": 0}
    X = np.ones((10_001, 3))
    for init in ("pca", "random"):
        model = AutoencoderTransformer(2, init=init, **parameters).fit(X)
        assert model.validation_loss_curve_ == []
    start = AutoencoderTransformer(2, **parameters).fit(X)
    np.testing.assert_allclose(start.reconstruct(X[:5]), X[:5])


def test_copies_of_a_row_judge_as_one():
    # More rows than are merged.
    rows = np.random.default_rng(0).normal(size=(1051, 3))
    X = rows.repeat(10, axis=0)
    task = task_of(X)
    kept, out = learning._split(task)
    judges = task.judges(out, task.maps(kept))
    assert len(judges) == len(out) / 10
    np.testing.assert_allclose(judges.n_effective, len(judges))
    mine = task_of(rows, X_val=X[:50])
    assert len(mine.judges(None, mine.maps(np.arange(1051)))) == 5


def test_many_copies_of_few_rows_end_no_worse_than_pca():
    rng = np.random.RandomState(0)
    axes = 2 * rng.standard_normal((2, 10))

    def rows(n):
        return rng.standard_normal((n, 2)) @ axes + rng.standard_normal((n, 10))

    X, X_new = np.repeat(rows(100), 101, axis=0), rows(1000)
    parameters = {"max_iter": 20, "hidden_layer_sizes": (32,), "random_state": 0}
    model = AutoencoderTransformer(2, **parameters).fit(X)
    start = AutoencoderTransformer(2, max_iter=0).fit(X)
    assert model.score(X_new) > start.score(X_new) - 0.002


def test_noise_is_that_of_a_last_layer_alone():
    # Steps so long that only the solved last layer is better than the start.
    rng = np.random.default_rng(0)
    t = rng.uniform(-2, 2, (500, 1))
    X = np.hstack([t, t**2, np.sin(3 * t)]) + rng.normal(size=(500, 3)) * 0.02
    parameters = {"hidden_layer_sizes": (64,), "learning_rate_init": 3.0}
    model = AutoencoderTransformer(1, max_iter=2, random_state=1, **parameters).fit(X)
    assert np.argmin(model.validation_loss_curve_) == 0
    assert model.best_loss_ < 0.9 * model.start_loss_
    assert model.noise_variance_ == pytest.approx(model.best_loss_ / 2)


def test_a_fit_stops_when_the_loss_stands_still(Estimator):
    X = np.random.default_rng(1).normal(size=(80, 6))
    parameters = SMALL | {"max_iter": 500, "n_iter_no_change": 3}
    assert Estimator(2, **parameters, tol=10.0).fit(X).n_iter_ < 20


def test_the_module_computes_what_the_estimator_returns(Estimator):
    X = images(100)
    model = Estimator(3, **SMALL).fit(X)
    assert isinstance(model.module_, nn.Module)
    assert isinstance(model.device_, torch.device)
    assert {t.device for t in model.module_.buffers()} == {model.device_}
    x = torch.from_numpy(X - model.mean_).to(model.device_)
    with torch.no_grad():
        decoded = model.module_(x).cpu().numpy() + model.mean_
    np.testing.assert_allclose(decoded, model.reconstruct(X), atol=1e-5)
    model.module_.to("meta")
    assert model.device_.type == "meta"


# ------------------------------------------------------------------- far rows judge


@settings(deadline=None)
@given(
    arrays(np.float64, 4, elements=floats(-1e3, 1e6)),
    arrays(np.float64, 4, elements=floats(-1e3, 1e6)),
    floats(1e-9, 0.5),
)
def test_a_row_loses_little_more_than_at_a_start_that_has_a_share(losses, start, share):
    losses, start = torch.tensor(losses), torch.tensor(start)
    beside = beside_start(losses, start, share)
    least, most = torch.minimum(losses, start), start - np.log(share)
    close = {"rtol": 1e-12, "atol": 1e-9}
    assert torch.all((beside >= least) | torch.isclose(beside, least, **close))
    assert torch.all((beside <= most) | torch.isclose(beside, most, **close))
    torch.testing.assert_close(beside_start(start, start, share), start, **close)
    assert beside_start(losses, start, 0.0) is losses


def test_a_loss_without_bound_is_that_of_the_start_and_none_stays_none():
    losses, start = torch.tensor([np.inf, np.nan, 2.0]), torch.tensor([1.0, 1.0, 1.0])
    bounded = beside_start(losses, start, 0.25)
    mixed = -np.log(0.75 * np.exp(-2) + 0.25 * np.exp(-1))
    np.testing.assert_allclose(bounded, [1 + np.log(4), np.nan, mixed], rtol=1e-6)


def curve_with_far_rows(n_rows, seed):
    rng = np.random.default_rng(seed)
    t = rng.uniform(-1, 1, (n_rows, 1))
    X = np.hstack([t, t**2, t**3]) + rng.normal(0, 0.03, (n_rows, 3))
    X[:: n_rows // 8] += rng.normal(0, 1, (8, 3))
    return X


@pytest.mark.parametrize(
    ("parameters", "gain"),
    [({}, 1.8), ({"n_importance_samples": 2}, 1.8), ({"beta": 2}, 0.8)],
)
def test_far_rows_among_those_that_judge_hardly_hold_a_vae_back(parameters, gain):
    """Its density gives the start the share of a row, and is judged so.

    By their losses alone it gained 1.3, 1.4 and 0.4.
    """
    X, X_test = (curve_with_far_rows(400, seed) for seed in range(2))
    vae = VAETransformer(1, random_state=0, max_iter=60, **parameters).fit(X)
    assert vae.best_loss_ < vae.start_loss_
    assert vae.score(X_test) > PCA(1).fit(X).score(X_test) + gain
