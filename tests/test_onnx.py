"""A graph for onnxruntime says what the estimator says."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skae import AutoencoderTransformer, VAETransformer
from skae.likelihoods import LIKELIHOODS, Categorical, NegativeBinomial, Poisson
from skae.models.posteriors import POSTERIORS
from skae.networks import ACTIVATIONS, MLP, Conv

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

from skae.onnx import MINIMAL_OPSET, decoder_to_onnx  # noqa: E402

SMALL = {
    "hidden_layer_sizes": (12, 6),
    "max_iter": 1,
    "random_state": 0,
    "early_stopping": False,
}

# Of a result, or of the results' spread where that is more.
TOLERANCE = 1e-5

# Of refined codes, by which rows are rebuilt alike all the same: losses are flat where
# they are least, and rounding may take a last step or leave it.
FLAT_TOLERANCE = 0.05


@pytest.fixture(autouse=True)
def two_refinements(monkeypatch):
    """Refine codes by two steps where the number is not said: each is written alike."""
    monkeypatch.setattr("skae.fitting.auto.REFINEMENTS", 2)


@pytest.fixture(scope="module")
def odd_images(digits):
    """100 images of 7 by 6 pixels between 0 and 1: sides that do not halve evenly."""
    return digits[0][:100].reshape(-1, 8, 8)[:, :7, 1:7].reshape(100, 42) / 16


def shaken(model):
    """Move all weights away from 0, so that the networks are seen."""
    with torch.no_grad():
        for seed, weight in enumerate(model.module_.parameters()):
            stream = torch.Generator().manual_seed(seed)
            weight.add_(0.3 * torch.randn(weight.shape, generator=stream))
    return model


def fitted(Estimator, X, **parameters):
    return shaken(Estimator(3, **(SMALL | parameters)).fit(X))


def run(graph, X, name="X"):
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {name: X})


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert differences(found, expected).max() < TOLERANCE


def differences(found, expected):
    """Largest difference in each row, in the unit of the tolerance."""
    unit = np.maximum(np.abs(expected), expected.std())
    return np.abs((found - expected) / unit).max(1, initial=0)


def squared_errors(model, X, codes):
    """Error of each row that has such a code, as it is trained on."""
    rows = model.inverse_transform(codes.astype(np.float64))
    both = map(torch.as_tensor, (X.astype(np.float64), rows))
    return model.module_.likelihood.deviance(*both).numpy()


def is_refined(model):
    refinement = getattr(model.module_, "refinement", None)
    return refinement is not None and refinement.is_active


def assert_nearly_all_close(found, expected):
    """Compare what follows from codes, of which a few may differ."""
    assert found.shape == expected.shape
    assert np.mean(differences(found, expected) < TOLERANCE) > 0.9


def assert_same_codes(model, X, found):
    """Compare codes with an estimator's, refined ones by how rows are rebuilt."""
    codes = model.transform(X)
    if not is_refined(model):
        return assert_close(found, codes)
    assert found.shape == codes.shape
    assert differences(found, codes).max() < FLAT_TOLERANCE
    assert np.median(differences(found, codes)) < TOLERANCE
    rows = X.toarray() if sp.issparse(X) else X
    errors = [squared_errors(model, rows, each) for each in (found, codes)]
    np.testing.assert_allclose(*errors, rtol=TOLERANCE)


def assert_both_ways(model, X):
    """Compare the encoder's graph and the decoder's with the estimator."""
    (found,) = run(skl2onnx.to_onnx(model, X[:1]), X)
    assert_same_codes(model, X, found)
    codes = model.transform(X)
    assert found.dtype == codes.dtype
    (rows,) = run(decoder_to_onnx(model, dtype=codes.dtype), codes, "codes")
    assert rows.dtype == codes.dtype
    assert_close(rows, model.inverse_transform(codes))


# -------------------------------------------------------------------- what is written

