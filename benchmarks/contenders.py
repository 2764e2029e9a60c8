"""The same autoencoder, trained by everyone: skae, bare torch loops, and peers.

Each contender is a function of rows and a :class:`Case` that trains for its epochs,
without early stopping, by Adam at the rate of the case. A peer that is not installed
says so.
"""

import contextlib
import logging
import os
import tempfile
import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from skae import AutoencoderTransformer, VAETransformer


@dataclass(frozen=True)
class Case:
    """An architecture, and how long to train it.

    Attributes
    ----------
    name : str
    hidden : tuple of int
    n_components, batch_size, n_epochs : int
    is_vae : bool
    learning_rate : float
    device : str
        Where networks are trained by all who are told.
    """

    name: str
    hidden: tuple
    n_components: int
    batch_size: int
    n_epochs: int
    is_vae: bool = False
    learning_rate: float = 1e-3
    device: str = "cpu"

    def widths(self, n_features):
        """Layer widths of the encoder."""
        return (n_features, *self.hidden, self.n_components)


def perceptron(widths):
    layers = []
    for n_inputs, n_outputs in pairwise(widths):
        layers += [nn.Linear(n_inputs, n_outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class PlainAutoencoder(nn.Module):
    """As a tutorial writes it."""

    def __init__(self, widths):
        super().__init__()
        self.encoder = perceptron(widths)
        self.decoder = perceptron(widths[::-1])

    def loss(self, x):
        return (self.decoder(self.encoder(x)) - x).square().mean()

    def forward(self, x):
        return self.decoder(self.encoder(x))


class PlainVAE(PlainAutoencoder):
    """As a tutorial writes it, with unit noise."""

    def __init__(self, widths):
        super().__init__(widths)
        self.encoder = perceptron((*widths[:-1], 2 * widths[-1]))

    def loss(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        kl = (mean.square() + log_variance.exp() - log_variance - 1).sum(1) / 2
        return ((self.decoder(z) - x).square().sum(1) / 2 + kl).mean()


def plain_module(X, case):
    module = (PlainVAE if case.is_vae else PlainAutoencoder)(case.widths(X.shape[1]))
    return module.to(case.device)


def skae(X, case, **parameters):
    estimator = VAETransformer if case.is_vae else AutoencoderTransformer
    return estimator(
        case.n_components,
        hidden_layer_sizes=case.hidden,
        batch_size=case.batch_size,
        max_iter=case.n_epochs,
        device=case.device,
        learning_rate_init=case.learning_rate,
        **parameters,
        early_stopping=False,
        tol=0,
        n_iter_no_change=10**6,
        random_state=0,
    ).fit(X)


def skae_float32(X, case):
    return skae(X, case, precision="float32")


def plain_loop(X, case):
    """Train with a DataLoader, Adam and autograd."""
    module = plain_module(X, case)
    optimizer = torch.optim.Adam(module.parameters(), lr=case.learning_rate)
    loader = DataLoader(
        TensorDataset(torch.from_numpy(X)), batch_size=case.batch_size, shuffle=True
    )
    for _ in range(case.n_epochs):
        for (x,) in loader:
            optimizer.zero_grad()
            module.loss(x.to(case.device)).backward()
            optimizer.step()
    return module


def index_loop(X, case):
    """Train with batches by index, fused Adam and autograd."""
    module, rows = plain_module(X, case), torch.from_numpy(X).to(case.device)
    optimizer = torch.optim.Adam(module.parameters(), lr=case.learning_rate, fused=True)
    for _ in range(case.n_epochs):
        order = torch.randperm(len(rows), device=case.device)
        for index in order.split(case.batch_size):
            optimizer.zero_grad()
            module.loss(rows[index]).backward()
            optimizer.step()
    return module


def products(X, case):
    """Run the matrix products of the training alone, by torch, in float32."""
    widths = case.widths(X.shape[1])
    encoder = list(pairwise((*widths[:-1], widths[-1] * (1 + case.is_vae))))
    layers = [
        (
            torch.randn(case.batch_size, a, device=case.device),
            torch.randn(b, a, device=case.device),
        )
        for a, b in encoder + list(pairwise(widths[::-1]))
    ]
    slopes = [torch.randn(len(x), len(w), device=case.device) for x, w in layers]
    for _ in range(case.n_epochs * -(-len(X) // case.batch_size)):
        for i, ((x, weight), slope) in enumerate(zip(layers, slopes, strict=True)):
            torch.mm(x, weight.t())
            torch.mm(slope.t(), x)
            if i:
                torch.mm(slope, weight)


def mlp_regressor(X, case):
    """Train scikit-learn's perceptron from X to X; it has no SiLU, and takes ReLU."""
    network = MLPRegressor(
        hidden_layer_sizes=(*case.hidden, case.n_components, *case.hidden[::-1]),
        batch_size=case.batch_size,
        max_iter=case.n_epochs,
        learning_rate_init=case.learning_rate,
        tol=0,
        n_iter_no_change=10**6,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged, as asked
        return network.fit(X, X)


def skorch_net(X, case):
    from skorch import NeuralNetRegressor

    net = NeuralNetRegressor(
        plain_module(X, case),
        criterion=nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=case.learning_rate,
        batch_size=case.batch_size,
        max_epochs=case.n_epochs,
        iterator_train__shuffle=True,
        train_split=None,
        device=case.device,
        verbose=0,
    )
    return net.fit(X, X)


def keras_model(X, case):
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    widths = case.widths(X.shape[1])
    inner = (*widths[1:], *widths[-2:0:-1])
    layers = [
        keras.layers.Dense(
            width, activation=None if width == case.n_components else "silu"
        )
        for width in inner
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(widths[0])])
    model.compile(optimizer=keras.optimizers.Adam(case.learning_rate), loss="mse")
    model.fit(
        X, X, batch_size=case.batch_size, epochs=case.n_epochs, verbose=0, shuffle=True
    )
    return model


def pythae_model(X, case):
    """Train pythae's model of the same networks; it keeps its files in a folder."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, VAE, AEConfig, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    Model, Config = (VAE, VAEConfig) if case.is_vae else (AE, AEConfig)
    encoder, decoder = pythae_networks(X, case)
    config = Config(input_dim=(X.shape[1],), latent_dim=case.n_components)
    model = Model(config, encoder=encoder, decoder=decoder)
    rows = BaseDataset(torch.from_numpy(X), torch.zeros(len(X)))
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=case.n_epochs,
            per_device_train_batch_size=case.batch_size,
            learning_rate=case.learning_rate,
            optimizer_cls="Adam",
        )
        logging.disable()
        with contextlib.redirect_stderr(nowhere):
            BaseTrainer(model, rows, training_config=settings).train()
        logging.disable(logging.NOTSET)
    return model


def pythae_networks(X, case):
    """Put the plain networks into what pythae takes for an encoder and a decoder."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    module = plain_module(X, case)

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.network = module.encoder

        def forward(self, x):
            codes = self.network(x)
            if not case.is_vae:
                return ModelOutput(embedding=codes)
            mean, log_variance = codes.chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.network = module.decoder

        def forward(self, z):
            return ModelOutput(reconstruction=self.network(z))

    return Encoder(), Decoder()


AUTOENCODERS = {
    "skae": skae,
    "skae, float32": skae_float32,
    "plain loop": plain_loop,
    "index batches, fused Adam": index_loop,
    "products alone": products,
    "MLPRegressor": mlp_regressor,
    "skorch": skorch_net,
    "Keras on torch": keras_model,
    "pythae": pythae_model,
}
# Those that no other library trains.
OWN_LOOPS = (
    "skae",
    "skae, float32",
    "plain loop",
    "index batches, fused Adam",
    "products alone",
)
VAES = {name: AUTOENCODERS[name] for name in (*OWN_LOOPS, "pythae")}


def contenders(case):
    """Those that can train a case, by name."""
    return VAES if case.is_vae else AUTOENCODERS


def rows_like(n_rows, n_features, seed=0):
    """Rows with the share of dark pixels that MNIST has, where no data are at hand."""
    rng = np.random.default_rng(seed)
    codes = rng.standard_normal((n_rows, 12), dtype=np.float32)
    X = np.tanh(codes @ rng.standard_normal((12, n_features), dtype=np.float32) / 3)
    return np.clip(X, 0, 1)
