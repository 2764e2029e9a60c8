"""Slopes: how a value changes with another one that it was written from.

The nodes between the two are walked back. Each turns the slope in what it gives into
the slope in what it takes, and where a value is taken twice its slopes add up.
"""

import math

import numpy as np

from .graph import NotWritten

__all__ = ["write_slope"]


def write_slope(graph, y, x):
    """Write the slope of a value in another.

    Parameters
    ----------
    graph : Graph

    y : str
        The value, one column.

    x : str
        What it was written from, row by row.

    Returns
    -------
    str
        Of the shape of ``x``.
    """
    slopes = {y: graph.constant([[1.0]])}
    for node, dependent in _back(graph.nodes, x):
        if node.output not in slopes:
            continue
        if node.operator not in SLOPES:
            raise _refusal(node)
        slope = slopes.pop(node.output)
        for place in dependent:
            name = node.inputs[place]
            part = SLOPES[node.operator](graph, node, slope, place)
            if name in slopes:
                part = graph.add("Add", slopes[name], part)
            slopes[name] = part
    return slopes[x]


def _back(nodes, x):
    """List the nodes that depend on a value, the last first, and by which inputs."""
    dependent, found = {x}, []
    for node in nodes:
        places = [i for i, name in enumerate(node.inputs) if name in dependent]
        if places:
            dependent.add(node.output)
            found.append((node, places))
    return found[::-1]


def _refusal(node):
    return NotWritten(
        f"decoder=... made a module with a layer that is ONNX's {node.operator}, of "
        "which skae writes no slope; use decoder=MLP(...) or Conv(...) of "
        "skae.networks."
    )


# -------------------------------------------------------------------------- arithmetic


def _as_it_is(graph, node, slope, place):
    return slope


def _of_difference(graph, node, slope, place):
    return slope if place == 0 else graph.add("Neg", slope)


def _of_product(graph, node, slope, place):
    return graph.add("Mul", slope, node.inputs[1 - place])


def _of_quotient(graph, node, slope, place):
    """Divide by what is constant."""
    return graph.add("Div", slope, node.inputs[1])


def _of_affine(graph, node, slope, place):
    """Go back by the transposed matrix."""
    back = 1 - node.attributes["transB"]
    return graph.add("Gemm", slope, node.inputs[1], transB=back)


def _of_map(graph, node, slope, place):
    """Go back by the transposed matrix, whatever axes are before the last."""
    back = graph.add("Transpose", node.inputs[1], perm=[1, 0])
    return graph.add("MatMul", slope, back)


def _of_total(graph, node, slope, place):
    return graph.add("Expand", slope, _shape(graph, node))


# --------------------------------------------------------------------- shapes and types


def _shape(graph, node):
    return graph.add("Shape", node.inputs[0])


def _of_shape(graph, node, slope, place):
    return graph.add("Reshape", slope, _shape(graph, node))


def _of_order(graph, node, slope, place):
    back = np.argsort(node.attributes["perm"]).tolist()
    return graph.add("Transpose", slope, perm=back)


def _of_type(graph, node, slope, place):
    return graph.cast_back(slope, node.attributes["to"])


def _of_transposed_convolution(graph, node, slope, place):
    attributes = dict(node.attributes)
    del attributes["output_padding"]
    return graph.add("Conv", slope, node.inputs[1], **attributes)


# -------------------------------------------------------------------------- activations
#
# In the type of the networks; a clamp is as open at its edges as torch has it.


def _where(graph, condition, slope):
    return graph.add("Where", condition, slope, graph.single(0.0))


def _of_maximum(graph, node, slope, place):
    return _where(graph, graph.add("GreaterOrEqual", *node.inputs), slope)


def _of_minimum(graph, node, slope, place):
    return _where(graph, graph.add("LessOrEqual", *node.inputs), slope)


def _is_positive(graph, node):
    return graph.add("Greater", node.inputs[0], graph.single(0.0))


def _of_relu(graph, node, slope, place):
    return _where(graph, _is_positive(graph, node), slope)


def _of_leaky_relu(graph, node, slope, place):
    below = graph.add("Mul", slope, graph.single(node.attributes["alpha"]))
    return graph.add("Where", _is_positive(graph, node), slope, below)


def _of_elu(graph, node, slope, place):
    """``alpha exp(x)`` below 0."""
    power = graph.add("Exp", graph.add("Min", node.inputs[0], graph.single(0.0)))
    share = graph.add("Mul", power, graph.single(node.attributes["alpha"]))
    below = graph.add("Mul", slope, share)
    return graph.add("Where", _is_positive(graph, node), slope, below)


def _of_tanh(graph, node, slope, place):
    """``1 - y^2``."""
    square = graph.add("Mul", node.output, node.output)
    return graph.add("Mul", slope, graph.add("Sub", graph.single(1.0), square))


def _of_sigmoid(graph, node, slope, place):
    """``y (1 - y)``."""
    rest = graph.add("Sub", graph.single(1.0), node.output)
    return graph.add("Mul", slope, graph.add("Mul", node.output, rest))


def _of_erf(graph, node, slope, place):
    """``2 / sqrt(pi) exp(-x^2)``."""
    square = graph.add("Mul", node.inputs[0], node.inputs[0])
    bell = graph.add("Exp", graph.add("Neg", square))
    bell = graph.add("Mul", bell, graph.single(2 / math.sqrt(math.pi)))
    return graph.add("Mul", slope, bell)


SLOPES = {
    "Add": _as_it_is,
    "Cast": _of_type,
    "ConvTranspose": _of_transposed_convolution,
    "Div": _of_quotient,
    "Elu": _of_elu,
    "Erf": _of_erf,
    "Flatten": _of_shape,
    "Gemm": _of_affine,
    "LeakyRelu": _of_leaky_relu,
    "MatMul": _of_map,
    "Max": _of_maximum,
    "Min": _of_minimum,
    "Mul": _of_product,
    "ReduceSum": _of_total,
    "Relu": _of_relu,
    "Reshape": _of_shape,
    "Sigmoid": _of_sigmoid,
    "Sub": _of_difference,
    "Tanh": _of_tanh,
    "Transpose": _of_order,
}
