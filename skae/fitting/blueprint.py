"""A blueprint: every choice of architecture made, ready to be built at any time.

An estimator's parameters may change after it was fitted; its blueprint does not. It
holds plain values and specs, so it can be pickled, and a stored module can be built
from it wherever it is opened.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from skae.device import forked_stream, widest_dtype
from skae.integers import is_integer
from skae.likelihoods import Likelihood
from skae.models.coders import Autoencoder
from skae.models.conditional import ConditionalAutoencoder, LinearWithClass
from skae.models.objectives import ImportanceBound, PenalisedBound
from skae.models.paths import Path
from skae.models.penalties import DIVERGENCES, KullbackLeibler
from skae.models.posteriors import POSTERIORS
from skae.models.refinement import MOST_REFINEMENTS, Refinement
from skae.models.variational import VariationalAutoencoder
from skae.networks import MLP, FixedLinear, Gated
from skae.priors import Prior

from .factories import from_factory, is_factory, remember_parameters

__all__ = ["Blueprint", "Variational"]


@dataclass(frozen=True)
class Variational:
    """What makes an autoencoder variational.

    Attributes
    ----------
    posterior : str
        A name of :data:`skae.models.posteriors.POSTERIORS`.

    prior : prior spec

    divergence : str
        A name of :data:`skae.models.penalties.DIVERGENCES`.

    beta : float
        Weight of the divergence.

    free_bits : float
        Nats per component that count in any case.

    n_importance_samples : int
        Draws per row of the bound that is trained.
    """

    posterior: str
    prior: Any
    divergence: str = "kl"
    beta: float = 1.0
    free_bits: float = 0.0
    n_importance_samples: int = 1

    def check(self):
        """Refuse what no choice is, and choices that make no sense together."""
        _expect(
            self.posterior in POSTERIORS, "posterior", f"one of {sorted(POSTERIORS)}"
        )
        _expect(isinstance(self.prior, Prior), "prior", "a prior spec")
        self.prior.check("prior__")
        _expect(
            self.divergence in DIVERGENCES,
            "divergence",
            f"one of {sorted(DIVERGENCES)}",
        )
        for name in ("beta", "free_bits"):
            value = getattr(self, name)
            is_weight = isinstance(value, int | float) and 0 <= value < math.inf
            _expect(is_weight, name, "a number from 0")
        is_count = is_integer(self.n_importance_samples, 1)
        _expect(is_count, "n_importance_samples", "an integer of 1 or more")
        self._check_together()

    def _check_together(self):
        if self.n_importance_samples > 1:
            reason = "the importance-weighted bound has no divergence of its own"
            self._need("n_importance_samples", "divergence", "kl", reason)
            self._need("n_importance_samples", "free_bits", 0, reason)
        if self.free_bits > 0:
            reason = "bits are counted of the divergence of each component"
            self._need("free_bits", "divergence", "kl", reason)
        if self.free_bits > 0 and self.prior.is_learned:
            reason = "a learned prior has no divergence of each component"
            remedy = "use prior='normal' or 'posterior', or free_bits=0"
            self._refuse("prior", "free_bits", reason, remedy)
        if self.divergence == "mmd" and self.prior.is_learned:
            reason = "codes are compared with draws, from which no prior learns"
            remedy = "use prior='normal' or 'posterior', or divergence='kl'"
            self._refuse("prior", "divergence", reason, remedy)

    def _need(self, name, other, plain, reason):
        if getattr(self, other) != plain:
            remedy = f"leave {other} at {plain!r}, or {name} at its default"
            self._refuse(name, other, reason, remedy)

    def _refuse(self, name, other, reason, remedy):
        raise ValueError(
            f"{name}={getattr(self, name)!r} and {other}={getattr(self, other)!r} do "
            f"not go together: {reason}; {remedy}."
        )

    @property
    def keeps_start(self):
        """Whether the objective is at its best where the bound is exact."""
        is_bound = self.divergence != "mmd" and self.beta == 1 and self.free_bits == 0
        return is_bound and not self.prior.is_learned

    def build(self, n_components, n_features):
        """Make the parts of the model that are its own."""
        return {
            "posterior": POSTERIORS[self.posterior],
            "prior": self.prior.build(n_components, n_features),
            "objective": self._objective(),
        }

    def _objective(self):
        if self.n_importance_samples > 1:
            return ImportanceBound(self.n_importance_samples, self.beta)
        if self.divergence == "kl":
            return PenalisedBound(KullbackLeibler(self.beta, self.free_bits))
        return PenalisedBound(DIVERGENCES[self.divergence](self.beta))


@dataclass(frozen=True)
class Blueprint:
    """What a model is made of.

    Attributes
    ----------
    n_features, n_components : int

    encoder, decoder : network spec or callable
        A spec's ``build``, or a factory called as ``factory(n_inputs, n_outputs)``.

    likelihood : likelihood spec

    from_pca : bool
        Whether the paths have a linear map beside their network.

    variational : Variational or None
        What makes it a variational autoencoder; None makes a plain one.

    seed : int
        Of the networks' random weights.

    class_shares : tuple of float or None
        Share of each class that it is told of; None tells it of none.

    n_refinements : int
        Steps by which the codes of a plain autoencoder are refined.

    reach : float
        How far beyond the codes of its rows its decoder sees, in their ranges, where it
        stands beside a linear map.
    """

    n_features: int
    n_components: int
    encoder: Any
    decoder: Any
    likelihood: Any
    from_pca: bool
    variational: Variational | None
    seed: int
    class_shares: tuple | None = None
    n_refinements: int = 0
    reach: float = 0.0

    def check(self):
        """Refuse what no choice is, by its name, in a blueprint that was stored."""
        for name in ("n_features", "n_components"):
            is_count = is_integer(getattr(self, name), 1)
            _expect(is_count, f"blueprint.{name}", "an integer of 1 or more")
        is_seed = is_integer(self.seed, 0) and self.seed < 2**32
        _expect(is_seed, "blueprint.seed", "an integer from 0 to 2**32 - 1")
        for role in ("encoder", "decoder"):
            self._check_network(role)
        is_likelihood = isinstance(self.likelihood, Likelihood)
        _expect(is_likelihood, "blueprint.likelihood", "a likelihood spec")
        _expect(isinstance(self.from_pca, bool), "blueprint.from_pca", "a bool")
        is_count = is_integer(self.n_refinements, 0)
        is_count = is_count and self.n_refinements <= MOST_REFINEMENTS
        what = f"an integer from 0 to {MOST_REFINEMENTS}"
        _expect(is_count, "blueprint.n_refinements", what)
        is_length = isinstance(self.reach, float) and 0 <= self.reach < math.inf
        _expect(is_length, "blueprint.reach", "a finite float of 0 or more")
        if self.variational is not None:
            is_right = isinstance(self.variational, Variational)
            _expect(is_right, "blueprint.variational", "None or a Variational")
            self.variational.check()
        if self.class_shares is not None:
            are_shares = _are_shares(self.class_shares)
            _expect(are_shares, "blueprint.class_shares", "None or shares")

    def _check_network(self, role):
        part = getattr(self, role)
        is_spec = hasattr(part, "build") and not isinstance(part, type)
        is_network = is_spec or is_factory(part)
        _expect(is_network, f"blueprint.{role}", "a network spec")
        if hasattr(part, "check"):
            part.check(f"{role}__")

    @property
    def is_variational(self):
        """Whether a code is drawn from what is known of it, and has a prior."""
        return self.variational is not None

    @property
    def starts_exact(self):
        """Whether the start is a maximum-likelihood solution."""
        return self.from_pca and self.likelihood.starts_exact

    @property
    def units(self):
        """In which units of the columns the linear maps are found."""
        if not self.likelihood.has_column_noise:
            return "one"
        return "noise" if self.is_variational else "deviations"

    @property
    def has_factory(self):
        """Whether a network is whatever a factory of the user's makes."""
        return is_factory(self.encoder) or is_factory(self.decoder)

    def linear(self):
        """Say the same without networks: PCA."""
        return replace(self, encoder=MLP(()), decoder=MLP(()), from_pca=True)

    def build(self, device):
        """Make the model, its networks at their random start."""
        with forked_stream(self.seed, torch.device("cpu")):
            model = _on(device, self._assembled())
            if self.has_factory:
                remember_parameters(model)
        return model

    def _assembled(self):
        """Put the model together from its parts."""
        encoder = self._path("encoder", self.n_features, self._n_statistics)
        decoder = self._path("decoder", self._n_coded, self.n_features)
        likelihood = self.likelihood.build(self.n_features)
        parts = encoder, decoder, likelihood
        if self.variational is None:
            # Codes vary as PCA's do, by lambda and not by lambda - sigma2.
            likelihood.leave_to_codes(self.n_components, self.n_features)
            steps = Refinement(self.n_components, self.n_refinements)
            return Autoencoder(*parts, steps, self.reach)
        own = self.variational.build(self.n_components, self.n_features)
        if self.class_shares is None:
            return VariationalAutoencoder(*parts, **own)
        return ConditionalAutoencoder(*parts, self.class_shares, **own)

    @property
    def _n_coded(self):
        """What the decoder takes: a code, with its class where there are any."""
        return self.n_components + len(self.class_shares or ())

    @property
    def _n_statistics(self):
        """What the encoder gives for a row: its code, or what its posterior takes."""
        if self.variational is None:
            return self.n_components
        return POSTERIORS[self.variational.posterior].n_statistics(self.n_components)

    def outline(self):
        """Names, shapes and types of what the model holds, without its memory.

        None where a factory of the user's, which only :meth:`build` may call, decides.
        """
        if self.has_factory:
            return None
        with torch.device("meta"):
            return self.build(torch.device("meta")).state_dict()

    def _path(self, role, n_inputs, n_outputs):
        spec = getattr(self, role)
        if is_factory(spec):
            network = from_factory(spec, role, n_inputs, n_outputs)
            if self.from_pca:
                network = Gated(network, n_outputs)
        else:
            network = spec.build(
                n_inputs,
                n_outputs,
                mirror=role == "decoder",
                zero_last=self.from_pca,
            )
        is_encoder, is_centred = role == "encoder", self.likelihood.centred
        linear: nn.Module | None = None
        if self.from_pca:
            n_linear = n_inputs if is_encoder else self.n_components
            linear = FixedLinear(n_linear, n_outputs)
            if n_linear < n_inputs:
                added = FixedLinear(n_inputs - n_linear, n_outputs)
                linear = LinearWithClass(linear, added)
        return Path(
            network,
            linear,
            n_inputs,
            n_outputs,
            # Rows come centred or raw, codes are about zero; a posterior has variances.
            has_center=is_encoder and not is_centred,
            has_offset=self.is_variational if is_encoder else not is_centred,
        )


def _on(device, model):
    """Bring a model to a device, its numbers of the widest type it has."""
    if widest_dtype(device) == torch.float32:
        model = model.float()
    return model.to(device)


def _are_shares(shares):
    is_filled = isinstance(shares, tuple) and len(shares) > 0
    return is_filled and all(isinstance(s, float) and 0 < s <= 1 for s in shares)


def _expect(is_right, name, what):
    if not is_right:
        raise ValueError(f"{name} has to be {what}.")
