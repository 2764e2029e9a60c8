"""The graph that skl2onnx is making, and what is added to it."""

import numpy as np

from .extra import numpy_helper

__all__ = ["MINIMAL_OPSET", "Graph"]

# The oldest set of operators that has all that are written here.
MINIMAL_OPSET = 13


class Graph:
    """The graph that skl2onnx is making; values are known by their names.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the rows; networks compute in float32.
    """

    def __init__(self, scope, container, dtype):
        if container.target_opset < MINIMAL_OPSET:
            raise ValueError(
                f"target_opset={container.target_opset} is too old for skae's graphs; "
                f"ask for {MINIMAL_OPSET} or later."
            )
        self._scope, self._container = scope, container
        self.dtype = np.dtype(dtype)

    def add(self, operator, *inputs, **attributes):
        """Add a node; return the name of its output."""
        output = self._scope.get_unique_variable_name(operator.lower())
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(
            operator, list(inputs), [output], name=name, **attributes
        )
        return output

    def constant(self, values, dtype=None):
        """Add a tensor, or an array, of the type of the rows or another."""
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        array = np.ascontiguousarray(values, dtype=dtype or self.dtype)
        name = self._scope.get_unique_variable_name("constant")
        tensor = numpy_helper.from_array(array.reshape(np.shape(values)))
        self._container.add_initializer(name, tensor.data_type, array.shape, tensor)
        return name

    def single(self, values):
        """Add a tensor of the type of the networks."""
        return self.constant(values, np.float32)

    def cast(self, x, dtype):
        """Change the type of a value."""
        return self.add("Cast", x, to=_onnx_type(dtype))

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