each_with_a_type = pytest.mark.parametrize(
    ("Estimator", "dtype"),
    [(AutoencoderTransformer, np.float64), (VAETransformer, np.float32)],
)


@each_with_a_type
@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden_layer_sizes": ()},
        {"init": "random"},
        {"encoder": MLP((5,), "tanh"), "decoder": MLP((4,), "relu")},
        {"encoder": Conv((7, 6), channels=(4,))},
        {"encoder": Conv((7, 6), channels=(4, 3), activation="gelu")},
        {"encoder": Conv((7, 3, 2), channels=(2,)), "init": "random"},
        {"likelihood": "bernoulli"},
    ],
    ids=str,
)
def test_each_kind_of_model_is_written(Estimator, odd_images, parameters, dtype):
    X = odd_images.astype(dtype)
    assert_both_ways(fitted(Estimator, X, **parameters), X)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation_is_written(odd_images, activation):
    model = fitted(AutoencoderTransformer, odd_images, activation=activation)
    assert_both_ways(model, odd_images)


def groups(X):
    """Rows as three categories of 2, 4 and 3 levels."""
    sizes = (2, 4, 3)
    levels = [(X[:, j] * 100).astype(int) % size for j, size in enumerate(sizes)]
    return np.hstack([np.eye(n)[at] for n, at in zip(sizes, levels, strict=True)])


@each_with_a_type
@pytest.mark.parametrize(
    "likelihood",
    [
        *(name for name in LIKELIHOODS if name != "categorical"),
        Poisson(size=None),
        NegativeBinomial(size=None),
    ],
    ids=str,
)
def test_each_likelihood_is_written(Estimator, odd_images, likelihood, dtype):
    X = np.round(odd_images if likelihood == "bernoulli" else 4 * odd_images)
    X = (odd_images if likelihood == "continuous_bernoulli" else X).astype(dtype)
    assert_both_ways(fitted(Estimator, X, likelihood=likelihood), X)


@pytest.mark.parametrize("likelihood", ["poisson", "continuous_bernoulli"])
def test_a_convolution_sees_rows_as_the_likelihood_does(odd_images, likelihood):
    X = np.round(4 * odd_images) if likelihood == "poisson" else odd_images
    spec = Conv((7, 6), channels=(3,))
    model = fitted(VAETransformer, X, encoder=spec, decoder=spec, likelihood=likelihood)
    assert_both_ways(model, X)


def test_rows_without_counts_are_written(odd_images):
    X = np.round(4 * odd_images)
    X[:3] = 0
    model = fitted(VAETransformer, X, likelihood="poisson")
    (found,) = run(skl2onnx.to_onnx(model, X[:1]), X[:3])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, model.transform(X[:3]), atol=TOLERANCE)


@each_with_a_type
def test_groups_of_any_sizes_are_written(Estimator, odd_images, dtype):
    X = groups(odd_images + np.arange(100)[:, None] / 7).astype(dtype)
    order = np.random.default_rng(0).permutation(9)
    places = np.argsort(order)
    spec = Categorical([places[:2], places[2:6], places[6:]])
    model = fitted(Estimator, X[:, order], likelihood=spec)
    assert_both_ways(model, X[:, order])
    (rows,) = run(decoder_to_onnx(model), np.zeros((5, 3), np.float32), "codes")
    for group in spec.groups:
        np.testing.assert_allclose(rows[:, group].sum(axis=1), 1, rtol=1e-6)


