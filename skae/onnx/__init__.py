"""ONNX: a fitted estimator as a graph that runs without Python.

Importing this module tells skl2onnx how to write ``transform`` of both estimators, so
that a whole Pipeline becomes one file; :func:`decoder_to_onnx` writes the way back::

    import skae.onnx
    from skl2onnx import to_onnx

    to_onnx(pipeline, X[:1])  # scaler, autoencoder, classifier
    skae.onnx.decoder_to_onnx(autoencoder)  # from codes to rows

The graph is that of :class:`skae.models.paths.Path`, operation by operation,

    y = offset + A (x - center) + gain * f((x - center) * unit),

with A in the type of the rows and f in float32, as in Python. Rows are measured from
their origin before anything else, so float32 rows far from zero keep their digits.
Numbers of a type other than float64 come back as float32. The number of rows is free.
The operators are those of opset 13 and later; a graph is in the ``target_opset`` that
is asked for, or the newest that its operators need.

Rows are seen, and their mean is given, as the likelihood has it: counts by the
logarithms of their shares, categories by a softmax each, the columns of a mixed table
by their own.

Where an autoencoder refines its codes the steps are part of its graph, one after the
other, with the slopes that they take (:mod:`skae.onnx.slopes`). Some codes differ from
Python's by more than rounding: where a step makes next to no difference to a row's
loss, and where the encoder puts a row at the very edge of what the decoder's network
sees. Such a row is rebuilt about as well.

Of the VAE the posterior mean is written; the option ``return_std`` adds the standard
deviations: ``to_onnx(vae, X, options={VAETransformer: {"return_std": True}})``.
"""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skae.estimators.autoencoder import AutoencoderTransformer
from skae.estimators.vae import VAETransformer
from skae.models.conditional import ConditionalAutoencoder

from .converters import TENSOR_TYPES, Decoder, register
from .extra import to_onnx
from .graph import MINIMAL_OPSET

__all__ = ["MINIMAL_OPSET", "decoder_to_onnx"]


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

    Raises
    ------
    ValueError
        If a VAE was told classes (``conditional=True``): its codes come without one.

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
    try:
        tensor_type = TENSOR_TYPES[np.dtype(dtype)]
    except (KeyError, TypeError):  # another type, or none
        message = f"dtype={dtype!r} must be numpy.float32 or numpy.float64."
        raise ValueError(message) from None
    return to_onnx(
        Decoder(estimator),
        initial_types=[("codes", tensor_type([None, estimator.n_components_]))],
        final_types=[("rows", tensor_type([None, estimator.n_features_in_]))],
        target_opset=target_opset,
        name=f"{type(estimator).__name__}'s decoder",
    )


register()
