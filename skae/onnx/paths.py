"""How a path is written: a linear map with a network beside it."""

import numpy as np

from .networks import write_network

__all__ = ["write_path"]


def write_path(graph, path, x, where):
    """Write a path; see :class:`skae.models.paths.Path`."""
    if path.center is not None:
        x = graph.add("Sub", x, graph.constant(path.center))
    inner = graph.cast(graph.add("Mul", x, graph.constant(path.unit)), np.float32)
    inner = graph.add("Max", inner, graph.single(path.lowest))
    inner = graph.add("Min", inner, graph.single(path.highest))
    correction = write_network(graph, path.network, inner, where)
    correction = graph.add("Mul", correction, graph.single(path.gain))
    y = graph.cast(correction, graph.dtype)
    if path.linear is not None:
        weight = graph.constant(path.linear.weight)
        y = graph.add("Add", y, graph.add("Gemm", x, weight, transB=1))
    if path.offset is not None:
        y = graph.add("Add", y, graph.constant(path.offset))
    return y
