"""Training that goes on where it stopped, or is stopped by Ctrl-C."""

import copy
import functools
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from given import opened, own_network
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from skae import AutoencoderTransformer, VAETransformer
from skae.estimators import storage
from skae.likelihoods import LIKELIHOODS, Categorical, Gaussian, Poisson
from skae.networks import MLP, Conv
from skae.priors import Mixture
from skae.training import solvers

SMALL = {
    "hidden_layer_sizes": (8,),
    "batch_size": 32,
    "n_iter_no_change": 50,
    "random_state": 0,
}
UNJUDGED = SMALL | {"early_stopping": False}
BENT = {"n_components": 1, "learning_rate_init": 0.02}
BENT_AS_A_VAE = SMALL | {"learning_rate_init": 0.02}


def codes_of_prior(model):
    """What a prior is fitted to, once a density is asked for, which takes long."""
    return getattr(model, "_prior_codes", None) or ()


def assert_same_bits_of_models(found, expected, X):
    X = X[:30]
    np.testing.assert_array_equal(found.transform(X), expected.transform(X))
    np.testing.assert_array_equal(found.reconstruct(X), expected.reconstruct(X))
    pairs = zip(codes_of_prior(found), codes_of_prior(expected), strict=True)
    for array, wanted in pairs:
        np.testing.assert_array_equal(array, wanted)
    state, wanted = found.module_.state_dict(), expected.module_.state_dict()
    assert state.keys() == wanted.keys()
    for name in wanted:
        assert torch.equal(state[name], wanted[name]), name


@pytest.fixture(params=[{}, {"early_stopping": False}], ids=["held out", "on the way"])
def as_judged(request):
    """Parameters by which a training is judged."""
    return request.param


# -------------------------------------------------------------------- going on


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("adam", "sgd"),
        ("rmsprop", "adam"),
        ("adam", "adamw"),
        (functools.partial(torch.optim.NAdam, lr=1e-3), "adam"),
        ("adam", torch.optim.RAdam),
    ],
)
def test_another_solver_goes_on_from_the_weights(Estimator, curve, first, then):
    parameters = SMALL | {"early_stopping": False, "learning_rate_init": 1e-3}
    model = Estimator(1, warm_start=True, max_iter=30, solver=first, **parameters)
    before = model.fit(curve).loss_curve_
    model.set_params(solver=then, max_iter=2).fit(curve)
    assert model.loss_curve_[0] < before[0]
    assert model._training["solver"] in (then, "RAdam")


def test_a_stream_state_as_long_as_a_gpus_is_replaced_on_the_cpu(Estimator, curve):
    model = Estimator(warm_start=True, max_iter=3, **BENT, **UNJUDGED).fit(curve)
    before = model.transform(curve)
    # The state of a GPU's stream: its seed, and how many numbers were drawn.
    model._training["draws"] = np.zeros(16, dtype=np.uint8)
    assert not np.array_equal(opened(model).fit(curve).transform(curve), before)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"init": "random"},
        {"likelihood": "bernoulli"},
        pytest.param({"encoder": own_network}, id="own network"),
        {"solver": "sgd", "learning_rate_init": 1e-3},
        {"solver": "rmsprop", "alpha": 0.01},
        {"solver": "adagrad"},
        {"solver": torch.optim.NAdam},
        {"solver": functools.partial(torch.optim.Adam, amsgrad=True)},
    ],
    ids=str,
)
def test_three_epochs_and_three_more_are_six(Estimator, parameters, iris):
    X = iris[0] / 10
    parameters = UNJUDGED | parameters
    whole = Estimator(max_iter=6, **parameters).fit(X)
    half = Estimator(max_iter=3, warm_start=True, **parameters).fit(X)
    assert not np.array_equal(half.transform(X), whole.transform(X))
    for model in (opened(half), copy.deepcopy(half), half):
        assert_same_bits_of_models(model.fit(X), whole, X)
        assert model.loss_curve_[-3:] == whole.loss_curve_[-3:]


def test_many_short_fits_are_one_long_fit(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=1, warm_start=True, **UNJUDGED)
    for _ in range(4):
        model = opened(model.fit(X))
    whole = Estimator(max_iter=4, **UNJUDGED).fit(X)
    assert_same_bits_of_models(model, whole, X)
    # As density models, too.
    for answer in (
        lambda model: model.score_samples(X[:30]),
        lambda model: model.sample(5, random_state=0),
    ):
        np.testing.assert_array_equal(answer(model), answer(whole))


