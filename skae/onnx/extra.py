"""What is taken of onnx and skl2onnx, which come with an extra."""

try:
    from onnx import numpy_helper
    from skl2onnx import to_onnx, update_registered_converter
    from skl2onnx.common.data_types import (
        DoubleTensorType,
        FloatTensorType,
        guess_tensor_type,
    )
    from skl2onnx.common.utils import check_input_and_output_numbers
except ImportError as error:
    raise ImportError('skae.onnx needs skl2onnx: pip install "skae[onnx]".') from error

__all__ = [
    "DoubleTensorType",
    "FloatTensorType",
    "check_input_and_output_numbers",
    "guess_tensor_type",
    "numpy_helper",
    "to_onnx",
    "update_registered_converter",
]
