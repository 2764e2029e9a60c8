"""Networks of the user's own, and specs in place of the perceptron."""

import copy
from typing import ClassVar

import numpy as np
import pytest
import torch
from given import SMALL, images, opened
from sklearn.base import clone
from sklearn.datasets import load_iris
from torch import nn

from skae import AutoencoderTransformer, VAETransformer
from skae.fitting.factories import from_factory
from skae.networks import MLP, Conv


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


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_network_of_the_users_starts_at_pca(Estimator, factory):
    X = images()
    parts = {"encoder": factory, "decoder": factory}
    model = Estimator(3, **SMALL | {"max_iter": 0}, **parts).fit(X)
    plain = Estimator(3, **SMALL | {"max_iter": 0}).fit(X)
    np.testing.assert_allclose(model.transform(X), plain.transform(X), atol=1e-9)
    np.testing.assert_allclose(model.reconstruct(X), plain.reconstruct(X), atol=1e-9)


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_network_of_the_users_is_trained_alike_every_time(Estimator, factory):
    X = images(120)
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


def test_batch_norm_never_sees_a_batch_of_one(Estimator):
    # 41 rows in batches of 10 leave one over.
    X = images(41)
    parameters = {"encoder": with_extras, "max_iter": 2, "batch_size": 10}
    model = Estimator(2, early_stopping=False, random_state=0, **parameters).fit(X)
    assert np.isfinite(model.transform(X)).all()


def test_a_fitted_module_of_the_users_does_not_drop_out(Estimator):
    X = images(100)
    model = Estimator(2, encoder=with_extras, init="random", max_iter=2).fit(X)
    np.testing.assert_array_equal(model.transform(X), model.transform(X))
    assert not model.module_.training
    assert not any(module.training for module in model.module_.modules())


def test_a_spec_makes_the_encoder_and_mirrored_the_decoder(Estimator):
    model = Estimator(2, encoder=MLP((9, 5)), max_iter=0).fit(images())
    widths = [
        [m.out_features for m in path.modules() if isinstance(m, nn.Linear)]
        for path in (model.module_.encoder, model.module_.decoder)
    ]
    n_statistics = 4 if Estimator is VAETransformer else 2
    assert widths == [[9, 5, n_statistics], [5, 9, 64]]


def test_a_decoder_of_its_own_is_taken(Estimator):
    parts = {"encoder": Conv((8, 8), channels=(4,)), "decoder": MLP((7,))}
    model = Estimator(2, max_iter=2, random_state=0, **parts).fit(images(100))
    kinds = [type(m) for m in model.module_.modules()]
    assert kinds.count(nn.Conv2d) == 1
    assert nn.ConvTranspose2d not in kinds
    assert np.isfinite(model.transform(images())).all()


def test_convolutions_improve_on_the_start(Estimator):
    spec = Conv((8, 8), channels=(8,))
    parameters = {"encoder": spec, "max_iter": 12, "random_state": 0}
    model = Estimator(3, **parameters).fit(images())
    assert model.best_loss_ < model.start_loss_


def test_a_spec_changed_after_fit_leaves_the_fitted_model_alone(Estimator):
    X = images(100)
    spec = MLP((6,))
    model = Estimator(2, encoder=spec, max_iter=2, random_state=0).fit(X)
    before = model.transform(X)
    model.set_params(encoder__hidden_layer_sizes=(3, 3))
    np.testing.assert_array_equal(model.transform(X), before)


@pytest.mark.parametrize("role", ["encoder", "decoder"])
@pytest.mark.parametrize(
    "factory", [lambda: nn.Linear(64, 2), lambda n_inputs: nn.Linear(n_inputs, 2)]
)
def test_a_factory_that_takes_other_arguments_is_refused(Estimator, role, factory):
    match = rf"{role}=.* called as {role}\(n_inputs, n_outputs\)"
    with pytest.raises(TypeError, match=match):
        Estimator(2, **{role: factory}).fit(images(50))


