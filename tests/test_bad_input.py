"""What is wrong is refused by name, before training, and changes nothing."""

import copy
import datetime
import functools
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from skae import AutoencoderTransformer, VAETransformer
from skae.estimators import checking
from skae.likelihoods import Gaussian
from skae.networks import MLP, Conv
from skae.priors import Normal

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}

NAMES = list("abcde")


def rows(n_rows=20, n_features=5):
    return np.random.default_rng(0).normal(size=(n_rows, n_features))


@pytest.fixture
def no_step():
    """Fail a test that takes a step of any optimizer after this is called."""
    handles = []

    def refuse(optimizer, args, kwargs):
        raise AssertionError("training has begun")

    yield lambda: handles.append(register_optimizer_step_pre_hook(refuse))
    for handle in handles:
        handle.remove()


def shares():
    return np.clip(np.abs(rows()), 0, 1)


def fitted(Estimator, X=None, **parameters):
    if X is None:
        return copy.deepcopy(fitted_once(Estimator, **parameters))
    return Estimator(2, **SMALL | parameters).fit(X)


@functools.cache
def fitted_once(Estimator, likelihood="gaussian", **parameters):
    X = shares() if likelihood == "bernoulli" else rows()
    model = Estimator(2, likelihood=likelihood, **SMALL | parameters).fit(X)
    model.sample()  # what is found when it is asked for is found once
    return model


def attributes(model):
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


def assert_refused(model, match, actions, X, error=(ValueError, TypeError)):
    """An action or each of some fails, and leaves a fitted model as it was."""
    before, codes, drawn = (
        attributes(model),
        model.transform(X),
        model.sample(2, random_state=0),
    )
    for action in actions if isinstance(actions, list) else [actions]:
        with pytest.raises(error, match=match):
            action()
    np.testing.assert_equal(attributes(model), before)
    np.testing.assert_array_equal(model.transform(X), codes)
    np.testing.assert_array_equal(model.sample(2, random_state=0), drawn)


# ---------------------------------------------------------------------- parameters


def no_module(n_inputs, n_outputs):
    return n_inputs


def too_wide(n_inputs, n_outputs):
    return nn.Linear(n_inputs, n_outputs + 1)


def too_flat(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 1), nn.Flatten(0))


def for_other_rows(n_inputs, n_outputs):
    return nn.Linear(n_inputs + 2, n_outputs)


MADE = nn.Linear(5, 2)


# From a parameter to values that are wrong. The message names the parameter.
WRONG = {
    "n_components": [0, -1, 2.5, 1.0, 0.0, True, 6, "two", None, [2]],
    "hidden_layer_sizes": [
        (-3,),
        (0,),
        (8, -1),
        (2.5,),
        ("a",),
        (True,),
        -1,
        "big",
        None,
    ],
    "activation": ["softplus", None, nn.SiLU],
    "encoder": [3, "conv", no_module, too_wide, too_flat, for_other_rows, MLP, MADE],
    "decoder": [3, "conv", no_module, too_wide, too_flat, for_other_rows, Conv, MADE],
    "init": ["svd", None],
    "likelihood": ["cauchy", None, 3, Gaussian, [], [("gaussian", [0])]],
    "solver": ["lbfgs", None, int, nn.Linear, functools.partial(print), torch.optim],
    "learning_rate_init": [0, -1.0, "fast", None, np.nan],
    "alpha": [-1.0, "some", None, np.nan],
    "batch_size": [0, -1, 2.5, "big", None, True],
    "max_iter": [-1, 1.5, "many", None, True],
    "tol": [-1.0, None],
    "early_stopping": ["yes", None, 2],
    "validation_fraction": [0, 0.0, 1.0, -0.1, 1.5, 0.99, None, "some"],
    "n_iter_no_change": [0, 1.5, None, True],
    "precision": ["double", None],
    "device": ["gpu", "meta", "cuda:99", 3, None],
    "warm_start": ["yes", None],
    "random_state": ["seed", -1, 0.5],
    "verbose": ["loud", -1],
}

OF_AN_AUTOENCODER = {"n_refinements": [-1, 1001, 2.5, "few", None, True]}

