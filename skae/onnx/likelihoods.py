"""How a likelihood sees rows, and what follows from its predictor: mean and deviance.

A likelihood's spec says what is to be written, its module holds what was learned.
"""

import numpy as np

from skae.likelihoods import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    GaussianDiag,
    NegativeBinomial,
    PerColumn,
    Poisson,
    StudentT,
)
from skae.likelihoods.counts import LARGEST_LOG_RATE, SMALLEST_SIZE
from skae.likelihoods.interval import SERIES_BELOW

from .graph import NotWritten
from .networks import names_of

__all__ = ["check_likelihood", "write_deviance", "write_mean", "write_view"]


def check_likelihood(spec):
    """Refuse a likelihood of the user's own, and a table with one in it."""
    if type(spec) is PerColumn:
        for part, _ in spec.parts:
            check_likelihood(part)
    elif type(spec) not in MEANS:
        raise NotWritten(
            f"likelihood={spec!r}: skae has no ONNX operators for it; use "
            f"one of {names_of(MEANS)}."
        )


# ------------------------------------------------------------------------------ views


def write_view(graph, spec, x, n_columns):
    """Write how the encoder sees rows."""
    return VIEWS.get(type(spec), _as_it_is)(graph, spec, x, n_columns)


def _as_it_is(graph, spec, x, n_columns):
    return x


def _view_counts(graph, spec, x, n_columns):
    """``log(1 + x)``, of shares times their number where the total is predicted."""
    if spec.size == "total":
        floor = graph.constant(SMALLEST_SIZE)
        total = graph.add("Max", graph.total(x), floor)
        x = graph.add("Mul", x, graph.add("Div", graph.constant(n_columns), total))
    return graph.add("Log", graph.add("Add", x, graph.constant(1.0)))


def _view_parts(graph, spec, x, n_columns):
    def view(part, columns):
        return write_view(graph, part, graph.chosen(x, columns), len(columns))

    return _gathered(graph, spec, [view(*part) for part in spec.parts])


VIEWS = {Poisson: _view_counts, NegativeBinomial: _view_counts, PerColumn: _view_parts}


# ------------------------------------------------------------------------------ means


def write_mean(graph, spec, module, eta):
    """Write the mean of a row, whose size is the typical one where it counts."""
    return MEANS[type(spec)](graph, spec, module, eta)


def _mean_is_predictor(graph, spec, module, eta):
    return eta


def _mean_of_bits(graph, spec, module, eta):
    return graph.add("Sigmoid", eta)


def _mean_of_grey(graph, spec, module, eta):
    """``(1 + 1 / tanh(h) - 1 / h) / 2`` with ``h = eta / 2``; a series about 0."""
    one, half = graph.constant(1.0), graph.constant(0.5)
    h = graph.add("Mul", eta, half)
    square = graph.add("Mul", h, h)
    inner = graph.add("Sub", one, graph.add("Mul", square, graph.constant(2 / 21)))
    slope = graph.add("Mul", graph.add("Mul", square, inner), graph.constant(1 / 15))
    third = graph.add("Mul", h, graph.constant(1 / 3))
    series = graph.add("Mul", third, graph.add("Sub", one, slope))
    is_small = graph.add("Less", graph.add("Abs", h), graph.constant(SERIES_BELOW))
    safe = graph.add("Where", is_small, one, h)
    langevin = graph.add(
        "Sub",
        graph.add("Div", one, graph.add("Tanh", safe)),
        graph.add("Div", one, safe),
    )
    centred = graph.add("Where", is_small, series, langevin)
    return graph.add("Mul", graph.add("Add", one, centred), half)


def _mean_of_counts(graph, spec, module, eta):
    if spec.size == "total":
        size = graph.constant(module.rates.total_mean)
        return graph.add("Mul", size, graph.add("Softmax", eta, axis=1))
    return graph.add("Exp", graph.add("Min", eta, graph.constant(LARGEST_LOG_RATE)))


def _mean_of_groups(graph, spec, module, eta):
    """Softmax of each group, filled up by minus infinity to the size of the largest."""
    nothing = graph.constant(-np.inf)
    pads = graph.constant([0, 0, 0, 1], np.int64)
    grouped = graph.chosen(graph.add("Pad", eta, pads, nothing), module.padded)
    shares = graph.add("Softmax", grouped, axis=2)
    # 0 stands for the number of rows, whatever it is.
    flat = graph.constant([0, module.padded.numel()], np.int64)
    return graph.chosen(graph.add("Reshape", shares, flat), module.position)


def _mean_of_parts(graph, spec, module, eta):
    means = [
        write_mean(graph, part, held.likelihood, graph.chosen(eta, columns))
        for (part, columns), held in zip(spec.parts, module.parts, strict=True)
    ]
    return _gathered(graph, spec, means)


def _gathered(graph, spec, parts):
    """Put the columns of all parts where they are in the table."""
    order = np.concatenate([columns for _, columns in spec.parts])
    return graph.chosen(graph.add("Concat", *parts, axis=1), np.argsort(order))


MEANS = {
    Gaussian: _mean_is_predictor,
    GaussianDiag: _mean_is_predictor,
    StudentT: _mean_is_predictor,
    Bernoulli: _mean_of_bits,
    ContinuousBernoulli: _mean_of_grey,
    Poisson: _mean_of_counts,
    NegativeBinomial: _mean_of_counts,
    Categorical: _mean_of_groups,
    PerColumn: _mean_of_parts,
}


# -------------------------------------------------------------------------- deviances


def write_deviance(graph, spec, module, x, eta):
    """Write the deviance of each row, as one column."""
    if type(spec) not in DEVIANCES:
        raise NotWritten(
            f"likelihood={type(spec).__name__}(...): skae has no ONNX operators for "
            f"its deviance, only for that of {names_of(DEVIANCES)}."
        )
    error = DEVIANCES[type(spec)](graph, module, graph.add("Sub", x, eta))
    return graph.total(graph.add("Mul", error, error))


def _in_units_of_the_noise(graph, module, error):
    return graph.add("Div", error, graph.constant(module.unit_noise.sqrt()))


# What is squared.
DEVIANCES = {
    Gaussian: lambda graph, module, error: error,
    GaussianDiag: _in_units_of_the_noise,
}
