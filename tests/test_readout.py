"""The decoder's last layer as a ridge regression."""

import numpy as np
import pytest
import torch
from given import images
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from skae import AutoencoderTransformer, VAETransformer
from skae.fitting.readout import STRENGTHS, Readout, has_readout
from skae.networks import Conv
from skae.rows import Rows

SMALL = {"hidden_layer_sizes": (24, 12), "random_state": 0, "max_iter": 5}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pixels():
    """300 images of digits."""
    return images(300)


def fitted(X, **parameters):
    """A model whose codes do not follow the last layer wherever it goes."""
    return AutoencoderTransformer(3, **SMALL | parameters, n_refinements=0).fit(X)


def as_rows(model, X, weight=None):
    weight = np.ones(len(X)) if weight is None else weight
    return Rows(X, weight, model.mean_, CPU)


def regression(model, X):
    """Last hidden layer and what is left of rows, as arrays of float64."""
    x = torch.from_numpy((X - model.mean_).astype(np.float32))
    with torch.no_grad():
        both = model.module_.left_to_readout(x)
    return [part.double().numpy() for part in both]


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_diag"])
@pytest.mark.parametrize("strength", [STRENGTHS[0], STRENGTHS[-1]])
def test_the_readout_is_a_ridge_regression(pixels, likelihood, strength):
    model = fitted(pixels, likelihood=likelihood, early_stopping=False)
    hidden, rest = regression(model, pixels)
    before = model.module_.readout.weight.detach().numpy().copy()
    spread = np.linalg.eigvalsh(np.cov(hidden.T, ddof=0)).mean()
    ridge = Ridge(strength * spread * len(pixels), solver="cholesky").fit(hidden, rest)
    Readout(model.module_, as_rows(model, pixels)).set(strength)
    change = model.module_.readout.weight.detach().numpy() - before
    # Where hidden values hardly vary float32 knows little; what comes out agrees.
    np.testing.assert_allclose(change, ridge.coef_, atol=1e-3)
    # What is left afterwards is what the regression leaves.
    left = regression(model, pixels)[1]
    np.testing.assert_allclose(left, rest - ridge.predict(hidden), atol=1e-4)


def test_weights_are_repetitions_to_the_readout(pixels):
    weight = np.random.default_rng(0).integers(0, 4, len(pixels)).astype(float)
    repeated = np.repeat(pixels, weight.astype(int), axis=0)
    results = []
    for X, counts in ((pixels, weight), (repeated, None)):
        model = fitted(pixels, early_stopping=False)
        Readout(model.module_, as_rows(model, X, counts)).set(0.1)
        results.append(model.reconstruct(pixels))
    np.testing.assert_allclose(*results, atol=1e-4)


def test_the_best_strength_is_never_worse_than_none(pixels):
    model = fitted(pixels[:150], early_stopping=False)
    before = model.reconstruct(pixels)
    readout = Readout(model.module_, as_rows(model, pixels[:150]))
    losses = {}

    def loss(strength):
        readout.set(strength)
        error = pixels[150:] - model.reconstruct(pixels[150:])
        return losses.setdefault(strength, float(np.square(error).sum()))

    for strength in (None, *STRENGTHS):
        loss(strength)
    best = readout.set_best(
        lambda: float(np.square(pixels[150:] - model.reconstruct(pixels[150:])).sum())
    )
    assert best == min(losses, key=losses.get)
    readout.set(None)
    np.testing.assert_array_equal(model.reconstruct(pixels), before)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([5.0, 3.0, 2.0, 4.0], STRENGTHS[1]),
        ([1.0, 3.0, 4.0], None),
        ([5.0, np.nan, 3.0, 2.0, 4.0], STRENGTHS[2]),
    ],
)
def test_strengths_are_tried_until_the_loss_rises(pixels, losses, best):
    model = fitted(pixels[:150], early_stopping=False)
    readout = Readout(model.module_, as_rows(model, pixels[:150]))
    told = iter(losses)
    assert readout.set_best(lambda: next(told)) == best
    assert next(told, None) is None


def test_a_fit_on_few_rows_gains_by_its_readout(pixels):
    """Without a single epoch of use, random layers and a regression beat PCA."""
    train, test = pixels[:200], pixels[200:]
    model = AutoencoderTransformer(
        3, random_state=0, max_iter=1, learning_rate_init=1e-12
    ).fit(train)
    assert model.best_loss_ < min(model.validation_loss_curve_)
    pca = PCA(3).fit(train)
    left = test - pca.inverse_transform(pca.transform(test))
    assert -model.score_samples(test).sum() < np.square(left).sum()


def test_only_squared_errors_and_perceptrons_have_a_readout(pixels):
    share = pixels / 16
    conv = Conv((1, 8, 8), channels=(4,))
    for model in (
        fitted(share, likelihood="bernoulli"),
        fitted(share, likelihood="student_t"),
        fitted(share, encoder=conv),
        VAETransformer(3, **SMALL).fit(share),
    ):
        assert not has_readout(model.module_)
    assert has_readout(fitted(share).module_)


def test_of_many_rows_those_regressed_on_are_of_every_kind(pixels, monkeypatch):
    monkeypatch.setattr("skae.fitting.readout.REGRESSED_ROWS", len(pixels) // 2)
    by_turns = np.where(np.arange(len(pixels))[:, None] % 2, pixels, pixels[:, ::-1])
    errors = []
    for X in (by_turns, np.concatenate([by_turns[::2], by_turns[1::2]])):
        model = fitted(by_turns, early_stopping=False)
        Readout(model.module_, as_rows(model, X)).set(0.1)
        errors.append(np.square(by_turns - model.reconstruct(by_turns)).sum())
    assert errors[0] == pytest.approx(errors[1], rel=0.02)