OF_A_VAE = {
    "beta": [-1.0, "auto", None, np.nan],
    "prior": ["no", None, 3],
    "posterior": ["low-rank", None],
    "divergence": ["js", None],
    "kl_warmup": [-0.1, 2, None, np.nan],
    "free_bits": [-1, None, np.nan],
    "n_importance_samples": [0, -1, 2.5, None, True],
    "n_score_samples": [0, -1, 2.5, None, True],
}


def assert_parameters_are_refused(Estimator, wrong, match, no_step):
    """Each of some sets of parameters, by a fitted model and by an unfitted one."""
    model, X = fitted(Estimator), rows()
    no_step()

    def fit_again_with(parameters):
        usual = model.get_params(deep=False)
        try:
            model.set_params(**parameters).fit(X)
        finally:
            model.set_params(**usual)

    actions = [functools.partial(fit_again_with, parameters) for parameters in wrong]
    assert_refused(model, match, actions, X)
    for parameters in wrong:
        unfitted = Estimator(2, **SMALL).set_params(**parameters)
        with pytest.raises((ValueError, TypeError), match=match):
            unfitted.fit(X)
        assert attributes(unfitted) == {}
        with pytest.raises(NotFittedError):
            unfitted.transform(X)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_parameter_is_refused_by_name(Estimator, name, no_step):
    wrong = [{name: value} for value in WRONG[name]]
    assert_parameters_are_refused(Estimator, wrong, name, no_step)