@each_with_a_type
def test_a_likelihood_per_column_is_written(Estimator, odd_images, dtype):
    counts = np.round(4 * odd_images[:, 8:12])
    categories = groups(odd_images + np.arange(100)[:, None] / 7)
    X = np.hstack([counts[:, :2], odd_images[:, 14:18] + 30, categories, counts[:, 2:]])
    parts = [
        ("categorical", [6, 7]),
        (Categorical([[8, 9, 10, 11], [12, 13, 14]]), [*range(8, 15)]),
        ("gaussian_diag", [5, 3]),
        ("poisson", [16, 0, 15, 1]),
        ("student_t", [2, 4]),
    ]
    X = X.astype(dtype)
    assert_both_ways(fitted(Estimator, X, likelihood=parts), X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_of_grey_values_is_smooth_about_the_middle(odd_images, dtype):
    model = fitted(
        AutoencoderTransformer, odd_images, likelihood="continuous_bernoulli"
    )
    around = np.linspace(-1, 1, 2001)[:, None] * model.transform(odd_images)[:1]
    codes = np.vstack([around, 1e3 * around]).astype(dtype)
    (rows,) = run(decoder_to_onnx(model, dtype=dtype), codes, "codes")
    assert_close(rows, model.inverse_transform(codes))


def test_the_networks_are_seen(Estimator, odd_images):
    model = fitted(Estimator, odd_images)
    linear = Estimator(3, **(SMALL | {"max_iter": 0})).fit(odd_images)
    difference = model.transform(odd_images) - linear.transform(odd_images)
    assert np.abs(difference).max() > 0.1 * linear.transform(odd_images).std()


def test_a_model_fitted_to_sparse_rows_is_written(Estimator, odd_images):
    X = np.where(odd_images < 0.5, 0, odd_images)
    model = fitted(Estimator, sp.csr_array(X))
    (found,) = run(skl2onnx.to_onnx(model, X[:1]), X)
    assert_same_codes(model, sp.csr_array(X), found)


def test_plain_layers_of_a_factory_are_written(odd_images):
    def image_network(n_inputs, n_outputs):
        return nn.Sequential(
            nn.Unflatten(1, (1, 7, 6)),
            nn.Conv2d(1, 2, (3, 2), padding=(0, 1), dilation=2, bias=False),
            nn.LeakyReLU(0.3),
            nn.Conv2d(2, 4, 1, groups=2),
            nn.ELU(0.7),
            nn.Flatten(),
            nn.LazyLinear(n_outputs, bias=False),
        )

    model = fitted(AutoencoderTransformer, odd_images, encoder=image_network)
    assert_both_ways(model, odd_images)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_rows_far_from_zero_keep_their_digits(Estimator, dtype):
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((200, 5)) @ random_state.standard_normal((5, 5))
    X = (X * (10 if dtype == np.int64 else 1) + 1e6).astype(dtype)
    model = fitted(Estimator, X)
    (found,) = run(skl2onnx.to_onnx(model, X[:1]), X)
    assert_same_codes(model, X, found)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_deviations_of_codes_are_an_option(posterior, odd_images):
    model = fitted(VAETransformer, odd_images, posterior=posterior)
    options = {VAETransformer: {"return_std": True}}
    graph = skl2onnx.to_onnx(model, odd_images[:1], options=options)
    for found, expected in zip(
        run(graph, odd_images),
        model.transform(odd_images, return_std=True),
        strict=True,
    ):
        assert_close(found, expected)


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_a_conditional_encoder_is_written_and_its_decoder_refused(iris, posterior):
    X, y = iris
    model = VAETransformer(2, conditional=True, posterior=posterior, **SMALL).fit(X, y)
    options = {VAETransformer: {"return_std": True}}
    graph = skl2onnx.to_onnx(shaken(model), X[:1], options=options)
    for found, expected in zip(
        run(graph, X), model.transform(X, return_std=True), strict=True
    ):
        assert_close(found, expected)
    with pytest.raises(ValueError, match="depends on its class"):
        decoder_to_onnx(model)


def test_the_deviations_of_far_rows_are_bounded(odd_images):
    model = fitted(VAETransformer, odd_images)
    far = 1e4 * odd_images
    graph = skl2onnx.to_onnx(
        model, far[:1], options={VAETransformer: {"return_std": True}}
    )
    _, std = run(graph, far)
    assert np.isfinite(std).all()
    np.testing.assert_allclose(
        std, model.transform(far, return_std=True)[1], rtol=TOLERANCE
    )


def test_what_the_user_changed_is_written(Estimator, odd_images):
    model = fitted(Estimator, odd_images)
    before = model.transform(odd_images)
    with torch.no_grad():
        model.module_.encoder.gain.mul_(2)
    assert np.abs(model.transform(odd_images) - before).max() > 100 * TOLERANCE
    assert_both_ways(model, odd_images)


# --------------------------------------------------------------------- refined codes


def n_steps(graph):
    """How many steps a graph compares with where a code was."""
    return sum(node.op_type == "Less" for node in graph.graph.node)


def unrefined(model):
    model = copy.deepcopy(model)
    model.module_.refinement.clear()
    return model


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_refined_codes_are_written(odd_images, activation):
    X = odd_images.astype(np.float32)
    parameters = {"activation": activation, "likelihood": "gaussian_diag"}
    model = fitted(AutoencoderTransformer, X, **parameters)
    graph = skl2onnx.to_onnx(model, X[:1])
    (found,) = run(graph, X)
    assert_same_codes(model, X, found)
    (encoded,) = run(skl2onnx.to_onnx(unrefined(model), X[:1]), X)
    assert n_steps(graph) == 2
    assert np.mean(differences(found, encoded) > 100 * TOLERANCE) > 0.9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_refined_codes_of_wide_rows_are_written(odd_images, dtype):
    X = odd_images[:30].astype(dtype)
    model = AutoencoderTransformer(3, **SMALL).fit(X)
    assert is_refined(model)
    others = odd_images[30:].astype(dtype)
    (found,) = run(skl2onnx.to_onnx(model, X[:1]), others)
    assert_same_codes(model, others, found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_beyond_what_the_decoder_sees_are_refined(odd_images, dtype):
    far = 5 * odd_images.astype(dtype)
    model = fitted(AutoencoderTransformer, odd_images.astype(dtype))
    decoder, codes = model.module_.decoder, unrefined(model).transform(far)
    seen = torch.as_tensor(codes) * decoder.unit
    assert ((seen < decoder.lowest) | (seen > decoder.highest)).any(1).sum() > 50
    (found,) = run(skl2onnx.to_onnx(model, far[:1]), far)
    assert_same_codes(model, far, found)


@pytest.mark.parametrize("edge", ["lowest", "highest"])
def test_a_code_at_the_edge_of_what_the_decoder_sees_is_seen(odd_images, edge):
    model = fitted(AutoencoderTransformer, odd_images, n_refinements=1)
    with torch.no_grad():
        model.module_.encoder.gain.zero_()
        getattr(model.module_.decoder, edge).zero_()
    mean = model.mean_[None]
    assert not unrefined(model).transform(mean).any()
    (found,) = run(skl2onnx.to_onnx(model, mean), mean)
    assert found.all()
    np.testing.assert_allclose(found, model.transform(mean), rtol=TOLERANCE)


@pytest.mark.parametrize("n_refinements", [1, 7])
def test_each_step_is_written(odd_images, n_refinements):
    model = fitted(AutoencoderTransformer, odd_images, n_refinements=n_refinements)
    graph = skl2onnx.to_onnx(model, odd_images[:1])
    assert n_steps(graph) == n_refinements
    assert_same_codes(model, odd_images, run(graph, odd_images)[0])


@pytest.mark.parametrize("parameters", [{"max_iter": 0}, {"n_refinements": 0}], ids=str)
def test_the_encoder_is_alone_where_nothing_is_refined(odd_images, parameters):
    model = AutoencoderTransformer(3, **(SMALL | parameters)).fit(odd_images)
    graph = skl2onnx.to_onnx(model, odd_images[:1])
    assert n_steps(graph) == 0
    assert_close(run(graph, odd_images)[0], model.transform(odd_images))


def test_the_weights_of_all_steps_are_there_once(odd_images):
    model = fitted(AutoencoderTransformer, odd_images)
    sizes = [
        sum(np.prod(each.dims) for each in graph.graph.initializer)
        for graph in (
            skl2onnx.to_onnx(model, odd_images[:1]),
            skl2onnx.to_onnx(unrefined(model), odd_images[:1]),
            decoder_to_onnx(model),
        )
    ]
    assert sizes[0] < sizes[1] + sizes[2] + 20


def upwards(*layers):
    """A decoder's network of three codes to 42 pixels that ends in these layers."""
    return lambda *_: nn.Sequential(
        nn.Linear(3, 4 * 3 * 2), nn.Unflatten(1, (4, 3, 2)), *layers, nn.Flatten()
    )


def test_refined_codes_of_a_factorys_plain_layers_are_written(odd_images):
    network = upwards(
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(4, 6, 2, bias=False, groups=2),
        nn.ELU(0.7),
        nn.ConvTranspose2d(6, 1, (2, 3), (2, 3), padding=(1, 2), output_padding=(1, 1)),
    )
    model = fitted(AutoencoderTransformer, odd_images, decoder=network)
    assert is_refined(model)
    assert_both_ways(model, odd_images)


def test_layers_that_map_each_line_of_an_image_are_written(odd_images):
    def encoder(n_inputs, n_outputs):
        return nn.Sequential(
            nn.Unflatten(1, (7, 6)),
            nn.Linear(6, 4),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(28, n_outputs),
        )

    def decoder(n_inputs, n_outputs):
        return nn.Sequential(
            nn.Linear(n_inputs, 28),
            nn.Unflatten(1, (7, 4)),
            nn.Linear(4, 6, bias=False),
            nn.Tanh(),
            nn.Flatten(),
        )

    model = fitted(AutoencoderTransformer, odd_images, encoder=encoder, decoder=decoder)
    assert is_refined(model)
    assert_both_ways(model, odd_images)


# ------------------------------------------------------------------- the whole graph


def assert_same_predictions(pipeline, X):
    graph = skl2onnx.to_onnx(
        pipeline, X[:1], options={LogisticRegression: {"zipmap": False}}
    )
    labels, probabilities = run(graph, X)
    np.testing.assert_array_equal(labels, pipeline.predict(X))
    assert_nearly_all_close(probabilities, pipeline.predict_proba(X))


def whole_pipeline(Estimator):
    return make_pipeline(
        StandardScaler(),
        Estimator(2, **SMALL),
        LogisticRegression(),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_pipeline_is_one_graph(Estimator, iris, dtype):
    X, y = iris
    X = X.astype(dtype)
    assert_same_predictions(whole_pipeline(Estimator).fit(X, y), X)


def test_columns_find_their_own_autoencoders(iris):
    X, y = iris
    columns = make_column_transformer(
        (AutoencoderTransformer(1, **SMALL), [0, 1]),
        (VAETransformer(1, **SMALL), [2, 3]),
    )
    assert_same_predictions(make_pipeline(columns, LogisticRegression()).fit(X, y), X)


@pytest.mark.parametrize("n_rows", [0, 1, 2, 99])
def test_the_number_of_rows_is_free(odd_images, n_rows):
    X = odd_images[:n_rows]
    model = fitted(VAETransformer, odd_images, encoder=Conv((7, 6), channels=(2,)))
    (codes,) = run(skl2onnx.to_onnx(model, odd_images[:7]), X)
    (rows,) = run(decoder_to_onnx(model, dtype=np.float64), codes, "codes")
    assert (codes.shape, rows.shape) == ((n_rows, 3), X.shape)
    if n_rows:
        assert_close(codes, model.transform(X))
        assert_close(rows, model.reconstruct(X))


@pytest.mark.parametrize("opset", [MINIMAL_OPSET, 17, 21])
def test_a_graph_is_in_the_opset_that_is_asked_for(odd_images, opset):
    X = odd_images.astype(np.float32)
    model = fitted(AutoencoderTransformer, X, encoder=Conv((7, 6), channels=(2,)))
    encoder = skl2onnx.to_onnx(model, X[:1], target_opset=opset)
    decoder = decoder_to_onnx(model, target_opset=opset)
    for graph in (encoder, decoder):
        assert {(d.domain, d.version) for d in graph.opset_import} == {("", opset)}
    assert_same_codes(model, X, run(encoder, X)[0])
    codes = model.transform(X)
    assert_close(run(decoder, codes, "codes")[0], model.inverse_transform(codes))


def test_an_opset_that_is_too_old_is_refused(iris):
    model = fitted(AutoencoderTransformer, iris[0])
    with pytest.raises(ValueError, match=r"target_opset=12 is too old.* 13 or later"):
        decoder_to_onnx(model, target_opset=12)


# ------------------------------------------------------------------------ what is not


def normalised(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, n_outputs), nn.BatchNorm1d(n_outputs))


class Own(nn.Linear):
    def forward(self, x):
        return super().forward(x) ** 2


def hooked(n_inputs, n_outputs):
    return nn.utils.spectral_norm(nn.Linear(n_inputs, n_outputs))


def reflected(n_inputs, n_outputs):
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, n_inputs // 2)),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        nn.Flatten(),
        nn.Linear(n_inputs, n_outputs),
    )


def beyond(n_inputs, n_outputs):
    return nn.Sequential(
        nn.Unflatten(1, (1, 1, n_inputs)),
        nn.ConvTranspose2d(1, 1, 1, dilation=2, output_padding=1),
        nn.Flatten(),
        nn.Linear(2 * n_inputs + 2, n_outputs),
    )


def roughly(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, n_outputs), nn.GELU("tanh"))


