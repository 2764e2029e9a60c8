"""Saving safely: skops opens skae's classes alone, and refuses what is not theirs."""

import copy
import io
import json
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from given import own_network
from results import assert_same_bits, results, results_of_rows
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import (
    TRUSTED_TYPES,
    AutoencoderTransformer,
    VAEOverSampler,
    VAETransformer,
)
from skae.estimators.opening import CHECKS, TRAINING
from skae.fitting.blueprint import Variational
from skae.likelihoods import LIKELIHOODS, Gaussian
from skae.networks import MLP, Conv
from skae.priors import PRIORS, Normal

sio = pytest.importorskip("skops.io")

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}


def opened(model):
    return sio.loads(sio.dumps(model), trusted=TRUSTED_TYPES)


@pytest.fixture(scope="module", params=[AutoencoderTransformer, VAETransformer])
def fitted(request, iris):
    """Fitted once for all tests, which write it to files and change what they read."""
    return request.param(**SMALL).fit(iris[0])


def assert_travels(model, X, results=results):
    expected = results(model, X)
    content = sio.dumps(model)
    names = sio.get_untrusted_types(data=content)
    assert names
    assert all(name.startswith("skae.") for name in names)
    copied = sio.loads(content, trusted=TRUSTED_TYPES)
    assert_same_bits(results(copied, X), expected)
    assert copied.get_params().keys() == model.get_params().keys()


# -------------------------------------------------------------------- what travels


@pytest.mark.parametrize(
    "parameters",
    [
        *({"likelihood": name} for name in LIKELIHOODS if name != "categorical"),
        {"likelihood": Gaussian()},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": "auto"},
        {"init": "random", "activation": "gelu"},
        {"encoder": MLP((5, 4), "tanh"), "decoder": MLP((3,))},
        {"encoder": Conv((4, 4), channels=(4,))},
        {"n_components": 0.5},
        {"n_components": np.int64(3)},
        {"device": torch.device("cpu")},
        pytest.param({"random_state": np.random.RandomState(0)}, id="a random state"),
        *({"warm_start": True, "solver": name} for name in ("adam", "sgd", "rmsprop")),
    ],
    ids=str,
)
def test_every_kind_of_model_needs_only_skae_trusted(
    Estimator, as_trained, parameters, digits
):
    X = np.round(digits[0][:60, 24:40] / 16)
    parameters = SMALL | as_trained | {"early_stopping": False} | parameters
    # Densities of codes travel with the rows of any container, below.
    assert_travels(Estimator(**parameters).fit(X), X, results_of_rows)


def mixed_rows():
    """Two measured columns and a category of three."""
    rng = np.random.default_rng(0)
    return np.hstack([rng.normal(size=(60, 2)), np.eye(3)[rng.integers(3, size=60)]])


MIXED = [("gaussian", [0, 1]), ("categorical", [2, 3, 4])]


def test_a_mixed_table_needs_only_skae_trusted(Estimator):
    X = mixed_rows()
    assert_travels(Estimator(**SMALL, likelihood=MIXED).fit(X), X)


def test_rows_of_any_container_leave_nothing_else_to_trust(Estimator, iris):
    X, _ = iris
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = Estimator(**SMALL).fit(frame)
    assert_travels(model, frame)
    assert list(opened(model).feature_names_in_) == list(frame)
    assert_travels(Estimator(**SMALL).fit(sp.csr_array(X)), X)


def test_an_estimator_that_is_not_fitted_travels(Estimator, iris):
    copied = opened(Estimator(**SMALL))
    expected = Estimator(**SMALL).fit(iris[0])
    assert_same_bits(results(copied.fit(iris[0]), iris[0]), results(expected, iris[0]))


def test_a_pipeline_travels(Estimator, iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), Estimator(**SMALL), LogisticRegression())
    content = sio.dumps(pipeline.fit(X, y))
    assert set(sio.get_untrusted_types(data=content)) <= set(TRUSTED_TYPES)
    np.testing.assert_array_equal(
        sio.loads(content, trusted=TRUSTED_TYPES).predict_proba(X),
        pipeline.predict_proba(X),
    )


def test_training_goes_on_where_it_stopped(Estimator, iris):
    X, _ = iris
    model = Estimator(warm_start=True, **SMALL).fit(X)
    copied = opened(model)
    assert_same_bits(results(copied.fit(X), X), results(model.fit(X), X))