# From a parameter to specs of something else, and what the message says.
OTHER_KINDS = {
    "encoder": ([Gaussian(), Normal()], r"encoder=\w+\(\) is no network; give"),
    "decoder": ([Gaussian(), Normal()], r"decoder=\w+\(\) is no network; give"),
    "likelihood": ([MLP(), Normal()], r"likelihood=\w+\(\) is no likelihood; use"),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_a_spec_of_another_kind_is_refused_by_name(Estimator, name, no_step):
    values, match = OTHER_KINDS[name]
    wrong = [{name: value} for value in values]
    assert_parameters_are_refused(Estimator, wrong, match, no_step)


def test_a_prior_of_another_kind_is_refused_by_name(no_step):
    wrong = [{"prior": value} for value in (MLP(), Gaussian())]
    match = r"prior=\w+\(\) is no prior; use"
    assert_parameters_are_refused(VAETransformer, wrong, match, no_step)


@pytest.mark.parametrize("name", OF_AN_AUTOENCODER)
def test_a_wrong_parameter_of_an_autoencoder_is_refused_by_name(name, no_step):
    wrong = [{name: value} for value in OF_AN_AUTOENCODER[name]]
    assert_parameters_are_refused(AutoencoderTransformer, wrong, name, no_step)


@pytest.mark.parametrize("name", OF_A_VAE)
def test_a_wrong_parameter_of_a_vae_is_refused_by_name(name, no_step):
    wrong = [{name: value} for value in OF_A_VAE[name]]
    assert_parameters_are_refused(VAETransformer, wrong, name, no_step)


# Values that are wrong together: parameters, and what the message says.
WRONG_TOGETHER = {
    "weight decay where there is none": (
        {"alpha": 0.1, "solver": torch.optim.LBFGS},
        "alpha",
    ),
    "weight decay for a partial without": (
        {"alpha": 0.1, "solver": functools.partial(torch.optim.LBFGS, max_iter=2)},
        "alpha",
    ),
    "widths in a spec": ({"encoder": MLP((-1,))}, "encoder__hidden_layer_sizes"),
    "activation in a spec": (
        {"decoder": MLP((3,), activation="soft")},
        "decoder__activation",
    ),
    "images of another size": ({"encoder": Conv((8, 8))}, "image_shape"),
    "images of no shape": ({"encoder": Conv((5,))}, "image_shape"),
    "images of negative height": ({"encoder": Conv((-1, -5))}, "image_shape"),
    "no feature maps": (
        {"encoder": Conv((1, 5), channels=(0,))},
        r"encoder__channels=\(0,\): give the number",
    ),
    "no convolution": (
        {"encoder": Conv((1, 5), channels=())},
        r"encoder__channels=\(\): give the number",
    ),
    "activation of a convolution": (
        {"encoder": Conv((1, 5), activation="swish")},
        "encoder__activation='swish': choose",
    ),
    "images of another size, decoded": ({"decoder": Conv((8, 8))}, "image_shape"),
    "as many components as a random start allows": (
        {"init": "random", "n_components": 0},
        "n_components",
    ),
    "a share of the components of a random start": (
        {"init": "random", "n_components": 2.5},
        "n_components",
    ),
}


@pytest.mark.parametrize("name", WRONG_TOGETHER)
def test_parameters_that_do_not_fit_together_are_refused(Estimator, name, no_step):
    parameters, match = WRONG_TOGETHER[name]
    assert_parameters_are_refused(Estimator, [parameters], match, no_step)


@pytest.mark.parametrize("as_device", [str, torch.device])
def test_a_device_that_is_not_there_is_refused(Estimator, as_device, no_step):
    absent = as_device("mps" if torch.cuda.is_available() else "cuda")
    assert_parameters_are_refused(Estimator, [{"device": absent}], "device", no_step)


def test_more_components_than_rows_or_columns_name_the_limit(Estimator):
    for X, limit in ((rows(4, 9), 4), (rows(9, 4), 4)):
        with pytest.raises(ValueError, match=rf"n_components=5 .*{limit}.*random"):
            Estimator(5, **SMALL).fit(X)


def test_a_fraction_that_leaves_no_row_to_train_on_names_the_remedy(Estimator):
    model = Estimator(2, **SMALL, validation_fraction=0.999)
    with pytest.raises(ValueError, match=r"validation_fraction=0.999.*early_stopping"):
        model.fit(rows())
    # Nothing is held out where nothing judges, or others do.
    model.set_params(early_stopping=False).fit(rows())
    model.set_params(early_stopping=True).fit(rows(), X_val=rows())


def test_a_batch_larger_than_the_table_is_all_rows(Estimator):
    X = rows()
    model = fitted(Estimator, batch_size=10_000)
    np.testing.assert_array_equal(
        model.transform(X), fitted(Estimator, batch_size=20).transform(X)
    )


# ---------------------------------------------------------------------------- rows


def spoilt(value, n_features=5):
    X = rows(n_features=n_features)
    X[3, 2] = value
    return X


# Rows that are wrong in whatever method they come, and what the message says.
WRONG_ROWS = {
    "NaN": (spoilt(np.nan), "NaN"),
    "infinity": (spoilt(np.inf), "infinity"),
    "minus infinity": (spoilt(-np.inf), "infinity"),
    "NaN in float32": (spoilt(np.nan).astype(np.float32), "NaN"),
    "NaN in sparse rows": (sp.csr_array(spoilt(np.nan)), "NaN"),
    "infinity in sparse rows": (sp.csc_matrix(spoilt(np.inf)), "infinity"),
    "complex": (rows() + 1j, "[Cc]omplex"),
    "strings": (np.full((20, 5), "a"), "text has to become numbers first"),
    "text among numbers": ([[1, 2, 3, 4, "five"]] * 20, "'five'.*; text has to become"),
    "one dimension": (rows()[0], "2D"),
    "images": (rows().reshape(-1, 1, 5, 1), r"X: .*dim 4.* X\.reshape\(len\(X\), -1\)"),
    "a number": (3.0, "2D"),
    "nothing": (None, "2D|NoneType|NaN"),
    "no rows": (rows()[:0], "0 sample"),
    "no columns": (rows()[:, :0], "0 feature"),
    "ragged": ([[1.0, 2.0], [3.0]], "inhomogeneous|sequence"),
}

READERS = ["transform", "reconstruct", "score_samples", "score"]
METHODS = ["fit", "partial_fit", *READERS]


@pytest.mark.parametrize("name", WRONG_ROWS)
def test_wrong_rows_are_refused(Estimator, name, no_step):
    wrong, match = WRONG_ROWS[name]
    model = fitted(Estimator)
    no_step()
    actions = [functools.partial(getattr(model, method), wrong) for method in METHODS]
    assert_refused(model, match, actions, rows())


@pytest.mark.parametrize("name", WRONG_ROWS)
def test_wrong_rows_leave_an_unfitted_estimator_unfitted(Estimator, name):
    wrong, match = WRONG_ROWS[name]
    for method in ("fit", "partial_fit"):
        model = Estimator(2, **SMALL)
        with pytest.raises((ValueError, TypeError), match=match):
            getattr(model, method)(wrong)
        assert attributes(model) == {}


def test_a_single_row_is_no_table(Estimator, no_step):
    model = fitted(Estimator)
    no_step()
    assert_refused(model, "minimum of 2", lambda: model.fit(rows(1)), rows())


@pytest.mark.parametrize("n_features", [1, 4, 6])
def test_another_number_of_columns_is_refused(Estimator, n_features):
    model, other = fitted(Estimator), rows(n_features=n_features)
    match = f"{n_features} features, but {Estimator.__name__} is expecting 5"
    methods = "partial_fit", *READERS
    actions = [functools.partial(getattr(model, method), other) for method in methods]
    assert_refused(model, match, actions, rows())


def test_fitting_again_to_wrong_rows_of_another_width_changes_nothing(Estimator):
    table = pd.DataFrame(rows(), columns=NAMES)
    model = fitted(Estimator, table)
    wrong = pd.DataFrame(spoilt(np.nan, 3), columns=list("xyz"))
    assert_refused(model, "NaN", lambda: model.fit(wrong), table)
    assert model.n_features_in_ == 5
    assert list(model.feature_names_in_) == NAMES
    too_narrow = pd.DataFrame(rows(n_features=1), columns=["x"])
    assert_refused(model, "n_components", lambda: model.fit(too_narrow), table)


# Rows that judge are named as what they are.
WRONG_JUDGES = {
    "NaN": spoilt(np.nan),
    "infinity": spoilt(np.inf),
    "complex": rows() + 1j,
    "strings": np.full((20, 5), "a"),
    "one dimension": rows()[0],
    "no rows": rows()[:0],
    "fewer columns": rows(n_features=4),
    "more columns": rows(n_features=6),
}


@pytest.mark.parametrize("name", WRONG_JUDGES)
def test_wrong_rows_that_judge_are_refused_by_name(Estimator, name, no_step):
    model, X = fitted(Estimator), rows()
    no_step()
    wrong = WRONG_JUDGES[name]
    assert_refused(model, "X_val", lambda: model.fit(X, X_val=wrong), X)


@pytest.mark.parametrize("scale", [1e30, 1e300])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "X_val"])
def test_rows_beyond_float32_change_nothing(Estimator, method, scale):
    X = rows()
    model = fitted(Estimator, warm_start=method == "fit")
    far = X.copy()
    far[3, 2] *= scale
    actions = {
        "fit": lambda: model.fit(far),
        "partial_fit": lambda: model.partial_fit(far),
        "X_val": lambda: model.fit(X, X_val=far),
    }
    name = "X_val" if method == "X_val" else "X"
    assert_refused(model, f"^{name}.*beyond what float32 holds", actions[method], X)


