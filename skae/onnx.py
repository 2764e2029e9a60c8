"""ONNX: a fitted estimator as a graph that runs without Python.

Importing this module tells skl2onnx how to write ``transform`` of both estimators, so
that a whole Pipeline becomes one file; :func:`decoder_to_onnx` writes the way back::

    import skae.onnx
    from skl2onnx import to_onnx

    to_onnx(pipeline, X[:1])  # scaler, autoencoder, classifier
    skae.onnx.decoder_to_onnx(autoencoder)  # from codes to rows

The graph is that of :class:`skae.paths.Path`, operation by operation,

    y = offset + A (x - center) + gain * f((x - center) * unit),

with A in the type of the rows and f in float32, as in Python. Rows are measured from
their origin before anything else, so float32 rows far from zero keep their digits.
Numbers of a type other than float64 come back as float32. The number of rows is free.
The operators are those of opset 13 and later; a graph is in the ``target_opset`` that
is asked for, or the newest that its operators need.

Of the VAE the posterior mean is written; the option ``return_std`` adds the standard
deviations: ``to_onnx(vae, X, options={VAETransformer: {"return_std": True}})``.
"""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

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

from .autoencoder import AutoencoderTransformer
from .conditional import ConditionalAutoencoder
from .likelihoods import Bernoulli, Gaussian, GaussianDiag, StudentT
from .networks import (
    ChannelsFirst,
    ChannelsLast,
    Gated,
    Linear,
    Perceptron,
)
from .posteriors import LOG_VARIANCES, FullGaussian
from .vae import VAETransformer

__all__ = ["MINIMAL_OPSET", "decoder_to_onnx"]

# The oldest set of operators that has all that are written here.
MINIMAL_OPSET = 13


def decoder_to_onnx(estimator, *, dtype=np.float32, target_opset=None):
    """Write the decoder, from codes to rows, as a graph of its own.

    Parameters
    ----------
    estimator : AutoencoderTransformer or VAETransformer
        A fitted estimator.

    dtype : {numpy.float32, numpy.float64}, default=numpy.float32
        Type of the codes and of the rows.

    target_opset : int, default=None
        Version of ONNX's operators, 13 or later; None takes the newest that the
        operators need.

    Returns
    -------
    onnx.ModelProto
        With the input ``codes`` of shape (n, n_components) and the output ``rows`` of
        shape (n, n_features), which is what ``inverse_transform`` returns.

    Examples
    --------
    >>> import numpy as np
    >>> from onnxruntime import InferenceSession
    >>> from sklearn.datasets import load_iris
    >>> from skae import AutoencoderTransformer
    >>> from skae.onnx import decoder_to_onnx
    >>> X = load_iris().data.astype(np.float32)
    >>> autoencoder = AutoencoderTransformer(2, max_iter=2, random_state=0).fit(X)
    >>> codes = autoencoder.transform(X)
    >>> content = decoder_to_onnx(autoencoder).SerializeToString()
    >>> session = InferenceSession(content, providers=["CPUExecutionProvider"])
    >>> (rows,) = session.run(None, {"codes": codes})
    >>> bool(abs(rows - autoencoder.inverse_transform(codes)).max() < 1e-5)
    True
    """
    if not isinstance(estimator, AutoencoderTransformer | VAETransformer):
        raise TypeError(
            f"estimator={estimator!r} is no AutoencoderTransformer or VAETransformer; "
            "give the step of a Pipeline, as in pipeline[1]."
        )
    check_is_fitted(estimator)
    if isinstance(estimator.module_, ConditionalAutoencoder):
        raise ValueError(
            "conditional=True: what a code decodes to depends on its class, and codes "
            "come without one; ONNX takes the encoder (to_onnx) alone."
        )
    if np.dtype(dtype) not in TENSOR_TYPES:
        raise ValueError(f"dtype={dtype!r} must be numpy.float32 or numpy.float64.")
    tensor_type = TENSOR_TYPES[np.dtype(dtype)]
    return to_onnx(
        _Decoder(estimator),
        initial_types=[("codes", tensor_type([None, estimator.n_components_]))],
        final_types=[("rows", tensor_type([None, estimator.n_features_in_]))],
        target_opset=target_opset,
        name=f"{type(estimator).__name__}'s decoder",
    )


class _Decoder(BaseEstimator):
    """An estimator's decoder under a name of its own, which skl2onnx goes by."""

    def __init__(self, estimator):
        self.estimator = estimator


TENSOR_TYPES = {
    np.dtype(np.float32): FloatTensorType,
    np.dtype(np.float64): DoubleTensorType,
}


class _Graph:
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

    def name(self, x, output):
        """Give a value the name that it has outside."""
        self._container.add_node("Identity", [x], [output.full_name])


def _onnx_type(dtype):
    return numpy_helper.from_array(np.zeros(0, dtype)).data_type


# -------------------------------------------------------------------------- networks


def _sequence(graph, modules, x, where):
    for module in modules:
        x = _network(graph, module, x, where)
    return x


def _gated(graph, gated, x, where):
    x = _network(graph, gated.network, x, where)
    return graph.add("Mul", x, graph.single(gated.gain))