def test_a_stream_goes_on_where_it_stopped(Estimator, iris):
    X, _ = iris
    model, copied = Estimator(3, **SMALL), Estimator(3, **SMALL)
    for part in (X[:2], X[2:50], X[50:]):  # the first has too few rows for a start
        model.partial_fit(part)
        copied = opened(copied).partial_fit(part)
    assert_same_bits(results(copied, X), results(model, X))


def test_trusted_types_are_the_classes_that_files_name(digits):
    X = digits[0][:60, 24:40] / 16
    named = set()
    for Estimator in (AutoencoderTransformer, VAETransformer):
        start = SMALL | {"max_iter": 0}
        mixed = Estimator(likelihood=MIXED, **start).fit(mixed_rows())
        named.update(sio.get_untrusted_types(data=sio.dumps(mixed)))
        for likelihood in set(LIKELIHOODS) - {"categorical"}:
            model = Estimator(likelihood=likelihood, **start).fit(np.round(X))
            model.sample()
            named.update(sio.get_untrusted_types(data=sio.dumps(model)))
    for prior in PRIORS:
        model = VAETransformer(prior=prior, **SMALL).fit(X)
        named.update(sio.get_untrusted_types(data=sio.dumps(model)))
    model.set_params(encoder=Conv((4, 4)))
    for each in (model, VAEOverSampler(vae=model)):
        named.update(sio.get_untrusted_types(data=sio.dumps(each)))
    assert named == set(TRUSTED_TYPES)


def test_a_factory_of_the_users_is_for_the_user_to_trust(Estimator, iris):
    X, _ = iris
    model = Estimator(encoder=own_network, **SMALL).fit(X)
    expected = results(model, X)
    content = sio.dumps(model)
    with pytest.raises(TypeError, match=r"given\.own_network"):
        sio.loads(content, trusted=TRUSTED_TYPES)
    copied = sio.loads(content, trusted=[*TRUSTED_TYPES, "given.own_network"])
    assert_same_bits(results(copied, X), expected)


# ------------------------------------------------------------- files that are refused


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_refused(fitted, share):
    content = sio.dumps(fitted)
    with pytest.raises(zipfile.BadZipFile):
        sio.loads(content[: int(share * len(content))], trusted=TRUSTED_TYPES)


def test_a_damaged_array_is_refused(fitted):
    content = bytearray(sio.dumps(fitted))
    content[content.index(b"\x93NUMPY") + 150] ^= 1
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        sio.loads(bytes(content), trusted=TRUSTED_TYPES)