@pytest.mark.parametrize(
    ("factory", "layer"),
    [
        (normalised, r"BatchNorm1d\(3, "),
        (Own, r"Own\("),
        (hooked, r"Linear\("),
        (reflected, r"Conv2d\(.*padding_mode=reflect"),
        (beyond, r"ConvTranspose2d\(.*output_padding=\(1, 1\)"),
        (roughly, r"GELU\(approximate='tanh'\)"),
    ],
)
def test_modules_of_the_users_own_are_refused(iris, factory, layer):
    X = np.hstack([iris[0], iris[0] ** 2])
    model = fitted(AutoencoderTransformer, X, encoder=factory)
    refusal = rf"encoder=\.\.\. made .*{layer}.*use encoder=MLP\(\.\.\.\) or Conv"
    with pytest.raises(TypeError, match=refusal):
        skl2onnx.to_onnx(model, X[:1])
    codes = model.transform(X)
    (rows,) = run(decoder_to_onnx(model, dtype=np.float64), codes, "codes")
    assert_close(rows, model.inverse_transform(codes))


def test_a_refused_decoder_is_named(iris):
    model = fitted(AutoencoderTransformer, iris[0], decoder=normalised)
    with pytest.raises(TypeError, match=r"decoder=\.\.\. made .*use decoder=MLP"):
        decoder_to_onnx(model)