def test_no_schedule_starts_over(Estimator, iris):
    X, _ = iris
    # The loss never improves by so much: after 2 more epochs the learning rate is
    # lowered, and after another 2 training ends.
    impatient = UNJUDGED | {"n_iter_no_change": 2, "tol": 100.0}
    whole = Estimator(max_iter=20, **impatient).fit(X)
    assert whole.n_iter_ == 5
    model = Estimator(max_iter=4, warm_start=True, **impatient).fit(X)
    model.fit(X)
    assert_same_bits_of_models(model, whole, X)
    steady = Estimator(max_iter=5, **UNJUDGED).fit(X)
    assert not np.array_equal(steady.transform(X), whole.transform(X))


def test_a_fit_that_goes_on_takes_nothing_from_the_users_stream(iris):
    stream = np.random.RandomState(0)
    model = AutoencoderTransformer(
        **SMALL | {"warm_start": True, "random_state": stream}
    )
    model.set_params(max_iter=1).fit(iris[0])
    before = stream.get_state()[2]
    model.fit(iris[0])
    assert stream.get_state()[2] == before


def test_without_warm_start_a_fit_starts_over(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, **UNJUDGED).fit(X)
    before = opened(model)
    assert_same_bits_of_models(model.fit(X), before, X)
    short = Estimator(max_iter=3, warm_start=True, **UNJUDGED).fit(X)
    assert_same_bits_of_models(short, before, X)


def test_warm_start_can_be_switched_on_later(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, **UNJUDGED).fit(X)
    loss = model.loss_curve_[-1]
    model.set_params(warm_start=True).fit(X)
    assert model.loss_curve_[-1] < loss


def test_judged_training_goes_on_from_the_best(Estimator, curve):
    model = Estimator(max_iter=15, warm_start=True, **BENT, **SMALL).fit(curve)
    assert model.best_loss_ < model.start_loss_
    best, score = model.best_loss_, model.score(curve)
    model.fit(curve)
    assert model.start_loss_ == pytest.approx(best, rel=1e-3)
    assert model.best_loss_ <= model.start_loss_
    assert model.score(curve) > score


def test_rows_of_the_users_own_judge_every_time(Estimator, curve):
    X, X_val = curve[:80], curve[80:]
    model = Estimator(max_iter=15, warm_start=True, **BENT, **SMALL)
    model.fit(X, X_val=X_val)
    best = model.best_loss_
    model.fit(X, X_val=X_val)
    assert model.start_loss_ == pytest.approx(best, rel=1e-3)
    assert model.best_loss_ <= model.start_loss_


def test_it_goes_on_with_other_rows(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, warm_start=True, **UNJUDGED).fit(X[:90])
    before = model.transform(X)
    model.fit(X[60:])
    assert not np.array_equal(model.transform(X), before)
    # PCA of the first rows stays beside the network.
    np.testing.assert_allclose(model.mean_, X[:90].mean(axis=0))


def test_rows_of_a_larger_loss_are_waited_for_anew(Estimator, as_judged):
    def bent(width):
        t = rng.uniform(-width, width, 300)
        X = np.column_stack([t, t**2, np.sin(3 * t)])
        return X + rng.normal(size=(300, 3)) * 0.02

    rng = np.random.default_rng(0)
    parameters = {"hidden_layer_sizes": (16,), "n_iter_no_change": 5, "max_iter": 12}
    model = Estimator(1, warm_start=True, random_state=0, **parameters, **as_judged)
    model.fit(bent(1))
    model._training["plateau"].update(waited=5, n_decays=1)  # it had come to its end
    assert model.fit(bent(4)).n_iter_ > 5


def test_without_epochs_nothing_changes(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, warm_start=True, **UNJUDGED).fit(X)
    before = opened(model)
    assert_same_bits_of_models(model.set_params(max_iter=0).fit(X[:90]), before, X)
    assert model.n_iter_ == 3


