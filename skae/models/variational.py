"""The variational autoencoder: a density model of rows, as an ``nn.Module``.

    z ~ p(z)            the prior
    x | z               the likelihood, about what the decoder makes of z
    z | x ~ q(z | x)    the posterior, from what the encoder makes of x

It is made of two :class:`~skae.models.paths.Path` and of parts that are handed in.
"""

import numpy as np
import torch

from skae.normal import noise_like

from .coders import Coder
from .paths import reciprocal

__all__ = ["VariationalAutoencoder"]

# Deviations of the standard normal within which practically all of its draws lie.
REACH = 4.0


class VariationalAutoencoder(Coder):
    """``z ~ p(z)``, ``x | z`` by the likelihood, ``z | x`` by the encoder.

    Its loss is what the objective makes of these; by default minus the evidence lower
    bound.

    Parameters
    ----------
    encoder : Path
        Gives the statistics of the posterior.

    decoder : Path

    likelihood : nn.Module

    posterior : type
        Of :data:`skae.models.posteriors.POSTERIORS`.

    prior : nn.Module

    objective : objective of :mod:`skae.models.objectives`

    Attributes
    ----------
    warmth : float
        Weight of the divergence in training, while it is warmed up.
    """

    def __init__(self, encoder, decoder, likelihood, *, posterior, prior, objective):
        super().__init__(encoder, decoder, likelihood)
        self.posterior_kind = posterior
        self.prior = prior
        self.objective = objective
        self.warmth = 1.0

    def initialize_from(self, x, weight):
        """Begin as some training rows suggest, where PCA does not say how."""
        super().initialize_from(x, weight)
        self.prior.initialize_from(self.likelihood.view(x), weight)

    def set_start(self, maps, *, origin, shrinkage=1.0):
        """Begin at probabilistic PCA, with f, h and g the networks.

            posterior mean   a W / lambda V (x - mu) + f(u)     u = (x - mu) / s
            log variance     log(1 - a (1 - sigma2 / lambda)) + h(u)
            predictor        mu + a V' W z + r g(z)             W^2 = lambda - sigma2

        The rest is as in :meth:`Autoencoder.set_start`. A shrinkage a of 0 is
        independent columns, with the prior as posterior.
        """
        with torch.no_grad():
            spread = np.ones(maps.n_components)
            start = self.likelihood.start(maps, maps.loadings, spread, shrinkage)
            centre = maps.center - origin
            unit = reciprocal(self.likelihood.spread(maps))
            if self.encoder.linear is None:
                self.encoder.set_start(center=centre, unit=unit)
            else:
                k = maps.n_components
                n_statistics = self.posterior_kind.n_statistics(k)
                weight = np.zeros((n_statistics, maps.n_features))
                weight[:k] = shrinkage * maps.posterior_map
                offset = np.zeros(n_statistics)
                offset[k : 2 * k] = np.log(
                    1 - shrinkage * (1 - maps.posterior_variance)
                )
                self.encoder.set_start(
                    weight=weight, center=centre, offset=offset, unit=unit
                )
            self.decoder.set_start(
                weight=start.slopes,
                offset=start.intercept,
                gain=start.gain,
            )
            self.loss_unit.fill_(maps.n_columns)

    def limit(self, rows):
        """Let the networks see no further than some rows and their codes.

        The decoder sees what the prior draws, too.
        """
        with torch.no_grad():
            self.encoder.limit(self.likelihood.view(x) for x in rows.blocks())
            self.decoder.limit([self.prior_reach()])
            self.decoder.limit(self.posterior_reach(x) for x in rows.blocks())

    def prior_reach(self):
        """Codes between which practically all draws of the standard normal lie."""
        reach = torch.full((1, self.prior.n_components), REACH)
        return torch.cat([-reach, reach]).to(self.loss_unit.device)

    def posterior_reach(self, x):
        """Codes between which practically all draws given some rows lie."""
        posterior = self.posterior(x)
        reach = REACH * posterior.std
        return torch.cat([posterior.mean - reach, posterior.mean + reach])

    def posterior(self, x):
        """Distribution of the codes given rows."""
        return self._infer(self.likelihood.view(x))

    def _infer(self, seen):
        """Distribution of the codes given rows as the encoder sees them."""
        return self.posterior_of(self.encoder(seen))

    def posterior_of(self, statistics):
        """Distribution of the codes given what the encoder says of rows."""
        return self.posterior_kind.from_statistics(statistics, self.prior.n_components)

    def each_class(self):
        """Give the variational autoencoder of each class: there is one."""
        return [self]

    @property
    def log_shares(self):
        """Logarithm of the share of each class."""
        return torch.zeros(1, dtype=torch.float32, device=self.loss_unit.device)

    def tilt(self, z):
        """Log-density of codes under the prior, above the standard normal's."""
        return self.prior.tilt(z, self._infer)

    def log_prior(self, z):
        """Log-density of codes under the prior."""
        return self.prior.log_prob(z, self._infer)

    @torch.no_grad()
    def draw_codes(self, n_samples, generator):
        """Draw codes from the prior, in float64 on the CPU."""
        return self.prior.sample(n_samples, generator, self._infer)

    def log_prob_given(self, x, z):
        """Log-probability of rows given codes, several codes per row."""
        eta = self.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        return self.likelihood.log_prob(x[:, None], eta)

    @property
    def compares_rows(self):
        """Whether the loss of a row depends on the others."""
        return self.objective.compares_rows

    def warm_up(self, progress):
        """Take note of how far the warm-up of a training has come; 1 is its end."""
        self.warmth = progress

    def row_losses(self, x, generator=None, passes=1, weight=None):
        """Loss of each row, as it is judged, on average over some passes."""
        if passes > 1 and (self.likelihood.draws_rows or self.compares_rows):
            each = [self.row_losses(x, generator, 1, weight) for _ in range(passes)]
            return torch.stack(each).mean(0)
        x = self.likelihood.drawn(x, generator)
        return self.objective.judged_losses(self, x, generator, passes, weight)

    def batch_loss(self, x, row_factor, generator):
        """Sum of the rows' losses, each times its factor, as it is trained on."""
        x = self.likelihood.drawn(x, generator)
        losses = self.objective.row_losses(self, x, generator, row_factor, self.warmth)
        return losses @ row_factor

    @property
    def has_derivative(self):
        """Whether :meth:`written_out` is there for these parts."""
        return (
            self.encoder.has_perceptron
            and self.decoder.has_perceptron
            and hasattr(self.posterior_kind, "divergence_slopes")
            and self.prior.is_standard
            and self.objective.plain_beta is not None
        )

    def written_out(self, working):
        """Give the derivative, written out, with the weights of a training."""
        return _WrittenVariational(self, working)

    def encode(self, x):
        """Posterior means of the codes of rows."""
        return self.posterior(x).mean