@pytest.mark.parametrize("index", [-3, 20, 10**9])
@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_matrix])
def test_damaged_sparse_rows_are_refused(Estimator, index, kind, no_step):
    model, X = fitted(Estimator), rows()
    no_step()
    damaged = kind(X)
    damaged.indices = damaged.indices.copy()
    damaged.indices[7] = index
    methods = model.fit, model.partial_fit, model.transform, model.score
    actions = [functools.partial(method, damaged) for method in methods]
    assert_refused(model, "^X is a sparse matrix with damaged", actions, X)


def test_dates_are_refused(Estimator, no_step):
    pl = pytest.importorskip("polars")
    model, X = fitted(Estimator), rows()
    no_step()
    days = np.full((20, 5), "2020-02-29", dtype="M8[D]")
    frame = pd.DataFrame(X, columns=NAMES).assign(a=pd.Timestamp("2020-02-29"))
    polars = pl.from_pandas(frame)
    times = polars.with_columns(a=datetime.time(12))
    objects = X.astype(object)
    objects[3, 1] = np.datetime64("2020-02-29", "ns")
    columns = pd.DataFrame(X).astype({0: object})
    columns[1] = pd.Series([np.timedelta64(1, "s")] * 20, dtype=object)
    moments = list(days.astype("M8[ns]"))
    of_objects = pl.DataFrame(X, schema=NAMES).with_columns(
        pl.Series("a", [np.datetime64("2020-02-29")] * 20, dtype=pl.Object)
    )
    actions = [
        functools.partial(method, wrong)
        for wrong in (
            *(days, days - days, frame, polars, times),
            *(objects, objects.tolist(), columns, moments, of_objects),
        )
        for method in (model.fit, model.transform)
    ]
    assert_refused(model, "^X: dates and durations", actions, X)


