"""Models: a network, a likelihood and a penalty put together, as ``nn.Module``s.

Both models are made of two :class:`Path`, each a fixed linear map with a trained
network beside it:

    y = offset + A (x - center) + gain * f((x - center) * unit)

The linear map is PCA's and stays what it is; whatever can be learned better than PCA
is learned by the network, in units in which inputs and corrections are near 1. With
the network at zero the path *is* the linear map, in the precision of its rows.

Models import no other part: what they are made of is handed in.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

__all__ = ["Autoencoder", "Path", "VariationalAutoencoder"]

# Bounds of the logarithm of a posterior variance, whatever a row far from all others
# makes of it.
LOG_VARIANCES = (-40.0, 4.0)


class Path(nn.Module):
    """A fixed linear map corrected by a network.

    Parameters
    ----------
    network : nn.Module
        Maps ``n_inputs`` to ``n_outputs``, in float32.

    linear : nn.Module or None
        The linear map ``A``, with a buffer ``weight``; None for a network alone.

    n_inputs, n_outputs : int

    has_center, has_offset : bool
        Whether there are a center and an offset; otherwise they are zero.

    dtype : torch.dtype, default=torch.float64
        Of the center and the offset.
    """

    def __init__(
        self,
        network,
        linear,
        n_inputs,
        n_outputs,
        *,
        has_center,
        has_offset,
        dtype=torch.float64,
    ):
        super().__init__()
        self.network = network
        self.linear = linear
        self.center = (
            nn.Buffer(torch.zeros(n_inputs, dtype=dtype)) if has_center else None
        )
        self.offset = (
            nn.Buffer(torch.zeros(n_outputs, dtype=dtype)) if has_offset else None
        )
        self.unit = nn.Buffer(torch.ones(n_inputs, dtype=torch.float32))
        self.gain = nn.Buffer(torch.ones(n_outputs, dtype=torch.float32))

    def set_start(self, *, weight=None, center=0.0, offset=0.0, unit=1.0, gain=1.0):
        """Set the linear map and the units, leaving the network as it is."""
        values = {"center": center, "offset": offset, "unit": unit, "gain": gain}
        for name, value in values.items():
            buffer = getattr(self, name)
            if buffer is not None:
                buffer.copy_(torch.as_tensor(value).expand_as(buffer))
        if self.linear is not None:
            self.linear.weight.copy_(torch.as_tensor(weight))

    def forward(self, x):
        """Map rows; the result has their type."""
        x = self._centred(x)
        correction = self.network(x.to(torch.float32) * self.unit).to(torch.float32)
        return self._corrected(x, correction)

    def _centred(self, x):
        return x if self.center is None else x - self.center.to(x.dtype)

    def _corrected(self, x, correction):
        y = (correction * self.gain).to(x.dtype)
        if self.linear is not None:
            with torch.autocast(x.device.type, enabled=False):
                y = y + self.linear(x)
        return y if self.offset is None else y + self.offset.to(x.dtype)

    @property
    def is_traceable(self):
        """Whether the network has its derivative written out."""
        return hasattr(self.network, "traced")

    def traced(self, x, working):
        """Map rows, and keep what :meth:`backward` needs."""
        fixed = working.of(self, self._fixed)
        if fixed.center is not None:
            x = x - fixed.center
        inner = x if fixed.unit is None else x * fixed.unit
        y, trace = fixed.network.traced(inner, working)
        if fixed.gain is not None:
            y = y * fixed.gain
        if fixed.slopes is not None:
            y = torch.addmm(y, x, fixed.slopes.t())
        return (y if fixed.offset is None else y + fixed.offset), trace

    def backward(self, trace, slope, working, *, needs_input=False):
        """Set the network's gradient; return the slope in the rows if it is needed."""
        fixed = working.of(self, self._fixed)
        inner = slope if fixed.gain is None else slope * fixed.gain
        inner = fixed.network.backward(trace, inner, working, needs_input=needs_input)
        if not needs_input:
            return None
        if fixed.unit is not None:
            inner = inner * fixed.unit
        if fixed.slopes is not None:
            inner = torch.addmm(inner, slope, fixed.slopes)
        return inner

    def _fixed(self, working):
        """What a training does not change, in float32; None is what does nothing."""

        def unless(buffer, neutral):
            if buffer is None or (buffer == neutral).all():
                return None
            return buffer.to(torch.float32)

        return _Fixed(
            self.network,
            center=unless(self.center, 0.0),
            unit=unless(self.unit, 1.0),
            slopes=None if self.linear is None else self.linear.weight.float(),
            offset=unless(self.offset, 0.0),
            gain=unless(self.gain, 1.0),
        )


