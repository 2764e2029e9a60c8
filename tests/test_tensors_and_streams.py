"""Rows as torch tensors, and rows too many to keep: the same model, where they lie."""

import pickle
import threading
import tracemalloc
import warnings
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.datasets import load_iris, make_low_rank_matrix
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer, rows
from skae.device import generator_from
from skae.estimators import base
from skae.estimators.checking import check_codes, check_X
from skae.rows import Rows

SMALL = {"max_iter": 4, "hidden_layer_sizes": (8,), "random_state": 0}
CPU = torch.device("cpu")


@pytest.fixture
def dispatched(monkeypatch):
    """Tensors in, tensors out."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with config_context(array_api_dispatch=True):
        yield


def iris():
    return load_iris().data


# ---------------------------------------------------------------------- tensors


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.uint8])
def test_a_tensor_gives_the_model_of_its_array(Estimator, dtype):
    X = torch.from_numpy(iris() * 10).to(dtype)
    model = Estimator(2, **SMALL).fit(X)
    wanted = Estimator(2, **SMALL).fit(X.numpy())
    np.testing.assert_array_equal(model.transform(X), wanted.transform(X.numpy()))
    np.testing.assert_array_equal(model.reconstruct(X), wanted.reconstruct(X.numpy()))
    assert model.score(X[:20]) == wanted.score(X[:20].numpy())


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.uint8])
@pytest.mark.parametrize("check", [partial(check_X, PCA(), reset=True), check_codes])
def test_a_tensor_of_whole_numbers_is_copied_by_torch_alone(check, dtype):
    X = torch.ones((20_000, 20), dtype=dtype)
    tracemalloc.start()
    try:
        checked = check(X)
        # Of what torch takes nothing is counted.
        assert tracemalloc.get_traced_memory()[1] < X.numel()
    finally:
        tracemalloc.stop()
    wanted = check(X.numpy())
    assert checked.numpy().dtype == wanted.dtype
    np.testing.assert_array_equal(checked, wanted)


def test_buffers_are_float32_where_float64_is_taken_away(
    Estimator, as_trained, monkeypatch
):
    X = iris()
    wanted = Estimator(2, **SMALL, **as_trained).fit(X)
    rooms = ("fitting.blueprint", "fitting.readout", "training.judges")
    for room in (*rooms, "estimators.inference"):
        monkeypatch.setattr(f"skae.{room}.widest_dtype", lambda _: torch.float32)
    model = Estimator(2, **SMALL, **as_trained).fit(X)
    assert all(b.dtype != torch.float64 for b in model.module_.buffers())
    assert model.score(X) == pytest.approx(wanted.score(X), rel=1e-3)
    there = pickle.dumps(model)
    monkeypatch.undo()
    opened = pickle.loads(there)
    assert any(b.dtype == torch.float64 for b in opened.module_.buffers())
    np.testing.assert_allclose(opened.transform(X), model.transform(X), atol=1e-3)


def test_the_lower_precision_about_a_call_is_not_ours(Estimator):
    X = iris()
    model = Estimator(2, **SMALL).fit(X)
    with torch.autocast("cpu", torch.bfloat16):
        inside = Estimator(2, **SMALL).fit(X)
        codes = inside.transform(X)
        assert torch.is_autocast_enabled("cpu")
    np.testing.assert_array_equal(codes, model.transform(X))


def test_the_default_device_of_the_user_is_not_ours(Estimator):
    X = iris()

    def everything():
        model = Estimator(2, **SMALL).fit(X)
        model.partial_fit(X)
        opened = pickle.loads(pickle.dumps(model))
        return (
            opened.transform(X),
            opened.reconstruct(X),
            opened.score_samples(X[:20]),
            opened.score(X[:20]),
            opened.sample(5, random_state=0),
        )

    wanted = everything()
    torch.set_default_device("meta")
    try:
        found = everything()
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)
    for here, there in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("likelihood", ["poisson", "bernoulli", "categorical"])
def test_what_a_likelihood_needs_is_checked_of_tensors_too(Estimator, likelihood):
    X = torch.eye(3, dtype=torch.float64).repeat(7, 1)
    model = Estimator(2, likelihood=likelihood, **SMALL).fit(X)
    with pytest.raises(ValueError, match="likelihood"):
        model.transform(X - 0.5)
    with pytest.raises(ValueError, match="likelihood"):
        model.fit(X - 0.5)


@pytest.mark.parametrize("likelihood", ["gaussian_diag", "student_t", "poisson"])
def test_many_rows_that_are_no_array_are_read(Estimator, likelihood, monkeypatch):
    # As those on a GPU, where NumPy cannot see them.
    X = np.random.default_rng(0).poisson(3.0, size=(10_001, 3)).astype(np.float32)
    parameters = SMALL | {"likelihood": likelihood, "max_iter": 0}
    wanted = Estimator(1, **parameters).fit(X)

    def refuse(*_):
        raise TypeError("it lies on another device")

    monkeypatch.setattr(torch.Tensor, "__array__", refuse)
    found = Estimator(1, **parameters).fit(torch.from_numpy(X))
    np.testing.assert_allclose(found.transform(X[:5]), wanted.transform(X[:5]))


@pytest.mark.parametrize("factor", [1e19, 1e-19])
def test_values_beyond_float32_are_refused_of_many_tensors(Estimator, factor):
    X = factor * np.random.default_rng(0).normal(size=(10_001, 3))
    for given in (X.astype(np.float32), torch.from_numpy(X).float()):
        with pytest.raises(ValueError, match="divide the columns by their largest"):
            Estimator(1, **SMALL).fit(given)


def test_without_dispatch_arrays_come_back(Estimator):
    X = torch.from_numpy(iris())
    model = Estimator(2, **SMALL).fit(X)
    assert isinstance(model.transform(X), np.ndarray)
    assert isinstance(model.inverse_transform(torch.zeros(3, 2)), np.ndarray)
    assert isinstance(model.score_samples(X[:20]), np.ndarray)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_with_dispatch_tensors_come_back(Estimator, dtype, dispatched):
    X = torch.from_numpy(iris()).to(dtype)
    model = Estimator(2, **SMALL).fit(X)
    with config_context(array_api_dispatch=False):
        wanted = Estimator(2, **SMALL).fit(X.numpy())
        codes = wanted.transform(X.numpy())
        decoded = wanted.inverse_transform(codes)
        scores = wanted.score_samples(X[:20].numpy())
    results = [
        (model.transform(X), codes),
        (model.inverse_transform(torch.from_numpy(codes)), decoded),
        (model.reconstruct(X), decoded),
        (model.score_samples(X[:20]), scores),
    ]
    for result, array in results:
        assert isinstance(result, torch.Tensor)
        assert result.dtype == dtype
        assert result.device == X.device
        assert not result.is_inference()
        np.testing.assert_allclose(result, array, rtol=1e-4, atol=1e-4)
    assert isinstance(model.score(X[:20]), float)


def test_standard_deviations_are_tensors_too(dispatched):
    X = torch.from_numpy(iris())
    codes, std = VAETransformer(2, **SMALL).fit(X).transform(X, return_std=True)
    assert codes.shape == std.shape == (150, 2)
    assert isinstance(std, torch.Tensor)
    assert (std > 0).all()


def test_draws_of_posteriors_are_tensors_too(dispatched):
    X = torch.from_numpy(iris()).float()
    model = VAETransformer(2, **SMALL).fit(X)
    draws = model.sample_posterior(X, 3, random_state=0)
    assert (draws.shape, draws.dtype) == ((150, 3, 2), torch.float32)
    wanted = model.sample_posterior(X.numpy(), 3, random_state=0)
    np.testing.assert_allclose(draws, wanted, rtol=1e-5)


def test_a_pipeline_of_tensors_stays_one(Estimator, dispatched):
    X = torch.from_numpy(iris())
    steps = make_pipeline(StandardScaler(), Estimator(2, **SMALL))
    codes = steps.fit(X).transform(X)
    assert isinstance(codes, torch.Tensor)
    assert codes.shape == (150, 2)


def test_arrays_stay_arrays_with_dispatch(Estimator, dispatched):
    X = iris()
    assert isinstance(Estimator(2, **SMALL).fit(X).transform(X), np.ndarray)


def test_a_tensor_that_wants_a_gradient_is_read_only_from(Estimator):
    X = torch.from_numpy(iris()).requires_grad_()
    model = Estimator(2, **SMALL).fit(X)
    assert X.grad is None
    assert model.transform(X).shape == (150, 2)


def test_half_precision_is_widened(Estimator):
    X = torch.from_numpy(iris()).to(torch.bfloat16)
    assert Estimator(2, **SMALL).fit(X).transform(X).dtype == np.float32


def test_weighted_tensors(Estimator):
    X = torch.from_numpy(iris())
    weight = np.arange(150) % 3
    model = Estimator(2, **SMALL).fit(X, sample_weight=weight)
    wanted = Estimator(2, **SMALL).fit(X.numpy(), sample_weight=weight)
    np.testing.assert_array_equal(model.transform(X), wanted.transform(X.numpy()))


def test_tensors_that_wait_to_be_changed_are_read(Estimator):
    """A sign, or a conjugate, that torch has yet to take."""
    X = torch.from_numpy(iris())
    model = Estimator(2, **SMALL).fit(X)
    negative = torch.complex(X, -X).conj().imag
    assert negative.is_neg()
    np.testing.assert_array_equal(model.transform(negative), model.transform(X))
    weight = torch.ones(150, dtype=torch.bfloat16, requires_grad=True)
    again = Estimator(2, **SMALL).fit(negative, sample_weight=weight)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_partial_fit_takes_tensors(Estimator):
    X = torch.from_numpy(iris())
    model = Estimator(2, **SMALL).partial_fit(X[:1]).partial_fit(X)
    assert model.transform(X).shape == (150, 2)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (torch.full((20, 3), torch.nan), "NaN"),
        (torch.full((20, 3), torch.inf), "infinity"),
        (torch.zeros(20), "1D array|2D"),
        (torch.tensor(3.0), "scalar array|2D"),
        (torch.zeros(20, 3, 2), "dim 3|<= 2"),
        (torch.zeros(0, 3), "0 sample"),
        (torch.zeros(20, 3, dtype=torch.complex64), "[Cc]omplex"),
    ],
)
def test_bad_tensors_are_refused_as_bad_arrays_are(Estimator, X, message):
    with pytest.raises(ValueError, match=message):
        Estimator(2, **SMALL).fit(X)


def test_one_bad_value_among_many_is_found(Estimator):
    X = torch.from_numpy(iris())
    X[77, 1] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        Estimator(2, **SMALL).fit(X)


def test_a_sum_beyond_the_type_is_no_bad_value(Estimator):
    X = torch.full((20, 3), 3e38)
    assert not torch.isfinite(X.sum())
    assert torch.equal(check_X(Estimator(), X, reset=True), X)


def test_a_sparse_tensor_is_refused_by_name(Estimator):
    with pytest.raises(TypeError, match=r"scipy\.sparse"):
        Estimator(2, **SMALL).fit(torch.eye(20).to_sparse())


def test_a_tensor_without_values_is_refused_by_name(Estimator):
    with pytest.raises(TypeError, match="X is a torch tensor on 'meta'"):
        Estimator(2, **SMALL).fit(torch.empty(20, 4, device="meta"))


def test_wrong_number_of_columns(Estimator):
    model = Estimator(2, **SMALL).fit(torch.from_numpy(iris()))
    with pytest.raises(ValueError, match="3 features"):
        model.transform(torch.zeros(5, 3))


# ---------------------------------------------------------------------- streams


@pytest.fixture
def afar(monkeypatch):
    """Rows that are not kept, shuffled in runs of neighbours."""
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 640)
    monkeypatch.setattr(rows, "SHUFFLED_BYTES", 0)
    monkeypatch.setattr(rows, "RUN_BYTES", 64)


def kinds_of(X, folder):
    np.save(folder / "rows.npy", X)
    return {
        "array": X,
        "map": np.load(folder / "rows.npy", mmap_mode="r"),
        "tensor": torch.from_numpy(X),
        "csr": sp.csr_array(X),
    }


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["array", "map", "tensor", "csr"])
def test_rows_are_brought_to_a_gpu_while_it_computes(afar, kind, tmp_path):
    X = np.random.RandomState(0).standard_normal((5000, 40))
    source, gpu = kinds_of(X, tmp_path)[kind], torch.device("cuda")
    weight, origin = np.arange(5000.0), np.full(40, 0.5)
    here = Rows(source, weight, origin, CPU).batches(64, generator_from(0))
    with torch.cuda.stream(torch.cuda.Stream()):  # a user's own
        served = Rows(source, weight, origin, gpu)
        there = [(x * 1.0, w * 1.0) for x, w in served.batches(64, generator_from(0))]
    torch.cuda.synchronize()
    for (x, w), (x_there, w_there) in zip(here, there, strict=True):
        torch.testing.assert_close(x, x_there.cpu())
        torch.testing.assert_close(w, w_there.cpu())


@pytest.mark.parametrize("kind", ["array", "map", "tensor", "csr"])
def test_every_row_comes_once_an_epoch_with_its_weight(afar, kind, tmp_path):
    X = np.arange(404.0).reshape(101, 4) + 1
    source = kinds_of(X, tmp_path)[kind]
    served = Rows(source, np.arange(101.0), np.full(4, 0.5), CPU)
    batches = list(served.batches(25, generator_from(0)))
    assert [len(x) for x, _ in batches] == [25, 25, 25, 26]
    x = torch.cat([x for x, _ in batches]).numpy() + 0.5
    weight = torch.cat([weight for _, weight in batches]).numpy()
    order = np.argsort(x[:, 0])
    assert not np.array_equal(order, np.arange(101))
    np.testing.assert_array_equal(x[order], X)
    np.testing.assert_allclose(weight[order], np.arange(101) / 50, rtol=1e-6)


def test_runs_of_neighbours_are_shuffled_well(afar):
    n_rows = 4000
    served = Rows(np.zeros((n_rows, 4)), np.ones(n_rows), np.zeros(4), CPU)
    order = served.order(generator_from(0)).numpy()
    assert sorted(order) == list(range(n_rows))
    # A window holds rows from all over: their spread is that of all rows.
    windows = order[: n_rows - n_rows % 40].reshape(-1, 40)
    assert windows.std(axis=1).mean() > 0.8 * np.arange(n_rows).std()
    assert not np.array_equal(order, served.order(generator_from(1)).numpy())
    np.testing.assert_array_equal(order, served.order(generator_from(0)).numpy())


def test_what_is_read_from_afar_trains_the_same_model(Estimator, afar, tmp_path):
    X = make_low_rank_matrix(300, 6, effective_rank=3, random_state=0)
    kinds = kinds_of(X, tmp_path)
    wanted = Estimator(2, **SMALL).fit(kinds["array"])
    for kind in ("map", "tensor"):
        model = Estimator(2, **SMALL).fit(kinds[kind])
        np.testing.assert_array_equal(model.transform(X), wanted.transform(X))


def test_reading_ahead_leaves_no_thread(afar):
    before = threading.active_count()
    served = Rows(np.zeros((100, 4)), np.ones(100), np.zeros(4), CPU)
    batches = served.batches(10, generator_from(0))
    next(batches)
    assert threading.active_count() == before + 1
    batches.close()  # as an interrupted epoch does
    assert threading.active_count() == before


def test_a_failing_read_is_raised_where_it_is_used(afar):
    class Torn(np.ndarray):
        def __getitem__(self, index):
            raise OSError("the disk is gone")

    X = np.zeros((100, 4)).view(Torn)
    served = Rows(X, np.ones(100), np.zeros(4), CPU)
    with pytest.raises(OSError, match="the disk is gone"):
        list(served.batches(10, generator_from(0)))


# ------------------------------------------------------------------ streams of few rows


def bent(n_rows=200):
    """Rows of two components, and three squares."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 2)) @ rng.normal(size=(2, 6))
    return np.hstack([X, X[:, :3] ** 2])


