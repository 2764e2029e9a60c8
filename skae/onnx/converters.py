"""How both ways of an estimator are written, and what skl2onnx is told of it."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skae.estimators.autoencoder import AutoencoderTransformer
from skae.estimators.vae import VAETransformer
from skae.models.posteriors import LOG_VARIANCES, FullGaussian

from .extra import (
    DoubleTensorType,
    FloatTensorType,
    check_input_and_output_numbers,
    guess_tensor_type,
    update_registered_converter,
)
from .graph import Graph
from .likelihoods import check_likelihood, write_mean, write_view
from .paths import write_path
from .refinement import write_refinement

__all__ = ["TENSOR_TYPES", "Decoder", "register"]

TENSOR_TYPES = {
    np.dtype(np.float32): FloatTensorType,
    np.dtype(np.float64): DoubleTensorType,
}


class Decoder(BaseEstimator):
    """An estimator's decoder under a name of its own, which skl2onnx goes by."""

    def __init__(self, estimator):
        self.estimator = estimator


def _convert_encoder(scope, operator, container):
    """Write ``transform``."""
    estimator = operator.raw_operator
    check_likelihood(estimator.likelihood_)
    (x,), outputs = operator.inputs, operator.outputs
    graph = Graph(scope, container, _row_dtype(x))
    rows = x.full_name
    if not isinstance(x.type, FloatTensorType | DoubleTensorType):
        rows = graph.cast(rows, graph.dtype)
    centred = graph.add("Sub", rows, graph.constant(estimator._origin))
    seen = write_view(graph, estimator.likelihood_, centred, estimator.n_features_in_)
    statistics = write_path(graph, estimator.module_.encoder, seen, "encoder")
    codes = graph.columns(statistics, 0, estimator.n_components_)
    codes = write_refinement(graph, estimator, centred, codes)
    graph.name(graph.cast(codes, _result_dtype(x)), outputs[0])
    if len(outputs) == 2:
        std = _deviations(graph, estimator, statistics)
        graph.name(graph.cast(std, _result_dtype(x)), outputs[1])


def _deviations(graph, estimator, statistics):
    """Write the posterior's deviations; see :mod:`skae.models.posteriors`."""
    k, kind = estimator.n_components_, estimator.module_.posterior_kind
    log_variance = graph.columns(statistics, k, 2 * k)
    log_variance = graph.add("Clip", log_variance, *map(graph.constant, LOG_VARIANCES))
    std = graph.add("Exp", graph.add("Mul", log_variance, graph.constant(0.5)))
    if kind is not FullGaussian or k == 1:
        return std
    # The row of a triangular factor is std (n_1, .., n_i-1, 1): its square adds up.
    below = graph.columns(statistics, 2 * k, kind.n_statistics(k))
    is_of_row = np.eye(k)[np.tril_indices(k, -1)[0]]
    squares = graph.add("Mul", below, below)
    sums = graph.add("MatMul", squares, graph.constant(is_of_row))
    length = graph.add("Sqrt", graph.add("Add", sums, graph.constant(1.0)))
    return graph.add("Mul", std, length)


def _convert_decoder(scope, operator, container):
    """Write ``inverse_transform``."""
    estimator = operator.raw_operator.estimator
    check_likelihood(estimator.likelihood_)
    (z,) = operator.inputs
    graph = Graph(scope, container, _row_dtype(z))
    model = estimator.module_
    eta = write_path(graph, model.decoder, z.full_name, "decoder")
    rows = write_mean(graph, estimator.likelihood_, model.likelihood, eta)
    rows = graph.add("Add", rows, graph.constant(estimator._origin))
    graph.name(rows, operator.outputs[0])


# -------------------------------------------------------------------- types and shapes


def _row_dtype(x):
    """Type in which rows are centred: float64 but for float32, as in ``transform``."""
    return np.dtype(np.float32 if isinstance(x.type, FloatTensorType) else np.float64)


def _result_dtype(x):
    """Type of codes: skl2onnx's next steps take integers to give float32."""
    return np.dtype(np.float64 if isinstance(x.type, DoubleTensorType) else np.float32)


def _shape_codes(operator):
    check_is_fitted(operator.raw_operator)
    check_input_and_output_numbers(
        operator, input_count_range=1, output_count_range=[1, 2]
    )
    _set_outputs(operator, operator.raw_operator.n_components_)


def _shape_rows(operator):
    _set_outputs(operator, operator.raw_operator.estimator.n_features_in_)


def _set_outputs(operator, width):
    (x,) = operator.inputs
    for output in operator.outputs:
        output.type = TENSOR_TYPES[_result_dtype(x)]([x.get_first_dimension(), width])


def _parse_vae(scope, model, inputs, custom_parsers=None):
    """Declare what the VAE gives: codes and, if asked, their deviations."""
    operator = scope.declare_local_operator("SkaeVAETransformer", model)
    operator.inputs = inputs
    options = scope.get_options(model, {"return_std": False})
    for name in ["codes", "std"] if options["return_std"] else ["codes"]:
        kind = guess_tensor_type(inputs[0].type)
        operator.outputs.append(scope.declare_local_variable(name, kind))
    return operator.outputs


def register():
    """Tell skl2onnx of the converters."""
    update_registered_converter(
        AutoencoderTransformer,
        "SkaeAutoencoderTransformer",
        _shape_codes,
        _convert_encoder,
    )
    update_registered_converter(
        VAETransformer,
        "SkaeVAETransformer",
        _shape_codes,
        _convert_encoder,
        parser=_parse_vae,
        options={"return_std": [True, False]},
    )
    update_registered_converter(Decoder, "SkaeDecoder", _shape_rows, _convert_decoder)
