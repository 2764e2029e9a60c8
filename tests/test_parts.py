"""Likelihoods, penalties, networks and solvers, and what a fit says of itself."""

import functools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skae import AutoencoderTransformer, VAETransformer, rows, solvers
from skae.densities import MAX_KERNELS, MIXTURE_SIZES, CodeMixture, representatives
from skae.em import likeliest_parts
from skae.kernels import KernelSearch
from skae.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, counts
from skae.models import Autoencoder
from skae.networks import ACTIVATIONS, MLP, Conv, FixedLinear
from skae.objectives import EvidenceBound
from skae.paths import Path
from skae.penalties import KullbackLeibler
from skae.posteriors import DiagonalGaussian
from skae.priors import Normal as NormalPrior
from skae.rows import Rows, weighted_moments
from skae.solvers import LONGEST, USUAL_STEPS, FlatParameters, Restraint, Working
from skae.start import fit_linear_maps
from skae.variational import VariationalAutoencoder

both = pytest.mark.parametrize("Estimator", [AutoencoderTransformer, VAETransformer])
is_zero_last = pytest.mark.parametrize("zero_last", [True, False])

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 4, "random_state": 0}
# Enough to tell a trained network from its start on 400 images of digits.
LEARNS = {"hidden_layer_sizes": (64,), "max_iter": 15, "random_state": 0}


@functools.cache
def digits(n_rows=400):
    return load_digits().data[:n_rows]


@functools.cache
def pixels(n_rows=300):
    """Binary images, some of whose pixels never vary."""
    return (digits(n_rows) > 7) * 1.0


def tensors(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --------------------------------------------------------------------- likelihoods


def built(name, n_features):
    spec = LIKELIHOODS[name]()
    return spec.bind(np.arange(n_features), None).build(n_features)


def gaussian(noise_variance):
    likelihood = Gaussian().build(4)
    likelihood.set_noise_variance(noise_variance)
    return likelihood


@pytest.mark.parametrize("noise_variance", [1e-8, 0.3, 1.0, 1e8])
def test_gaussian_log_prob_is_that_of_scipy(noise_variance):
    x, eta = tensors((20, 4), (20, 4))
    found = gaussian(noise_variance).log_prob(x, eta).detach()
    wanted = stats.norm.logpdf(x, eta, noise_variance**0.5).sum(axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_gaussian_deviance_is_the_squared_error():
    x, eta = tensors((20, 4), (20, 4))
    found = gaussian(0.3).deviance(x, eta)
    np.testing.assert_allclose(found, (x - eta).square().sum(dim=1))


def test_bernoulli_log_prob_is_that_of_scipy():
    (eta,) = tensors((20, 4))
    x = (tensors((20, 4), seed=1)[0] > 0).double()
    likelihood = Bernoulli().build(4)
    wanted = stats.bernoulli.logpmf(x.numpy(), torch.sigmoid(eta).numpy()).sum(axis=1)
    np.testing.assert_allclose(likelihood.log_prob(x, eta), wanted)
    np.testing.assert_allclose(likelihood.deviance(x, eta), -wanted)


def test_bernoulli_log_prob_of_probabilities_is_minus_a_cross_entropy():
    (eta,) = tensors((20, 4))
    x = torch.rand((20, 4), generator=generator(), dtype=torch.float64)
    mean = torch.sigmoid(eta)
    wanted = (x * mean.log() + (1 - x) * (1 - mean).log()).sum(dim=1)
    np.testing.assert_allclose(Bernoulli().build(4).log_prob(x, eta), wanted)


def test_bernoulli_log_prob_is_finite_far_out():
    x = torch.tensor([[0.0, 1.0]])
    eta = torch.tensor([[1e4, -1e4]])
    assert Bernoulli().build(2).log_prob(x, eta).item() == pytest.approx(-2e4)


def test_gaussian_samples_have_the_mean_and_the_noise():
    eta = torch.tensor([[3.0, -1.0]]).double().expand(20_000, 2)
    drawn = gaussian(0.25).sample(eta, generator()).detach().numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), [3.0, -1.0], atol=0.02)
    np.testing.assert_allclose(drawn.var(axis=0), 0.25, rtol=0.05)


