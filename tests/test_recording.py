"""Recorded steps: what a GPU replays is what Python would have done."""

import numpy as np
import pytest
import torch
from given import images
from recorded import FusedAdamThere, RecordingOnCPU
from waiting import UnseenClipping

from skae import AutoencoderTransformer, VAETransformer
from skae.likelihoods import (
    LIKELIHOODS,
    Categorical,
    Gaussian,
    Likelihood,
    LikelihoodModule,
    PredictorStart,
    counts,
)
from skae.training import clipping, judges, recording, solvers, steps
from skae.training.recording import RecordedStep

EPOCHS, USUAL_STEPS = 4, 12
LONG = {
    "hidden_layer_sizes": (16,),
    "batch_size": 64,
    "max_iter": EPOCHS,
    "early_stopping": False,
    "random_state": 0,
}
ESTIMATORS = [AutoencoderTransformer, VAETransformer]


class Refusing(RecordingOnCPU):
    """Of a GPU that cannot record what it is asked to."""

    def __init__(self, function, generator):
        super().__init__(function, generator)
        torch.rand(1, generator=generator)
        raise RuntimeError("operation not permitted when stream is capturing")


@pytest.fixture
def fit_as_on_a_gpu(monkeypatch):
    """Fits as on a GPU that records, and soon; the recordings say how often it did."""
    monkeypatch.setattr(clipping, "USUAL_STEPS", USUAL_STEPS)
    monkeypatch.setattr(counts, "_at_counts", counts._everywhere)
    monkeypatch.setattr(steps, "Clipping", UnseenClipping)
    for room in (solvers, steps):
        monkeypatch.setattr(room, "FusedAdam", FusedAdamThere)

    def fit(estimator, X, kind=RecordingOnCPU, **arguments):
        of_this_fit = type("OfThisFit", (kind,), {"n_made": 0, "n_replayed": 0})
        monkeypatch.setattr(recording, "Recording", of_this_fit)
        return estimator.fit(X, **arguments), of_this_fit

    return fit


class Never(RecordingOnCPU):
    """Of a device that does not record."""

    devices = ()


class OfOneRate(RecordingOnCPU):
    """Replays at the rate at which it was recorded, as it must not."""

    def replay(self):
        for entry in self._log.entries:
            kwargs = entry[2]
            if "lr" in kwargs:
                kwargs["lr"] = self.rate = getattr(self, "rate", kwargs["lr"].clone())
        return super().replay()


def weights(model):
    """All parameters, one after the other."""
    parameters = [p.detach().flatten() for p in model.module_.parameters()]
    return torch.cat(parameters).numpy()


@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize("solver", ["adam", "adamw"])
def test_replayed_steps_are_those_of_python(Estimator, solver, fit_as_on_a_gpu):
    X = images(384)  # six batches
    one, never = fit_as_on_a_gpu(Estimator(4, solver=solver, **LONG), X, Never)
    other, used = fit_as_on_a_gpu(Estimator(4, solver=solver, **LONG), X)
    assert (never.n_made, never.n_replayed) == (0, 0)
    assert used.n_made == 1
    assert used.n_replayed == EPOCHS * 6 - USUAL_STEPS
    np.testing.assert_array_equal(weights(one), weights(other))
    assert one.loss_curve_ == other.loss_curve_


@pytest.mark.parametrize("n_rows", [384 + 20, 384 + 1])
def test_a_last_batch_of_another_size_counts_as_it_should(n_rows, fit_as_on_a_gpu):
    X = images(n_rows)
    one, _ = fit_as_on_a_gpu(AutoencoderTransformer(4, **LONG), X, Never)
    other, used = fit_as_on_a_gpu(AutoencoderTransformer(4, **LONG), X)
    assert used.n_replayed > 0
    np.testing.assert_allclose(weights(one), weights(other), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-5)


def test_a_recording_follows_the_learning_rate(fit_as_on_a_gpu):
    X = images(300)
    settings = LONG | {"early_stopping": True, "max_iter": 20}
    one, _ = fit_as_on_a_gpu(AutoencoderTransformer(4, **settings), X, Never)
    other, used = fit_as_on_a_gpu(AutoencoderTransformer(4, **settings), X)
    assert used.n_made == 2  # the second training has its own
    assert used.n_replayed > 10 * (3 + 4)  # at rates that fall over the last half
    assert one.n_iter_ == other.n_iter_
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-4)
    held_up, _ = fit_as_on_a_gpu(AutoencoderTransformer(4, **settings), X, OfOneRate)
    assert abs(held_up.loss_curve_[-1] / one.loss_curve_[-1] - 1) > 1e-3


def test_after_a_divergence_steps_are_recorded_anew(fit_as_on_a_gpu, monkeypatch):
    """The first recording is of an optimizer that was thrown away."""
    judge, n_judged = judges.OnTheWay.judge, []

    def diverging_once(self, loss):
        n_judged.append(loss)
        return None if len(n_judged) == 3 else judge(self, loss)

    monkeypatch.setattr(judges.OnTheWay, "judge", diverging_once)
    X, settings = images(384), LONG | {"max_iter": 2 * EPOCHS}
    one, _ = fit_as_on_a_gpu(AutoencoderTransformer(4, **settings), X, Never)
    n_judged.clear()
    other, used = fit_as_on_a_gpu(AutoencoderTransformer(4, **settings), X)
    assert used.n_made == 2
    np.testing.assert_array_equal(weights(one), weights(other))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_steps_of_any_likelihood_are_recorded(Estimator, likelihood, fit_as_on_a_gpu):
    X = np.unique((images(300) > 7) * 1.0, axis=0)[:256]
    if likelihood == "categorical":
        X = np.stack([X, 1 - X], axis=2).reshape(256, -1)
        likelihood = Categorical([[i, i + 1] for i in range(0, 128, 2)])
    settings = LONG | {"likelihood": likelihood}
    one, _ = fit_as_on_a_gpu(Estimator(2, **settings), X, Never)
    other, used = fit_as_on_a_gpu(Estimator(2, **settings), X)
    assert used.n_replayed > 0
    np.testing.assert_array_equal(weights(one), weights(other))