@pytest.mark.parametrize("n_rows", [1, 3])
def test_a_stream_of_few_rows_at_a_time_learns(Estimator, as_trained, n_rows):
    X = bent()
    stream = Estimator(2, random_state=0, **as_trained)
    for begin in range(0, len(X), n_rows):
        stream.partial_fit(X[begin : begin + n_rows])
    start = Estimator(2, max_iter=0, **as_trained).fit(X).score(X)
    assert stream.score(X) > start - 0.05 * abs(start)
    for _ in range(20):
        stream.partial_fit(X)
    assert stream.score(X) > start + 0.2 * abs(start)


def test_equal_rows_are_waited_beyond(Estimator):
    X = bent()
    model = Estimator(2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few components of equal rows vary
        for _ in range(30):
            model.partial_fit(X[:1])
    model.partial_fit(X)
    again = Estimator(2, random_state=0).partial_fit(X, sample_weight=[31, *[1] * 199])
    np.testing.assert_array_equal(model.transform(X), again.transform(X))


def test_a_call_of_one_row_forgets_nothing():
    X = bent()
    model = AutoencoderTransformer(2, **SMALL | {"max_iter": 40}).fit(X)
    before = model.sample(500, noise=False, random_state=0).std(axis=0)
    noise = model.noise_variance_
    model.partial_fit(X[:1])
    after = model.sample(500, noise=False, random_state=0).std(axis=0)
    np.testing.assert_allclose(after, before, rtol=0.3)
    assert model.noise_variance_ == pytest.approx(noise, rel=0.2)
    assert model.noise_variance_ == pytest.approx(
        model.module_.likelihood.noise_variance
    )


def test_a_call_of_one_row_leaves_the_activity_of_codes():
    X = bent()
    model = VAETransformer(2, random_state=0).partial_fit(X)
    before = model._code_square, model.kl_per_component_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X[:1])
    assert model.active_components_.all()
    for now, then in zip(
        (model._code_square, model.kl_per_component_), before, strict=True
    ):
        np.testing.assert_allclose(now, then, rtol=0.2)