@pytest.mark.parametrize(
    "given",
    [list, lambda X: pd.DataFrame(X).astype({0: object})],
    ids=["a list of rows", "a column of objects"],
)
def test_numbers_become_no_objects_where_dates_are_looked_for(given, monkeypatch):
    X = rows(500, 400).astype(np.float32)
    wanted = given(X)
    # scikit-learn makes what it wants of them; here it is what is done before.
    monkeypatch.setattr(checking, "validate_data", lambda estimator, X, **kwargs: X)
    tracemalloc.start()
    try:
        assert checking.check_X(AutoencoderTransformer(), wanted) is wanted
        assert tracemalloc.get_traced_memory()[1] < 1.5 * X.nbytes
    finally:
        tracemalloc.stop()


def test_rows_of_unequal_length_are_refused(Estimator, no_step):
    model, X = fitted(Estimator), rows()
    no_step()
    wrong = [*X[:-1], X[-1, 1:]]
    actions = [functools.partial(use, wrong) for use in (model.fit, model.transform)]
    assert_refused(model, "inhomogeneous", actions, X)


@pytest.mark.parametrize(
    "dates",
    [
        [datetime.date(2020, 2, 29)] * 20,
        pd.period_range("2020", periods=20, freq="D"),
        pd.Categorical(pd.date_range("2020", periods=20)),
    ],
    ids=["objects", "periods", "categories"],
)
def test_dates_that_are_objects_get_advice_too(Estimator, dates, no_step):
    X = pd.DataFrame(rows(), columns=NAMES)
    model, wrong = fitted(Estimator, X), X.assign(a=dates)
    no_step()
    actions = [functools.partial(use, wrong) for use in (model.fit, model.transform)]
    assert_refused(model, r"^X: .* dates and times in a unit", actions, X)


def test_text_of_a_type_of_its_own_gets_the_same_advice():
    frame = pd.DataFrame({"a": pd.Categorical(["x", "y"] * 10), "b": range(20)})
    with pytest.raises(ValueError, match="OneHotEncoder"):
        AutoencoderTransformer(1).fit(frame)


def test_wrong_weights_change_nothing(Estimator, no_step):
    model, X = fitted(Estimator), rows()
    no_step()
    beyond = np.full(20, 1e307)
    wrong = (np.zeros(20), -np.ones(20), np.ones(3), np.full(20, np.nan), beyond)
    actions = [functools.partial(model.fit, X, sample_weight=w) for w in wrong]
    assert_refused(model, r"(?i)sample.weight", actions, X)


# ------------------------------------------------------------------------ Bernoulli


@pytest.mark.parametrize("value", [-0.001, 1.001, 255])
@pytest.mark.parametrize("as_format", [np.asarray, sp.csr_array])
def test_values_that_are_no_probabilities_are_refused(
    Estimator, value, as_format, no_step
):
    X = shares()
    wrong = X.copy()
    wrong[3, 2] = value
    wrong = as_format(wrong)
    model = fitted(Estimator, likelihood="bernoulli")
    no_step()
    actions = [functools.partial(getattr(model, method), wrong) for method in METHODS]
    actions += [functools.partial(model.fit, X, X_val=wrong)]
    assert_refused(model, r"likelihood='bernoulli'.*between 0 and 1", actions, X)


def test_integer_pixels_are_no_probabilities(Estimator):
    X = np.full((20, 5), 255, dtype=np.uint8)
    with pytest.raises(ValueError, match="MinMaxScaler"):
        Estimator(2, likelihood="bernoulli", **SMALL).fit(X)


# ------------------------------------------------------------- what comes after fit


@pytest.mark.parametrize(
    "method",
    ["transform", "inverse_transform", "reconstruct", "score_samples", "score"],
)
def test_an_unfitted_estimator_says_so(Estimator, method):
    with pytest.raises(NotFittedError, match=Estimator.__name__):
        getattr(Estimator(), method)(rows())


