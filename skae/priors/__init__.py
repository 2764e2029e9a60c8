"""Priors: how codes are distributed before a row is seen.

Every prior begins as the standard normal and is written as what it makes of it,

    log p(z) = log N(z; 0, I) + tilt(z),

so the closed form of the divergence from the standard normal, and all that cancels in
it, stays. A prior is a spec; ``build(n_components, n_features)`` makes a module with

    tilt(z, infer)                log p(z) - log N(z; 0, I) of codes
    log_prob(z, infer)            log p(z), in nats
    sample(n, generator, infer)   codes, in float64 on the CPU
    is_standard                   whether the tilt is zero, and nothing is learned
    initialize_from(seen, weight) begins as training rows, as the encoder sees them, say

``infer``, from rows as the encoder sees them to their posterior, is there for priors
that are made of posteriors.
"""

from .aggregate import AggregatePosterior
from .base import Normal, Prior, PriorModule
from .flow import Flow
from .learned import Mixture, Vamp

__all__ = [
    "PRIORS",
    "AggregatePosterior",
    "Flow",
    "Mixture",
    "Normal",
    "Prior",
    "PriorModule",
    "Vamp",
]

PRIORS = {
    "normal": Normal,
    "gmm": Mixture,
    "vamp": Vamp,
    "flow": Flow,
    "posterior": AggregatePosterior,
}
