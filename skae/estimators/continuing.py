"""Continuing: what has to stay as it was where a fitted model is trained further.

Parameters may be changed after a fit, and the blueprint of the model does not change
with them. Training may go on otherwise than before, but not of another model: what is
asked for now is held against what was made, and a change is refused by its name.
"""

import numbers

import numpy as np

from skae.fitting.factories import is_factory
from skae.networks import MLP
from skae.priors import PRIORS

__all__ = ["check_goes_on", "check_same_likelihood"]


def check_goes_on(estimator, blueprint):
    """Refuse to train a model further as one that it is not.

    What ``"auto"``, or a share of the variance, made of the first rows stays.
    """
    for name, made in _made_with(estimator, blueprint).items():
        asked = getattr(estimator, name)
        if not (_is_open(name, asked) or _is_same(asked, made)):
            _refuse_change(estimator, name)
    decoder = estimator.decoder
    if decoder is None and not is_factory(blueprint.encoder):
        decoder = blueprint.encoder  # which it mirrors
    for role, asked in (("encoder", estimator.encoder), ("decoder", decoder)):
        if not _is_same_network(asked, getattr(blueprint, role)):
            _refuse_change(estimator, role)


def check_same_likelihood(estimator, asked):
    """Refuse to train a model further with another likelihood, of all or some columns.

    Parameters
    ----------
    estimator : BaseAutoencoder

    asked : likelihood spec
        Its columns by number, as those of the likelihood that the model was made with.
    """
    ours, theirs = (_parts(one) for one in (asked, estimator.likelihood_))
    is_same = len(ours) == len(theirs) and all(
        np.array_equal(our_columns, their_columns) and _is_equal(our, their)
        for (our, our_columns), (their, their_columns) in zip(ours, theirs, strict=True)
    )
    if not is_same:
        _refuse_change(estimator, "likelihood")


def _is_equal(asked, made):
    """Compare specs, or what they are made with."""
    if hasattr(asked, "get_params"):
        return type(asked) is type(made) and all(
            _is_equal(value, getattr(made, name))
            for name, value in asked.get_params(deep=False).items()
        )
    if hasattr(asked, "shape"):
        return np.array_equal(asked, made)
    return asked == made


def _parts(likelihood):
    """Likelihoods of some columns each; one of all is the only part."""
    return getattr(likelihood, "parts", [(likelihood, None)])


def _refuse_change(estimator, name):
    raise ValueError(
        f"{name}={getattr(estimator, name)!r} is not what the fitted model was made "
        "with; set it back, or begin anew by fit with warm_start=False."
    )


def _made_with(estimator, blueprint):
    """Parameters, as they would have to be to make the model anew.

    Networks and the likelihood aside, which are more than plain values.
    """
    made_with = {
        "n_components": blueprint.n_components,
        "init": "pca" if blueprint.from_pca else "random",
    }
    own = _own_perceptron(estimator, blueprint)
    if own is not None:
        made_with |= own.get_params()
    if not blueprint.is_variational:
        return made_with | {"n_refinements": blueprint.n_refinements}
    is_conditional = blueprint.class_shares is not None
    return made_with | vars(blueprint.variational) | {"conditional": is_conditional}


def _own_perceptron(estimator, blueprint):
    """Give the network that the estimator's own parameters describe, if there is one.

    Beside an encoder that is a factory, it is the decoder.
    """
    if estimator.encoder is None:
        network = blueprint.encoder
    elif estimator.decoder is None and is_factory(blueprint.encoder):
        network = blueprint.decoder
    else:
        return None
    return network if isinstance(network, MLP) else None


def _is_open(name, asked):
    """Whether a parameter leaves to the first rows what a model is made with."""
    if name == "n_components":
        return not isinstance(asked, numbers.Integral)
    return isinstance(asked, str) and asked == "auto"


def _is_same_network(asked, made):
    """Compare a network's spec, by plain values; a factory's are its own affair."""
    if asked is None:
        return isinstance(made, MLP)
    if not hasattr(asked, "get_params"):
        return not hasattr(made, "get_params")
    return _is_same_spec(asked, made, numbers.Number | str | tuple | list)


def _is_same(asked, made):
    """Compare a value, or a prior that comes by name or as a spec."""
    if not hasattr(made, "build"):
        return np.array_equal(np.ravel(asked), np.ravel(made))
    if isinstance(asked, str):
        asked = PRIORS[asked]()
    return _is_same_spec(asked, made, numbers.Number | str | None)


def _is_same_spec(asked, made, kinds):
    """Compare specs, by those of their parameters that are of some kinds."""
    return type(asked) is type(made) and all(
        np.array_equal(np.ravel(value), np.ravel(getattr(made, name)))
        for name, value in asked.get_params(deep=False).items()
        if isinstance(value, kinds)
    )
