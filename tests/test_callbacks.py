"""scikit-learn's callbacks see every epoch, and may end the training."""

import numpy as np
import pytest
import torch
from recorders import PropagatedRecorder, Recorder, path_of
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skae import AutoencoderTransformer

SMALL = {"hidden_layer_sizes": (8,), "random_state": 0}
UNJUDGED = SMALL | {"early_stopping": False}


class Stopper(Recorder):
    """Asks to stop at the end of an epoch."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def on_fit_task_end(self, estimator, context):
        self._enter("end", context, None)
        return path_of(context) == (0, self.after - 1)


class Collector(Recorder):
    """Keeps the fitted copy of every epoch."""

    def __init__(self):
        super().__init__()
        self.fitted = []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.fitted.append(fitted_estimator)


class Scribbler(Recorder):
    """Writes over the model of an epoch; that of the whole fit is the fitted one."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.parent is not None:
            fitted_estimator.mean_[:] = 7


def own_score(estimator, X, y=None):
    return estimator.score(X)


def expected_hooks(n_epochs):
    epochs = [
        (hook, (0, epoch)) for epoch in range(n_epochs) for hook in ("begin", "end")
    ]
    return [("setup", ()), ("begin", (0,)), *epochs, ("end", (0,)), ("teardown", ())]


# -------------------------------------------------------------------- the hooks


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": False}], ids=str)
def test_every_epoch_begins_and_ends(Estimator, parameters, curve):
    recorder = Recorder()
    model = Estimator(1, max_iter=9, learning_rate_init=0.02, **SMALL, **parameters)
    model.set_callbacks(recorder).fit(curve)
    has_second_training = not parameters
    assert (model.n_iter_ > 9) == has_second_training
    assert recorder.hooks == expected_hooks(model.n_iter_)


def test_the_start_alone_has_no_epochs(Estimator, iris):
    for parameters in ({"max_iter": 0}, {"hidden_layer_sizes": ()}):
        recorder = Recorder()
        Estimator(**(SMALL | parameters)).set_callbacks(recorder).fit(iris[0])
        assert recorder.hooks == expected_hooks(0)


def test_a_model_that_goes_on_by_no_epochs_is_a_run_too(Estimator, iris):
    for parameters in ({"max_iter": 0}, {"hidden_layer_sizes": ()}):
        recorder = Recorder()
        model = Estimator(warm_start=True, **(SMALL | parameters)).fit(iris[0])
        model.set_callbacks(recorder).fit(iris[0])
        assert recorder.hooks == expected_hooks(0)


def test_hooks_are_given_what_fit_was_given(Estimator, iris):
    X, y = iris
    weight = np.random.RandomState(0).randint(1, 3, len(X))
    recorder = Recorder()
    model = Estimator(max_iter=2, **SMALL).set_callbacks(recorder)
    model.fit(X, y, sample_weight=weight)
    given = [call.given for call in recorder.record if call.hook in ("begin", "end")]
    assert len(given) >= 6
    for rows, target, metadata in given:
        assert rows is X
        assert target is y
        assert metadata == {"sample_weight": weight}


def test_a_fit_that_fails_still_tears_down(Estimator, iris):
    X, _ = iris

    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            super().on_fit_task_end(estimator, context)
            raise ZeroDivisionError("in the callback")

    model = Estimator(max_iter=3, **SMALL).fit(X)
    before, epochs = model.transform(X), model.n_iter_
    recorder = Failing()
    model.set_callbacks(recorder)
    with pytest.raises(ZeroDivisionError, match="in the callback"):
        model.fit(X[:50])
    hooks = [("setup", ()), ("begin", (0,)), ("begin", (0, 0)), ("end", (0, 0))]
    assert recorder.hooks == [*hooks, ("teardown", ())]
    np.testing.assert_array_equal(model.transform(X), before)
    assert model.n_iter_ == epochs
    model.set_callbacks().fit(X)
    np.testing.assert_array_equal(model.transform(X), before)


