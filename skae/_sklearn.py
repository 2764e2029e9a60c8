"""The few private names of scikit-learn that are imported, in one place.

Hooks, private too, stand in the rooms whose classes extend scikit-learn's: a hook is
overridden or called under its own name. ``tests/test_architecture.py`` lists them. When
scikit-learn moves a name, this file changes or one of those rooms.
"""

from sklearn.base import _fit_context
from sklearn.preprocessing._data import _is_constant_feature
from sklearn.utils import _safe_indexing
from sklearn.utils._missing import is_pandas_na
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    RealNotInt,
    StrOptions,
)
from sklearn.utils._set_output import ADAPTERS_MANAGER, _get_output_config
from sklearn.utils.parallel import _get_threadpool_controller
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    _num_samples,
)

__all__ = [
    "HasMethods",
    "Interval",
    "RealNotInt",
    "StrOptions",
    "callbacks_of",
    "check_feature_names_in",
    "check_sample_weight",
    "fit_context",
    "is_constant_feature",
    "is_pandas_na",
    "n_samples",
    "safe_indexing",
    "threadpool_controller",
    "to_output_container",
]

fit_context = _fit_context
is_constant_feature = _is_constant_feature
check_feature_names_in = _check_feature_names_in
check_sample_weight = _check_sample_weight
n_samples = _num_samples
safe_indexing = _safe_indexing
threadpool_controller = _get_threadpool_controller


def callbacks_of(estimator):
    """Callbacks that were set on an estimator."""
    return list(getattr(estimator, "_skl_callbacks", []))


def to_output_container(data, original, estimator, columns):
    """Wrap rows in the container that ``set_output`` asks for.

    scikit-learn wraps ``transform`` only, always with the names of the codes; rows
    that come back in the input's own columns need this.
    """
    kind = _get_output_config("transform", estimator)["dense"]
    if kind == "default":
        return data
    adapter = ADAPTERS_MANAGER.adapters[kind]
    return adapter.create_container(data, original, columns=columns)
