"""More columns than rows: the space that rows span, and what is learned in it."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from skae import AutoencoderTransformer, VAETransformer
from skae.fitting.coordinates import in_coordinates
from skae.fitting.learning import Learned
from skae.fitting.task import Task
from skae.likelihoods import Gaussian
from skae.likelihoods.gaussian import Coordinates
from skae.rows import weighted_moments
from skae.start.span import Span
from skae.training.settings import TrainingResult

SMALL = {"hidden_layer_sizes": (24, 12), "max_iter": 100, "random_state": 0}


def curved(n_rows, n_columns=120, seed=0, noise=0.05):
    """Rows on a wave among many columns."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-2, 2, size=(n_rows, 1))
    directions = np.random.default_rng(9).normal(size=(2, n_columns))
    wave = np.column_stack([t, np.sin(2 * t)]) @ directions
    return 5 + wave + noise * rng.normal(size=(n_rows, n_columns))


@pytest.fixture(scope="module")
def X():
    return curved(60)


def span_of(X, weight=None):
    weight = np.ones(X.shape[0]) if weight is None else weight
    weight = weight / weight.sum()
    return Span(X, weight, weighted_moments(X, weight)[0])


def task_of(estimator, X, monkeypatch):
    """The task that a fit is given."""
    tasks = []

    def keep(task, **arguments):
        tasks.append(task)
        raise InterruptedError

    monkeypatch.setattr("skae.estimators.base.carry_out", keep)
    with pytest.raises(InterruptedError):
        estimator.fit(X)
    return tasks[0]


# --------------------------------------------------------------------- the span


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_coordinates_keep_rows_and_distances(X, kind):
    rows = np.where(np.abs(X) < 6, 0, X) if kind is sp.csr_array else X
    span = span_of(kind(rows), weight=np.arange(1.0, 61.0))
    C, B = span.coordinates, span.lift(np.eye(span.n_dimensions))
    np.testing.assert_allclose(B @ B.T, np.eye(span.n_dimensions), atol=1e-7)
    np.testing.assert_allclose(span.mean + C @ B, rows, atol=1e-8)
    np.testing.assert_allclose((rows - span.mean) @ B.T, C, atol=1e-8)
    assert span.n_dimensions <= 59


def test_axes_of_the_span_are_those_of_pca(X):
    pca = PCA(5, svd_solver="full").fit(X)
    span = span_of(X)
    axes = span.axes(5)
    signs = np.sign((axes * pca.components_).sum(1))[:, None]
    np.testing.assert_allclose(axes * signs, pca.components_, atol=1e-10)
    np.testing.assert_allclose(span.spectrum[:5], pca.explained_variance_ * 59 / 60)


# --------------------------------------------------- a model of coordinates, unfolded


def drawn(model, seed=0):
    """Give the networks of a model random weights of a visible size."""
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=stream))
    return model


@pytest.mark.parametrize("far", [5, 50], ids=["trained on", "held out"])
@pytest.mark.parametrize("Estimator", [AutoencoderTransformer, VAETransformer])
def test_unfolding_changes_no_loss(X, Estimator, far, monkeypatch):
    """Of rows that were trained on and of others, one of them far from the rest."""
    X = X.copy()
    X[far] += 40 * np.sin(np.arange(X.shape[1]))
    X[:, 7] = 0.1  # a column that says nothing
    task = task_of(Estimator(3, **SMALL), X, monkeypatch)
    folded = in_coordinates(task)
    kept, everything = np.arange(40), np.arange(len(X))
    maps = folded.maps(kept)
    model = drawn(folded.model_at(maps, folded.subset(kept, maps)))
    learned = Learned(model, maps, TrainingResult(), 0.0, index=kept)
    unfolded = folded.unfolded(learned)
    losses = folded.row_losses(model, folded.subset(everything, maps))
    rows = task.subset(everything, unfolded.maps)
    same = task.row_losses(unfolded.model, rows)
    np.testing.assert_allclose(same, losses, rtol=1e-3, atol=1e-3)
    assert losses.std() > 0.1
    assert unfolded.maps.noise_variance == pytest.approx(maps.noise_variance)
    assert unfolded.model.encoder.unit[7] == unfolded.model.decoder.gain[7] == 0