def test_an_error_within_a_factory_is_its_own(Estimator):
    def mistaken(n_inputs, n_outputs):
        return nn.Linear(n_inputs)

    with pytest.raises(TypeError, match=r"Linear.*out_features"):
        Estimator(2, encoder=mistaken).fit(images(50))


class Nested(nn.Module):
    """A network with a last layer that happens to be called as a Perceptron's is."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.body, self.readout = nn.Linear(n_inputs, 8), nn.Linear(8, n_outputs)

    def forward(self, x):
        return self.readout(torch.tanh(self.body(x)))


def test_a_layer_may_be_called_readout():
    X = load_iris().data
    parameters = {"init": "random", "max_iter": 2, "random_state": 0}
    model = AutoencoderTransformer(2, decoder=Nested, **parameters).fit(X)
    assert model.transform(X).shape == (len(X), 2)


class Cut(nn.Module):
    """The first columns, or all and zeros; nothing to be trained."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.n_more = n_outputs - n_inputs

    def forward(self, x):
        return nn.functional.pad(x, (0, self.n_more))


def test_networks_without_parameters_stay_as_they_are():
    X = load_iris().data
    parameters = {"init": "random", "encoder": Cut, "decoder": Cut, "n_refinements": 0}
    model = AutoencoderTransformer(2, **parameters, max_iter=3).fit(X).partial_fit(X)
    shares = model.transform(X) / (X - X.mean(0))[:, :2]
    np.testing.assert_allclose(shares, shares[0, 0], rtol=1e-5)


class Recording(nn.Dropout):
    """A dropout that takes down what it does to a row of ones."""

    seen: ClassVar = []

    def __init__(self, *shape):
        super().__init__()

    def forward(self, x):
        if self.training:
            dropped = super().forward(torch.ones(5))
            Recording.seen.append(tuple(dropped.tolist()))
        return x


def test_a_dropout_that_goes_on_draws_anew(Estimator, monkeypatch):
    monkeypatch.setattr(Recording, "seen", [])
    X = load_iris().data

    def factory(*shape):
        return nn.Sequential(Recording(), nn.Linear(*shape))

    model = Estimator(2, encoder=factory, batch_size=150, random_state=0)
    for _ in range(6):
        model.partial_fit(X)
    assert len(set(Recording.seen)) > 3
    drawn = list(Recording.seen)
    again = Estimator(2, encoder=factory, batch_size=150, random_state=0)
    for _ in range(6):
        again.partial_fit(X)
    assert Recording.seen[len(drawn) :] == drawn
    Recording.seen.clear()
    again.set_params(warm_start=True, max_iter=1, early_stopping=False)
    for _ in range(6):
        again.fit(X)
    assert len(set(Recording.seen)) > 3


class Named(nn.Module):
    """A network whose parts are called as those of skae's."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.hidden, self.readout = 16, nn.Linear(n_inputs, n_outputs, bias=False)

    def forward(self, x):
        return self.readout(x)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_parts_may_be_called_as_those_of_a_perceptron(init):
    model = AutoencoderTransformer(2, init=init, decoder=Named, **SMALL)
    assert np.isfinite(model.fit(images(100)).score(images(100)))


def test_a_batch_of_one_row_leaves_batch_norm_as_it_is(Estimator):
    X = load_iris().data
    parameters = {"encoder": with_extras, "max_iter": 2, "random_state": 0}
    model = Estimator(2, batch_size=1, **parameters).fit(X[:30])
    assert np.isfinite(model.transform(X)).all()
    model = Estimator(2, **parameters).partial_fit(X)
    spread = next(b for n, b in model.module_.named_buffers() if "running_var" in n)
    before = spread.clone()
    for row in X[:5]:
        model.partial_fit(row[None])
    after = next(b for n, b in model.module_.named_buffers() if "running_var" in n)
    assert torch.equal(after, before)
    model.partial_fit(X)
    after = next(b for n, b in model.module_.named_buffers() if "running_var" in n)
    assert not torch.equal(after, before)


def made_of(function):
    """A factory of networks that do something with what a layer gives."""

    class Made(nn.Module):
        def __init__(self, n_inputs, n_outputs):
            super().__init__()
            self.layer = nn.Linear(n_inputs, n_outputs)

        def forward(self, x):
            return function(self.layer(x))

    return Made


@pytest.mark.parametrize(
    "function",
    [
        lambda y: y * torch.nan,
        lambda y: y / 0,
        lambda y: y.round().int(),
        lambda y: y.detach().numpy(),
        lambda y: y.to_sparse(),
        lambda y: y.T,
        lambda y: None,
    ],
)
@pytest.mark.parametrize("role", ["encoder", "decoder"])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_a_network_that_gives_no_rows_of_numbers_is_refused(role, init, function):
    X = load_iris().data[:, :2]
    model = AutoencoderTransformer(2, init=init, **{role: made_of(function)})
    with pytest.raises((TypeError, ValueError), match=rf"{role}=.* made a module that"):
        model.fit(X)


class Drifting(nn.Module):
    """A network with a running mean that it assigns anew, and drifts away."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_outputs)
        self.register_buffer("mean", torch.zeros(n_inputs))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0) + 0.05
        return self.layer(x - self.mean)