class _Fixed(NamedTuple):
    """What a training does not change about a path; see :class:`Path`."""

    network: nn.Module
    center: torch.Tensor | None
    unit: torch.Tensor | None
    slopes: torch.Tensor | None
    offset: torch.Tensor | None
    gain: torch.Tensor | None


class Autoencoder(nn.Module):
    """``x -> z = encoder(x) -> eta = decoder(z)``, with the deviance of x as its loss.

    Parameters
    ----------
    encoder, decoder : Path

    likelihood : nn.Module
        Only its ``deviance`` is minimised, so its own parameters are not trained.
    """

    def __init__(self, encoder, decoder, likelihood):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood.requires_grad_(False)
        self.loss_unit = nn.Buffer(torch.ones((), dtype=torch.float64))

    def set_start(self, maps, *, origin, shrinkage=1.0):
        """Begin at PCA.

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
                unit=_reciprocal(np.sqrt(maps.variance)),
                gain=scale if is_linear else 1.0,
            )
            self.decoder.set_start(
                weight=start.slopes,
                offset=start.intercept,
                unit=_reciprocal(scale) if is_linear else 1.0,
                gain=start.gain,
            )
            self.loss_unit.fill_(start.unit)

    def row_losses(self, x, generator=None):
        """Deviance of each row; the generator is for models that draw."""
        x = self.likelihood.drawn(x, generator)
        return self.likelihood.deviance(x, self.decoder(self.encode(x)))

    @property
    def is_traceable(self):
        """Whether :meth:`loss_and_grad` is there for these parts."""
        return (
            self.encoder.is_traceable
            and self.decoder.is_traceable
            and hasattr(self.likelihood, "deviance_slope")
        )

    def loss_and_grad(self, x, row_factor, generator, working):
        """Sum of the rows' losses, each times its factor, and its gradient.

        What autograd would do with ``row_losses(x) @ row_factor``, written out.
        """
        x = self.likelihood.drawn(x, generator)
        z, encoder_trace = self.encoder.traced(self.likelihood.view(x), working)
        eta, decoder_trace = self.decoder.traced(z, working)
        losses, slope = self.likelihood.deviance_slope(x, eta, row_factor)
        slope = self.decoder.backward(decoder_trace, slope, working, needs_input=True)
        self.encoder.backward(encoder_trace, slope, working)
        return losses @ row_factor

    def encode(self, x):
        """Codes of rows."""
        return self.encoder(self.likelihood.view(x))

    def decode(self, z):
        """Mean of the rows given their codes."""
        return self.likelihood.mean(self.decoder(z))

    def forward(self, x):
        """Reconstruct rows, measured from the origin, at their own sizes."""
        return self.likelihood.mean(self.decoder(self.encode(x)), x)


class VariationalAutoencoder(nn.Module):
    """``z ~ N(0, I)``, ``x | z`` by the likelihood, ``z | x`` by the encoder.

    The loss of a row is minus its evidence lower bound,

        - E_q log p(x | z) + beta KL(q(z | x) || N(0, I)),

    with one reparameterised draw of z per row.

    Parameters
    ----------
    encoder : Path
        Gives the mean and the logarithm of the variance of the posterior.

    decoder : Path

    likelihood : nn.Module

    divergence : callable
        Of a posterior from the prior, per row.

    beta : float
    """

    def __init__(self, encoder, decoder, likelihood, divergence, beta):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.divergence = divergence
        self.beta = beta
        self.loss_unit = nn.Buffer(torch.ones((), dtype=torch.float64))

    def set_start(self, maps, *, origin, shrinkage=1.0):
        """Begin at probabilistic PCA; see :meth:`Autoencoder.set_start`.

        A shrinkage of 0 is independent columns, with the prior as posterior.
        """
        with torch.no_grad():
            spread = np.ones(maps.n_components)
            start = self.likelihood.start(maps, maps.loadings, spread, shrinkage)
            centre = maps.center - origin
            unit = _reciprocal(np.sqrt(maps.variance))
            if self.encoder.linear is None:
                self.encoder.set_start(center=centre, unit=unit)
            else:
                log_variance = np.log(1 - shrinkage * (1 - maps.posterior_variance))
                to_mean = shrinkage * maps.posterior_map
                self.encoder.set_start(
                    weight=np.concatenate([to_mean, np.zeros_like(to_mean)]),
                    center=centre,
                    offset=np.concatenate([np.zeros_like(log_variance), log_variance]),
                    unit=unit,
                )
            self.decoder.set_start(
                weight=start.slopes,
                offset=start.intercept,
                gain=start.gain,
            )
            self.loss_unit.fill_(maps.n_features)

    def posterior(self, x):
        """Mean and log-variance of the codes given rows."""
        mean, log_variance = self.encoder(self.likelihood.view(x)).chunk(2, dim=-1)
        return mean, log_variance.clamp(*LOG_VARIANCES)

    def row_losses(self, x, generator=None):
        """Minus the evidence lower bound of each row, at one draw of its code."""
        x = self.likelihood.drawn(x, generator)
        mean, log_variance = self.posterior(x)
        z = mean + torch.exp(log_variance / 2) * _noise_like(mean, generator)
        divergence = self.divergence(mean, log_variance)
        return self.beta * divergence - self.likelihood.log_prob(x, self.decoder(z))

    @property
    def is_traceable(self):
        """Whether :meth:`loss_and_grad` is there for these parts."""
        return (
            self.encoder.is_traceable
            and self.decoder.is_traceable
            and hasattr(self.likelihood, "log_prob_slope")
            and hasattr(self.divergence, "slope")
        )

    def loss_and_grad(self, x, row_factor, generator, working):
        """Sum of the rows' losses, each times its factor, and its gradient."""
        x = self.likelihood.drawn(x, generator)
        seen = self.likelihood.view(x)
        statistics, encoder_trace = self.encoder.traced(seen, working)
        mean, unbounded = statistics.chunk(2, dim=-1)
        log_variance = unbounded.clamp(*LOG_VARIANCES)
        shift = torch.exp(log_variance / 2) * _noise_like(mean, generator)
        eta, decoder_trace = self.decoder.traced(mean + shift, working)
        log_prob, slope = self.likelihood.log_prob_slope(x, eta, -row_factor)
        divergence, in_mean, in_log_variance = self.divergence.slope(
            mean, log_variance, self.beta * row_factor
        )
        slope = self.decoder.backward(decoder_trace, slope, working, needs_input=True)
        in_mean = in_mean + slope
        in_log_variance = in_log_variance + slope * shift / 2
        in_log_variance = in_log_variance * (log_variance == unbounded)
        self.encoder.backward(
            encoder_trace, torch.cat([in_mean, in_log_variance], dim=1), working
        )
        return (self.beta * divergence - log_prob) @ row_factor

    def log_likelihood(self, x, draws, n_at_once):
        """Importance-weighted bound on ``log p(x)`` of each row.

        log 1/S sum_s p(x | z_s) p(z_s) / q(z_s | x),    z_s = m + sqrt(v) draws_s

        Parameters
        ----------
        x : torch.Tensor of shape (n_rows, n_features)

        draws : torch.Tensor of shape (n_draws, n_components)
            Standard normal; the same for all rows.

        n_at_once : int
            Draws that are decoded together.
        """
        mean, log_variance = self.posterior(x)
        mean, log_variance = mean[:, None], log_variance[:, None]
        log_weights = []
        for some in draws.split(n_at_once):
            z = mean + torch.exp(log_variance / 2) * some
            eta = self.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2])
            # log p(z) - log q(z | x): the terms in log(2 pi) cancel.
            log_ratio = (some.square() - z.square() + log_variance).sum(-1) / 2
            log_weights.append(self.likelihood.log_prob(x[:, None], eta) + log_ratio)
        all_weights = torch.cat(log_weights, dim=1)
        return torch.logsumexp(all_weights, dim=1) - math.log(len(draws))

    def encode(self, x):
        """Posterior means of the codes of rows."""
        return self.posterior(x)[0]

    def decode(self, z):
        """Mean of the rows given their codes."""
        return self.likelihood.mean(self.decoder(z))

    def forward(self, x):
        """Reconstruct rows from their posterior means; see :class:`Autoencoder`."""
        return self.likelihood.mean(self.decoder(self.encode(x)), x)


def _noise_like(tensor, generator):
    """Draw from the standard normal in the shape of a tensor."""
    return torch.randn(
        tensor.shape, generator=generator, dtype=tensor.dtype, device=tensor.device
    )


def _reciprocal(scale):
    """``1 / scale``, and 0 where the scale is 0: what does not vary says nothing."""
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