def test_bernoulli_samples_are_0_or_1_with_the_right_frequency():
    eta = torch.tensor([[3.0, -1.0]]).double().expand(20_000, 2)
    likelihood = Bernoulli().build(2)
    drawn = likelihood.sample(eta, generator()).numpy()
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(axis=0), likelihood.mean(eta[0]), atol=0.02)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_samples_follow_the_generator(name):
    (eta,) = tensors((20, 4))
    likelihood = built(name, 4)
    first, again, other = (likelihood.sample(eta, generator(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_likelihood_comes_by_name_or_as_a_spec(name, as_text):
    likelihood = name if as_text else LIKELIHOODS[name]()
    X = np.eye(10)[np.arange(90) % 7] if name == "categorical" else pixels()
    model = AutoencoderTransformer(2, likelihood=likelihood, **SMALL).fit(X)
    wanted = AutoencoderTransformer(2, likelihood=name, **SMALL).fit(X)
    np.testing.assert_array_equal(model.transform(X), wanted.transform(X))
    assert model.likelihood is likelihood


# ----------------------------------------------------------------------- penalties


def test_divergence_is_that_of_torch():
    mean, log_variance = tensors((20, 3), (20, 3))
    posterior = Independent(Normal(mean, torch.exp(log_variance / 2)), 1)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    found = DiagonalGaussian(mean, log_variance).divergences().sum(-1)
    np.testing.assert_allclose(found, kl_divergence(posterior, prior))
    zeros = torch.zeros(1, 3)
    assert not DiagonalGaussian(zeros, zeros).divergences().any()


# ------------------------------------------------------------------------ networks


@is_zero_last
@pytest.mark.parametrize("widths", [(), (7,), (8, 5), [9, 4], 6, np.array([3, 2])])
def test_perceptrons_have_the_widths_asked_for_and_decoders_mirror_them(
    widths, zero_last
):
    spec = MLP(widths)
    hidden = list(np.atleast_1d(widths).astype(int))
    for mirror, order in ((False, hidden), (True, hidden[::-1])):
        network = spec.build(10, 3, mirror=mirror, zero_last=zero_last)
        layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
        assert [layer.in_features for layer in layers] == [10, *order]
        assert [layer.out_features for layer in layers] == [*order, 3]
        y = network(torch.ones(4, 10))
        assert y.shape == (4, 3)
        assert y.dtype == torch.float32
        assert (y == 0).all() == zero_last


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_between_all_layers(name):
    network = MLP((5, 4), name).build(3, 2)
    kinds = [type(layer) for layer in network]
    assert kinds[1::2] == [ACTIVATIONS[name]] * 2
    assert len(kinds) == 5


@is_zero_last
@pytest.mark.parametrize("channels", [3, (3,), (4, 5), (2, 3, 4)])
@pytest.mark.parametrize(
    "shape", [(8, 8), (7, 5), (1, 9), (9, 1), (6, 7, 3), (5, 5, 1), (1, 1)]
)
def test_convolutions_fit_images_of_any_size_and_decoders_mirror_them(
    shape, channels, zero_last
):
    n_pixels = int(np.prod(shape))
    spec = Conv(shape, channels)
    encode = spec.build(n_pixels, 2, zero_last=zero_last)
    decode = spec.build(2, n_pixels, mirror=True, zero_last=zero_last)
    images = torch.rand(3, n_pixels, generator=generator())
    codes, decoded = encode(images), decode(torch.ones(3, 2))
    assert codes.shape == (3, 2)
    assert decoded.shape == (3, n_pixels)
    assert (codes == 0).all() == zero_last
    assert (decoded == 0).all() == zero_last


def test_convolutions_read_pixels_in_the_order_of_numpy():
    # What one pixel and channel touches is around it, in all maps of that channel.
    spec = Conv((9, 9, 2), channels=(4,))
    decode = spec.build(3, 162, mirror=True, zero_last=False)
    encode = spec.build(162, 3, zero_last=False)
    conv = next(m for m in encode.modules() if isinstance(m, nn.Conv2d))
    seen = []
    conv.register_forward_hook(lambda m, x, y: seen.append((x[0], y)))
    image = np.zeros((9, 9, 2), np.float32)
    image[4, 6, 1] = 1.0
    with torch.no_grad():
        conv.bias.zero_()
        encode(torch.from_numpy(image.reshape(1, -1)))
    ((given, maps),) = seen
    assert given[0, 1, 4, 6] == 1.0
    assert given.sum() == 1.0
    assert {tuple(p) for p in maps[0].abs().sum(0).nonzero().tolist()} == {(2, 3)}
    assert decode(torch.ones(1, 3)).shape == (1, 162)


def test_a_row_has_the_same_code_wherever_it_stands():
    X = digits(200).astype(np.float32)
    model = AutoencoderTransformer(3, **SMALL).fit(X)
    alone = np.vstack([model.transform(X[i : i + 1]) for i in range(0, 200, 20)])
    np.testing.assert_array_equal(alone, model.transform(X)[::20])


def with_extras(n_inputs, n_outputs):
    """A network of the user's, with all that makes life hard."""
    return nn.Sequential(
        nn.Linear(n_inputs, 12),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(12, n_outputs),
    )


def of_float64(n_inputs, n_outputs):
    return nn.Linear(n_inputs, n_outputs).double()


class Tied(nn.Module):
    """The same layer twice, a frozen parameter, and an integer buffer."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.first = nn.Linear(n_inputs, 6)
        self.middle = nn.Linear(6, 6)
        self.again = self.middle
        self.last = nn.Linear(6, n_outputs)
        self.last.bias.requires_grad_(False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.calls += self.training
        x = torch.tanh(self.middle(self.first(x)))
        return self.last(torch.tanh(self.again(x)))


FACTORIES = [with_extras, of_float64, Tied, nn.Linear]


@both
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_network_of_the_users_starts_at_pca(Estimator, factory):
    X = digits()
    parts = {"encoder": factory, "decoder": factory}
    model = Estimator(3, **SMALL | {"max_iter": 0}, **parts).fit(X)
    plain = Estimator(3, **SMALL | {"max_iter": 0}).fit(X)
    np.testing.assert_allclose(model.transform(X), plain.transform(X), atol=1e-9)
    np.testing.assert_allclose(model.reconstruct(X), plain.reconstruct(X), atol=1e-9)


@both
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_network_of_the_users_is_trained_alike_every_time(Estimator, factory):
    X = digits(120)
    parameters = {
        "encoder": factory,
        "decoder": factory,
        "max_iter": 5,
        "early_stopping": False,
        "learning_rate_init": 0.02,
        "random_state": 0,
    }
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again = (Estimator(2, **parameters).fit(X) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state[0])
    np.testing.assert_array_equal(np.random.get_state()[1], state[1])
    np.testing.assert_array_equal(first.transform(X), again.transform(X))
    assert first.loss_curve_ == again.loss_curve_
    assert first.loss_curve_[-1] < first.loss_curve_[0]
    other = Estimator(2, **parameters | {"random_state": 1}).fit(X)
    assert other.loss_curve_ != first.loss_curve_


@both
def test_batch_norm_never_sees_a_batch_of_one(Estimator):
    # 41 rows in batches of 10 leave one over.
    X = digits(41)
    parameters = {"encoder": with_extras, "max_iter": 2, "batch_size": 10}
    model = Estimator(2, early_stopping=False, random_state=0, **parameters).fit(X)
    assert np.isfinite(model.transform(X)).all()


@both
def test_a_fitted_module_of_the_users_does_not_drop_out(Estimator):
    X = digits(100)
    model = Estimator(2, encoder=with_extras, init="random", max_iter=2).fit(X)
    np.testing.assert_array_equal(model.transform(X), model.transform(X))
    assert not model.module_.training
    assert not any(module.training for module in model.module_.modules())


@both
def test_a_spec_makes_the_encoder_and_mirrored_the_decoder(Estimator):
    model = Estimator(2, encoder=MLP((9, 5)), max_iter=0).fit(digits())
    widths = [
        [m.out_features for m in path.modules() if isinstance(m, nn.Linear)]
        for path in (model.module_.encoder, model.module_.decoder)
    ]
    n_statistics = 4 if Estimator is VAETransformer else 2
    assert widths == [[9, 5, n_statistics], [5, 9, 64]]


@both
def test_a_decoder_of_its_own_is_taken(Estimator):
    parts = {"encoder": Conv((8, 8), channels=(4,)), "decoder": MLP((7,))}
    model = Estimator(2, max_iter=2, random_state=0, **parts).fit(digits(100))
    kinds = [type(m) for m in model.module_.modules()]
    assert kinds.count(nn.Conv2d) == 1
    assert nn.ConvTranspose2d not in kinds
    assert np.isfinite(model.transform(digits())).all()


@both
def test_convolutions_improve_on_the_start(Estimator):
    spec = Conv((8, 8), channels=(8,))
    parameters = {"encoder": spec, "max_iter": 12, "random_state": 0}
    model = Estimator(3, **parameters).fit(digits())
    assert model.best_loss_ < model.start_loss_


@both
def test_a_spec_changed_after_fit_leaves_the_fitted_model_alone(Estimator):
    X = digits(100)
    spec = MLP((6,))
    model = Estimator(2, encoder=spec, max_iter=2, random_state=0).fit(X)
    before = model.transform(X)
    model.set_params(encoder__hidden_layer_sizes=(3, 3))
    np.testing.assert_array_equal(model.transform(X), before)


# ---------------------------------------------------------- gradients written out


def path(n_inputs, n_outputs, activation, from_pca):
    network = MLP((5, 4), activation).build(n_inputs, n_outputs, zero_last=False)
    linear = FixedLinear(n_inputs, n_outputs) if from_pca else None
    made = Path(network, linear, n_inputs, n_outputs, has_center=True, has_offset=True)
    values = tensors(n_inputs, n_outputs, n_inputs, n_outputs, (n_outputs, n_inputs))
    with torch.no_grad():
        made.set_start(
            center=values[0],
            offset=values[1],
            unit=values[2].abs(),
            gain=values[3].abs(),
            weight=values[4] if from_pca else None,
        )
    return made


def model_of_parts(is_variational, likelihood, activation, from_pca):
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    n_statistics = 4 if is_variational else 2
    encoder = path(6, n_statistics, activation, from_pca)
    decoder = path(2, 6, activation, from_pca)
    torch.set_rng_state(torch_state)
    noise = built(likelihood, 6)
    if is_variational:
        return VariationalAutoencoder(
            encoder,
            decoder,
            noise,
            posterior=DiagonalGaussian,
            prior=NormalPrior().build(2, 6),
            objective=EvidenceBound(KullbackLeibler(0.7)),
        )
    return Autoencoder(encoder, decoder, noise)


@pytest.mark.parametrize("is_variational", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("from_pca", [True, False])
def test_the_gradient_written_out_is_that_of_autograd(
    is_variational, likelihood, activation, from_pca
):
    model = model_of_parts(is_variational, likelihood, activation, from_pca)
    model.train()
    assert model.is_traceable
    x = torch.rand((9, 6), generator=generator(1))
    if likelihood == "categorical":
        x = torch.eye(6)[[0, 1, 2, 3, 4, 5, 5, 4, 1]]
    row_factor = torch.rand(9, generator=generator(2))
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}

    loss = model.row_losses(x, generator()) @ row_factor
    wanted = torch.autograd.grad(loss, list(trained.values()))
    parameters = FlatParameters(model)
    for p in trained.values():
        p.grad.fill_(7.0)
    working = Working(parameters, torch.float32, len(x))
    with torch.no_grad():
        derivative = model.written_out(working)
        found = derivative.loss_and_grad(x, row_factor, generator())
    assert found.item() == pytest.approx(loss.item(), rel=1e-5)
    for (name, p), gradient in zip(trained.items(), wanted, strict=True):
        scale = gradient.abs().max().item() + 1e-6
        difference = (p.grad - gradient).abs().max().item()
        assert difference <= 1e-4 * scale, name
    with torch.no_grad():
        losses = derivative.row_losses(x, generator())
        torch.testing.assert_close(losses, model.row_losses(x, generator()))


class NothingIsWaitedFor(TorchDispatchMode):
    """Refuses, on the CPU, operations that would make a program wait for a GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in {"_local_scalar_dense", "nonzero", "masked_select", "equal"}
        if name.startswith("index"):
            tensors = [t for t in tree_leaves(args) if isinstance(t, torch.Tensor)]
            assert all(t.dtype != torch.bool for t in tensors)
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("is_variational", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_step_on_the_cpu_has_no_operation_that_waits_for_a_gpu(
    is_variational, likelihood, monkeypatch
):
    if "poisson" in likelihood or "binomial" in likelihood:
        # What the CPU does instead would wait.
        monkeypatch.setattr(counts, "_at_counts", counts._everywhere)
    model = model_of_parts(is_variational, likelihood, "silu", True)
    x = torch.eye(6)[[0, 1, 2, 3, 4, 5, 5, 4, 1]]
    parameters = FlatParameters(model)
    derivative = model.written_out(Working(parameters, torch.float32, len(x)))
    optimizer = solvers.FusedAdam(
        [{"params": parameters.decayed, "weight_decay": 0.0}], 0.01, torch._fused_adam_
    )
    with torch.no_grad(), NothingIsWaitedFor():
        optimizer.step(
            lambda: derivative.loss_and_grad(x, torch.ones(9) / 9, generator())
        )


def test_gamma_functions_of_all_counts_are_those_of_counts_above_0():
    x = torch.tensor([[0.0, 1.0, 7.0], [0.0, 0.0, 1e5]])
    theta = torch.tensor([0.3, 2.0, 40.0])

    def rising(x, t):
        return torch.lgamma(x + t) - torch.lgamma(t)

    found = counts._everywhere(x, theta, rising)
    torch.testing.assert_close(found, counts._at_counts(x, theta, rising))


def test_counts_that_are_not_on_the_cpu_are_not_looked_at():
    x = torch.empty(2, 3, device="meta")  # has no values to be looked at
    there = counts._at_counts(x, None, lambda x, _: torch.lgamma(x + 1))
    assert (there.shape, there.dtype) == (x.shape, x.dtype)


# ------------------------------------------------------------------------- solvers

SOLVERS = {
    "adam": "adam",
    "adamw": "adamw",
    "sgd": "sgd",
    "rmsprop": "rmsprop",
    "adagrad": "adagrad",
    "NAdam": torch.optim.NAdam,
    "LBFGS": torch.optim.LBFGS,
    "SGD with momentum": functools.partial(torch.optim.SGD, lr=0.02, momentum=0.9),
    "RAdam": torch.optim.RAdam,
}


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_fused_steps_are_those_of_torch(name):
    begin, *slopes = (t.float() for t in tensors(*[(40,)] * 6))
    solver = solvers.SOLVERS[name]
    p, q = (nn.Parameter(begin.clone()) for _ in range(2))
    groups = [{"params": [p], "weight_decay": 0.1}]
    ours = solvers.FusedAdam(groups, 0.01, solver.kernel)
    torchs = solver.optimizer([q], lr=0.01, weight_decay=0.1)
    for slope in slopes:
        p.grad, q.grad = slope.clone(), slope.clone()
        with torch.no_grad():
            assert ours.step(lambda: 7) == 7
        torchs.step()
    torch.testing.assert_close(p, q)
    assert (p - begin).abs().max() > 0.01


class UnseenRestraint(Restraint):
    """As on a GPU, where numbers stay tensors."""

    def __init__(self, gradient, usual=0.0, n_seen=0):
        super().__init__(gradient, torch.tensor(usual), n_seen)
        self.is_seen = False

    def shorten(self):
        with NothingIsWaitedFor():
            super().shorten()


restrained = pytest.mark.parametrize("Restraint", [Restraint, UnseenRestraint])


@restrained
def test_a_gradient_much_longer_than_usual_is_shortened(Restraint):
    gradient = [torch.tensor([3.0, 0.0]), torch.tensor([4.0], dtype=torch.float64)]
    restraint = Restraint(gradient)
    for _ in range(USUAL_STEPS + 3):
        restraint.shorten()
        assert float(restraint.usual) == pytest.approx(5.0)
    restraint = Restraint(gradient, **restraint.state())
    for part in gradient:
        part.mul_(100.0)
    restraint.shorten()
    np.testing.assert_allclose(gradient[0], [3.0 * LONGEST, 0.0], rtol=1e-6)
    np.testing.assert_allclose(gradient[1], [4.0 * LONGEST], rtol=1e-6)
    assert 5.0 < restraint.usual < 5.0 * LONGEST


@restrained
def test_a_gradient_beyond_what_can_be_measured_is_no_end(Restraint):
    gradient = [torch.ones(3)]
    restraint = Restraint(gradient)
    for _ in range(USUAL_STEPS):
        restraint.shorten()
    gradient[0].fill_(1e30)
    restraint.shorten()
    assert (gradient[0] == 0).all()
    assert 3**0.5 < restraint.usual < 3**0.5 * LONGEST


@restrained
def test_the_first_gradients_say_what_is_usual(Restraint):
    gradient = [torch.zeros(3)]
    restraint = Restraint(gradient)
    for step in range(USUAL_STEPS):
        gradient[0].fill_(step)
        restraint.shorten()
        assert (gradient[0] == step).all()
    usual = 3**0.5 * np.arange(USUAL_STEPS).mean()
    assert float(restraint.usual) == pytest.approx(usual, rel=1e-5)


@restrained
def test_a_training_begins_where_there_was_nothing_to_learn(Restraint):
    gradient = [torch.zeros(3)]
    restraint = Restraint(gradient)
    for _ in range(USUAL_STEPS + 1):
        restraint.shorten()
    gradient[0].fill_(1.0)
    restraint.shorten()
    assert (gradient[0] == 1).all()


def test_gradients_of_an_optimizer_of_the_users_are_left_alone(monkeypatch):
    """It may search along a line, or measure them itself."""

    def shorten(self):
        raise AssertionError("a gradient was looked at")

    monkeypatch.setattr(Restraint, "shorten", shorten)
    settings = {"max_iter": 1, "hidden_layer_sizes": (4,), "random_state": 0}
    X = np.random.default_rng(0).normal(size=(40, 5))
    AutoencoderTransformer(2, solver=torch.optim.NAdam, **settings).fit(X)
    with pytest.raises(AssertionError, match="looked at"):
        AutoencoderTransformer(2, **settings).fit(X)


@pytest.mark.parametrize("n_rows", [1, 40, 41, 47])
def test_batches_gathered_together_are_the_same_as_one_by_one(n_rows, monkeypatch):
    X = np.arange(3.0 * n_rows).reshape(n_rows, 3)
    served = Rows(X, np.arange(1.0, n_rows + 1), np.zeros(3), torch.device("cpu"))
    together = list(served.batches(8, generator()))
    monkeypatch.setattr(rows, "BLOCK_SIZE", 1)
    alone = list(served.batches(8, generator()))
    for (x, weight), (y, other) in zip(together, alone, strict=True):
        assert torch.equal(x, y)
        assert torch.equal(weight, other)
    firsts = torch.cat([x[:, 0] for x, _ in together])
    assert sorted((firsts / 3).int().tolist()) == list(range(n_rows))
    sizes = [len(x) for x, _ in together]
    assert n_rows == 1 or min(sizes) > 1
    assert max(sizes) <= 9


@functools.cache
def score_of_start(Estimator):
    return Estimator(3, max_iter=0, random_state=0).fit(digits()).score(digits())


@both
@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_improves_on_the_start(Estimator, name):
    parameters = LEARNS | {"solver": SOLVERS[name], "early_stopping": False}
    parameters |= {"batch_size": 400} if name == "LBFGS" else {"max_iter": 30}
    model = Estimator(3, **parameters).fit(digits())
    assert model.score(digits()) > score_of_start(Estimator)
    if Estimator is AutoencoderTransformer:
        assert model.loss_curve_[-1] < 0.99 * model.start_loss_


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_gives_the_same_model_twice(name):
    parameters = SMALL | {"solver": SOLVERS[name], "max_iter": 2}
    first, again = (
        AutoencoderTransformer(2, **parameters).fit(digits(100)) for _ in range(2)
    )
    np.testing.assert_array_equal(
        first.transform(digits(100)), again.transform(digits(100))
    )


def test_the_learning_rate_reaches_the_solver(monkeypatch):
    # Gradients are shortened for solvers by name alone.
    monkeypatch.setattr(solvers, "LONGEST", math.inf)
    curves = []
    for solver in ("adam", torch.optim.Adam, functools.partial(torch.optim.Adam)):
        for rate in (1e-5, 1e-2):
            parameters = SMALL | {"solver": solver, "early_stopping": False}
            model = AutoencoderTransformer(2, learning_rate_init=rate, **parameters)
            curves.append(model.fit(digits(100)).loss_curve_[-1])
    slow, fast = curves[::2], curves[1::2]
    np.testing.assert_allclose(slow, slow[0], rtol=1e-4)
    np.testing.assert_allclose(fast, fast[0], rtol=1e-4)
    assert fast[0] < slow[0]


class Resolved(Exception):
    """Carries what a fit would have been trained with."""


def settings_of(monkeypatch, shape, Estimator=AutoencoderTransformer, **parameters):
    """What a fit of so many rows and columns is to be trained with."""

    def stop(task, **_):
        raise Resolved(task.settings)

    monkeypatch.setattr("skae._base.carry_out", stop)
    X = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with pytest.raises(Resolved) as resolved:
        Estimator(2, **parameters).fit(X)
    return resolved.value.args[0]


def test_networks_of_many_values_decay_and_learn_faster(monkeypatch):
    few, many = (12_500, 399), (12_500, 400)  # 5 million values are many
    for shape, rate, alpha in ((few, 2e-3, 0.0), (many, 4e-3, 0.2)):
        settings = settings_of(monkeypatch, shape)
        assert settings.learning_rate == pytest.approx(rate)
        assert settings.alpha == alpha
    assert settings_of(monkeypatch, many, VAETransformer).alpha == 0.0
    assert settings_of(monkeypatch, many, VAETransformer).learning_rate == 2e-3
    given = {"alpha": 0.0, "learning_rate_init": 0.5}
    assert settings_of(monkeypatch, many, **given).alpha == 0.0
    assert settings_of(monkeypatch, many, **given).learning_rate == 0.5
    for solver in ("adam", "sgd", torch.optim.AdamW):
        settings = settings_of(monkeypatch, many, solver=solver)
        assert settings.alpha == 0.0
        usual = (
            solvers.SOLVERS[solver].learning_rate if isinstance(solver, str) else None
        )
        assert settings.learning_rate == usual


def size(model, is_matrix):
    """Length of the networks' matrices, or of biases, gains and noise."""
    parts = [p for p in model.module_.parameters() if (p.ndim >= 2) == is_matrix]
    return sum(p.square().sum().item() for p in parts) ** 0.5


@both
@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", torch.optim.AdamW])
def test_alpha_shrinks_the_networks_and_not_pca(Estimator, solver):
    X = digits(200)
    parameters = LEARNS | {"solver": solver, "early_stopping": False}
    free = Estimator(3, **parameters).fit(X)
    held = Estimator(3, alpha=1.0, **parameters).fit(X)
    assert size(held, True) < 0.95 * size(free, True)
    for name, buffer in held.module_.named_buffers():
        if name.endswith("linear.weight"):
            assert torch.equal(buffer, dict(free.module_.named_buffers())[name])


@both
@pytest.mark.parametrize("solver", ["adamw", torch.optim.AdamW])
def test_alpha_leaves_biases_and_the_noise_free(Estimator, solver):
    parameters = SMALL | {"solver": solver, "learning_rate_init": 5e-3}
    parameters |= {"early_stopping": False, "max_iter": 10}
    free = Estimator(2, **parameters).fit(digits(100))
    held = Estimator(2, alpha=20.0, **parameters).fit(digits(100))
    assert size(held, True) < 0.5 * size(free, True)
    assert size(held, False) > 0.7 * size(free, False)


@both
def test_no_training_changes_the_linear_maps(Estimator):
    start = Estimator(3, **LEARNS | {"max_iter": 0}).fit(digits())
    model = Estimator(3, early_stopping=False, **LEARNS).fit(digits())
    before, after = (dict(m.module_.named_buffers()) for m in (start, model))
    for name in ("encoder.linear.weight", "decoder.linear.weight"):
        assert torch.equal(before[name], after[name])


# ----------------------------------------------------- what a fit says of itself


def pca_loss(train, test, n_components):
    """PCA's squared error per row on rows it has not seen."""
    pca = PCA(n_components, svd_solver="full").fit(train)
    decoded = pca.inverse_transform(pca.transform(test))
    return np.square(test - decoded).sum(axis=1).mean()


def test_rows_of_the_users_own_judge_a_start_of_all_rows():
    X, X_val = digits(400)[:300], digits(400)[300:]
    model = AutoencoderTransformer(3, **SMALL).fit(X, X_val=X_val)
    assert model.start_loss_ == pytest.approx(pca_loss(X, X_val, 3), rel=1e-4)
    assert model.validation_loss_curve_[0] == pytest.approx(model.start_loss_, rel=1e-9)


def test_the_start_is_judged_on_rows_it_has_not_seen():
    X = digits(60)
    model = AutoencoderTransformer(20, **SMALL).fit(X)
    seen = AutoencoderTransformer(20, **SMALL | {"max_iter": 0}).fit(X)
    # Of the 60 rows 20 components leave far less than of unseen ones.
    assert model.start_loss_ > 1.3 * seen.start_loss_
    assert seen.start_loss_ == pytest.approx(pca_loss(X, X, 20), rel=1e-4)


def test_held_out_rows_judge_the_start_of_the_others():
    # With two kinds of rows, the one who is held out is known by the loss.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4))
    losses = []
    for i in range(len(X)):
        losses.append(pca_loss(np.delete(X, i, axis=0), X[i : i + 1], 2))
    model = AutoencoderTransformer(2, validation_fraction=0.01, **SMALL).fit(X)
    assert np.isclose(losses, model.start_loss_, rtol=1e-4).sum() == 1


@both
def test_a_vae_and_an_autoencoder_judge_by_the_rows_that_the_user_gives(Estimator):
    X, X_val = digits(400)[:300], digits(400)[300:]
    # They say when to stop, and nothing else.
    parameters = LEARNS | {"max_iter": 40}
    model = Estimator(3, **parameters).fit(X, X_val=X_val)
    again = Estimator(3, **parameters).fit(X, X_val=X_val[::-1])
    np.testing.assert_allclose(model.mean_, X.mean(axis=0), atol=1e-12)
    assert model.best_loss_ < model.start_loss_
    if Estimator is AutoencoderTransformer:
        np.testing.assert_allclose(model.best_loss_, again.best_loss_, rtol=1e-6)
    assert model.n_iter_ == len(model.loss_curve_)


@both
@pytest.mark.parametrize("n_rows", [60, 400])
@pytest.mark.parametrize("has_judges", [True, False])
def test_curves_and_losses_belong_together(Estimator, n_rows, has_judges):
    X = digits(n_rows)
    X_val = digits(500)[n_rows : n_rows + 50] if has_judges else None
    model = Estimator(3, **LEARNS).fit(X, X_val=X_val)
    curve, validation = model.loss_curve_, model.validation_loss_curve_
    assert len(validation) == len(curve) + 1
    assert validation[0] == pytest.approx(model.start_loss_, rel=1e-6)
    if model.best_loss_ == model.start_loss_:
        assert model.n_iter_ == len(curve)
    else:
        # After the last epoch networks are limited to what they were trained on, and an
        # autoencoder's last layer is solved.
        assert model.best_loss_ < model.start_loss_
        assert model.best_loss_ <= 1.01 * min(validation)
        if Estimator is VAETransformer:
            assert model.best_loss_ == pytest.approx(min(validation), rel=0.01)
        # The epochs of a second training on all rows are counted, those that judge
        # not being among them.
        n_again = model.n_iter_ - len(curve)
        most = 0 if has_judges else int(np.argmin(validation))
        assert min(most, 1) <= n_again <= most or model.best_loss_ < min(validation)
    kinds = {type(value) for value in [*curve, *validation, model.best_loss_]}
    assert kinds == {float}


@both
def test_where_training_does_not_pay_the_start_of_all_rows_is_returned(Estimator):
    X = np.random.default_rng(1).normal(size=(80, 6))
    parameters = SMALL | {"learning_rate_init": 0.5}
    model = Estimator(2, **parameters).fit(X)
    start = Estimator(2, **parameters | {"max_iter": 0}).fit(X)
    assert model.best_loss_ == model.start_loss_
    assert model.n_iter_ > 0
    np.testing.assert_array_equal(model.transform(X), start.transform(X))
    np.testing.assert_array_equal(model.reconstruct(X), start.reconstruct(X))
    assert model.noise_variance_ == start.noise_variance_


@both
def test_a_fit_stops_when_the_loss_stands_still(Estimator):
    X = np.random.default_rng(1).normal(size=(80, 6))
    parameters = SMALL | {"max_iter": 500, "n_iter_no_change": 3}
    assert Estimator(2, **parameters, tol=10.0).fit(X).n_iter_ < 20


@both
def test_the_module_computes_what_the_estimator_returns(Estimator):
    X = digits(100)
    model = Estimator(3, **SMALL).fit(X)
    assert isinstance(model.module_, nn.Module)
    assert isinstance(model.device_, torch.device)
    assert {t.device for t in model.module_.buffers()} == {model.device_}
    x = torch.from_numpy(X - model.mean_).to(model.device_)
    with torch.no_grad():
        decoded = model.module_(x).cpu().numpy() + model.mean_
    np.testing.assert_allclose(decoded, model.reconstruct(X), atol=1e-5)
    model.module_.to("meta")
    assert model.device_.type == "meta"


@both
def test_seeds_of_every_kind_are_taken(Estimator):
    X = digits(60)
    for seed in (0, 2**32 - 1, np.int64(3), np.random.RandomState(0), None):
        parameters = SMALL | {"random_state": seed, "max_iter": 1}
        assert Estimator(2, **parameters).fit(X).n_iter_ >= 1


# -------------------------------------------------------- Bernoulli, from end to end


def bernoulli_loss(X, mean):
    mean = np.clip(mean, 1e-12, 1 - 1e-12)
    return -(X * np.log(mean) + (1 - X) * np.log1p(-mean)).sum(axis=1)


@both
@pytest.mark.parametrize("make", [pixels, lambda: digits(300) / 16])
def test_a_bernoulli_start_is_no_worse_than_independent_columns(Estimator, make):
    X = make()
    model = Estimator(4, likelihood="bernoulli", **SMALL | {"max_iter": 0}).fit(X)
    independent = bernoulli_loss(X, np.clip(X.mean(axis=0), 1e-4, 1 - 1e-4)).mean()
    assert model.start_loss_ <= independent * (1 + 1e-6)
    decoded = model.reconstruct(X)
    assert ((decoded >= 0) & (decoded <= 1)).all()
    assert not hasattr(model, "noise_variance_")


@both
@pytest.mark.parametrize("widths", [(64,), ()])
def test_training_improves_a_bernoulli_start(Estimator, widths):
    parameters = LEARNS | {"hidden_layer_sizes": widths, "likelihood": "bernoulli"}
    model = Estimator(4, **parameters, learning_rate_init=0.01).fit(pixels())
    assert model.n_iter_ > 0
    assert model.best_loss_ < 0.98 * model.start_loss_


def test_bernoulli_losses_are_cross_entropies_of_the_reconstruction():
    X, X_val = pixels()[:200], pixels()[200:]
    parameters = LEARNS | {"likelihood": "bernoulli"}
    model = AutoencoderTransformer(4, **parameters).fit(X, X_val=X_val)
    found = bernoulli_loss(X_val, model.reconstruct(X_val)).mean()
    assert model.best_loss_ == pytest.approx(found, rel=1e-4)


def test_a_bernoulli_vae_scores_no_more_than_any_distribution_can():
    X = pixels()
    parameters = LEARNS | {"likelihood": "bernoulli"}
    model = VAETransformer(4, **parameters).fit(X)
    start = VAETransformer(4, **parameters | {"max_iter": 0}).fit(X)
    assert start.score(X) < model.score(X) < 0
    assert (model.score_samples(X) <= 0).all()


@both
def test_bernoulli_samples_are_pixels_and_their_means_are_probabilities(Estimator):
    model = Estimator(4, likelihood="bernoulli", **SMALL).fit(pixels())
    drawn = model.sample(300, random_state=0)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    mean = model.sample(300, noise=False, random_state=0)
    assert ((mean > 0) & (mean < 1)).all()
    np.testing.assert_allclose(drawn.mean(axis=0), pixels().mean(axis=0), atol=0.2)


def test_the_linear_paths_of_a_vae_of_another_beta_are_trained():
    X = digits()
    parameters = SMALL | {"hidden_layer_sizes": ()}
    assert VAETransformer(3, **parameters).fit(X).n_iter_ == 0
    assert VAETransformer(3, beta=4.0, **parameters).fit(X).n_iter_ > 0


@pytest.mark.filterwarnings("ignore:Components .* are the same")
def test_beta_presses_codes_towards_the_prior():
    X = digits(300)
    spread = []
    for beta in (0.1, 1.0, 20.0):
        parameters = LEARNS | {"beta": beta, "early_stopping": False}
        spread.append(VAETransformer(3, **parameters).fit(X).transform(X).std())
    assert spread[0] > spread[1] > spread[2]


# ------------------------------------------------------------------------- samples


@both
def test_samples_without_noise_lie_on_what_the_decoder_makes(Estimator):
    X = digits(300)
    model = Estimator(2, hidden_layer_sizes=(), random_state=0).fit(X)
    drawn = model.sample(50, noise=False, random_state=0)
    axes = PCA(2, svd_solver="full").fit(X).components_
    centred = drawn - X.mean(axis=0)
    np.testing.assert_allclose(centred @ axes.T @ axes, centred, atol=1e-8)
    noisy = model.sample(50, noise=True, random_state=0)
    off = noisy - X.mean(axis=0) - (noisy - X.mean(axis=0)) @ axes.T @ axes
    assert off.var() == pytest.approx(model.noise_variance_ * 62 / 64, rel=0.1)
    # The same codes, with noise about what they decode to.
    assert (noisy - drawn).var() == pytest.approx(model.noise_variance_, rel=0.1)


@both
def test_samples_resemble_the_rows(Estimator):
    X = digits(400)
    model = Estimator(8, **LEARNS).fit(X)
    drawn = model.sample(4000, random_state=0)
    spread = X.std(axis=0).max()
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=0.3 * spread)
    difference = np.cov(drawn.T) - np.cov(X.T)
    assert np.linalg.norm(difference) < 0.4 * np.linalg.norm(np.cov(X.T))


@both
def test_samples_follow_their_seed(Estimator):
    model = Estimator(2, **SMALL).fit(digits(100))
    first, again, other = (model.sample(5, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(model.sample(5), model.sample(5))
    assert model.sample().shape == (1, 64)


def test_codes_are_drawn_from_as_many_clusters_as_there_are():
    rng = np.random.default_rng(0)
    centres = np.array([[-20.0, 0.0], [20.0, 0.0]])
    codes = np.repeat(centres, 200, axis=0) + rng.normal(size=(400, 2))
    density = CodeMixture(codes, seed=0)
    assert density.mixture_.n_components == 2
    drawn = density.sample(2000, random_state=0)
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=1.5)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), rtol=0.1, atol=1.5)
    # Drawn in random order, not cluster by cluster.
    assert 0.4 < (np.diff(np.sign(drawn[:, 0])) != 0).mean() < 0.6
    np.testing.assert_array_equal(drawn, density.sample(2000, random_state=0))


@pytest.mark.parametrize("codes", [np.zeros((1, 2)), np.ones((5, 2)), np.eye(3)])
def test_codes_too_few_or_all_equal_can_be_drawn_from(codes):
    drawn = CodeMixture(codes, seed=0).sample(100, random_state=0)
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.3)


def test_codes_of_one_row_are_held_out_together():
    """Else each would be known by its double, and no mixture would be too many."""
    codes = np.random.default_rng(0).normal(size=(60, 2))
    once = CodeMixture(codes, seed=0)
    again = CodeMixture(np.repeat(codes, 4, axis=0), seed=0)
    rows = np.repeat(np.arange(60), 4)
    shaken = np.repeat(codes, 4, axis=0) + 1e-6 * np.arange(240)[:, None]
    told = CodeMixture(shaken, seed=0, rows=rows)
    untold = CodeMixture(shaken, seed=0)
    assert once.mixture_.n_components == 1
    assert again.held_out_ < once.held_out_ + 0.2
    assert told.held_out_ < once.held_out_ + 0.2
    assert untold.held_out_ > told.held_out_ + 1


def near_copies(n_rows, n_copies, seed=0):
    """Codes that come in near-copies, which differ along one direction most."""
    random = np.random.default_rng(seed)
    codes = np.repeat(random.normal(size=(n_rows, 2)), n_copies, axis=0)
    return codes + random.normal(size=(len(codes), 2)) @ [[0.05, 0.05], [0.005, -0.005]]


def test_near_copies_have_a_gaussian_each():
    codes = near_copies(100, 3)
    density = CodeMixture(codes, seed=0)
    few, about_each = density.gaussians()
    assert few.shares.sum() + about_each.shares.sum() == pytest.approx(1)
    assert density.kernel_share_ > 0.8
    np.testing.assert_allclose(about_each.means, codes)
    values, axes = np.linalg.eigh(about_each.covariances[0])
    assert abs(axes[:, 1].sum()) == pytest.approx(2**0.5, rel=0.01)
    np.testing.assert_allclose(values, [2 * 0.005**2, 2 * 0.05**2], rtol=0.7)
    drawn = density.sample(1000, random_state=0)
    distance = ((drawn[:, None] - codes) ** 2).sum(-1).min(1)
    assert (distance < 0.1).mean() > 0.8
    normal = np.random.default_rng(1).normal(size=(300, 2))
    assert CodeMixture(normal, seed=0).kernels_ is None


def test_the_covariance_about_each_code_is_the_likeliest_of_codes_left_out():
    codes = near_copies(30, 3)
    codes = (codes - codes.mean(0)) / codes.std(0)
    rows = np.arange(len(codes))
    kernels = KernelSearch()(codes, rows, is_diagonal=False)
    found = kernels.covariance

    def height(covariance):
        logs = multivariate_normal(cov=covariance).logpdf(codes[:, None] - codes)
        np.fill_diagonal(logs, -np.inf)
        return logsumexp(logs, axis=1).mean()

    random = np.random.default_rng(0)
    for _ in range(20):
        a = np.eye(2) + 0.2 * random.normal(size=(2, 2))
        assert height(found) > height(a @ found @ a.T) - 2e-3
    search = KernelSearch()
    diagonal = search(codes, rows, is_diagonal=True).covariance
    assert diagonal[0, 1] == 0
    assert height(diagonal) < height(found) - 0.5
    doubles = np.repeat(codes, 2, axis=0)
    of_doubles = KernelSearch()(doubles, np.repeat(rows, 2), is_diagonal=False)
    np.testing.assert_allclose(of_doubles.covariance, found, rtol=0.2, atol=1e-4)
    # A search goes on where the one before ended.
    again = search(codes, rows, is_diagonal=False)
    assert height(again.covariance) > height(found) - 2e-3
    parts = [multivariate_normal(c, found).pdf(doubles) for c in codes]
    wanted = np.log(np.mean(parts, axis=0))
    np.testing.assert_allclose(kernels.log_density(doubles), wanted, rtol=1e-6)


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("n_parts", [1, 4])
def test_gaussians_are_those_of_scikit_learn(kind, n_parts, monkeypatch):
    random = np.random.default_rng(0)
    codes = random.standard_t(5, size=(300, 3)) @ random.normal(size=(3, 3))
    reference = GaussianMixture(n_parts, covariance_type=kind, random_state=0)
    reference.fit(codes)
    labels = KMeans(n_parts, n_init=1, random_state=0).fit(codes).labels_
    for many_numbers in (2**23, 500):  # all codes at a time, and in pieces
        monkeypatch.setattr("skae.em.MANY_NUMBERS", many_numbers)
        found = likeliest_parts(codes, labels, n_parts, is_diagonal=kind == "diag")
        np.testing.assert_allclose(found.shares, reference.weights_, rtol=1e-6)
        np.testing.assert_allclose(found.means, reference.means_, atol=1e-6)
        np.testing.assert_allclose(found.covariances, reference.covariances_, rtol=1e-5)
        assert found.height == pytest.approx(reference.lower_bound_, rel=1e-9)
        logs = found.log_density(codes)
        np.testing.assert_allclose(logs, reference.score_samples(codes), rtol=1e-6)


def test_what_several_searches_find_is_averaged():
    """Where there is more than one best, each has its share, and none more parts."""
    random = np.random.RandomState(0)
    codes = random.standard_t(3, size=(400, 2)) ** 3
    density = CodeMixture(codes, seed=0)
    mixture = density.mixture_
    assert mixture.n_components not in MIXTURE_SIZES
    assert mixture.weights_.sum() == pytest.approx(1)
    parts = zip(mixture.weights_, *density.gaussians()[0][1:], strict=True)
    wanted = sum(w * multivariate_normal(m, c).pdf(codes) for w, m, c in parts)
    found = mixture.score_samples((codes - density.mean_) / density.scale_)
    found = found - np.log(density.scale_).sum()
    np.testing.assert_allclose(found, np.log(wanted), rtol=1e-6)


def test_many_codes_are_stood_for_by_some():
    codes = near_copies(100, 12)
    density = CodeMixture(codes, seed=0)
    assert density.kernels_.n_components == MAX_KERNELS


def test_a_single_far_code_does_not_decide_on_a_mixture():
    codes = np.random.default_rng(0).normal(size=(300, 2))
    codes[:150] += 8
    codes[0] = 300
    assert CodeMixture(codes, seed=0).mixture_.n_components > 1


def test_representatives_stand_for_weighted_rows():
    weight = np.array([2.0, 0.0, 1.0])
    np.testing.assert_array_equal(representatives(weight), [0, 0, 2])
    for scale in (0.5, 1e4):
        chosen = representatives(scale * np.array([1.0, 3.0]))
        assert len(chosen) <= 10_000
        assert chosen.mean() == pytest.approx(0.75, abs=0.01)


def test_moments_are_those_of_numpy_far_from_zero():
    X = 1e8 + np.random.default_rng(0).normal(size=(100, 3))
    weight = np.random.default_rng(1).uniform(size=100)
    mean, variance = weighted_moments(X, weight)
    centred = X - 1e8
    average = np.average(centred, axis=0, weights=weight)
    np.testing.assert_allclose(mean - 1e8, average, atol=1e-7)
    wanted = np.average((centred - average) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(variance, wanted, rtol=1e-6)


def test_maps_without_components_are_moments_alone():
    maps = fit_linear_maps(digits(50), np.ones(50), None)
    assert maps.n_components == 0
    np.testing.assert_allclose(maps.mean, digits(50).mean(axis=0))
    np.testing.assert_allclose(maps.variance, digits(50).var(axis=0), atol=1e-12)


# -------------------------------------------------------------------- far from all rows


@both
def test_a_far_row_is_left_to_the_linear_map(Estimator):
    """A network that goes on growing would spoil it without limit."""
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (400, 1))
    X = np.hstack([t, t**2, rng.normal(0, 0.05, (400, 3))])
    far = 1e4 * np.ones((1, 5))
    model = Estimator(1, random_state=0, max_iter=40).fit(X)
    assert model.best_loss_ < model.start_loss_
    start = Estimator(1, random_state=0, max_iter=0).fit(X)
    difference = model.reconstruct(far) - start.reconstruct(far)
    assert np.abs(difference).max() < 0.1 * np.abs(far).max()
    # A network sees all that it was trained on, and beyond it what is at the edge.
    path = model.module_.encoder
    x = torch.from_numpy(X - model.mean_)
    torch.testing.assert_close(path.highest, (x.float() * path.unit).amax(0))
    torch.testing.assert_close(path.lowest, (x.float() * path.unit).amin(0))
    beyond = 3 * x
    edge = beyond.clamp(x.amin(0), x.amax(0))
    with torch.inference_mode():
        ours, theirs = (path(rows) - path.linear_part(rows) for rows in (beyond, edge))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_stream_widens_what_a_network_sees():
    X = digits(300)
    model = AutoencoderTransformer(3, **LEARNS).partial_fit(X)
    before = model.module_.encoder.highest.clone()
    model.partial_fit(10 * X)
    after = model.module_.encoder.highest
    assert (after >= before).all()
    assert (after > before).any()


def test_a_decoder_sees_the_codes_that_it_was_trained_on():
    """The network's own, which may lie far beyond PCA's."""
    X = digits(300)
    model = AutoencoderTransformer(3, **LEARNS, early_stopping=False).fit(X)
    codes = torch.from_numpy(model.transform(X))
    seen = codes.float() * model.module_.decoder.unit
    highest = model.module_.decoder.highest
    torch.testing.assert_close(highest, seen.amax(0), rtol=1e-4, atol=1e-6)