@pytest.mark.parametrize("change", [{"learning_rate_init": 0.1}, {"alpha": 5.0}])
@pytest.mark.parametrize(
    "solver", ["adamw", "sgd", functools.partial(torch.optim.AdamW, foreach=False)]
)
def test_what_is_asked_of_a_solver_anew_counts(Estimator, solver, change, iris):
    X, _ = iris
    parameters = UNJUDGED | {"learning_rate_init": 1e-3, "alpha": 0.01}
    model = Estimator(2, max_iter=1, warm_start=True, solver=solver, **parameters)
    model.fit(X)
    for method in ("fit", "partial_fit"):
        same, other = opened(model), opened(model).set_params(**change)
        codes = (getattr(m, method)(X).transform(X) for m in (same, other))
        assert not np.array_equal(*codes)


def test_a_rate_that_was_lowered_stays_low_unless_another_is_asked_for(iris):
    X, _ = iris
    parameters = UNJUDGED | {"learning_rate_init": 1e-3}
    model = AutoencoderTransformer(2, max_iter=1, warm_start=True, **parameters).fit(X)
    groups = model._training["optimizer"]["param_groups"]
    for group in groups:
        group["lr"] = 2e-4
    model.fit(X)
    assert model._training["optimizer"]["param_groups"][0]["lr"] == 2e-4
    model.set_params(learning_rate_init=5e-3).fit(X)
    assert model._training["optimizer"]["param_groups"][0]["lr"] == 5e-3


def test_a_decay_of_an_own_optimizer_may_change(Estimator, iris):
    X, _ = iris
    solver = torch.optim.NAdam
    model = Estimator(2, max_iter=1, warm_start=True, solver=solver, **UNJUDGED)
    model.set_params(alpha=0.0).fit(X).set_params(alpha=0.1).fit(X)
    groups = model._training["optimizer"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]


def test_switches_that_an_optimizer_has_anew_begin_anew(Estimator, iris):
    X, _ = iris
    parameters = UNJUDGED | {"max_iter": 1, "warm_start": True}
    model = Estimator(2, solver=torch.optim.Adam, **parameters).fit(X)
    again = functools.partial(torch.optim.Adam, amsgrad=True)
    model.set_params(solver=again).fit(X)
    assert "max_exp_avg_sq" in model._training["optimizer"]["state"][0]


@pytest.mark.parametrize(("before", "after"), [(("cpu",), ()), ((), ("cpu",))])
def test_sums_of_squares_go_on_where_steps_are_fused_or_not(
    Estimator, before, after, iris, monkeypatch
):
    X, _ = iris
    adagrad = solvers.SOLVERS["adagrad"]
    parameters = UNJUDGED | {"max_iter": 2, "warm_start": True, "solver": "adagrad"}
    model, n_steps = Estimator(2, **parameters), []
    for fused_on in (before, after):
        solver = replace(adagrad, fused_on=fused_on)
        monkeypatch.setitem(solvers.SOLVERS, "adagrad", solver)
        memory = model.fit(X)._training["optimizer"]["state"][0]
        n_steps.append(memory["step"])
    assert n_steps[1] == 2 * n_steps[0] > 0


@pytest.mark.parametrize(
    ("made", "then", "is_refused"),
    [
        ({}, {"encoder": MLP((4,))}, True),
        ({"encoder": MLP((4,))}, {"encoder": MLP((32, 16))}, True),
        ({"encoder": MLP((4,))}, {"decoder": MLP((5,))}, True),
        ({"encoder": MLP((4,))}, {"encoder": own_network}, True),
        ({"encoder": own_network, "decoder": own_network}, {"encoder": MLP()}, True),
        ({"encoder": MLP((4,))}, {"encoder": MLP((4,))}, False),
        ({"encoder": MLP((4,))}, {"decoder": MLP([4])}, False),
    ],
)
def test_another_network_is_refused_by_name(Estimator, made, then, is_refused, iris):
    X, _ = iris
    parameters = UNJUDGED | {"hidden_layer_sizes": (8,)} | made
    model = Estimator(2, max_iter=1, warm_start=True, **parameters).fit(X)
    model.set_params(**then)
    if not is_refused:
        assert model.fit(X).n_iter_ == 1
        return
    with pytest.raises(ValueError, match=f"^{next(iter(then))}=.* not what the fitted"):
        model.fit(X)