def test_the_codes_of_a_stream_vary_as_those_of_its_rows_together(monkeypatch):
    monkeypatch.setattr("skae.estimators.streams.REMEMBERED_ROWS", 400)
    X = bent(400)
    model = VAETransformer(2, learning_rate_init=1e-14).partial_fit(X[:100])
    for begin in (100, 250):
        model.partial_fit(X[begin : begin + 150])
    codes = model.transform(X)
    np.testing.assert_allclose(model._code_mean, codes.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(model._code_square, np.square(codes).mean(axis=0))


def test_the_codes_that_a_stream_keeps_are_some_of_its_rows_whatever_they_hold(
    monkeypatch,
):
    monkeypatch.setattr("skae.estimators.autoencoder.MAX_CODES", 1000)
    X = np.random.default_rng(0).integers(0, 256, (1200, 5), dtype=np.uint8)
    model = AutoencoderTransformer(1, random_state=0)
    for part in (X[:600], X[600:]):
        model.partial_fit(part)
    # Of the first call 400 are kept: its own have a mean that chance moves by 0.04.
    older = model._codes[:400].mean() / model._codes.std()
    assert abs(older) < 0.2


def test_a_far_row_alone_is_no_divergence():
    X = bent(80)
    far = np.vstack([X[:50], 30 * X[50:51], X[51:]])
    model = AutoencoderTransformer(2, random_state=0)
    for row in far:
        model.partial_fit(row[None])
    rates = {g["lr"] for g in model._training["optimizer"]["param_groups"]}
    assert rates == {0.004}


def test_classes_may_be_tensors_where_tensors_stay_such(dispatched):
    X, y = load_iris(return_X_y=True)
    model = VAETransformer(2, conditional=True, **SMALL)
    model.fit(torch.from_numpy(X), torch.from_numpy(y))
    drawn = model.sample(3, y=torch.tensor([0, 1, 2]), random_state=0)
    assert np.isfinite(np.asarray(drawn)).all()
    rows, labels = torch.from_numpy(X[::50]), torch.from_numpy(y[::50])
    rebuilt = model.reconstruct(rows, labels, as_y=0)
    decoded = model.inverse_transform(model.transform(rows), labels)
    for found in (rebuilt, decoded):
        assert isinstance(found, torch.Tensor)
        assert found.shape == rows.shape


def test_what_a_vae_knows_of_its_components_needs_a_fit():
    with pytest.raises(NotFittedError):
        _ = VAETransformer().active_components_


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_diag", "poisson"])
def test_a_column_that_varies_only_later_is_learned(Estimator, likelihood):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6))
    X = rng.poisson(np.exp(X)) * 1.0 if likelihood == "poisson" else X
    first = X[:100].copy()
    first[:, :3] = 0
    parameters = {"hidden_layer_sizes": (32,), "random_state": 0}
    model = Estimator(2, likelihood=likelihood, **parameters).partial_fit(first)
    error = np.mean((X - model.reconstruct(X))[:, :3] ** 2)
    for _ in range(20):
        model.partial_fit(X)
    assert np.mean((X - model.reconstruct(X))[:, :3] ** 2) < 0.5 * error