def test_what_was_learned_sees_as_far_in_columns(X, monkeypatch):
    task = task_of(AutoencoderTransformer(3, **SMALL), X, monkeypatch)
    folded = in_coordinates(task)
    kept = np.arange(40)
    maps = folded.maps(kept)
    model = drawn(folded.model_at(maps, folded.subset(kept, maps)))
    model.limit(folded.subset(kept, maps))
    learned = Learned(model, maps, TrainingResult(), 0.0, index=kept)
    unfolded = folded.unfolded(learned).model
    torch.testing.assert_close(unfolded.decoder.highest, model.decoder.highest)
    directly = task.model_at(task.maps(kept), task.subset(kept, task.maps(kept)))
    directly.limit(task.subset(kept, task.maps(kept)))
    torch.testing.assert_close(unfolded.encoder.highest, directly.encoder.highest)


@pytest.mark.parametrize("Estimator", [AutoencoderTransformer, VAETransformer])
def test_both_start_at_the_same_place(X, Estimator, monkeypatch):
    task = task_of(Estimator(3, **SMALL), X, monkeypatch)
    folded = in_coordinates(task)
    index = np.arange(40)
    maps, in_columns = folded.maps(index), task.maps(index)
    axes = folded.span.lift(maps.components)
    np.testing.assert_allclose(axes, in_columns.components, atol=1e-9)
    assert maps.noise_variance == pytest.approx(in_columns.noise_variance, rel=1e-9)
    rows, same_rows = folded.subset(index, maps), task.subset(index, in_columns)
    losses = folded.row_losses(folded.model_at(maps, rows), rows)
    same = task.row_losses(task.model_at(in_columns, same_rows), same_rows)
    np.testing.assert_allclose(same, losses, rtol=1e-4)


def test_the_noise_of_coordinates_is_that_of_all_columns():
    x, eta = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    rest = torch.zeros(4, 17, dtype=torch.float64)
    few, many = Coordinates(20).build(3), Gaussian().build(20)
    whole = torch.cat([x, rest], 1), torch.cat([eta, rest], 1)
    for module in few, many:
        module.set_noise_variance(0.3)
    torch.testing.assert_close(few.log_prob(x, eta), many.log_prob(*whole))


# --------------------------------------------------------------------- whole fits


@pytest.mark.parametrize("kind", [np.asarray, np.float32, sp.csr_array, torch.tensor])
def test_rows_of_many_columns_gain_on_pca(X, kind):
    X_test = curved(200, seed=1)
    model = AutoencoderTransformer(1, **SMALL).fit(kind(X))
    pca = PCA(1).fit(X)
    error = X_test - pca.inverse_transform(pca.transform(X_test))
    assert -model.score_samples(X_test).mean() < 0.5 * (error**2).sum(1).mean()


def test_a_vae_of_many_columns_gains_on_probabilistic_pca(X):
    X_test, layers = curved(60, seed=1), {"hidden_layer_sizes": (64, 32)}
    start = VAETransformer(1, max_iter=0).fit(X)
    assert (
        VAETransformer(1, **SMALL | layers).fit(X).score(X_test)
        > start.score(X_test) + 1
    )


def test_losses_are_those_of_the_rows(X):
    X_val = curved(30, seed=2)
    model = AutoencoderTransformer(1, **SMALL).fit(X, X_val=X_val)
    start = AutoencoderTransformer(1, max_iter=0).fit(X)
    of_rows = -model.score_samples(X_val).mean()
    assert model.best_loss_ < model.start_loss_
    # Judged by coordinates, limited by columns.
    assert model.best_loss_ == pytest.approx(of_rows, rel=0.03)
    assert model.start_loss_ == pytest.approx(-start.score_samples(X_val).mean())


