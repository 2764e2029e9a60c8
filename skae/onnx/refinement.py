"""How codes are refined: the steps of :mod:`skae.models.refinement`, one by one."""

import numpy as np

from skae.models.refinement import LEAST_GAIN, LONGER, SHORTER

from .graph import NotWritten
from .likelihoods import write_deviance
from .paths import write_path
from .slopes import write_slope

__all__ = ["write_refinement"]


def write_refinement(graph, estimator, x, z):
    """Write the codes of rows as the encoder's are moved, where they are."""
    refinement = getattr(estimator.module_, "refinement", None)
    if refinement is None or not refinement.is_active:
        return z
    try:
        return _write_steps(graph, estimator, x, z)
    except NotWritten as refusal:
        raise NotWritten(
            f"{refusal} Codes are refined by way of the decoder and the likelihood; "
            "with n_refinements=0 they are the encoder's, and it alone is written."
        ) from refusal


def _write_steps(graph, estimator, x, z):
    model, spec = estimator.module_, estimator.likelihood_
    metric = graph.constant(model.refinement.metric.weight)
    longer, shorter = graph.constant(LONGER), graph.constant(SHORTER)
    least_gain = graph.constant(max(LEAST_GAIN, np.finfo(graph.dtype).eps))

    def losses_at(z):
        eta = write_path(graph, model.decoder, z, "decoder")
        return write_deviance(graph, spec, model.likelihood, x, eta)

    best = losses_at(z)
    slope = write_slope(graph, best, z)
    length = graph.constant([[1.0]])
    for n_left in reversed(range(model.refinement.n_steps)):
        step = graph.add("Mul", length, graph.add("Gemm", slope, metric, transB=1))
        tried = graph.add("Sub", z, step)
        losses = losses_at(tried)
        gain = graph.add("Mul", least_gain, graph.add("Abs", best))
        is_better = graph.add("Less", losses, graph.add("Sub", best, gain))
        z = graph.add("Where", is_better, tried, z)
        if n_left:
            slopes = write_slope(graph, losses, tried)
            slope = graph.add("Where", is_better, slopes, slope)
            best = graph.add("Where", is_better, losses, best)
            factor = graph.add("Where", is_better, longer, shorter)
            length = graph.add("Mul", length, factor)
    return z
