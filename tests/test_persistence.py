"""A fitted model travels: copied, pickled, opened elsewhere, on another device."""

import copy
import io
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import joblib
import numpy as np
import pytest
import torch
from given import opened, own_network
from results import assert_same_bits, results
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skae import AutoencoderTransformer, VAETransformer
from skae.likelihoods import Gaussian
from skae.networks import MLP, Conv

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}

COPIERS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "pickle protocol 2": lambda model: pickle.loads(pickle.dumps(model, protocol=2)),
    "cloudpickle": lambda model: pickle.loads(cloudpickle.dumps(model)),
}


@pytest.fixture
def fitted(Estimator, iris):
    return Estimator(**SMALL).fit(iris[0])


@pytest.fixture(scope="module", params=[AutoencoderTransformer, VAETransformer])
def original(request, iris):
    """A model fitted once, which no copy changes, and what it says."""
    model = request.param(warm_start=True, **SMALL).fit(iris[0])
    return model, results(model, iris[0])


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS)
def test_a_copy_gives_the_same_bits(original, copier, iris):
    model, expected = original
    copied = copier(model)
    assert_same_bits(results(copied, iris[0]), expected)
    for name in ("loss_curve_", "validation_loss_curve_", "start_loss_", "n_iter_"):
        assert getattr(copied, name) == getattr(model, name)
    np.testing.assert_array_equal(copied.mean_, model.mean_)
    assert copied.device_ == model.device_


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS)
def test_fitting_a_copy_leaves_the_original_alone(original, copier, iris):
    model, before = original
    copier(model).fit(iris[0])
    assert_same_bits(results(model, iris[0]), before)


def test_a_clone_is_unfitted_and_fits_the_same(fitted, iris):
    X, _ = iris
    cloned = clone(fitted)
    assert not hasattr(cloned, "module_")
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(cloned)
    assert_same_bits(results(cloned.fit(X), X), results(fitted, X))


def test_a_copy_of_an_unfitted_estimator_fits(Estimator, iris):
    X, _ = iris
    copied = opened(Estimator(**SMALL))
    assert not hasattr(copied, "module_")
    assert copied.fit(X).transform(X).shape == (len(X), 2)


def test_a_copy_of_a_copy_that_was_never_used_is_whole(fitted, iris):
    X, _ = iris
    assert_same_bits(results(opened(opened(fitted)), X), results(fitted, X))


@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": "auto"},
        {"init": "random"},
        {"encoder": MLP((5, 4), "tanh")},
        {"encoder": Conv((4, 4), channels=(4,))},
        {"likelihood": Gaussian()},
        {"likelihood": "bernoulli"},
        {"n_components": 0.5},
        {"solver": torch.optim.NAdam},
        {"device": torch.device("cpu")},
    ],
    ids=str,
)
def test_every_kind_of_model_travels(Estimator, parameters, digits):
    X = digits[0][:60, 24:40] / 16
    parameters = SMALL | {"early_stopping": False} | parameters
    model = Estimator(**parameters).fit(X)
    expected = results(model, X)
    assert_same_bits(results(opened(model), X), expected)


def test_integer_and_boolean_buffers_travel(Estimator, iris):
    X, _ = iris

    model = Estimator(encoder=normalised_network, **SMALL).fit(X)
    names = [name for name in model.module_.state_dict() if "num_batches" in name]
    assert names
    wanted = results(model, X)
    copied = opened(model)
    state, expected = copied.module_.state_dict(), model.module_.state_dict()
    assert state.keys() == expected.keys()
    for name in expected:
        assert state[name].dtype == expected[name].dtype
        assert torch.equal(state[name], expected[name])
    assert_same_bits(results(copied, X), wanted)


def normalised_network(n_inputs, n_outputs):
    return nn.Sequential(
        nn.Linear(n_inputs, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, n_outputs)
    )


# --------------------------------------------------------------- another process


def results_of_files(folder):
    """What the models say that are in a folder, however they are opened."""
    X = np.load(folder / "X.npy")
    models = {
        path.name: pickle.loads(path.read_bytes()) for path in folder.glob("*.pickle")
    }
    for path in folder.glob("*.joblib"):
        models[path.name] = joblib.load(path)
        models[path.name + ", mapped"] = joblib.load(path, mmap_mode="r")
    return {name: results(model, X) for name, model in models.items()}