def test_where_nothing_is_gained_rows_are_left_to_pca():
    X = np.random.default_rng(0).normal(size=(40, 100))
    X[:, 3] *= 1e4
    model = AutoencoderTransformer(3, **SMALL).fit(X)
    pca = PCA(3).fit(X)
    np.testing.assert_allclose(model.transform(X), pca.transform(X), atol=1e-7)
    assert model.best_loss_ == model.start_loss_


def test_fewer_directions_than_components():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 50))
    model = AutoencoderTransformer(5, **SMALL).fit(X)
    np.testing.assert_allclose(model.reconstruct(X), X, atol=1e-6)


@pytest.mark.parametrize(("n_factors", "seed"), [(1, 0), (3, 0), (3, 5)])
def test_the_number_of_components_is_found_in_coordinates(n_factors, seed):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(150, n_factors)) @ rng.normal(size=(n_factors, 400))
    X = 3 * factors + rng.normal(size=(150, 400))
    model = AutoencoderTransformer("auto", **SMALL | {"max_iter": 5}).fit(X)
    assert model.n_components_ == n_factors


def test_the_user_sees_epochs_in_columns(X):
    shapes = []

    class Look:
        def setup(self, estimator, context):
            """Nothing to do."""

        def on_fit_task_begin(self, estimator, context):
            """Nothing to do."""

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if fitted_estimator is not None:
                shapes.append(fitted_estimator.reconstruct(X[:3]).shape)

        def teardown(self, estimator, context):
            """Nothing to do."""

    AutoencoderTransformer(2, **SMALL | {"max_iter": 2}).set_callbacks(Look()).fit(X)
    assert len(shapes) > 2
    assert set(shapes) == {(3, X.shape[1])}


@pytest.mark.parametrize(
    "parameters",
    [
        {"init": "random"},
        {"likelihood": "gaussian_diag"},
        {"warm_start": True},
    ],
)
def test_what_depends_on_columns_is_learned_from_columns(X, parameters, monkeypatch):
    def refuse(task):
        raise AssertionError

    monkeypatch.setattr("skae.fitting.planning.with_span", refuse)
    AutoencoderTransformer(2, **SMALL | {"max_iter": 1} | parameters).fit(X)


@pytest.mark.parametrize("n_components", [2, "auto"])
def test_the_span_is_found_once(X, n_components, monkeypatch):
    found = []

    class Counted(Span):
        def __init__(self, X, *arguments):
            found.append(X.shape)
            super().__init__(X, *arguments)

    monkeypatch.setattr("skae.fitting.coordinates.Span", Counted)
    AutoencoderTransformer(n_components, **SMALL | {"max_iter": 1}).fit(X)
    assert found == [X.shape]


def test_every_part_of_a_task_is_carried_over(X, monkeypatch):
    task = task_of(AutoencoderTransformer(2, **SMALL), X, monkeypatch)
    folded = in_coordinates(task)
    changed = {"rows", "own_judges", "blueprint"}
    for name in set(Task.__dataclass_fields__) - changed:
        assert getattr(folded, name) is getattr(task, name)
    assert folded.rows.weight is task.rows.weight


# ---------------------------------------------------------- some columns at a time


@pytest.mark.parametrize(
    "parameters",
    [{"likelihood": "gaussian_diag"}, {"likelihood": "student_t"}, {"init": "random"}],
    ids=str,
)
def test_rows_too_many_to_hold_are_read_some_columns_at_a_time(
    X, parameters, monkeypatch
):
    """Where PCA is that of scaled rows, or is found for comparison alone."""

    def fit():
        model = AutoencoderTransformer(2, **SMALL | {"max_iter": 2} | parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(X)

    wanted = fit()
    monkeypatch.setattr("skae.start.span.DIRECT_SVD_SIZE", 0)
    monkeypatch.setattr("skae.start.axes.DIRECT_SVD_SIZE", 0)
    monkeypatch.setattr("skae.start.span.BLOCK_SIZE", 60 * 50)
    monkeypatch.setattr("skae.rows.RESIDENT_BYTES", 0)
    found = fit()
    assert found.start_loss_ == pytest.approx(wanted.start_loss_, rel=1e-5)
    assert found.score(X) == pytest.approx(wanted.score(X), rel=1e-3)