def test_a_second_fit_is_a_run_of_its_own(Estimator, iris):
    recorder = Recorder()
    model = Estimator(max_iter=2, **UNJUDGED).set_callbacks(recorder)
    model.fit(iris[0]).fit(iris[0])
    assert recorder.hooks == 2 * expected_hooks(2)


# --------------------------------------------------------------------- stopping


def test_a_true_answer_stops_the_fit(Estimator, iris):
    X, _ = iris
    stopper = Stopper(after=2)
    model = Estimator(max_iter=50, **UNJUDGED).set_callbacks(stopper).fit(X)
    assert model.n_iter_ == 2
    assert len(model.loss_curve_) == 2
    assert stopper.hooks == expected_hooks(2)
    short = Estimator(max_iter=2, **UNJUDGED).fit(X)
    np.testing.assert_array_equal(model.transform(X), short.transform(X))


def test_a_fit_that_was_stopped_keeps_the_best_so_far(Estimator, curve):
    model = Estimator(1, max_iter=50, learning_rate_init=0.02, **SMALL)
    model.set_callbacks(Stopper(after=9)).fit(curve)
    assert model.n_iter_ == 9
    assert len(model.validation_loss_curve_) == 10
    assert model.best_loss_ <= min(model.validation_loss_curve_) < model.start_loss_
    assert np.isfinite(model.reconstruct(curve)).all()


def test_the_second_training_can_be_stopped_too(Estimator, curve):
    model = Estimator(1, max_iter=9, learning_rate_init=0.02, **SMALL)
    n_epochs = len(model.fit(curve).loss_curve_)
    assert model.n_iter_ > n_epochs + 1
    stopper = Stopper(after=n_epochs + 1)
    model.set_callbacks(stopper).fit(curve)
    assert stopper.hooks == expected_hooks(n_epochs + 1)
    assert model.best_loss_ <= min(model.validation_loss_curve_)
    assert np.isfinite(model.reconstruct(curve)).all()


# ------------------------------------------------------ the model at every epoch


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_monitor_scores_the_model_of_each_epoch(Estimator, as_trained, dtype, iris):
    X, y = iris[0].astype(dtype), iris[1]
    monitor = ScoringMonitor(scoring={"score": own_score})
    parameters = UNJUDGED | as_trained
    Estimator(max_iter=3, **parameters).set_callbacks(monitor).fit(X, y)
    log = {row["task_id_path"]: row["score"] for row in monitor.get_logs().data}
    assert set(log) == {(0,), (0, 0), (0, 1), (0, 2)}
    for epoch in range(3):
        model = Estimator(max_iter=epoch + 1, **parameters).fit(X)
        # In the middle of a training a network is not limited to its rows.
        assert log[0, epoch] == pytest.approx(model.score(X), rel=1e-6)
    assert log[0,] == pytest.approx(log[0, 2], rel=1e-6)


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": False}], ids=str)
def test_the_monitor_follows_both_trainings(Estimator, as_trained, parameters, curve):
    monitor = ScoringMonitor(scoring={"score": own_score})
    model = Estimator(1, max_iter=9, learning_rate_init=0.02, **SMALL, **parameters)
    model.set_params(**as_trained).set_callbacks(monitor)
    model.fit(curve, np.zeros(len(curve)))
    log = {row["task_id_path"]: row["score"] for row in monitor.get_logs().data}
    assert set(log) == {(0,), *((0, epoch) for epoch in range(model.n_iter_))}
    assert log[0,] == model.score(curve)
    assert np.isfinite(list(log.values())).all()


def test_a_copy_scores_the_loss_of_its_epoch(iris):
    X, X_val = iris[0][:100], iris[0][100:]
    collector = Collector()
    model = AutoencoderTransformer(max_iter=3, **SMALL).set_callbacks(collector)
    model.fit(X, X_val=X_val)
    *epochs, final = collector.fitted
    for fitted, loss in zip(epochs, model.validation_loss_curve_[1:], strict=True):
        assert -fitted.score_samples(X_val).mean() == pytest.approx(loss, rel=1e-4)
    np.testing.assert_array_equal(final.transform(X), model.transform(X))