def test_another_process_computes_the_same_bits(iris, tmp_path, elsewhere):
    X, _ = iris
    np.save(tmp_path / "X.npy", X)

    def network(n_inputs, n_outputs):
        return own_network(n_inputs, n_outputs)

    expected = {}
    for Estimator in (AutoencoderTransformer, VAETransformer):
        name = Estimator.__name__
        model = Estimator(**SMALL).fit(X)
        (tmp_path / f"{name}.pickle").write_bytes(pickle.dumps(model))
        said = results(model, X)
        joblib.dump(model, tmp_path / f"{name}.joblib")
        for kind in ("pickle", "joblib", "joblib, mapped"):
            expected[f"{name}.{kind}"] = said
        local = Estimator(decoder=network, **SMALL).fit(X)
        expected[f"{name}-cloud.pickle"] = results(local, X)
        (tmp_path / f"{name}-cloud.pickle").write_bytes(cloudpickle.dumps(local))
    found = elsewhere(results_of_files, tmp_path)
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        assert_same_bits(found[name], wanted)


def change(model):
    """Change whatever numbers a module holds."""
    for tensor in model.module_.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(1.25)


def test_arrays_that_are_read_only_are_copied(Estimator, iris, tmp_path):
    X, _ = iris
    model = Estimator(warm_start=True, **SMALL).fit(X)
    expected = results(model, X)
    joblib.dump(model, tmp_path / "model.joblib")
    content = (tmp_path / "model.joblib").read_bytes()
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert_same_bits(results(mapped, X), expected)
    change(mapped)
    assert not np.allclose(mapped.transform(X), model.transform(X))
    fresh = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert_same_bits(results(fresh.fit(X), X), results(model.fit(X), X))
    assert (tmp_path / "model.joblib").read_bytes() == content


# ----------------------------------------------------------- what a pickle holds


class WithoutTorch(pickle.Unpickler):
    """Opens a pickle and refuses whatever torch would have to make."""

    def find_class(self, module, name):
        assert module.split(".")[0] != "torch", f"{module}.{name}"
        return super().find_class(module, name)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"warm_start": True},
        {"encoder": MLP((4,)), "likelihood": Gaussian()},
        {"device": "cpu", "init": "random", "solver": "sgd", "warm_start": True},
    ],
    ids=str,
)
def test_a_pickle_holds_arrays_and_plain_values(Estimator, parameters, iris):
    X, _ = iris
    model = Estimator(**(SMALL | parameters)).fit(X)
    expected = results(model, X)
    content = pickle.dumps(model)
    assert b"torch" not in content
    assert_same_bits(results(WithoutTorch(io.BytesIO(content)).load(), X), expected)


def test_a_stream_leaves_no_tensor_in_a_pickle(Estimator, iris):
    X, _ = iris
    content = pickle.dumps(Estimator(**SMALL).partial_fit(X).partial_fit(X))
    assert b"torch" not in content


def test_a_pickle_is_hardly_larger_for_having_been_used(fitted, iris):
    X, _ = iris
    copied = opened(fitted)
    before = len(pickle.dumps(copied))
    copied.transform(X)
    copied.score_samples(X)
    assert len(pickle.dumps(copied)) < 1.05 * before


# ------------------------------------------------------------ the user's changes


def test_changes_to_the_module_survive(fitted, iris):
    X = iris[0][:20]
    before = fitted.transform(X)
    change(fitted)
    changed = results(fitted, X)
    assert not np.allclose(changed["transform"], before)
    for copier in (copy.deepcopy, opened):
        assert_same_bits(results(copier(fitted), X), changed)
    twice = opened(opened(fitted))
    assert_same_bits(results(twice, X), changed)


def test_changes_to_the_module_of_an_opened_copy_stay_there(fitted, iris):
    X = iris[0][:20]
    before = results(fitted, X)
    copied = opened(fitted)
    change(copied)
    assert not np.allclose(copied.transform(X), before["transform"])
    assert_same_bits(results(fitted, X), before)


