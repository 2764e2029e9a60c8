"""Integers: what is one, where True is not."""

import math
from numbers import Integral

__all__ = ["is_integer"]


def is_integer(value, least=-math.inf):
    """Whether a value is an integer, and at least so much."""
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    return is_whole and int(value) >= least