def rewritten(content, change):
    """The file with its schema changed in place."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            if name != "schema.json":
                new.writestr(name, old.read(name))
        schema = json.loads(old.read("schema.json"))
        change(schema)
        new.writestr("schema.json", json.dumps(schema))
    return made.getvalue()


def text(value):
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
        "is_json": True,
    }


def tuple_of(*nodes):
    return {
        "__class__": "tuple",
        "__module__": "builtins",
        "__loader__": "TupleNode",
        "content": list(nodes),
    }


SYSTEM = {"__class__": "system", "__module__": "os"}


@pytest.mark.parametrize("where", ["encoder", "blueprint", "arrays", "mean_"])
@pytest.mark.parametrize("loader", ["FunctionNode", "TypeNode", "call", "object"])
def test_a_file_that_asks_for_a_command_is_refused(
    fitted, loader, where, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    command = text("touch ran")
    node = SYSTEM | {
        "call": {
            "__loader__": "ConstructorFromReduceNode",
            "content": tuple_of(command),
        },
        "object": {"__loader__": "ObjectNode", "content": command},
    }.get(loader, {"__loader__": loader})

    def change(schema):
        attributes = schema["content"]["content"]
        stored = attributes["_stored"]["content"]["content"]
        holder = attributes if where in attributes else stored
        assert where in holder
        holder[where] = node

    content = rewritten(sio.dumps(fitted), change)
    assert "os.system" in sio.get_untrusted_types(data=content)
    with pytest.raises(TypeError, match=r"os\.system"):
        sio.loads(content, trusted=TRUSTED_TYPES)
    assert not (tmp_path / "ran").exists()


def with_arrays(model, **arrays):
    model._stored._arrays.update(arrays)


def without_array(model):
    del model._stored._arrays["decoder.unit"]


def with_blueprint(model, **fields):
    model._stored.blueprint = replace(model._stored.blueprint, **fields)


def with_variational(model, **fields):
    parts = {"posterior": "diagonal", "prior": Normal()} | fields
    with_blueprint(model, variational=Variational(**parts))


def with_start(model, **fields):
    model._start = replace(model._start, **fields)


WEIGHT = "encoder.network.0.weight"

# A change of a fitted model's state, and what the refusal says.
DAMAGES = {
    "too short": (
        lambda m: with_arrays(m, **{WEIGHT: np.zeros((8, 3), np.float32)}),
        r"encoder\.network\.0\.weight.*of shape \(8, 4\)",
    ),
    "objects": (
        lambda m: with_arrays(m, **{WEIGHT: np.array([["a"] * 4] * 8, object)}),
        "an array of numbers",
    ),
    "a list": (lambda m: with_arrays(m, **{WEIGHT: [[0.0] * 4] * 8}), "an array of"),
    "integers": (
        lambda m: with_arrays(m, **{WEIGHT: np.zeros((8, 4), int)}),
        r"a type like torch\.float32",
    ),
    "one more": (lambda m: with_arrays(m, extra=np.zeros(1)), "arrays has to be named"),
    "one less": (without_array, "arrays has to be named"),
    "no arrays": (lambda m: setattr(m._stored, "_arrays", "none"), "a dict of arrays"),
    "device": (lambda m: setattr(m._stored, "device", 3), "device has to be a string"),
    "no blueprint": (
        lambda m: setattr(m._stored, "blueprint", MLP()),
        "blueprint has to be a Blueprint",
    ),
    "no module": (lambda m: setattr(m, "_stored", [1]), "_stored has to be a Stored"),
    "huge": (
        lambda m: with_blueprint(m, encoder=MLP((10**12,))),
        r"of shape \(1000000000000, 4\)",
    ),
    "negative": (lambda m: with_blueprint(m, n_components=-1), "n_components.*1 or mo"),
    "text": (lambda m: with_blueprint(m, n_features="4"), r"n_features.*an integer"),
    "widths": (lambda m: with_blueprint(m, encoder=MLP("x")), "encoder__hidden_layer"),
    "spec": (lambda m: with_blueprint(m, encoder=MLP), "encoder has to be a network"),
    "no spec": (lambda m: with_blueprint(m, decoder=3), "decoder has to be a network"),
    "likelihood": (lambda m: with_blueprint(m, likelihood=2), "a likelihood spec"),
    "seed": (lambda m: with_blueprint(m, seed=2**70), "seed has to be an integer from"),
    "reach": (lambda m: with_blueprint(m, reach=-1.0), "reach has to be a finite fl"),
    "endless": (lambda m: with_blueprint(m, reach=np.inf), "reach has to be a finite"),
    "from_pca": (lambda m: with_blueprint(m, from_pca="no"), "from_pca has to be a bo"),
    "variational": (lambda m: with_blueprint(m, variational=1.0), "a Variational"),
    "beta": (lambda m: with_variational(m, beta="1"), "beta has to be a number"),
    "posterior": (lambda m: with_variational(m, posterior="x"), "posterior has to be"),
    "divergence": (lambda m: with_variational(m, divergence=1), "divergence has to be"),
    "prior": (lambda m: with_variational(m, prior=3), "prior has to be a prior spec"),
    "draws": (
        lambda m: with_variational(m, n_importance_samples=0),
        "n_importance_samples has to be an integer",
    ),
    "rows seen": (lambda m: with_start(m, n_rows="4"), r"_start\.n_rows has to be a"),
    "noise": (lambda m: with_start(m, own_noise="x"), r"_start\.own_noise has to be"),
    "center": (lambda m: with_start(m, center=None), "center has to be an array"),
    "nan": (lambda m: m._stored._arrays[WEIGHT].fill(np.nan), "arrays.* without NaN"),
    "narrow": (
        lambda m: with_arrays(m, **{WEIGHT: np.zeros((8, 4), np.float16)}),
        r"a type like torch\.float32",
    ),
    "nan mean": (lambda m: m.mean_.fill(np.nan), "mean_ has to be without NaN"),
    "nan start": (lambda m: m._start.variance.fill(np.nan), "variance.* without NaN"),
    "no rows": (lambda m: with_start(m, n_rows=-1.0), "n_rows.* not below 0"),
    "no field": (
        lambda m: m._stored.blueprint.__dict__.pop("likelihood"),
        "no attribute 'likelihood'. The file is damaged",
    ),
    "no start's field": (lambda m: m._start.__dict__.pop("n_rows"), "no attribute"),
    "too wide": (
        lambda m: with_blueprint(m, n_components=10**15),
        "size calculation overflowed",
    ),
    "activation": (
        lambda m: with_blueprint(m, encoder=MLP((8,), activation=[1])),
        "unhashable|activation",
    ),
    "no epochs": (lambda m: m.__dict__.pop("n_iter_"), "n_iter_ has to be an integer"),
    "no loss": (lambda m: setattr(m, "start_loss_", None), "start_loss_ has to be a"),
    "no curve": (
        lambda m: setattr(m, "loss_curve_", 3),
        "loss_curve_ has to be a list",
    ),
    "objective": (
        lambda m: with_variational(m, n_importance_samples=2, free_bits=0.1),
        "do not go together",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_state_of_the_wrong_kind_is_refused(fitted, damage, message):
    damaged = opened(fitted)
    damage(damaged)
    for content, load in (
        (sio.dumps(damaged), lambda data: sio.loads(data, trusted=TRUSTED_TYPES)),
        (pickle.dumps(damaged), pickle.loads),
    ):
        with pytest.raises(ValueError, match=f"no fitted estimator.*{message}"):
            load(content)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mixture", LogisticRegression()),
        ("mixture", GaussianMixture()),
        ("scale", np.ones(5)),
    ],
)
def test_a_density_of_the_wrong_kind_is_refused(iris, name, value):
    model = AutoencoderTransformer(**SMALL).fit(iris[0])
    model.sample()
    model._density = replace(model.latent_density_, **{name: value})
    with pytest.raises(ValueError, match="no fitted estimator of skae"):
        opened(model)


@pytest.fixture(scope="module")
def vae(iris):
    """Never asked for a density, and therefore with codes that wait for one."""
    return VAETransformer(**SMALL).fit(iris[0])


@pytest.mark.parametrize(
    "waiting",
    [
        3,
        (np.zeros((3, 2)),),
        (np.zeros((3, 2)), [0, 1, 2]),
        (np.zeros((3, 1)), np.arange(3)),
        (np.zeros((3, 2)), np.arange(4)),
        (np.zeros((3, 2)), np.arange(3) - 1),
        (np.zeros((3, 2)), np.arange(3) * 10**12),
        (np.zeros((0, 2)), np.arange(0)),
        (np.full((3, 2), np.nan), np.arange(3)),
    ],
)
def test_codes_of_the_wrong_kind_are_refused(vae, waiting):
    model = opened(vae)
    assert model._prior_codes is not None
    model._prior_codes = waiting
    with pytest.raises(ValueError, match="_prior_codes has to be"):
        opened(model)


ROW = np.ones((1, 4))
ASTRAY = sp.csr_array(ROW)
ASTRAY.indices[0] = 9

# What may wait of a stream, which is given few rows or too few to begin with, and what
# the refusal says.
WRONG_WAITING = {
    "a number": (3, "rows and their weights"),
    "none": (None, "rows and their weights"),
    "no weights": ((ROW,), "rows and their weights"),
    "no array": (([[1.0] * 4], np.ones(1)), "finite rows of 4 columns"),
    "objects": ((ROW.astype(object), np.ones(1)), "finite rows of 4 columns"),
    "narrow": ((ROW[:, :3], np.ones(1)), "finite rows of 4 columns"),
    "NaN": ((ROW * np.nan, np.ones(1)), "finite rows of 4 columns"),
    "astray": ((ASTRAY, np.ones(1)), "finite rows of 4 columns"),
    "longer": ((ROW, np.ones(2)), "an array of floats"),
    "no floats": ((ROW, np.ones(1, int)), "an array of floats"),
    "negative": ((ROW, -np.ones(1)), "weights from 0"),
    "endless": ((ROW, np.full(1, np.inf)), "weights from 0"),
    "no rows": ((ROW[:0], np.ones(0)), "weights from 0"),
}


@pytest.mark.parametrize("n_rows", [1, 5])
@pytest.mark.parametrize("name", WRONG_WAITING)
def test_rows_that_cannot_wait_are_refused(Estimator, name, n_rows, iris):
    waiting, message = WRONG_WAITING[name]
    model = Estimator(**SMALL).partial_fit(iris[0][:n_rows])
    model._waiting = waiting
    with pytest.raises(ValueError, match=f"_waiting has to be .*{message}"):
        pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, np.float32, np.uint8])
@pytest.mark.parametrize("n_rows", [1, 5])
def test_rows_that_wait_are_opened(Estimator, kind, n_rows, iris):
    X = kind(iris[0])
    model = Estimator(**SMALL).partial_fit(X[:n_rows])
    copied = pickle.loads(pickle.dumps(model)).partial_fit(X[n_rows:])
    model.partial_fit(X[n_rows:])
    np.testing.assert_array_equal(copied.transform(X), model.transform(X))


def test_a_stream_after_a_fit_is_told_by_a_bool(fitted):
    model = opened(fitted)
    model._after_fit = "no"
    with pytest.raises(ValueError, match="_after_fit has to be a bool"):
        opened(model)


def test_a_state_with_a_part_missing_is_refused(fitted):
    needed = set(fitted._hidden_state) & set(vars(fitted))
    needed -= {"_stored", "_density", "_prior_codes"}
    assert len(needed) > 3
    for name in needed:
        model = opened(fitted)
        delattr(model, name)
        with pytest.raises(ValueError, match=f"{name} has to be"):
            opened(model)


def test_all_that_a_fit_hides_is_named_and_checked(fitted, Estimator, iris):
    waiting = Estimator(**SMALL).partial_fit(iris[0][:1])
    for model in fitted, waiting:
        hidden = {name for name in vars(model) if name[0] == "_"}
        assert hidden <= set(model._hidden_state) <= CHECKS.keys()


def test_codes_of_a_prior_that_is_not_fitted_are_refused(iris):
    model = VAETransformer(prior="normal", **SMALL).fit(iris[0])
    model._prior_codes = np.zeros((3, 2)), np.arange(3)
    with pytest.raises(ValueError, match="prior has to be one that is fitted"):
        opened(model)


def test_an_opened_file_has_run_nothing(fitted, iris):
    copied = opened(fitted)
    assert copied._stored.arrays is not None
    copied.transform(iris[0])
    assert copied._stored.arrays is None


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop", "adagrad"])
def test_a_state_of_the_optimizer_that_does_not_fit_is_refused(
    Estimator, as_trained, iris, solver
):
    # A fused step would read, and write, beyond the end of what is too short.
    X = iris[0][:40]
    parameters = SMALL | as_trained | {"warm_start": True}
    model = Estimator(solver=solver, **parameters).fit(X)
    before = results_of_rows(model, X)
    moments = model._training["optimizer"]["state"][0]
    damaged = [name for name in moments if name != "step"]
    assert damaged
    for name in damaged:
        copied = copy.deepcopy(model)
        copied._training["optimizer"]["state"][0][name] = np.zeros(1, np.float32)
        copied = opened(copied)
        with pytest.raises(ValueError, match=rf"solver='{solver}' does.*'{name}' has"):
            copied.fit(X)
        assert_same_bits(results_of_rows(copied, X), before)


def without(part):
    return lambda training: training.pop(part)


# A change of what a training has left behind, and what the refusal says.
DAMAGED_TRAININGS = {
    **{part: (without(part), "_training has to be of") for part in TRAINING},
    "kind": (lambda t: t.update(plateau=None), r"'plateau'\] has to be of type dict"),
    "count": (lambda t: t["clipping"].update(n_seen=-1), "'n_seen'.* a number from 0"),
}


@pytest.mark.parametrize(
    ("damage", "message"), DAMAGED_TRAININGS.values(), ids=DAMAGED_TRAININGS
)
def test_a_damaged_state_of_a_training_is_refused(iris, damage, message):
    model = AutoencoderTransformer(warm_start=True, **SMALL).fit(iris[0])
    content = pickle.dumps(model)
    damaged = pickle.loads(content)
    damage(damaged._training)
    with pytest.raises(ValueError, match=message):
        pickle.loads(pickle.dumps(damaged))
    pickle.loads(content)


def test_what_a_far_part_of_a_stream_has_left_opens_again(Estimator, iris):
    model = Estimator(2, **SMALL).partial_fit(iris[0]).partial_fit(iris[0] * 1e12)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.transform(iris[0]), model.transform(iris[0]))


# ------------------------------------------------------------------ another process

OPEN_ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np
import skops.io
import skae

folder = Path(sys.argv[1])
X = np.load(folder / "X.npy")
for path in folder.glob("*.skops"):
    pipeline = skops.io.load(path, trusted=skae.TRUSTED_TYPES)
    np.save(path.with_suffix(".npy"), pipeline.predict_proba(X))
"""


def test_another_process_predicts_the_same(iris, tmp_path):
    X, y = iris
    np.save(tmp_path / "X.npy", X)
    expected = {}
    for Estimator in (AutoencoderTransformer, VAETransformer):
        steps = (StandardScaler(), Estimator(**SMALL), LogisticRegression())
        pipeline = make_pipeline(*steps).fit(X, y)
        sio.dump(pipeline, tmp_path / f"{Estimator.__name__}.skops")
        expected[f"{Estimator.__name__}.npy"] = pipeline.predict_proba(X)
    subprocess.run([sys.executable, "-c", OPEN_ELSEWHERE, tmp_path], check=True)
    for name, probabilities in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / name), probabilities)