def test_a_buffer_that_is_assigned_anew_is_that_of_the_best_epoch(Estimator):
    parameters = {"init": "random", "warm_start": True, "learning_rate_init": 0.2}
    model = Estimator(2, encoder=Drifting, max_iter=12, random_state=0, **parameters)
    model.set_params(hidden_layer_sizes=(8,)).fit(load_iris().data)
    curve = model.validation_loss_curve_
    assert model.best_epoch_ < len(curve) - 1
    assert model.best_loss_ == curve[model.best_epoch_]


def always(network):
    """A factory of one and the same network."""
    return lambda n_inputs, n_outputs: network


def around(layer):
    """A factory of networks that have a layer in common."""
    return lambda a, b: nn.Sequential(nn.Linear(a, 5), layer, nn.Linear(5, b))


@pytest.mark.parametrize("same", [always, around])
def test_a_factory_makes_layers_anew(same):
    X = load_iris().data
    layer = nn.Linear(4, 2) if same is always else nn.Linear(5, 5)
    parameters = {"early_stopping": False, "max_iter": 2, "random_state": 0}
    model = AutoencoderTransformer(2, encoder=same(layer), **parameters).fit(X)
    before = model.transform(X)
    match = r"encoder=.* made a module whose .*weight is that .* at each call\."
    for factory in (model.encoder, same(layer)):
        with pytest.raises(ValueError, match=match):
            clone(model).set_params(encoder=factory).fit(X)
    with pytest.raises(ValueError, match=match):
        copy.deepcopy(model).transform(X)
    np.testing.assert_array_equal(model.transform(X), before)


def test_models_may_share_what_they_do_not_train(Estimator):
    X, frozen = load_iris().data, nn.Linear(5, 5).requires_grad_(False)
    parameters = {"encoder": around(frozen), "max_iter": 2, "random_state": 0}
    first, again = (Estimator(2, **parameters).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.transform(X), again.transform(X))


class Transposed(nn.Module):
    """A linear layer the other way."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, z):
        return z @ self.layer.weight


class TiedWeights:
    """Factories of an encoder, and of a decoder that has its weights."""

    def encoder(self, n_inputs, n_outputs):
        self.layer = nn.Linear(n_inputs, n_outputs)
        return self.layer

    def decoder(self, n_inputs, n_outputs):
        return Transposed(self.layer)


def test_the_decoder_may_have_weights_of_its_encoder():
    X, tied = load_iris().data, TiedWeights()
    parameters = {"init": "random", "max_iter": 3, "random_state": 0}
    parts = {"encoder": tied.encoder, "decoder": tied.decoder}
    model = AutoencoderTransformer(2, **parameters, **parts).fit(X)
    codes, model = model.transform(X), opened(model)
    np.testing.assert_array_equal(model.transform(X), codes)
    module = model.module_
    assert module.decoder.network.layer.weight is module.encoder.network.weight


class Rotating(nn.Linear):
    """A linear layer, and a turn of its plane."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(n_inputs, n_outputs)
        self.turn = self.as_kept(torch.ones(1, dtype=torch.complex64))

    def forward(self, x):
        y = super().forward(x)
        return torch.view_as_real(torch.complex(y, y) * self.turn)[..., 0]