def _linear(graph, layer, x, where):
    parameters = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    return graph.add("Gemm", x, *map(graph.single, parameters), transB=1)


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


def _network(graph, module, x, where):
    """Write a module; ``where`` is the parameter that it came by."""
    has_hooks = module._forward_hooks or module._forward_pre_hooks
    if type(module) not in WRITERS or has_hooks:
        raise _refusal(where, module)
    return WRITERS[type(module)](graph, module, x, where)


def _refusal(where, module):
    layer = f"{type(module).__name__}({module.extra_repr()})"
    return TypeError(
        f"{where}=... made a module that holds {layer}, for which skae has no ONNX "
        f"operators; use {where}=MLP(...) or Conv(...) of skae.networks, or a module "
        f"of plain layers: {_names(WRITERS)}."
    )


def _names(kinds):
    return ", ".join(sorted({kind.__name__ for kind in kinds}))


# ------------------------------------------------------------------- paths and models


def _path(graph, path, x, where):
    """Write a path; see :class:`skae.paths.Path`."""
    if path.center is not None:
        x = graph.add("Sub", x, graph.constant(path.center))
    inner = graph.add("Mul", graph.cast(x, np.float32), graph.single(path.unit))
    correction = _network(graph, path.network, inner, where)
    correction = graph.add("Mul", correction, graph.single(path.gain))
    y = graph.cast(correction, graph.dtype)
    if path.linear is not None:
        weight = graph.constant(path.linear.weight)
        y = graph.add("Add", y, graph.add("Gemm", x, weight, transB=1))
    if path.offset is not None:
        y = graph.add("Add", y, graph.constant(path.offset))
    return y


# How the mean of a row follows from the decoder's predictor, by the likelihood.
MEANS = {
    Gaussian: lambda graph, eta: eta,
    GaussianDiag: lambda graph, eta: eta,
    StudentT: lambda graph, eta: eta,
    Bernoulli: lambda graph, eta: graph.add("Sigmoid", eta),
}


def _check_likelihood(estimator):
    """Refuse a likelihood that sees rows, or gives their mean, in a way of its own."""
    likelihood = estimator.likelihood_
    if type(likelihood) not in MEANS:
        raise TypeError(
            f"likelihood={likelihood!r}: skae has no ONNX operators for it; use "
            f"one of {_names(MEANS)}."
        )


def _convert_encoder(scope, operator, container):
    """Write ``transform``."""
    estimator = operator.raw_operator
    _check_likelihood(estimator)
    (x,), outputs = operator.inputs, operator.outputs
    graph = _Graph(scope, container, _row_dtype(x))
    rows = x.full_name
    if not isinstance(x.type, FloatTensorType | DoubleTensorType):
        rows = graph.cast(rows, graph.dtype)
    centred = graph.add("Sub", rows, graph.constant(estimator._origin))
    statistics = _path(graph, estimator.module_.encoder, centred, "encoder")
    n_codes = estimator.n_components_
    codes = graph.columns(statistics, 0, n_codes)
    graph.name(graph.cast(codes, _result_dtype(x)), outputs[0])
    if len(outputs) == 2:
        bounds = map(graph.constant, LOG_VARIANCES)
        log_variance = graph.columns(statistics, n_codes, 2 * n_codes)
        log_variance = graph.add("Clip", log_variance, *bounds)
        half = graph.add("Mul", log_variance, graph.constant(0.5))
        std = graph.add("Exp", half)
        if estimator.module_.posterior_kind is FullGaussian and n_codes > 1:
            below = graph.columns(
                statistics, 2 * n_codes, FullGaussian.n_statistics(n_codes)
            )
            std = graph.add("Mul", std, _row_lengths(graph, below, n_codes))
        graph.name(graph.cast(std, _result_dtype(x)), outputs[1])


def _row_lengths(graph, below, n_codes):
    """Write the lengths of the rows of I + N; see :class:`FullGaussian`."""
    rows, _ = np.tril_indices(n_codes, -1)
    belongs = graph.constant(np.eye(n_codes)[rows])
    squares = graph.add("Gemm", graph.add("Mul", below, below), belongs)
    return graph.add("Sqrt", graph.add("Add", squares, graph.constant(1.0)))


def _convert_decoder(scope, operator, container):
    """Write ``inverse_transform``."""
    estimator = operator.raw_operator.estimator
    _check_likelihood(estimator)
    (z,) = operator.inputs
    graph = _Graph(scope, container, _row_dtype(z))
    eta = _path(graph, estimator.module_.decoder, z.full_name, "decoder")
    rows = MEANS[type(estimator.likelihood_)](graph, eta)
    rows = graph.add("Add", rows, graph.constant(estimator._origin))
    graph.name(rows, operator.outputs[0])


# -------------------------------------------------------------------- types and shapes


def _row_dtype(x):
    """Type in which rows are centred: wide but for float32, as in ``transform``."""
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


def _register():
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
    update_registered_converter(_Decoder, "SkaeDecoder", _shape_rows, _convert_decoder)


_register()
