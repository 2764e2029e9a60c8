"""A GPU gives what the CPU gives, or the device of ``tests/far`` in its place."""

import pickle
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from torch import nn

from skae import AutoencoderTransformer, VAETransformer
from skae.likelihoods import Bernoulli
from skae.networks import Conv

HAS_FAR = torch._C._get_privateuse1_backend_name() == "far"
DEVICE = "far" if HAS_FAR else "cuda"
QUICK = {"max_iter": 4, "precision": "float32", "random_state": 0}
# What few epochs gave would lose against the start, and PCA is all that were asked.
TRAINED = QUICK | {"early_stopping": False}

pytestmark = [] if HAS_FAR else [pytest.mark.gpu]

if HAS_FAR:

    @pytest.fixture(autouse=True)
    def found(monkeypatch):
        """Where skae looks for a GPU, there is the device."""
        monkeypatch.setattr("skae.device.ACCELERATORS", ("far",))

    @pytest.fixture(params=[True, False], ids=["float64", "no float64"])
    def has_float64(request, monkeypatch):
        """Whether the device has float64, as Apple's have not."""
        if request.param:
            return True
        monkeypatch.setenv("FAR_HAS_NO_FLOAT64", "1")
        for name, module in list(sys.modules.items()):
            if name.startswith("skae.") and hasattr(module, "widest_dtype"):
                monkeypatch.setattr(module, "widest_dtype", widest_but_float64)
        return False

else:

    @pytest.fixture
    def has_float64():
        return True


def widest_but_float64(device):
    return torch.float64 if device.type == "cpu" else torch.float32


def made(n_rows=120):
    """Rows of several kinds with three codes in common, and a class of each."""
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((n_rows, 3))
    loadings = rng.standard_normal((3, 8))
    real = np.tanh(codes @ loadings) + 0.1 * rng.standard_normal((n_rows, 8))
    counts = rng.poisson(np.exp(real[:, :6]))
    binary = (real > 0).astype(float)
    return {
        "real": real,
        "counts": counts,
        "binary": binary,
        "shares": 1 / (1 + np.exp(-real)),
        "one of six": np.eye(6)[real[:, :6].argmax(1)],
        "mixed": np.c_[real[:, :3], counts[:, :2], binary[:, :2]],
        "wide": real[:30] @ rng.standard_normal((8, 60)),
        "sparse": sp.csr_array(np.where(real > 0.5, real, 0.0)),
        "bytes": (255 / (1 + np.exp(-real))).astype(np.uint8),
    }, (codes[:, 0] > 0).astype(int)


ROWS, CLASSES = made()