class _WrittenVariational:
    """What autograd would do with ``batch_loss``, written out."""

    def __init__(self, model, working):
        self.model = model
        self.encoder = model.encoder.written_out(working)
        self.decoder = model.decoder.written_out(working)
        self.likelihood = model.likelihood

    def row_losses(self, x, generator):
        """Loss of each row, by the weights of the training as they are."""
        x = self.likelihood.drawn(x, generator)
        posterior, shift, _ = self._infer(x, generator)
        eta = self.decoder.forward(posterior.mean + shift)
        divergence = self.model.objective.plain_beta * posterior.divergences().sum(-1)
        return divergence - self.likelihood.log_prob(x, eta)

    def loss_and_grad(self, x, row_factor, generator):
        """Give the sum of the rows' losses, each times its factor; set its gradient."""
        x = self.likelihood.drawn(x, generator)
        posterior, shift, is_free = self._infer(x, generator)
        eta = self.decoder.forward(posterior.mean + shift)
        log_prob, slope = self.likelihood.log_prob_slope(x, eta, -row_factor)
        beta = self.model.warmth * self.model.objective.plain_beta
        divergence = beta * posterior.divergences().sum(-1)
        in_mean, in_log_variance = posterior.divergence_slopes(beta * row_factor)
        slope = self.decoder.backward(slope, needs_input=True)
        in_mean = in_mean + slope
        in_log_variance = in_log_variance + slope * shift / 2
        in_log_variance *= is_free
        self.encoder.backward(torch.cat([in_mean, in_log_variance], dim=1))
        return (divergence - log_prob) @ row_factor

    def _infer(self, x, generator):
        """Find posteriors, draws less their means, and which variances are free."""
        statistics = self.encoder.forward(self.likelihood.view(x))
        k = self.model.prior.n_components
        posterior = self.model.posterior_kind.from_statistics(statistics, k)
        shift = posterior.std * noise_like(posterior.mean, generator)
        return posterior, shift, posterior.log_variance == statistics[:, k:]