def test_a_refined_encoder_asks_for_a_decoder_that_is_written(iris):
    model = fitted(AutoencoderTransformer, iris[0], decoder=normalised)
    refusal = r"decoder=\.\.\. made .*BatchNorm1d.* n_refinements=0 they are the enc"
    with pytest.raises(TypeError, match=refusal):
        skl2onnx.to_onnx(model, iris[0][:1])
    assert_close(
        run(skl2onnx.to_onnx(unrefined(model), iris[0][:1]), iris[0])[0],
        unrefined(model).transform(iris[0]),
    )


def test_a_layer_without_a_slope_is_refused_where_codes_are_refined(odd_images):
    network = upwards(nn.ConvTranspose2d(4, 1, 5), nn.Conv2d(1, 1, 1))
    model = fitted(AutoencoderTransformer, odd_images, decoder=network)
    refusal = (
        r"decoder=\.\.\. made .*'s Conv, .* no slope; use decoder=.*n_refinements=0"
    )
    with pytest.raises(TypeError, match=refusal):
        skl2onnx.to_onnx(model, odd_images[:1])
    codes = model.transform(odd_images)
    (rows,) = run(decoder_to_onnx(model, dtype=np.float64), codes, "codes")
    assert_close(rows, model.inverse_transform(codes))