def test_a_warm_up_is_not_recorded(fit_as_on_a_gpu):
    X = images(384)
    cold, warm = (VAETransformer(4, kl_warmup=w, **LONG) for w in (0.0, 0.75))
    assert fit_as_on_a_gpu(cold, X)[1].n_replayed == EPOCHS * 6 - USUAL_STEPS
    one, used = fit_as_on_a_gpu(warm, X)
    assert used.n_replayed == 6
    other, _ = fit_as_on_a_gpu(VAETransformer(4, kl_warmup=0.75, **LONG), X, Never)
    np.testing.assert_array_equal(weights(one), weights(other))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_what_cannot_be_recorded_is_run_as_it_is(Estimator, fit_as_on_a_gpu):
    X = images(384)
    one, _ = fit_as_on_a_gpu(Estimator(4, **LONG), X, Never)
    other, used = fit_as_on_a_gpu(Estimator(4, **LONG), X, Refusing)
    assert (used.n_made, used.n_replayed) == (1, 0)
    np.testing.assert_array_equal(weights(one), weights(other))


def test_a_training_that_goes_on_loads_what_it_needs_before_it_records(
    fit_as_on_a_gpu,
):
    X, settings = images(384), LONG | {"warm_start": True}
    one, other = (AutoencoderTransformer(4, **settings) for _ in range(2))
    for n_first in (USUAL_STEPS, recording.LOADING_STEPS):
        fit_as_on_a_gpu(one, X, Never)
        assert fit_as_on_a_gpu(other, X)[1].n_replayed == EPOCHS * 6 - n_first
        np.testing.assert_array_equal(weights(one), weights(other))


@pytest.mark.parametrize("solver", ["sgd", torch.optim.NAdam])
def test_steps_of_other_solvers_are_not_recorded(solver, fit_as_on_a_gpu):
    model = AutoencoderTransformer(4, **LONG, solver=solver)
    assert fit_as_on_a_gpu(model, images(384))[1].n_made == 0


class Laplace(Likelihood):
    """A likelihood of a user's own, by torch's distributions."""

    centred = True

    def build(self, n_features):
        return LaplaceModule()


class LaplaceModule(LikelihoodModule):
    """Whether the values are valid is asked of the GPU at each step."""

    def start(self, maps, loadings, code_scale, shrinkage=1.0):
        gain = np.sqrt(maps.variance)
        return PredictorStart(0 * gain, shrinkage * loadings, gain, len(gain))

    def log_prob(self, x, eta):
        noise = torch.distributions.Laplace(eta, 1.0, validate_args=True)
        return noise.log_prob(x).sum(-1)


class CheckedGaussian(Gaussian):
    """Made of one of skae's, but it looks at what the GPU has computed."""

    def build(self, n_features):
        class Checked(type(super().build(n_features))):
            def deviance_slope(self, x, eta, row_factor):
                assert torch.isfinite(eta).all()
                return super().deviance_slope(x, eta, row_factor)

        return Checked(n_features)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "likelihood",
    [
        Laplace(),
        CheckedGaussian(),
        [("gaussian", range(60)), (Laplace(), range(60, 64))],
    ],
)
def test_no_recording_is_begun_that_may_fail(Estimator, likelihood, fit_as_on_a_gpu):
    X, settings = images(384), LONG | {"likelihood": likelihood}
    one, _ = fit_as_on_a_gpu(Estimator(4, **settings), X, Never)
    other, used = fit_as_on_a_gpu(Estimator(4, **settings), X)
    assert (used.n_made, used.n_replayed) == (0, 0)
    np.testing.assert_array_equal(weights(one), weights(other))


def test_steps_of_several_likelihoods_are_recorded(fit_as_on_a_gpu):
    columns = [("gaussian", range(32)), ("poisson", range(32, 64))]
    model = VAETransformer(4, likelihood=columns, **LONG)
    assert fit_as_on_a_gpu(model, images(384))[1].n_replayed > 0


@pytest.mark.gpu
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_a_gpu_replays_what_it_recorded(Estimator, monkeypatch):
    X, n_recorded = images(384), []

    class Counted(RecordedStep):
        def __call__(self, x, row_factor):
            n_recorded.append(len(x))
            return super().__call__(x, row_factor)

    monkeypatch.setattr(recording, "RecordedStep", Counted)
    settings = LONG | {"max_iter": 14, "device": "cuda", "precision": "float32"}
    replayed = Estimator(4, **settings).fit(X)
    assert n_recorded == [64] * (14 * 6 - clipping.USUAL_STEPS)
    monkeypatch.setattr(recording.Recording, "devices", ())
    eager = Estimator(4, **settings).fit(X)
    np.testing.assert_allclose(replayed.loss_curve_, eager.loss_curve_, rtol=1e-3)
    if Estimator is AutoencoderTransformer:
        np.testing.assert_allclose(
            replayed.reconstruct(X), eager.reconstruct(X), rtol=0.02, atol=0.1
        )