def test_an_unfitted_estimator_has_nothing_to_show(Estimator):
    with pytest.raises(NotFittedError):
        Estimator().sample()
    with pytest.raises(NotFittedError):
        Estimator().get_feature_names_out()
    names = ["module_", "device_", "n_iter_", "mean_", "loss_curve_", "n_components_"]
    for name in [*names, "latent_density_"]:
        assert not hasattr(Estimator(), name)


def test_a_wrong_number_of_samples_is_refused_by_name(Estimator):
    model, wrong = fitted(Estimator), (0, -1, 2.5, "3", None, [2], True)
    actions = [functools.partial(model.sample, n_samples) for n_samples in wrong]
    assert_refused(model, "n_samples", actions, rows())


def test_a_wrong_number_of_draws_is_refused_by_name():
    model = fitted(VAETransformer).set_params(n_score_samples=True)
    with pytest.raises(TypeError, match="n_score_samples=True must be an integer"):
        model.score_samples(rows())


def test_noise_is_true_or_false(Estimator):
    model, wrong = fitted(Estimator), ("no", None, 0, [True])
    actions = [functools.partial(model.sample, noise=noise) for noise in wrong]
    assert_refused(model, "noise=.* must be True or False", actions, rows())
    means = [model.sample(3, noise=no, random_state=0) for no in (False, np.False_)]
    np.testing.assert_array_equal(*means)


def test_deviations_are_asked_for_by_true_or_false():
    model = fitted(VAETransformer)
    action = functools.partial(model.transform, rows(), return_std="no")
    assert_refused(model, "return_std='no' must be True or False", action, rows())
    assert len(model.transform(rows(), return_std=np.True_)) == 2


def test_a_wrong_seed_of_samples_is_refused_by_name(Estimator):
    model, wrong = fitted(Estimator), ("x", -1, 0.5, [1, 2])
    actions = [functools.partial(model.sample, 2, random_state=seed) for seed in wrong]
    assert_refused(model, "(?i)random_state|seed", actions, rows())


WRONG_CODES = {
    "too few": (rows(3, 1), "2 codes"),
    "too many": (rows(3, 5), "2 codes"),
    "one dimension": (rows()[0, :2], "2D"),
    "NaN": (np.full((3, 2), np.nan), "^Input X contains NaN"),
    "infinity": (np.full((3, 2), np.inf), "infinity"),
    "complex": (rows(3, 2) + 1j, "[Cc]omplex"),
    "strings": (np.full((3, 2), "a"), "convert"),
    "no rows": (rows(3, 2)[:0], "0 sample"),
    "sparse": (sp.csr_array(rows(3, 2)), "^Sparse data was passed for X"),
}


@pytest.mark.parametrize("name", WRONG_CODES)
def test_wrong_codes_are_refused(Estimator, name):
    wrong, match = WRONG_CODES[name]
    model = fitted(Estimator)
    assert_refused(model, match, lambda: model.inverse_transform(wrong), rows())


def test_an_error_in_a_module_of_the_users_changes_nothing(Estimator):
    class Fails(nn.Module):
        def __init__(self, n_inputs, n_outputs):
            super().__init__()
            self.layer = nn.Linear(n_inputs, n_outputs)

        def forward(self, x):
            if self.training and len(x) > 3:  # not where it is tried out
                raise RuntimeError("my own mistake")
            return self.layer(x)

    model, X = fitted(Estimator), rows()
    model.set_params(encoder=Fails)
    assert_refused(model, "my own mistake", lambda: model.fit(X), X, RuntimeError)


@pytest.mark.parametrize(
    "unit", [np.float64(1e200), np.float64(1e100), np.float32(1e25)]
)
def test_values_beyond_float32_are_refused(Estimator, unit):
    with pytest.raises(ValueError, match=r"X: its values, .* beyond what float32"):
        Estimator(2, **SMALL).fit(rows().astype(unit.dtype) * unit)


def test_values_whose_squares_float32_does_not_hold_are_refused(Estimator):
    tiny = rows() * 1e-20
    with pytest.raises(ValueError, match=r"X: its values .* divide the columns"):
        Estimator(2, **SMALL).fit(tiny.astype(np.float32))
    start = Estimator(2, **SMALL | {"max_iter": 0}).fit(tiny)
    assert np.isfinite(start.score(tiny))
