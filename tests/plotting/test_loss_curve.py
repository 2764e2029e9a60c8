"""Loss curves are those of the fit."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline

from skae import AutoencoderTransformer, VAETransformer
from skae.plotting import LossCurveDisplay

from .rows import SMALL
from .seen import says


def test_loss_curves_are_those_of_the_fit(digits, Estimator):
    model = Estimator(4, **SMALL).fit(digits[0])
    display = LossCurveDisplay.from_estimator(make_pipeline(model))
    training, validation, start, kept = display.ax_.lines
    np.testing.assert_array_equal(training.get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(training.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(validation.get_ydata(), model.validation_loss_curve_)
    assert validation.get_xdata()[0] == 0
    assert set(start.get_ydata()) == {model.start_loss_}
    assert kept.get_ydata()[0] == model.best_loss_
    assert kept.get_xdata()[0] == np.argmin(model.validation_loss_curve_) > 0
    assert not says(display.figure_, "not sure enough")
    assert says(display.figure_, f"PCA, the start: {model.start_loss_:.4g}")


def test_the_kept_epoch_is_the_last_where_nobody_judged(digits):
    model = AutoencoderTransformer(2, early_stopping=False, **SMALL).fit(digits[0])
    assert LossCurveDisplay.from_estimator(model).best_epoch == 3


def test_what_a_stream_adds_to_a_fit_is_kept(digits):
    model = AutoencoderTransformer(2, max_iter=2, random_state=0).fit(digits[0])
    model.partial_fit(digits[0])
    assert len(model.validation_loss_curve_) == 3
    display = LossCurveDisplay.from_estimator(model)
    assert display.ax_.lines[-1].get_xdata() == [model.best_epoch_] == [3]


def test_what_was_stored_without_its_best_epoch_is_drawn_without(digits):
    model = AutoencoderTransformer(2, random_state=0, max_iter=1).fit(digits[0])
    del model.best_epoch_
    display = LossCurveDisplay.from_estimator(model)
    assert not says(display.figure_, "kept")
    training = display.ax_.lines[0]
    assert training.get_marker() == "."  # a line of one epoch is not seen


def test_a_fit_that_is_its_start_says_so(digits):
    for settings in ({"max_iter": 0}, {"hidden_layer_sizes": ()}):
        model = AutoencoderTransformer(2, random_state=0, **settings).fit(digits[0])
        display = LossCurveDisplay.from_estimator(model)
        assert display.best_epoch == 0
        assert says(display.figure_, "kept, the start")
    display = LossCurveDisplay(
        [2, 1],
        validation_loss_curve=[3, 2.5, 2.9],
        start_loss=3,
        best_loss=3,
        best_epoch=0,
    )
    assert says(display.plot().figure_, "not sure enough to leave the start")
    model = AutoencoderTransformer(2, init="random", **SMALL).fit(digits[0])
    assert says(LossCurveDisplay.from_estimator(model).figure_, "random start")


def test_a_start_whose_last_layer_was_solved_says_so(digits):
    # Steps so small that the network stays where it is.
    settings = {"learning_rate_init": 1e-12, "random_state": 0, "max_iter": 1}
    model = AutoencoderTransformer(2, **settings).fit(digits[0])
    assert model.best_epoch_ == 0
    assert model.best_loss_ < 0.9 * model.start_loss_
    figure = LossCurveDisplay.from_estimator(model).figure_
    kept = f"kept, the start with its last layer solved: {model.best_loss_:.4g}"
    assert says(figure, kept)


@pytest.mark.parametrize(("best_loss", "is_solved"), [(2.4, True), (3 - 1e-7, False)])
def test_only_a_start_as_it_was_was_not_left(best_loss, is_solved):
    display = LossCurveDisplay(
        [2, 1],
        validation_loss_curve=[3, 2.5, 2.9],
        start_loss=3,
        best_loss=best_loss,
        best_epoch=0,
    )
    figure = display.plot().figure_
    assert says(figure, "with its last layer solved") == is_solved
    assert says(figure, "not sure enough to leave the start") != is_solved


def test_losses_of_other_estimators(digits):
    X, y = digits
    perceptron = MLPRegressor(hidden_layer_sizes=(4,), tol=1e9, n_iter_no_change=1)
    display = LossCurveDisplay.from_estimator(perceptron.fit(X, y))
    assert display.best_epoch is None
    with pytest.raises(TypeError, match="estimator=PCA has no loss_curve_"):
        LossCurveDisplay.from_estimator(PCA(2).fit(X))
    for other, name in (("a", "'a'"), (None, "NoneType")):
        with pytest.raises(TypeError, match=f"estimator={name} has no loss_curve_"):
            LossCurveDisplay.from_estimator(other)
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(AutoencoderTransformer())
    with pytest.raises(TypeError, match="estimator=VAETransformer is a class"):
        LossCurveDisplay.from_estimator(VAETransformer)
