"""Integers: what is one, where True is not."""

import math
from numbers import Integral

from sklearn.utils import check_scalar

__all__ = ["check_count", "is_integer"]


def is_integer(value, least=-math.inf):
    """Whether a value is an integer, and at least so much."""
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    return is_whole and int(value) >= least


def check_count(value, name):
    """Check a number of something."""
    if not is_integer(value):
        raise TypeError(f"{name}={value!r} must be an integer of 1 or more.")
    return check_scalar(int(value), name, Integral, min_val=1)