def test_it_goes_on_where_the_device_now_says(Estimator, iris, monkeypatch):
    X, _ = iris
    model = Estimator(max_iter=1, warm_start=True, **UNJUDGED).fit(X)
    asked = []

    def resolve(device, **options):
        asked.append(device)
        return torch.device("cpu")

    monkeypatch.setattr(storage, "resolve_device", resolve)
    model.set_params(device="cpu").fit(X)
    assert asked == ["cpu"]


def test_what_the_user_changed_is_where_it_goes_on(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=0, warm_start=True, **UNJUDGED).fit(X)
    for tensor in model.module_.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(1.1)
    changed = model.transform(X)
    np.testing.assert_array_equal(model.fit(X).transform(X), changed)


def test_the_original_of_a_copy_does_not_go_on_with_it(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, warm_start=True, **UNJUDGED).fit(X)
    module, before = model.module_, model.transform(X)
    copied = copy.copy(model).fit(X)
    np.testing.assert_array_equal(model.transform(X), before)
    assert model.module_ is module
    assert copied.module_ is not module
    whole = Estimator(max_iter=6, **UNJUDGED).fit(X)
    assert_same_bits_of_models(model.fit(X), whole, X)
    assert_same_bits_of_models(copied, whole, X)


# --------------------------------------------------------------------- refusals


def test_other_columns_are_refused_and_nothing_changes(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, warm_start=True, **UNJUDGED).fit(X)
    before, attributes = opened(model), set(vars(model))
    for wrong in (X[:, :3], np.hstack([X, X])):
        with pytest.raises(ValueError, match="features"):
            model.fit(wrong)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(X > 5, np.nan, X))
    with pytest.raises(ValueError, match="features"):
        model.fit(X, X_val=X[:, :2])
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, sample_weight=-np.ones(len(X)))
    assert set(vars(model)) == attributes
    assert model.n_features_in_ == 4
    assert_same_bits_of_models(model, before, X)
    whole = Estimator(max_iter=6, **UNJUDGED).fit(X)
    assert_same_bits_of_models(model.fit(X), whole, X)


# What a model is made with, and what cannot be changed while it is trained further.
MADE_WITH = {
    "n_components": 3,
    "hidden_layer_sizes": (8, 4),
    "activation": "tanh",
    "init": "random",
    "likelihood": "student_t",
}
VAE_MADE_WITH = {
    "prior": "gmm",
    "posterior": "full",
    "divergence": "tc",
    "beta": 2.0,
    "free_bits": 0.1,
    "n_importance_samples": 4,
}


@pytest.mark.parametrize(
    ("Estimator", "name", "value"),
    [
        *((AutoencoderTransformer, *change) for change in MADE_WITH.items()),
        *((VAETransformer, *change) for change in (MADE_WITH | VAE_MADE_WITH).items()),
    ],
)
def test_another_architecture_is_refused_by_name(Estimator, name, value, iris):
    X, _ = iris
    model = Estimator(max_iter=1, warm_start=True, **UNJUDGED).fit(X)
    before = opened(model)
    model.set_params(**{name: value})
    for go_on in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"^{name}=.* not what the fitted model"):
            go_on(X)
    assert_same_bits_of_models(model, before, X)


def test_what_is_left_to_the_rows_stays_as_it_is(Estimator, iris):
    X, _ = iris
    open_ones = {"hidden_layer_sizes": "auto", "likelihood": "auto"}
    model = Estimator(0.9, max_iter=1, warm_start=True, random_state=0, **open_ones)
    n_components = model.fit(X).n_components_
    assert model.set_params(n_components=n_components).fit(X[:100]).n_iter_ == 1


def test_an_error_in_training_changes_nothing(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, warm_start=True, **UNJUDGED).fit(X)
    before = opened(model)
    model.set_callbacks(Raiser(ZeroDivisionError, epoch=1))
    with pytest.raises(ZeroDivisionError):
        model.fit(X)
    assert_same_bits_of_models(model, before, X)
    assert model.n_iter_ == before.n_iter_
    model.set_callbacks().fit(X)
    assert_same_bits_of_models(model, Estimator(max_iter=6, **UNJUDGED).fit(X), X)


class Raiser:
    """A callback that raises an error as an epoch begins, or ends."""

    def __init__(self, error, *, epoch, hook="begin"):
        self.error, self.epoch, self.hook = error, epoch, hook

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self._raise("begin", context)

    def on_fit_task_end(self, estimator, context):
        self._raise("end", context)

    def _raise(self, hook, context):
        if context.parent and (hook, context.task_id) == (self.hook, self.epoch):
            if self.error is KeyboardInterrupt:
                signal.raise_signal(signal.SIGINT)
            raise self.error("from the callback")