def test_copies_are_whole_and_stay_as_they_are(Estimator, iris):
    X, _ = iris
    collector = Collector()
    model = Estimator(max_iter=3, **SMALL).set_callbacks(collector)
    model.fit(X, X_val=X)
    *epochs, _ = collector.fitted
    assert [fitted.n_iter_ for fitted in epochs] == [1, 2, 3]
    for number, fitted in enumerate(epochs, start=1):
        assert fitted.loss_curve_ == model.loss_curve_[:number]
        curve = model.validation_loss_curve_[: number + 1]
        assert fitted.validation_loss_curve_ == curve
        assert fitted.start_loss_ == model.start_loss_
        assert fitted.transform(X).shape == (len(X), 2)
        assert np.isfinite(fitted.sample(3, random_state=0)).all()
        assert not any(part.training for part in fitted.module_.modules())
    assert len({fitted.score(X[:20]) for fitted in epochs}) == 3


def test_copies_of_a_second_training_count_the_epochs_of_the_first(Estimator, curve):
    collector = Collector()
    model = Estimator(1, max_iter=9, learning_rate_init=0.02, **SMALL)
    model.set_callbacks(collector).fit(curve)
    *epochs, _ = collector.fitted
    assert model.n_iter_ == len(epochs) > 9
    assert [fitted.n_iter_ for fitted in epochs] == [*range(1, len(epochs) + 1)]


def test_what_is_done_to_the_model_of_an_epoch_changes_no_other(Estimator, iris):
    X, _ = iris
    model = Estimator(max_iter=3, **UNJUDGED).fit(X)
    watched = Estimator(max_iter=3, **UNJUDGED).set_callbacks(Scribbler()).fit(X)
    np.testing.assert_array_equal(watched.mean_, model.mean_)
    np.testing.assert_array_equal(watched.transform(X), model.transform(X))


def noisy_network(n_inputs, n_outputs):
    return nn.Sequential(
        nn.Linear(n_inputs, 6),
        nn.BatchNorm1d(6),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(6, n_outputs),
    )


@pytest.mark.parametrize(
    "parameters",
    [{}, {"likelihood": "bernoulli"}, {"encoder": noisy_network}],
    ids=["perceptron", "bernoulli", "own network"],
)
def test_being_watched_changes_nothing(Estimator, parameters, curve):
    X = (curve - curve.min(axis=0)) / np.ptp(curve, axis=0)
    parameters = {"n_components": 1, "max_iter": 5, "batch_size": 32} | parameters
    parameters |= SMALL | {"learning_rate_init": 0.02}
    for early_stopping in (True, False):
        parameters["early_stopping"] = early_stopping
        alone = Estimator(**parameters).fit(X)
        watched = Estimator(**parameters).set_callbacks(Collector(), Recorder())
        torch.manual_seed(1)
        watched.fit(X)
        assert watched.loss_curve_ == alone.loss_curve_
        assert watched.validation_loss_curve_ == alone.validation_loss_curve_
        np.testing.assert_array_equal(watched.reconstruct(X), alone.reconstruct(X))
        found, wanted = (model.score_samples(X[:20]) for model in (watched, alone))
        np.testing.assert_array_equal(found, wanted)


# ------------------------------------------------------ inside other estimators


def test_a_progress_bar_shows_the_fit(Estimator, iris, capsys):
    bar = ProgressBar()
    Estimator(max_iter=2, **SMALL).set_callbacks(bar).fit(iris[0])
    shown = capsys.readouterr().out
    assert f"{Estimator.__name__} - fit" in shown
    assert "100%" in shown


