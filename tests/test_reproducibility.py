"""The same seed gives the same bits, and nothing else is touched or looked at."""

import random

import numpy as np
import pytest
import torch
from given import images
from results import assert_same_bits, results, results_of_rows
from scipy import sparse
from sklearn.model_selection import cross_validate
from torch import nn

from skae import AutoencoderTransformer, VAETransformer
from skae.estimators.inference import map_blocks
from skae.networks import Conv

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3}


def own_network(n_inputs, n_outputs):
    return nn.Sequential(
        nn.Linear(n_inputs, 6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, n_outputs)
    )


VARIANTS = {
    "defaults": {"max_iter": 2},
    "random start": SMALL | {"init": "random"},
    "no early stopping": SMALL | {"early_stopping": False},
    "bernoulli": SMALL | {"likelihood": "bernoulli"},
    "sgd": SMALL | {"solver": "sgd"},
    "own network": SMALL | {"encoder": own_network},
}


# ------------------------------------------------------------------- same bits


@pytest.mark.parametrize("parameters", VARIANTS.values(), ids=VARIANTS)
def test_a_seed_gives_the_same_bits_again(Estimator, as_trained, parameters, digits):
    X = digits[0][:80, 20:36] / 16
    parameters = parameters | as_trained | {"random_state": 3}
    first = Estimator(**parameters).fit(X)
    torch.rand(7)
    second = Estimator(**parameters).fit(X)
    assert_same_bits(results_of_rows(second, X), results_of_rows(first, X))
    assert second.loss_curve_ == first.loss_curve_
    for name, tensor in first.module_.state_dict().items():
        assert torch.equal(second.module_.state_dict()[name], tensor)


def test_a_seed_gives_the_same_density_again(Estimator, iris):
    X, _ = iris
    first, second = (Estimator(random_state=3, **SMALL).fit(X) for _ in range(2))
    assert_same_bits(results(second, X), results(first, X))


def test_another_seed_gives_another_model(Estimator, iris):
    X, _ = iris
    parameters = SMALL | {"early_stopping": False}
    one = Estimator(random_state=1, **parameters).fit(X)
    two = Estimator(random_state=2, **parameters).fit(X)
    assert not np.array_equal(one.transform(X), two.transform(X))


def test_no_seed_gives_another_model_each_time(Estimator, iris):
    X, _ = iris
    parameters = SMALL | {"early_stopping": False}
    np.random.seed(0)
    one = Estimator(**parameters).fit(X)
    np.random.seed(0)
    two = Estimator(**parameters).fit(X)
    assert not np.array_equal(one.transform(X), two.transform(X))
    assert not np.array_equal(one.sample(3), one.sample(3))


def test_a_random_state_instance_is_a_stream(Estimator, iris):
    X, _ = iris
    parameters = SMALL | {"early_stopping": False}
    one = Estimator(random_state=np.random.RandomState(5), **parameters).fit(X)
    codes = one.transform(X)
    same = Estimator(random_state=np.random.RandomState(5), **parameters).fit(X)
    np.testing.assert_array_equal(same.transform(X), codes)
    assert not np.array_equal(one.fit(X).transform(X), codes)


def test_samples_follow_their_own_seed(Estimator, iris):
    model = Estimator(random_state=0, **SMALL).fit(iris[0])
    drawn = model.sample(6, random_state=1)
    np.testing.assert_array_equal(model.sample(6, random_state=1), drawn)
    stream = np.random.RandomState(1)
    np.testing.assert_array_equal(
        model.sample(6, random_state=stream),
        model.sample(6, random_state=np.random.RandomState(1)),
    )
    assert not np.array_equal(model.sample(6, random_state=2), drawn)
    assert not np.array_equal(model.sample(6, random_state=stream), drawn)


def computed():
    """What models made with defaults say about images."""
    X, found = images(80), {}
    for Estimator in (AutoencoderTransformer, VAETransformer):
        for dtype in (np.float32, np.float64):
            model = Estimator(3, max_iter=3, random_state=0).fit(X.astype(dtype))
            name = f"{Estimator.__name__} {np.dtype(dtype)}"
            found[name + " codes"] = model.transform(X)
            found[name + " rows"] = model.reconstruct(X)
            found[name + " drawn"] = model.sample(5, random_state=0)
            found[name + " loss"] = model.loss_curve_
    return found