class OwnEncoder(nn.Module):
    """With what a user's network may have."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.begin, self.end = nn.Linear(n_inputs, 12), nn.Linear(12, n_outputs)
        self.norm, self.dropout = nn.BatchNorm1d(12), nn.Dropout(0.1)
        self.shift = nn.Buffer(torch.ones(12))

    def forward(self, x):
        return self.end(self.dropout(self.norm(torch.relu(self.begin(x)) + self.shift)))


LIKELIHOODS = {
    "gaussian": "real",
    "gaussian_diag": "real",
    "student_t": "real",
    "bernoulli": "binary",
    Bernoulli(binarize=True): "shares",
    "continuous_bernoulli": "shares",
    "poisson": "counts",
    "negative_binomial": "counts",
    "categorical": "one of six",
    "auto": "mixed",
}
BOTH = [
    *(({"likelihood": likelihood}, rows) for likelihood, rows in LIKELIHOODS.items()),
    # Elsewhere draws are others, and where these networks end is, too.
    ({"init": "random", "early_stopping": True}, "real"),
    ({"solver": "sgd"}, "real"),
    ({"solver": torch.optim.RMSprop}, "real"),
    ({"early_stopping": True}, "real"),
    ({"encoder": OwnEncoder, "decoder": OwnEncoder}, "real"),
    ({"encoder": Conv((2, 4)), "decoder": Conv((2, 4))}, "real"),
    ({}, "wide"),
    ({}, "sparse"),
    ({}, "bytes"),
]
OF_AUTOENCODER = [
    ({"n_components": "auto"}, "real"),
    ({"n_components": 0.9}, "real"),
    ({"n_refinements": 0}, "real"),
]
OF_VAE = [
    *(({"prior": prior}, "real") for prior in ("normal", "gmm", "vamp", "posterior")),
    *(({"prior": "flow", "posterior": kind}, "real") for kind in ("diagonal", "full")),
    *(({"divergence": divergence}, "real") for divergence in ("mmd", "tc")),
    ({"n_importance_samples": 4, "kl_warmup": 0.5}, "real"),
    ({"free_bits": 0.1}, "real"),
    *(
        ({"conditional": True, "likelihood": likelihood}, rows)
        for likelihood, rows in LIKELIHOODS.items()
    ),
    ({"conditional": True, "prior": "flow"}, "real"),
]
CASES = [
    *((AutoencoderTransformer, *case) for case in BOTH + OF_AUTOENCODER),
    *((VAETransformer, *case) for case in BOTH + OF_VAE),
]


def said(value):
    return f"{value[0].__name__} {value[1]} {value[2]}"


def fitted(device, Estimator, parameters, rows):
    """A model of that device, the rows that it was fitted to, and their classes."""
    parameters = {"n_components": 2} | TRAINED | parameters
    model = Estimator(**parameters, device=device)
    X = ROWS[rows]
    y = CLASSES[: X.shape[0]] if parameters.get("conditional") else None
    return model.fit(X, y), X, y


def answers(model, X, y):
    """All that a model says of rows, and some rows of its own."""
    told, own = ({}, {}) if y is None else ({"y": y}, {"y": y[:7]})
    codes = model.transform(X)
    return {
        "codes": codes,
        "rows": model.inverse_transform(codes, **told),
        "rebuilt": model.reconstruct(X, **told),
        "scores": model.score_samples(X),
        "samples": model.sample(7, random_state=0, **own),
    }


@pytest.mark.parametrize("case", CASES, ids=said)
def test_a_model_of_a_device_is_that_of_the_cpu(case, has_float64):
    there, X, y = fitted(DEVICE, *case)
    here, _, _ = fitted("cpu", *case)
    assert (there.device_.type, here.device_.type) == (DEVICE, "cpu")
    assert there.score(X, y) == pytest.approx(here.score(X, y), rel=0.1, abs=0.1)
    moved = pickle.loads(pickle.dumps(there))
    moved._stored.device = "cpu"
    found, expected = answers(there, X, y), answers(moved, X, y)
    assert moved.device_.type == "cpu"
    # Draws of another type are others.
    for what in found if has_float64 else ("codes", "rows", "rebuilt"):
        error = np.abs(found[what] - expected[what])
        # A step of a refinement is taken or not: rounding can decide.
        assert np.mean(error > 1e-3 * (1 + np.abs(expected[what]))) < 0.03, what


def test_a_model_of_a_device_goes_on(Estimator, has_float64):
    X = ROWS["real"]
    model = Estimator(2, device=DEVICE, warm_start=True, **QUICK)
    first, second = (model.fit(X).loss_curve_ for _ in range(2))
    assert second[0] < first[0]
    stream = Estimator(2, device=DEVICE, **QUICK)
    for start in range(0, len(X), 40):
        stream.partial_fit(X[start : start + 40])
    stream = pickle.loads(pickle.dumps(stream)).partial_fit(X)
    for each in model, stream:
        assert each.device_.type == DEVICE
        assert np.isfinite(each.score(X))


def test_tensors_are_used_where_they_lie(Estimator, monkeypatch):
    X = torch.from_numpy(ROWS["real"])
    here = Estimator(2, device="cpu", **QUICK).fit(X)
    model = Estimator(2, device=DEVICE, **QUICK)
    model.fit(X.to(DEVICE), sample_weight=np.ones(len(X)))
    np.testing.assert_allclose(model.transform(X), here.transform(X), atol=1e-2)
    model.fit(X[30:].to(DEVICE), X_val=X[:30].to(DEVICE))
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # scikit-learn asks for it
    with config_context(array_api_dispatch=True):
        codes = model.fit(X.to(DEVICE)).transform(X.to(DEVICE))
        assert codes.device.type == DEVICE
        assert model.inverse_transform(codes).device.type == DEVICE
        assert model.score_samples(X.to(DEVICE)).device.type == DEVICE
        assert model.transform(X).device.type == "cpu"


def test_a_device_is_found():
    model = AutoencoderTransformer(2, **QUICK).fit(ROWS["real"])
    assert model.device_.type == DEVICE
