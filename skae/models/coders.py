"""Coders: two paths and a likelihood put together, as an ``nn.Module``.

Both are handed in, the paths as :class:`~skae.models.paths.Path`. What a model
minimises is its own: that of the autoencoder is here.
"""

from collections.abc import Callable

import torch
from torch import nn

from .paths import reciprocal

__all__ = ["Autoencoder", "Coder"]


class Coder(nn.Module):
    """From rows to codes and back: two paths, and a likelihood.

    A subclass says what is to be minimised, and how rows are encoded and how far
    the networks see: ``encode`` and ``limit``.

    Parameters
    ----------
    encoder, decoder : Path

    likelihood : nn.Module
    """

    encode: Callable
    limit: Callable

    def __init__(self, encoder, decoder, likelihood):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.loss_unit = nn.Buffer(torch.ones((), dtype=torch.float64))

    def fit_totals(self, rows, *, anew):
        """Find the distribution of the totals of rows, where a likelihood has one."""
        self.likelihood.fit_totals(rows.counted_blocks, anew=anew)

    def initialize_from(self, x, weight):
        """Begin as some training rows suggest, where PCA does not say how."""
        self.likelihood.initialize_from(x, weight)

    @property
    def compares_rows(self):
        """Whether the loss of a row depends on the others, so that a pass is a walk."""
        return False

    def drawn(self, x, generator):
        """Rows to be learned from: as they are, or a draw from what they stand for."""
        return self.likelihood.drawn(x, generator)

    @property
    def is_recordable(self):
        """Whether a GPU may record its steps: a user's likelihood may wait for it."""
        return self.likelihood.is_recordable

    def prepare_inference(self, rows):
        """Let the networks see no further than the rows that they were trained on."""
        self.limit(rows)

    def prepare_training(self):
        """Let the networks see everything, as is right while they are trained."""
        self.encoder.unlimit()
        self.decoder.unlimit()

    def statistics(self, x):
        """Give what the encoder says of rows: codes, or what posteriors are made of."""
        return self.encoder(self.likelihood.view(x))

    def decode(self, z):
        """Mean of the rows given their codes."""
        return self.likelihood.mean(self.decoder(z))

    def forward(self, x):
        """Reconstruct rows, measured from the origin, at their own sizes."""
        return self.likelihood.mean(self.decoder(self.encode(x)), x)


class Autoencoder(Coder):
    """``x -> z = encoder(x) -> eta = decoder(z)``, with the deviance of x as its loss.

    Parameters
    ----------
    encoder, decoder : Path

    likelihood : nn.Module
        Only its ``deviance`` is minimised, so its own parameters are not trained.

    refinement : Refinement
        Of the codes, once the networks are trained.

    reach : float, default=0.0
        How far beyond the codes of its rows a decoder beside a linear map sees, once
        trained, in their ranges.
    """

    def __init__(self, encoder, decoder, likelihood, refinement, reach=0.0):
        super().__init__(encoder, decoder, likelihood.requires_grad_(False))
        self.refinement, self.reach = refinement, reach

    def set_start(self, maps, *, origin, shrinkage=1.0):
        """Begin at PCA, of axes V and variances lambda, with f and g the networks.

            code        V (x - mu) + S f((x - mu) / s)    S = sqrt(lambda)
            predictor   mu + V' z + r g(z / S)

        The likelihood says s, its spread, and r, its gain; where the predictor is not
        the mean itself, also what stands for mu and V'. Networks without linear maps
        are alone, and S is 1.

        Parameters
        ----------
        maps : LinearMaps

        origin : ndarray of shape (n_features,)
            What rows are measured from.

        shrinkage : float, default=1.0
            Factor on the decoder's slopes.
        """
        with torch.no_grad():
            scale = maps.code_scale
            is_linear = self.encoder.linear is not None
            start = self.likelihood.start(maps, maps.axes, scale, shrinkage)
            self.encoder.set_start(
                weight=maps.projection,
                center=maps.center - origin,
                unit=reciprocal(self.likelihood.spread(maps)),
                gain=scale if is_linear else 1.0,
            )
            self.decoder.set_start(
                weight=start.slopes,
                offset=start.intercept,
                unit=reciprocal(scale) if is_linear else 1.0,
                gain=start.gain,
            )
            self.loss_unit.fill_(start.unit)

    def row_losses(self, x, generator=None, passes=1, weight=None):
        """Deviance of each row; passes and weights are for models that need them."""
        x = self.likelihood.drawn(x, generator)
        return self.deviance_given(x, self.encode(x))

    def batch_loss(self, x, row_factor, generator):
        """Sum of the rows' losses, each times its factor, as it is trained on."""
        x = self.likelihood.drawn(x, generator)
        return self.deviance_given(x, self.statistics(x)) @ row_factor

    def deviance_given(self, x, z):
        """Deviance of each row given its code."""
        return self.likelihood.deviance(x, self.decoder(z))

    def encode(self, x):
        """Codes of rows, refined once the networks are trained."""
        return self.refinement(self.deviance_given, x, self.statistics(x))

    @property
    def has_derivative(self):
        """Whether :meth:`written_out` is there for these parts."""
        return self.encoder.has_perceptron and self.decoder.has_perceptron

    def written_out(self, working):
        """Give the derivative, written out, with the weights of a training."""
        return _WrittenAutoencoder(self, working)

    def prepare_inference(self, rows):
        """Take from the rows how far the networks see, and how codes are refined."""
        super().prepare_inference(rows)
        self.refinement.measure(self.deviance_given, self.statistics, rows)

    def prepare_training(self):
        """Let the networks see everything, and codes be where the encoder puts them."""
        super().prepare_training()
        self.refinement.clear()

    def limit(self, rows):
        """Let the networks see some rows, and as far beyond their codes as they may."""
        with torch.no_grad():
            self.encoder.limit(self.likelihood.view(x) for x in rows.blocks())
            self.decoder.limit((self.statistics(x) for x in rows.blocks()), self.reach)

    @property
    def readout(self):
        """The decoder's last layer, where the loss is a squared error; else None."""
        return self.decoder.readout if self.likelihood.is_squared_error else None

    def left_to_readout(self, x):
        """Last hidden layer of rows, and what their correction still lacks."""
        eta, hidden = self.decoder.with_hidden(self.encode(x))
        gain = self.decoder.gain
        is_corrected = gain > 0
        return hidden, (x - eta) * is_corrected / torch.where(is_corrected, gain, 1.0)


class _WrittenAutoencoder:
    """What autograd would do with ``row_losses(x) @ row_factor``, written out."""

    def __init__(self, model, working):
        self.encoder = model.encoder.written_out(working)
        self.decoder = model.decoder.written_out(working)
        self.likelihood = model.likelihood

    def row_losses(self, x, generator):
        """Deviance of each row, by the weights of the training as they are."""
        x = self.likelihood.drawn(x, generator)
        return self.likelihood.deviance(x, self._predict(x))

    def loss_and_grad(self, x, row_factor, generator):
        """Give the sum of the rows' losses, each times its factor; set its gradient."""
        x = self.likelihood.drawn(x, generator)
        losses, slope = self.likelihood.deviance_slope(x, self._predict(x), row_factor)
        self.encoder.backward(self.decoder.backward(slope, needs_input=True))
        return losses @ row_factor

    def _predict(self, x):
        return self.decoder.forward(self.encoder.forward(self.likelihood.view(x)))