def test_two_processes_compute_the_same_bits(elsewhere):
    found, expected = elsewhere(computed), computed()
    assert len(found) == 16
    assert_same_bits(found, expected)


def test_one_worker_and_two_agree(Estimator, iris):
    X = iris[0][:60]
    model = Estimator(random_state=0, **SMALL)
    one, two = (
        cross_validate(model, X, cv=2, n_jobs=n_jobs, return_estimator=True)
        for n_jobs in (1, 2)
    )
    np.testing.assert_allclose(two["test_score"], one["test_score"], rtol=1e-5)
    for first, second in zip(one["estimator"], two["estimator"], strict=True):
        np.testing.assert_allclose(
            second.transform(X), first.transform(X), rtol=1e-4, atol=1e-5
        )


def test_the_order_of_rows_does_not_matter(Estimator, iris):
    X = iris[0][:60]
    model = Estimator(random_state=0, **SMALL).fit(X)
    order = np.random.RandomState(0).permutation(len(X))
    shuffled = Estimator(random_state=0, **SMALL).fit(X[order])
    assert_same_bits(results_of_rows(shuffled, X), results_of_rows(model, X))


def test_the_layout_of_memory_does_not_matter(Estimator, iris):
    X = iris[0][:60]
    expected = results_of_rows(Estimator(random_state=0, **SMALL).fit(X), X)
    wide = np.repeat(X, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(X), wide, X.tolist()):
        other = Estimator(random_state=0, **SMALL).fit(same)
        assert_same_bits(results_of_rows(other, same), expected)


# ------------------------------------------------------------ nothing is touched