def test_the_module_is_one_object_in_eval_mode(fitted):
    for model in (fitted, opened(fitted)):
        assert isinstance(model.module_, nn.Module)
        assert model.module_ is model.module_
        assert not any(part.training for part in model.module_.modules())


@pytest.mark.parametrize("method", ["inverse_transform", "sample"])
def test_a_module_that_was_trained_further_decodes_as_it_is_used(fitted, method):
    model = opened(fitted)
    change(model)

    def decoded():
        if method == "sample":
            return model.sample(20, random_state=0)
        return model.inverse_transform(np.full((2, model.n_components_), 1e3))

    before = decoded()
    model.module_.train()
    np.testing.assert_array_equal(decoded(), before)


# ---------------------------------------------------------------- the density


def test_the_density_is_the_same_before_and_after_pickling(iris):
    X, _ = iris
    model = AutoencoderTransformer(**SMALL).fit(X)
    never_asked = opened(model)
    drawn = model.sample(50, random_state=0)
    asked = opened(model)
    for copied in (never_asked, asked, opened(never_asked), copy.deepcopy(model)):
        np.testing.assert_array_equal(copied.sample(50, random_state=0), drawn)
        for name in ("weights_", "means_", "covariances_"):
            np.testing.assert_array_equal(
                getattr(copied.latent_density_.mixture, name),
                getattr(model.latent_density_.mixture, name),
            )


def test_the_density_is_of_the_last_fit(iris):
    X, _ = iris
    model = AutoencoderTransformer(**SMALL).fit(X[:50])
    model.sample(5)
    model.fit(X)
    fresh = AutoencoderTransformer(**SMALL).fit(X)
    np.testing.assert_array_equal(
        model.sample(20, random_state=0), fresh.sample(20, random_state=0)
    )


# ------------------------------------------------------------- devices, threads


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_model_of_another_device_opens_on_the_cpu(fitted, device, iris):
    X, _ = iris
    expected = results(fitted, X)
    fitted.device = device
    fitted._stored.device = device
    copied = opened(fitted)
    assert copied.device == device
    assert_same_bits(results(copied, X), expected)
    assert copied.device_ == torch.device("cpu")


@pytest.mark.gpu
def test_a_model_goes_from_a_gpu_to_the_cpu(Estimator, iris):
    X, _ = iris
    model = Estimator(device="cuda", **SMALL).fit(X)
    assert model.device_.type == "cuda"
    copied = opened(model)
    copied._stored.device = "cpu"
    assert copied.device_.type == "cpu"
    for name, result in results(copied, X).items():
        if name not in ("sample", "means"):
            np.testing.assert_allclose(
                result, results(model, X)[name], rtol=1e-4, atol=1e-4
            )


def test_threads_rebuild_one_module(fitted, iris):
    X, _ = iris
    expected = fitted.transform(X)
    n_threads = 8
    for _ in range(3):
        copied = opened(fitted)
        together = threading.Barrier(n_threads)

        def use(_, copied=copied, together=together):
            together.wait()
            return copied.transform(X), copied.module_, pickle.dumps(copied)

        with ThreadPoolExecutor(n_threads) as pool:
            found = list(pool.map(use, range(n_threads)))
        for codes, module, content in found:
            np.testing.assert_array_equal(codes, expected)
            assert module is copied.module_
            np.testing.assert_array_equal(pickle.loads(content).transform(X), expected)


def fit_and_open_at_once():
    """Let threads open, use and train models that share torch's global stream."""
    X = np.random.RandomState(0).standard_normal((60, 4))
    parameters = SMALL | {"encoder": own_network, "early_stopping": False}
    for Estimator in (AutoencoderTransformer, VAETransformer):
        model = Estimator(warm_start=True, **parameters).fit(X)
        content = pickle.dumps(model)
        expected = pickle.loads(content).fit(X).transform(X)

        def work(_, content=content):
            copied = pickle.loads(content)
            copied.transform(X)
            return copied.fit(X).transform(X)

        with ThreadPoolExecutor(4) as pool:
            for codes in pool.map(work, range(8)):
                np.testing.assert_array_equal(codes, expected)


def test_threads_fit_and_open_at_once(elsewhere):
    elsewhere(fit_and_open_at_once)