# ----------------------------------------------------------------------- Ctrl-C


@pytest.fixture(autouse=True)
def heard():
    """Hear Ctrl-C in the background, too, where shells start commands deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupted(torch.optim.Adam):
    """An optimizer at whose n-th step the user presses Ctrl-C."""

    def __init__(self, parameters, lr=2e-3, *, at_step):
        super().__init__(parameters, lr=lr)
        self.steps_left = at_step

    def step(self, closure=None):
        self.steps_left -= 1
        loss = super().step(closure)
        if self.steps_left == 0:
            signal.raise_signal(signal.SIGINT)
        return loss


def interrupted_at(step):
    return functools.partial(Interrupted, at_step=step)


@pytest.mark.parametrize(("hook", "epoch"), [("begin", 3), ("end", 2)])
def test_ctrl_c_between_epochs_keeps_those_that_were_run(Estimator, hook, epoch, iris):
    X, _ = iris
    model = Estimator(max_iter=6, warm_start=True, **UNJUDGED)
    model.set_callbacks(Raiser(KeyboardInterrupt, epoch=epoch, hook=hook))
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X)
    assert model.n_iter_ == 3
    assert_same_bits_of_models(model, Estimator(max_iter=3, **UNJUDGED).fit(X), X)
    model.set_callbacks().set_params(max_iter=3).fit(X)
    assert_same_bits_of_models(model, Estimator(max_iter=6, **UNJUDGED).fit(X), X)


def test_ctrl_c_in_an_epoch_keeps_the_last_whole_one(Estimator, iris):
    X, _ = iris
    # 150 rows (149 of them distinct) in batches of 32 are 5 steps.
    model = Estimator(max_iter=6, **(UNJUDGED | {"solver": interrupted_at(12)}))
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X)
    assert model.n_iter_ == 2
    whole = UNJUDGED | {"solver": interrupted_at(-1), "max_iter": 2}
    assert_same_bits_of_models(model, Estimator(**whole).fit(X), X)
    assert np.isfinite(model.sample(3, random_state=0)).all()
    assert_same_bits_of_models(opened(model), model, X)


def test_ctrl_c_in_the_first_epoch_keeps_the_start(Estimator, iris):
    X, _ = iris
    start = Estimator(max_iter=0, **UNJUDGED).fit(X)
    model = Estimator(max_iter=6, **(UNJUDGED | {"solver": interrupted_at(2)}))
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X)
    assert model.n_iter_ == 0
    assert model.loss_curve_ == []
    assert np.isfinite(model.start_loss_)
    np.testing.assert_array_equal(model.transform(X), start.transform(X))
    np.testing.assert_array_equal(model.reconstruct(X), start.reconstruct(X))
    assert model.sample(3, random_state=0).shape == (3, 4)


def test_ctrl_c_keeps_the_best_so_far(Estimator, curve):
    # 96 rows train, 24 judge: 3 steps are an epoch.
    parameters = BENT | SMALL | {"validation_fraction": 0.2}
    parameters |= {"solver": interrupted_at(31)}
    model = Estimator(max_iter=40, **parameters)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(curve)
    assert model.n_iter_ == 10
    assert len(model.validation_loss_curve_) == 11
    assert model.best_loss_ <= min(model.validation_loss_curve_) < model.start_loss_
    start = Estimator(max_iter=0, **parameters).fit(curve)
    assert model.score(curve) > start.score(curve)


def test_ctrl_c_in_the_second_training_keeps_the_first(Estimator, curve):
    parameters = BENT | SMALL | {"max_iter": 15}
    first_epochs = len(Estimator(**parameters).fit(curve).loss_curve_)
    model = Estimator(**parameters)
    model.set_callbacks(Raiser(KeyboardInterrupt, epoch=first_epochs + 1))
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(curve)
    assert len(model.loss_curve_) == first_epochs
    assert model.best_loss_ <= min(model.validation_loss_curve_) < model.start_loss_
    start = Estimator(**(parameters | {"max_iter": 0})).fit(curve)
    assert model.score(curve) > start.score(curve)


def test_ctrl_c_after_the_second_training_keeps_the_first(
    Estimator, monkeypatch, curve
):
    def press(*_):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("skae.fitting.learning._is_elsewhere", press)
    model = Estimator(**(BENT | SMALL | {"max_iter": 15}))
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(curve)
    assert model.best_loss_ <= min(model.validation_loss_curve_) < model.start_loss_
    assert np.isfinite(model.transform(curve)).all()


def test_after_ctrl_c_a_fit_starts_afresh(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=4, **UNJUDGED)
    model.set_callbacks(Raiser(KeyboardInterrupt, epoch=2))
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X)
    model.set_callbacks().fit(X)
    assert_same_bits_of_models(model, Estimator(max_iter=4, **UNJUDGED).fit(X), X)


def test_ctrl_c_before_training_leaves_the_estimator_as_it_was(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, **UNJUDGED).fit(X)
    before = opened(model)

    class AtOnce(Raiser):
        def on_fit_task_begin(self, estimator, context):
            signal.raise_signal(signal.SIGINT)

    model.set_callbacks(AtOnce(KeyboardInterrupt, epoch=0))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:50, :3])
    assert_same_bits_of_models(model, before, X)
    assert model.n_features_in_ == 4


# -------------------------------------------------------------------- a stream


def test_calls_of_partial_fit_on_the_same_rows_are_epochs(Estimator, as_trained, iris):
    X, _ = iris
    parameters = UNJUDGED | as_trained
    model = Estimator(**parameters)
    for _ in range(4):
        model = opened(model.partial_fit(X))
    whole = Estimator(max_iter=4, **parameters).fit(X)
    # A decoder sees the codes of earlier calls, too, which have moved since.
    ours, theirs = model.module_.decoder, whole.module_.decoder
    assert (ours.lowest <= theirs.lowest).all()
    assert (ours.highest >= theirs.highest).all()
    ours.lowest.copy_(theirs.lowest)
    ours.highest.copy_(theirs.highest)
    model._n_seen = whole._n_seen  # which counts them again
    assert_same_bits_of_models(model, whole, X)
    assert model.loss_curve_ == whole.loss_curve_
    assert model.n_iter_ == 4


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_waiting_rows_are_not_the_users_to_refill(Estimator, kind, iris):
    X, _ = iris
    buffer, times = np.empty((4, 4)), np.empty(4)
    model = Estimator(6, init="random", **UNJUDGED)
    for rows, weight in ((X[:4], 1), (X[60:64], 3)):
        buffer[:], times[:] = rows, weight
        model.partial_fit(kind(buffer), sample_weight=times)
    mean = np.average(X[np.r_[:4, 60:64]], axis=0, weights=np.repeat([1, 3], 4))
    np.testing.assert_allclose(model.mean_, mean)


@pytest.mark.parametrize("first", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
@pytest.mark.parametrize("then", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
def test_rows_wait_until_there_are_enough_to_start(Estimator, first, then, iris):
    X, _ = iris
    model = Estimator(3, **UNJUDGED)
    for row in (0, 1):
        model = opened(model.partial_fit(first(X[[row]])))
        assert not hasattr(model, "module_")
    model.partial_fit(then(X[2:]))
    expected = Estimator(3, **UNJUDGED).partial_fit(X)
    np.testing.assert_allclose(
        model.transform(X), expected.transform(X), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    ("made", "then", "name"),
    [
        ({"prior": Mixture(5)}, {"prior": Mixture(32)}, "prior"),
        ({"prior": Mixture(5)}, {"prior__n_parts": 7}, "prior"),
        ({"likelihood": Poisson(size=None)}, {"likelihood": "poisson"}, "likelihood"),
        ({"encoder": MLP((5,))}, {"encoder": MLP((6,))}, "encoder"),
        ({"encoder": nn.Linear}, {"encoder": None}, "encoder"),
        ({"decoder": Conv((2, 2), channels=(2,))}, {"decoder": None}, "decoder"),
        ({"decoder": MLP((5,))}, {"decoder": None}, "decoder"),
    ],
)
def test_a_part_with_other_settings_is_refused_by_name(made, then, name, iris):
    X = np.round(iris[0])
    parameters = UNJUDGED | made | {"max_iter": 1}
    model = VAETransformer(2, warm_start=True, **parameters).fit(X)
    model.set_params(**then)
    for going_on in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"^{name}=.* made with"):
            going_on(X)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_model_of_any_likelihood_goes_on(Estimator, likelihood):
    X = np.eye(4)[np.random.default_rng(0).integers(4, size=60)]
    model = Estimator(1, likelihood=likelihood, warm_start=True, max_iter=1, **UNJUDGED)
    model.fit(X).fit(X)
    model.partial_fit(X).partial_fit(X)


class Told(Gaussian):
    """A likelihood with parameters of any kind."""

    def __init__(self, what=None):
        self.what = what


@pytest.mark.parametrize(
    ("what", "other"),
    [
        (np.arange(4.0), np.ones(4)),
        (torch.ones(4), torch.zeros(4)),
        (Poisson(), Poisson(size=None)),
        (["a", "b"], ["a", "c"]),
    ],
    ids=["array", "tensor", "spec", "list"],
)
def test_a_likelihood_of_ones_own_is_the_same_by_its_parameters(what, other, iris):
    model = AutoencoderTransformer(
        1, likelihood=Told(what), warm_start=True, max_iter=1, **UNJUDGED
    )
    model.fit(iris[0]).fit(iris[0])
    model.set_params(likelihood=Told(other))
    with pytest.raises(ValueError, match=r"^likelihood=.* made with"):
        model.fit(iris[0])


def test_other_groups_of_columns_are_another_likelihood():
    X = np.eye(2)[np.random.default_rng(0).integers(2, size=(60, 3))].reshape(60, 6)
    groups = [[0, 1], [2, 3], [4, 5]]
    model = AutoencoderTransformer(1, likelihood=Categorical(groups), **UNJUDGED)
    model.set_params(warm_start=True, max_iter=1).fit(X).partial_fit(X)
    model.set_params(likelihood=Categorical([[0, 1], [2, 3, 4, 5]]))
    with pytest.raises(ValueError, match=r"^likelihood=.* made with"):
        model.partial_fit(X)


@pytest.mark.parametrize(
    ("then", "is_refused"),
    [
        ([("gaussian_diag", [0, 1]), ("poisson", [2, 3])], False),
        ([("gaussian_diag", slice(2)), ("poisson", [-2, -1])], False),
        ([("gaussian_diag", [0, 1, 2]), ("poisson", [3])], True),
        ([("gaussian_diag", [0, 1]), ("negative_binomial", [2, 3])], True),
        ([("gaussian_diag", [0, 1]), (Poisson(size=None), [2, 3])], False),
        ([("poisson", [0, 1, 2, 3])], True),
    ],
)
def test_a_list_of_likelihoods_is_the_same_by_what_it_says(then, is_refused, iris):
    X = np.round(iris[0])
    made = [("gaussian_diag", [0, 1]), ("poisson", [2, 3])]
    parameters = UNJUDGED | {"likelihood": made, "max_iter": 1}
    model = VAETransformer(2, warm_start=True, **parameters).fit(X)
    model.set_params(likelihood=then)
    for going_on in (model.fit, model.partial_fit):
        if not is_refused:
            going_on(X)
            continue
        with pytest.raises(ValueError, match=r"^likelihood=.* made with"):
            going_on(X)


def test_the_perceptron_beside_a_factory_is_not_changed(Estimator, iris):
    parameters = UNJUDGED | {"encoder": nn.Linear, "max_iter": 2}
    model = Estimator(2, warm_start=True, **parameters).fit(iris[0])
    with pytest.raises(ValueError, match=r"^hidden_layer_sizes=.* made with"):
        model.set_params(hidden_layer_sizes=(4,)).fit(iris[0])


def test_a_list_of_widths_is_not_shared(Estimator, iris):
    widths = [8]
    parameters = UNJUDGED | {"hidden_layer_sizes": widths, "max_iter": 2}
    model = Estimator(2, warm_start=True, **parameters).fit(iris[0])
    widths.append(4)
    opened(model)
    with pytest.raises(ValueError, match=r"^hidden_layer_sizes=.* made with"):
        model.fit(iris[0])


def test_a_warm_up_does_not_start_over_after_a_fit_that_ended(iris):
    X, _ = iris
    model = VAETransformer(2, max_iter=5, **UNJUDGED).fit(X)
    curves = [
        copy.deepcopy(model).set_params(warm_start=True, kl_warmup=share).fit(X)
        for share in (0.0, 1.0)
    ]
    assert curves[0].loss_curve_ == curves[1].loss_curve_


def test_a_score_does_not_change_when_a_fit_that_goes_on_is_ended_at_once(curve):
    vae = VAETransformer(1, warm_start=True, max_iter=20, **BENT_AS_A_VAE).fit(curve)
    far = curve[:2] + 20
    before = vae.score_samples(far)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        vae.set_params(learning_rate_init=1e25).fit(curve)
    assert vae.n_iter_ == 0
    np.testing.assert_allclose(vae.score_samples(far), before, rtol=0.01)


@pytest.mark.parametrize(
    "made", [{"encoder": Conv((2, 2), channels=(2,))}, {"encoder": nn.Linear}, {}]
)
def test_a_decoder_that_mirrors_goes_on(Estimator, made, iris):
    parameters = UNJUDGED | made | {"max_iter": 2}
    model = Estimator(2, warm_start=True, **parameters).fit(iris[0])
    n_epochs = model.fit(iris[0]).n_iter_
    assert model.partial_fit(iris[0]).n_iter_ == n_epochs + 1


def test_a_model_of_classes_does_not_go_on_without_them(iris):
    model = VAETransformer(2, conditional=True, max_iter=1, **UNJUDGED).fit(*iris)
    with pytest.raises(ValueError, match=r"^conditional=False is not .*begin anew"):
        model.set_params(conditional=False).partial_fit(iris[0])


@pytest.mark.parametrize("made", [True, False])
def test_classes_neither_go_nor_come_while_a_fit_goes_on(made, iris):
    parameters = UNJUDGED | {"max_iter": 1, "warm_start": True}
    model = VAETransformer(2, conditional=made, **parameters).fit(*iris)
    before = opened(model)
    with pytest.raises(ValueError, match=f"^conditional={not made} is not what"):
        model.set_params(conditional=not made).fit(*iris)
    assert_same_bits_of_models(model, before, iris[0])


class Interrupting(nn.Linear):
    """A network during the third of whose trainings steps the user presses Ctrl-C."""

    steps = 0

    def forward(self, x):
        if self.training:
            Interrupting.steps += 1
            if Interrupting.steps == 3:
                raise KeyboardInterrupt
        return super().forward(x)


@pytest.mark.parametrize("is_stream", [True, False])
def test_ctrl_c_reaches_the_loop_of_a_stream_and_the_search_for_a_width(
    is_stream, iris, monkeypatch
):
    monkeypatch.setattr(Interrupting, "steps", -100 if is_stream else 0)
    parameters = {"encoder": Interrupting, "max_iter": 2, "random_state": 0}
    model = AutoencoderTransformer(2 if is_stream else "auto", **parameters)
    if is_stream:
        model.partial_fit(iris[0])  # which goes through
        monkeypatch.setattr(Interrupting, "steps", 2)
    train = model.partial_fit if is_stream else model.fit
    with pytest.raises(KeyboardInterrupt):
        train(iris[0])
    if is_stream:
        model.partial_fit(iris[0])
        assert np.isfinite(model.transform(iris[0])).all()
    else:
        assert not hasattr(model, "n_iter_")


def test_a_stream_that_diverges_says_so_and_keeps_the_loss_of_what_is_kept(iris):
    X, _ = iris
    model = AutoencoderTransformer(2, learning_rate_init=1e8, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.partial_fit(X)
    assert np.isfinite(model.best_loss_)
    assert model.best_epoch_ == 0
    model = AutoencoderTransformer(2, random_state=0).partial_fit(X)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.set_params(learning_rate_init=1e8).partial_fit(X)
    assert model.best_epoch_ == 1
    parameters = {"learning_rate_init": 1e8, "early_stopping": False}
    with pytest.warns(ConvergenceWarning, match="diverged"):
        whole = AutoencoderTransformer(2, **parameters, random_state=0).fit(X)
    assert whole.best_loss_ == whole.start_loss_


def test_nothing_of_another_likelihood_is_left_after_a_fit(iris):
    X, _ = iris
    model = AutoencoderTransformer(2, max_iter=1, **SMALL).fit(X)
    assert model.noise_variance_ > 0
    model.set_params(likelihood="poisson").fit(np.round(X))
    assert not hasattr(model, "noise_variance_")