def test_rows_that_wait_are_checked(Estimator):
    model = Estimator(2, likelihood="poisson")
    with pytest.raises(ValueError, match="counts"):
        model.partial_fit([[1.0, -1.0, 2.0]])
    assert not hasattr(model, "n_features_in_")


@pytest.fixture
def learned_from(monkeypatch):
    """Rows from which models are learned, fit by fit."""
    seen = []
    for name in ("carry_out", "resume"):
        learn = getattr(base, name)

        def look(task, *others, learn=learn, **named):
            seen.append(task.rows)
            return learn(task, *others, **named)

        monkeypatch.setattr(base, name, look)
    return seen


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_very_many_rows_are_taken_as_they_come(method, learned_from):
    X = torch.from_numpy(bent(10_001).astype(np.float32))
    model = AutoencoderTransformer(2, max_iter=1, hidden_layer_sizes=(4,))
    for _ in range(2):
        getattr(model, method)(X)
        assert learned_from[-1].X.data_ptr() == X.data_ptr()
    getattr(model, method)(X, sample_weight=np.repeat([2, 1, 0], [1, 9_999, 1]))
    assert len(learned_from[-1]) == 10_000


def test_of_rows_that_wait_for_very_many_none_of_weight_0_is_learned(learned_from):
    model = AutoencoderTransformer(3, hidden_layer_sizes=(4,))
    model.partial_fit(bent()[:2], sample_weight=[3, 0])
    model.partial_fit(bent(10_001))
    assert learned_from[-1].weight.tolist() == [3] + 10_001 * [1]
