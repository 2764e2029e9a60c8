"""How each kind of module is written."""

import numpy as np
from torch import nn

from skae.networks import (
    ChannelsFirst,
    ChannelsLast,
    Gated,
    Linear,
    Perceptron,
)

from .graph import NotWritten

__all__ = ["names_of", "write_network"]


def _sequence(graph, modules, x, where):
    for module in modules:
        x = write_network(graph, module, x, where)
    return x


def _gated(graph, gated, x, where):
    x = write_network(graph, gated.network, x, where)
    return graph.add("Mul", x, graph.single(gated.gain))


def _linear(graph, layer, x, where):
    """Map the last axis; Gemm would be for rows alone."""
    y = graph.add("MatMul", x, graph.single(layer.weight.T))
    return y if layer.bias is None else graph.add("Add", y, graph.single(layer.bias))


def _convolution(graph, layer, x, where, operator="Conv", **attributes):
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise _refusal(where, layer)
    parameters = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    return graph.add(
        operator,
        x,
        *map(graph.single, parameters),
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=2 * list(layer.padding),
        dilations=list(layer.dilation),
        group=layer.groups,
        **attributes,
    )


def _transposed_convolution(graph, layer, x, where):
    extra = list(layer.output_padding)
    if any(more >= step for more, step in zip(extra, layer.stride, strict=True)):
        raise _refusal(where, layer)  # onnxruntime does not run it
    return _convolution(graph, layer, x, where, "ConvTranspose", output_padding=extra)


def _unflatten(graph, layer, x, where):
    if layer.dim != 1:
        raise _refusal(where, layer)
    # 0 stands for the number of rows, whatever it is.
    shape = graph.constant([0, *layer.unflattened_size], np.int64)
    return graph.add("Reshape", x, shape)


def _flatten(graph, layer, x, where):
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise _refusal(where, layer)
    return graph.add("Flatten", x, axis=1)


def _silu(graph, layer, x, where):
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _gelu(graph, layer, x, where):
    if layer.approximate != "none":
        raise _refusal(where, layer)
    erf = graph.add("Erf", graph.add("Mul", x, graph.single(np.sqrt(0.5))))
    half = graph.add("Mul", x, graph.single(0.5))
    return graph.add("Mul", half, graph.add("Add", erf, graph.single(1.0)))


# How each kind of module is written, by its exact type: a subclass may do anything.
WRITERS = {
    nn.Sequential: _sequence,
    Perceptron: _sequence,
    Gated: _gated,
    Linear: _linear,
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _transposed_convolution,
    nn.Unflatten: _unflatten,
    nn.Flatten: _flatten,
    ChannelsFirst: lambda graph, _, x, where: graph.add(
        "Transpose", x, perm=[0, 3, 1, 2]
    ),
    ChannelsLast: lambda graph, _, x, where: graph.add(
        "Transpose", x, perm=[0, 2, 3, 1]
    ),
    nn.SiLU: _silu,
    nn.GELU: _gelu,
    nn.ReLU: lambda graph, _, x, where: graph.add("Relu", x),
    nn.LeakyReLU: lambda graph, layer, x, where: graph.add(
        "LeakyRelu", x, alpha=layer.negative_slope
    ),
    nn.ELU: lambda graph, layer, x, where: graph.add("Elu", x, alpha=layer.alpha),
    nn.Tanh: lambda graph, _, x, where: graph.add("Tanh", x),
    nn.Sigmoid: lambda graph, _, x, where: graph.add("Sigmoid", x),
    nn.Identity: lambda graph, _, x, where: x,
}


def write_network(graph, module, x, where):
    """Write a module; ``where`` is the parameter that it came by."""
    has_hooks = module._forward_hooks or module._forward_pre_hooks
    if type(module) not in WRITERS or has_hooks:
        raise _refusal(where, module)
    return WRITERS[type(module)](graph, module, x, where)


def _refusal(where, module):
    layer = f"{type(module).__name__}({module.extra_repr()})"
    return NotWritten(
        f"{where}=... made a module that holds {layer}, for which skae has no ONNX "
        f"operators; use {where}=MLP(...) or Conv(...) of skae.networks, or a module "
        f"of plain layers: {names_of(WRITERS)}."
    )


def names_of(kinds):
    """List the names of classes."""
    return ", ".join(sorted({kind.__name__ for kind in kinds}))
