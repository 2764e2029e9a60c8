"""The graph that skl2onnx is making, and what is added to it."""

from typing import Any, NamedTuple

import numpy as np

from .extra import numpy_helper

__all__ = ["MINIMAL_OPSET", "Graph", "NotWritten"]

# The oldest set of operators that has all that are written here.
MINIMAL_OPSET = 13


class NotWritten(TypeError):
    """What is there has no ONNX operators; the message names it and a remedy."""


class Node(NamedTuple):
    """What was added: an operator between values that are known by their names."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class Graph:
    """The graph that skl2onnx is making; values are known by their names.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the rows; networks compute in float32.

    nodes : list of Node
        What was added, each after what it takes.
    """

    def __init__(self, scope, container, dtype):
        if container.target_opset < MINIMAL_OPSET:
            raise ValueError(
                f"target_opset={container.target_opset} is too old for skae's graphs; "
                f"ask for {MINIMAL_OPSET} or later."
            )
        self._scope, self._container = scope, container
        self.dtype = np.dtype(dtype)
        self.nodes: list[Node] = []
        self._constants: dict[tuple, str] = {}

    def add(self, operator, *inputs, **attributes):
        """Add a node; return the name of its output."""
        output = self._scope.get_unique_variable_name(operator.lower())
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(
            operator, list(inputs), [output], name=name, **attributes
        )
        self.nodes.append(Node(operator, inputs, output, attributes))
        return output

    def constant(self, values, dtype=None):
        """Add a tensor, or an array, of the type of the rows or another.

        What is there already is not added again.
        """
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        array = np.asarray(values, dtype=dtype or self.dtype, order="C")
        key = array.dtype, array.shape, array.tobytes()
        if key not in self._constants:
            name = self._scope.get_unique_variable_name("constant")
            tensor = numpy_helper.from_array(array)
            self._container.add_initializer(name, tensor.data_type, array.shape, tensor)
            self._constants[key] = name
        return self._constants[key]

    def single(self, values):
        """Add a tensor of the type of the networks."""
        return self.constant(values, np.float32)

    def cast(self, x, dtype):
        """Change the type of a value."""
        return self.add("Cast", x, to=_onnx_type(dtype))

    def cast_back(self, x, to):
        """Undo a cast from the type of the rows to that of the networks, or from it."""
        is_of_networks = to == _onnx_type(np.float32)
        return self.cast(x, self.dtype if is_of_networks else np.float32)

    def columns(self, x, begin, end):
        """Take some columns of a value."""
        bounds = [self.constant([bound], np.int64) for bound in (begin, end, 1)]
        return self.add("Slice", x, *bounds)

    def chosen(self, x, columns):
        """Take the columns of a value that have these numbers."""
        return self.add("Gather", x, self.constant(columns, np.int64), axis=1)

    def total(self, x):
        """Add the columns of a value up, to one column."""
        return self.add("ReduceSum", x, self.constant([1], np.int64), keepdims=1)

    def name(self, x, output):
        """Give a value the name that it has outside."""
        self._container.add_node("Identity", [x], [output.full_name])


def _onnx_type(dtype):
    return numpy_helper.from_array(np.zeros(0, dtype)).data_type