def test_a_progress_bar_of_a_pipeline_shows_the_step(Estimator, iris, capsys):
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("codes", Estimator(max_iter=2, **SMALL)),
            ("classify", LogisticRegression()),
        ]
    )
    pipeline.set_callbacks(ProgressBar()).fit(*iris)
    shown = capsys.readouterr().out
    assert "Pipeline - fit" in shown
    assert f"{Estimator.__name__} - fit" in shown


def test_epochs_hang_below_the_step_of_a_pipeline(Estimator, iris):
    X, y = iris
    recorder = PropagatedRecorder()
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("codes", Estimator(max_iter=2, **UNJUDGED)),
            ("classify", LogisticRegression()),
        ]
    )
    pipeline.set_callbacks(recorder).fit(X, y)
    epochs = [hook for hook in recorder.hooks if len(hook[1]) == 3]
    expected = [("begin", (0, 1, 0)), ("end", (0, 1, 0))]
    expected += [("begin", (0, 1, 1)), ("end", (0, 1, 1))]
    assert [hook for hook in epochs if hook[1][1] == 1] == expected
    assert recorder.hooks.count(("begin", (0, 1))) == 1
    assert recorder.hooks.count(("end", (0, 1))) == 1


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_progress_bar_covers_a_grid_search(
    Estimator, as_trained, n_jobs, iris, capsys
):
    search = GridSearchCV(
        Estimator(max_iter=2, **UNJUDGED, **as_trained),
        {"n_components": [1, 2]},
        cv=2,
        n_jobs=n_jobs,
        error_score="raise",
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(*iris)
    shown = capsys.readouterr().out
    assert "GridSearchCV - fit" in shown
    assert f"{Estimator.__name__} - fit" in shown
    assert search.best_params_ == {"n_components": 2}


def test_a_monitor_in_a_grid_search_hears_from_both_workers(
    Estimator, as_trained, iris
):
    X, y = iris
    parameters = UNJUDGED | as_trained
    monitor = ScoringMonitor(scoring={"score": own_score})
    model = Estimator(max_iter=2, **parameters).set_callbacks(monitor)
    search = GridSearchCV(
        model, {"n_components": [1, 2]}, cv=2, n_jobs=2, error_score="raise"
    )
    search.fit(X, y)
    data = monitor.get_logs().data
    epochs = [row for row in data if row["task_name"] == "epoch"]
    # 2 candidates, 2 folds, 2 epochs, and the best again on all rows.
    assert len(epochs) == 2 * 2 * 2 + 2
    refit = [row["score"] for row in epochs if len(row["task_id_path"]) == 3]
    best = Estimator(max_iter=2, **parameters, **search.best_params_).fit(X)
    assert len(refit) == 2
    assert refit[1] == pytest.approx(best.score(X), rel=1e-6)


def test_a_monitor_on_the_step_of_a_pipeline_is_kept_by_clone(
    Estimator, as_trained, iris
):
    X, y = iris
    monitor = ScoringMonitor(scoring={"score": own_score})
    step = Estimator(max_iter=2, **UNJUDGED, **as_trained).set_callbacks(monitor)
    pipeline = Pipeline([("scale", StandardScaler()), ("codes", step)])
    GridSearchCV(pipeline, {"codes__n_components": [2]}, cv=2).fit(X, y)
    epochs = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(epochs) == 2 * 2 + 2
    assert np.isfinite([row["score"] for row in epochs]).all()


def test_only_callbacks_can_be_set(Estimator):
    with pytest.raises(TypeError, match="FitCallback protocol"):
        Estimator().set_callbacks("progress")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_epochs_that_diverge_end_too(Estimator, iris):
    recorder = Recorder()
    model = Estimator(max_iter=3, solver="sgd", learning_rate_init=1e30, **UNJUDGED)
    model.set_callbacks(recorder).fit(iris[0])
    begun, ended = recorder.paths("begin"), recorder.paths("end")
    assert len(begun) > 1
    assert sorted(begun) == sorted(ended)