class OfParameter(Rotating):
    as_kept = nn.Parameter


class OfBuffer(Rotating):
    as_kept = nn.Buffer


@pytest.mark.parametrize("role", ["encoder", "decoder"])
@pytest.mark.parametrize("factory", [OfParameter, OfBuffer])
def test_complex_weights_are_refused(Estimator, role, factory):
    match = rf"{role}=.* whose turn is of torch\.complex64; .*view_as_complex"
    with pytest.raises(ValueError, match=match):
        Estimator(2, **{role: factory}).fit(load_iris().data)


class Counting(nn.Linear):
    """A network with a state of its own, beside the weights."""

    state: ClassVar

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        assert torch.equal(state, self.state)


class OfTensor(Counting):
    state = torch.ones(2)


class OfDict(Counting):
    state: ClassVar = {"calls": 3}


def test_state_that_is_no_tensor_is_refused(Estimator):
    X = load_iris().data
    model = Estimator(2, encoder=OfTensor, max_iter=1, random_state=0).fit(X)
    np.testing.assert_array_equal(opened(model).transform(X), model.transform(X))
    match = r"encoder=.* with _extra_state in its state_dict, a dict; keep it in a b"
    with pytest.raises(ValueError, match=match):
        model.set_params(encoder=OfDict).fit(X)


def in_place(n_inputs, n_outputs):
    """A network whose second activation overwrites what the first has to remember."""
    activations = nn.ELU(inplace=True), nn.ReLU(inplace=True), nn.Tanh()
    return nn.Sequential(nn.Linear(n_inputs, 5), *activations, nn.Linear(5, n_outputs))


def in_place_at_once(n_inputs, n_outputs):
    """The same of its inputs."""
    activations = nn.ELU(inplace=True), nn.ReLU(inplace=True)
    return nn.Sequential(*activations, nn.Linear(n_inputs, n_outputs))


@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize(
    ("role", "factory"),
    [
        ("encoder", in_place),
        ("decoder", in_place),
        ("decoder", in_place_at_once),
        ("encoder", made_of(torch.Tensor.detach)),
        ("decoder", made_of(torch.Tensor.detach)),
    ],
)
def test_a_network_without_a_gradient_is_refused(Estimator, role, factory, init):
    match = rf"{role}=.* made a module that cannot be trained: .* grad"
    with pytest.raises(ValueError, match=match):
        Estimator(2, init=init, **{role: factory}).fit(load_iris().data)


def test_an_encoder_may_overwrite_its_rows(Estimator):
    X = load_iris().data
    model = Estimator(2, encoder=in_place_at_once, max_iter=2, random_state=0).fit(X)
    assert np.isfinite(model.transform(X)).all()


class Traced(nn.Module):
    """A network that draws, has buffers of every kind, and is trained by its mode."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.norm = nn.BatchNorm1d(n_inputs)
        self.layer = nn.Linear(n_inputs, n_outputs)
        self.register_buffer("mean", None)

    def forward(self, x):
        if self.training:
            self.mean = x.detach().mean(0)
        with torch.set_grad_enabled(self.training):
            return self.layer(nn.functional.dropout(self.norm(x)))


@pytest.mark.parametrize("role", ["encoder", "decoder"])
def test_that_a_network_was_trained_for_a_trial_leaves_no_trace(role):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found, after = from_factory(Traced, role, 4, 3), torch.rand(3)
        torch.manual_seed(0)
        wanted = Traced(4, 3).eval()
        wanted(torch.zeros(2, 4))  # it is tried as it will be used, too
        assert torch.equal(after, torch.rand(3))
    assert not any(module.training for module in found.modules())
    assert all(p.grad is None for p in found.parameters())
    assert found.state_dict().keys() == wanted.state_dict().keys()
    for name, value in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)