@pytest.mark.parametrize(
    "likelihood",
    ["bernoulli", [("gaussian", [*range(40)]), ("bernoulli", [40, 41])]],
    ids=["one", "per column"],
)
def test_a_likelihood_without_a_slope_is_refused_where_codes_are_refined(
    odd_images, likelihood
):
    model = fitted(
        AutoencoderTransformer, odd_images, likelihood=likelihood, n_refinements=2
    )
    refusal = r"likelihood=(Bern|PerC).* deviance, only .* Gaussian, .*n_refinements=0"
    with pytest.raises(TypeError, match=refusal):
        skl2onnx.to_onnx(model, odd_images[:1])
    codes = model.transform(odd_images)
    (rows,) = run(decoder_to_onnx(model, dtype=np.float64), codes, "codes")
    assert_close(rows, model.inverse_transform(codes))


def test_a_likelihood_without_operators_is_refused(iris):
    class Halved(LIKELIHOODS["gaussian"]):
        pass

    for own in (Halved(), [("gaussian", [0, 1]), (Halved(), [2, 3])]):
        model = fitted(AutoencoderTransformer, iris[0], likelihood=own)
        for write in (decoder_to_onnx, lambda m: skl2onnx.to_onnx(m, iris[0][:1])):
            with pytest.raises(TypeError, match=r"likelihood=Halved\(\).*Bernoulli, C"):
                write(model)


