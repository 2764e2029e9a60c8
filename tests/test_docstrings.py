"""Every public name has a docstring that numpydoc accepts, and an example."""

import importlib
import inspect

import pytest
from public import public_names
from sklearn.base import BaseEstimator

# What numpydoc asks for and is not asked for here, and why.
IGNORED = {
    "ES01": "one sentence may say all there is to say",
    "SA01": "a See Also names what a reader would look for, where there is such",
    "PR09": "a description may end in a table",
    "RT03": "a type and a shape may say all there is to say",
    "RT02": "a return value may have a name, as scikit-learn's `self : object`",
}

# What an estimator has from scikit-learn, described there.
INHERITED = ("set_fit_request", "set_partial_fit_request", "set_score_request")


def documented_names():
    """The public names, and the methods of those that are no mere specs."""
    for name in public_names():
        yield name
        found = _get(name)
        if inspect.isclass(found) and not _is_spec(found):
            yield from (f"{name}.{method}" for method in _methods(found))


def _get(name):
    room, _, last = name.rpartition(".")
    return getattr(importlib.import_module(room), last)


def _is_spec(found):
    return issubclass(found, BaseEstimator) and not hasattr(found, "transform")


def _methods(found):
    own = [base for base in found.__mro__ if base.__module__.startswith("skae")]
    names = {name for base in own for name in vars(base) if name[0] != "_"}
    return sorted(
        name
        for name in names - set(INHERITED)
        if inspect.isroutine(getattr(found, name))
    )


@pytest.mark.parametrize("name", list(documented_names()))
def test_numpydoc_accepts(name):
    validate = pytest.importorskip("numpydoc.validate").validate
    is_method = name not in public_names()
    ignored = set(IGNORED) | ({"EX01"} if is_method else set())
    found = validate(name)["errors"]
    assert [error for error in found if error[0] not in ignored] == []
