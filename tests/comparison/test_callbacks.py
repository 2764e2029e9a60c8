"""Callbacks follow a comparison."""

import numpy as np
from recorders import PropagatedRecorder, Recorder
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, VAETransformer, compare

from .folds import QUALITIES, SMALL, Columns


def test_callbacks_follow_the_whole_run(iris):
    recorder = PropagatedRecorder()
    methods = [PCA(), AutoencoderTransformer(**SMALL)]
    compare(iris[0], estimators=methods, n_components=[1, 2], cv=2, callbacks=recorder)
    first, *within, last = ((*call,)[:3] for call in recorder.record)
    assert (first, last) == (("setup", (), ""), ("teardown", (), ""))
    assert within[0] == ("begin", (0,), "compare")
    assert within[-1] == ("end", (0,), "compare")
    names = [task for hook, path, task in within if hook == "begin" and len(path) == 2]
    assert names == [
        "PCA, n_components=1",
        "Autoencoder, n_components=1",
        "PCA, n_components=2",
        "Autoencoder, n_components=2",
    ]
    folds = [path for path in recorder.paths("begin") if len(path) == 3]
    assert folds == [(0, case, fold) for case in range(4) for fold in range(2)]
    epochs = [path for path in recorder.paths("begin") if len(path) == 4]
    assert epochs == [
        (0, case, fold, epoch)
        for case in (1, 3)
        for fold in range(2)
        for epoch in range(2)
    ]
    assert sorted(recorder.paths("begin")) == sorted(recorder.paths("end"))


def test_a_callback_that_is_not_handed_on_hears_of_the_run_only(iris):
    recorder = Recorder()
    model = AutoencoderTransformer(**SMALL)
    compare(iris[0], estimators=[model], n_components=1, cv=2, callbacks=[recorder])
    assert recorder.paths("begin") == [(0,), (0, 0), (0, 0, 0), (0, 0, 1)]


def test_a_callback_of_one_estimator_hears_its_fits_and_no_others(iris):
    recorder = Recorder()
    model = AutoencoderTransformer(**SMALL)
    methods = [PCA(), model.set_callbacks(recorder), VAETransformer(**SMALL)]
    compare(iris[0], estimators=methods, n_components=1, cv=2)
    assert recorder.paths("begin") == [
        (0, 1, fold, *epoch) for fold in range(2) for epoch in ((), (0,), (1,))
    ]


def test_a_bar_on_an_estimator_follows_the_whole_run(iris, capsys):
    bar = ProgressBar(max_propagation_depth=0)
    methods = {
        "PCA": PCA(),
        "small": AutoencoderTransformer(**SMALL).set_callbacks(bar),
        "wide": VAETransformer(**SMALL).set_callbacks(bar),
        "failing": Columns(fails="fit"),
    }
    compare(iris[0], estimators=methods, n_components=[1], cv=2)
    shown = capsys.readouterr().out
    assert shown.count("Comparer - compare") == 1
    for name in methods:
        assert f"{name}, n_components=1" in shown
    assert shown.count("100%") == 5


def test_a_failing_fit_still_ends_and_tears_down(iris):
    recorder = PropagatedRecorder()
    model = AutoencoderTransformer(hidden_layer_sizes="nonsense")
    comparison = compare(
        iris[0], estimators=[model], n_components=1, cv=2, callbacks=recorder
    )
    assert all("nonsense" in error for error in comparison.folds["error"])
    assert recorder.paths("end")[-2:] == [(0, 0), (0,)]
    assert recorder.record[-1].hook == "teardown"


def test_two_workers_give_the_same_numbers_and_one_bar(iris, capsys):
    X, y = iris
    monitor = ScoringMonitor(scoring={"score": lambda fitted, X, y: fitted.score(X)})
    model = AutoencoderTransformer(**SMALL)
    methods = {
        "PCA": PCA(),
        "small": model.set_callbacks(monitor),
        "failing": Columns(fails="fit"),
    }
    bar = ProgressBar(max_propagation_depth=None)
    options = {"estimators": methods, "n_components": [1, 2], "cv": 2}
    one = compare(X, y, **options)
    two = compare(X, y, n_jobs=2, callbacks=bar, **options)
    for name in ("estimator", "n_components", "fold", "error"):
        np.testing.assert_array_equal(one.folds[name], two.folds[name])
    for measure in QUALITIES:
        np.testing.assert_allclose(
            one.folds[measure], two.folds[measure], rtol=1e-6, atol=1e-9
        )
    shown = capsys.readouterr().out
    assert "Comparer - compare" in shown
    assert "AutoencoderTransformer - fit" in shown
    epochs = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    # The most recent run: 2 numbers of components, 2 folds, 2 epochs.
    assert len(epochs) == 2 * 2 * 2