def test_an_estimator_has_to_be_fitted(Estimator, iris):
    with pytest.raises(NotFittedError):
        decoder_to_onnx(Estimator())
    with pytest.raises(NotFittedError):
        skl2onnx.to_onnx(Estimator(), iris[0][:1])


def test_only_the_two_estimators_have_a_decoder(iris):
    pipeline = whole_pipeline(AutoencoderTransformer).fit(*iris)
    with pytest.raises(TypeError, match=r"give the step .* pipeline\[1\]"):
        decoder_to_onnx(pipeline)


@pytest.mark.parametrize("dtype", ["int8", "no type", object()])
def test_a_wrong_dtype_is_refused(iris, dtype):
    model = fitted(AutoencoderTransformer, iris[0])
    with pytest.raises(ValueError, match=r"dtype=.* must be numpy\.float32 or"):
        decoder_to_onnx(model, dtype=dtype)


# ------------------------------------------------------------------ another process

SERVE = """
import sys
from pathlib import Path
import numpy as np
from onnxruntime import InferenceSession

folder = Path(sys.argv[1])
session = InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
labels, probabilities = session.run(None, {"X": np.load(folder / "X.npy")})
np.savez(folder / "found.npz", labels=labels, probabilities=probabilities)
assert not {"skae", "sklearn", "torch", "skl2onnx"} & set(sys.modules)
"""


def test_another_process_serves_a_pipeline_without_skae(Estimator, iris, tmp_path):
    X, y = iris
    X = X.astype(np.float32)
    pipeline = whole_pipeline(Estimator).fit(X, y)
    options = {LogisticRegression: {"zipmap": False}}
    graph = skl2onnx.to_onnx(pipeline, X[:1], options=options)
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    np.save(tmp_path / "X.npy", X)
    script = [sys.executable, "-I", "-c", SERVE, tmp_path]
    subprocess.run(script, check=True, cwd=tmp_path)
    with np.load(tmp_path / "found.npz") as found:
        np.testing.assert_array_equal(found["labels"], pipeline.predict(X))
        assert_nearly_all_close(found["probabilities"], pipeline.predict_proba(X))