def global_streams():
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def assert_same_streams(found, expected):
    assert found[0] == expected[0]
    for one, other in zip(found[1], expected[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert torch.equal(found[2], expected[2])


@pytest.mark.parametrize(
    ("random_state", "encoder"),
    [
        (0, None),
        (0, own_network),
        (None, own_network),
        (np.random.RandomState(0), own_network),
        (None, Conv((2, 2), channels=(3,))),
    ],
)
def test_global_streams_stay_where_they_are(Estimator, random_state, encoder, iris):
    X, y = (part[:40] for part in iris)
    before = global_streams()
    model = Estimator(random_state=random_state, encoder=encoder, **SMALL)
    model.fit(X, y).fit(X, sample_weight=np.ones(len(X)))
    model.fit_transform(X)
    results_of_rows(model, X)
    model.score(X)
    model.sample(5)
    model.sample(5, random_state=0)
    model.partial_fit(X)
    assert_same_streams(global_streams(), before)


@pytest.mark.parametrize("encoder", [None, own_network])
def test_global_streams_stay_where_they_are_after_an_error(Estimator, encoder, iris):
    X, _ = iris
    before = global_streams()
    for error in (ZeroDivisionError, KeyboardInterrupt):
        model = Estimator(encoder=encoder, random_state=0, **SMALL)
        model.set_callbacks(Raiser(error))
        with pytest.raises(error):
            model.fit(X)
    assert_same_streams(global_streams(), before)


class Raiser:
    """A callback that raises an error when fit begins."""

    def __init__(self, error, in_epoch=False):
        self.error, self.in_epoch = error, in_epoch

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        if self.in_epoch == (context.parent is not None):
            raise self.error("from the callback")

    def on_fit_task_end(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass


def torch_settings():
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "device": torch.get_default_device(),
    }


@pytest.fixture(params=[1, 2], ids="{} threads".format)
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_outputs", [2, 10_000])
def test_threads_take_part_where_codes_become_long_rows(n_threads, n_outputs):
    seen = []

    def decode(z):
        seen.append(torch.get_num_threads())
        return z

    map_blocks(decode, np.ones((3, 2)), 0, torch.device("cpu"), n_outputs=n_outputs)
    assert seen == [n_threads if n_outputs > 2 else 1]


@pytest.mark.parametrize(("n_outputs", "n_together"), [(4096, 256), (100_000, 64)])
def test_fewer_codes_are_decoded_together_where_they_become_long_rows(
    n_outputs, n_together
):
    seen = []

    def decode(z):
        seen.append(len(z))
        return z

    for n_codes in (1, 300):  # how many are asked for says nothing
        codes = np.ones((n_codes, 2))
        map_blocks(decode, codes, 0, torch.device("cpu"), n_outputs=n_outputs)
    assert set(seen) == {n_together}


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def default_dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


def test_settings_of_torch_are_put_back(Estimator, n_threads, default_dtype, iris):
    X = iris[0][:40]
    before = torch_settings()
    assert before["threads"] == n_threads
    assert before["dtype"] == default_dtype
    model = Estimator(random_state=0, **SMALL).fit(X)
    model.transform(X)
    model.sample(3)
    model.partial_fit(X)
    assert torch_settings() == before


@pytest.mark.usefixtures("default_dtype")
def test_settings_of_torch_are_put_back_after_an_error(Estimator, n_threads, iris):
    X, _ = iris
    before = torch_settings()
    model = Estimator(random_state=0, **SMALL)
    with pytest.raises(ZeroDivisionError):
        model.set_callbacks(Raiser(ZeroDivisionError, in_epoch=True)).fit(X)
    assert torch_settings() == before
    with pytest.warns(UserWarning, match="interrupted"):
        model.set_callbacks(Raiser(KeyboardInterrupt, in_epoch=True)).fit(X)
    assert torch_settings() == before
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X * np.nan)
    assert torch_settings() == before


@pytest.mark.parametrize(
    "parameters",
    [SMALL, SMALL | {"encoder": own_network}, SMALL | {"likelihood": "bernoulli"}],
    ids=["perceptron", "own network", "bernoulli"],
)
def test_the_default_dtype_of_torch_does_not_matter(Estimator, parameters, iris):
    X = iris[0][:40] / 10
    expected = Estimator(random_state=0, **parameters).fit(X)
    torch.set_default_dtype(torch.float64)
    try:
        model = Estimator(random_state=0, **parameters).fit(X)
        found = results_of_rows(model, X)
        drawn = model.sample(5, random_state=0)
    finally:
        torch.set_default_dtype(torch.float32)
    if "encoder" not in parameters:
        assert_same_bits(found, results_of_rows(expected, X))
        np.testing.assert_array_equal(drawn, expected.sample(5, random_state=0))
    assert found["transform"].dtype == np.float64
    assert model.transform(X.astype(np.float32)).dtype == np.float32


def test_rows_are_left_as_they_are(Estimator, iris):
    X = iris[0][:60].copy()
    X_val, weight = X[:40].copy(), np.arange(len(X)) % 3.0
    copies = X.copy(), X_val.copy(), weight.copy()
    model = Estimator(random_state=0, **SMALL).fit(X, None, weight, X_val)
    results_of_rows(model, X)
    for found, expected in zip((X, X_val, weight), copies, strict=True):
        np.testing.assert_array_equal(found, expected)


# ---------------------------------------------- a row does not depend on its company

N_ROWS = 60


def companies(n_rows):
    """Which rows are asked for together."""
    rng = np.random.RandomState(0)
    return {
        "permuted": rng.permutation(n_rows),
        "some": np.sort(rng.choice(n_rows, n_rows // 3, replace=False)),
        "repeated": np.repeat([3, 0, n_rows - 1], 5),
        "three": np.array([n_rows - 1, 2, 7]),
        **{f"row {i}": np.array([i]) for i in (0, n_rows - 1)},
    }


@pytest.fixture(scope="module")
def wide_rows():
    rng = np.random.RandomState(0)
    latent = rng.standard_normal((N_ROWS, 4))
    X = np.tanh(latent @ rng.standard_normal((4, 65)))
    return X + 0.1 * rng.standard_normal(X.shape)


@pytest.mark.parametrize(
    ("n_columns", "dtype", "parameters"),
    [
        (3, np.float32, {"hidden_layer_sizes": (33, 7)}),
        (5, np.float32, {"hidden_layer_sizes": "auto"}),
        (5, np.float64, {"hidden_layer_sizes": "auto"}),
        (13, np.float64, {"hidden_layer_sizes": (33, 7)}),
        (33, np.float32, {"hidden_layer_sizes": (17,), "n_components": 3}),
        (33, np.float64, {"hidden_layer_sizes": (9,), "init": "random"}),
        (65, np.float32, {"hidden_layer_sizes": (), "n_components": 5}),
        (65, np.float64, {"hidden_layer_sizes": (), "n_components": 5}),
        (25, np.float32, {"encoder": Conv((5, 5), channels=(3,))}),
    ],
    ids=str,
)
def test_a_row_does_not_depend_on_its_company(
    Estimator, n_columns, dtype, parameters, wide_rows
):
    X = wide_rows[:, :n_columns].astype(dtype)
    model = Estimator(max_iter=2, random_state=0, **parameters).fit(X)
    if Estimator is VAETransformer:
        model.set_params(n_score_samples=4)
    expected = results_of_rows(model, X)
    assert all(found.dtype == dtype for found in expected.values())
    for company, index in companies(len(X)).items():
        found = results_of_rows(model, X[index])
        for name in expected:
            np.testing.assert_array_equal(
                found[name], expected[name][index], err_msg=f"{name}, {company}"
            )


def test_a_row_does_not_depend_on_how_many_others_there_are(Estimator, iris):
    X = iris[0][:100]
    model = Estimator(random_state=0, **SMALL).fit(X)
    if Estimator is VAETransformer:
        model.set_params(n_score_samples=2)
    expected = results_of_rows(model, X)
    many = results_of_rows(model, np.tile(X, (20, 1)))
    for name in expected:
        for part in np.split(many[name], 20):
            np.testing.assert_array_equal(part, expected[name], err_msg=name)


def test_a_row_does_not_depend_on_its_container(Estimator, digits):
    X = digits[0][:60]
    model = Estimator(random_state=0, **SMALL).fit(X)
    expected = results_of_rows(model, X)
    for same in (
        np.asfortranarray(X),
        np.repeat(X, 2, axis=1)[:, ::2],
        X.tolist(),
        sparse.csr_array(X),
        sparse.csc_matrix(X),
    ):
        assert_same_bits(results_of_rows(model, same), expected)


def test_a_row_of_column_major_rows_has_the_score_that_it_has_alone():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 11))
    X += 0.5 * rng.normal(size=X.shape)
    model = VAETransformer(2, likelihood="gaussian_diag", max_iter=3, random_state=0)
    model.fit(X)
    X[::5] *= 10  # where the start has a share of the density
    columns = np.asfortranarray(X)
    scores = model.score_samples(columns)
    np.testing.assert_array_equal(scores, model.score_samples(X))
    for i in range(0, 200, 20):
        assert model.score_samples(columns[i : i + 1])[0] == scores[i]


def test_a_row_of_a_likelihood_without_centre_keeps_its_bits(Estimator, digits):
    X = digits[0][:60] / 16
    model = Estimator(likelihood="bernoulli", random_state=0, **SMALL).fit(X)
    expected = results_of_rows(model, X)
    for index in companies(len(X)).values():
        for name, found in results_of_rows(model, X[index]).items():
            np.testing.assert_array_equal(found, expected[name][index], err_msg=name)


def test_scores_have_no_luck(iris):
    X = iris[0][:40]
    for Estimator in (AutoencoderTransformer, VAETransformer):
        model = Estimator(random_state=0, **SMALL).fit(X)
        np.testing.assert_array_equal(model.score_samples(X), model.score_samples(X))
        assert model.score(X) == model.score(X)


def test_seeds_of_every_kind_are_taken(Estimator):
    X = images(60)
    for seed in (0, 2**32 - 1, np.int64(3), np.random.RandomState(0), None):
        parameters = SMALL | {"random_state": seed, "max_iter": 1}
        assert Estimator(2, **parameters).fit(X).n_iter_ >= 1
