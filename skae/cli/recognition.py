"""Recognition: what kind a column of a table is, by what it holds and is called."""

import re

import numpy as np

from .dates import DIGITS, Date, are_dates, date_format
from .kinds import (
    MOSTLY,
    Category,
    Constant,
    Number,
    decimals_of,
    has_codes,
    nature_of,
    numbers_of,
    texts_of,
)

__all__ = ["LeftOut", "learn_column"]

# Integers that number the rows, by the name of their column.
IS_IDENTIFIER = re.compile(
    r"(?i:(?:^|[ _.-])id$|^index$|^row$)|[a-z0-9]I[Dd]$|^Unnamed: 0(\.\d+)?$", re.ASCII
)
# A number behind a sign or the letters of a currency, or before a unit.
MEASURE = re.compile(
    r"^[-+]?([A-Z]{0,2}[$€£¥₹₽₩₺<>≤≥~≈]|[A-Z]{3}(?=\s))?\s?"
    r"[-+]?(?!0\d)\d(?:[\d.,]*\d)?\s?([^\W\d_][^\s\d@_:.]{0,9}|[°%‰$€£¥₹₽₩₺][^\W\d_]?)?$"
)
# A number whose thousands are parted by a blank, of whatever width, or as in 1'234.
IN_GROUPS = (
    r"[-+]?(?!0\d)\d{1,3}(?:[ \u00a0\u2000-\u200a\u202f'\u2019]\d{3})*(?:[.,]\d+)?"
)
HAS_NO_NAME = re.compile(r"^Unnamed: \d+$|^$")


class LeftOut(Exception):
    """A column that says nothing about how rows are alike."""


def learn_column(column, *, standardize, max_categories, drop_constant=True):
    """Find out what kind a column is.

    Parameters
    ----------
    column : pandas.Series

    standardize : bool
        Whether numbers and dates are brought to mean 0 and variance 1.

    max_categories : int
        Largest number of values that a category tells apart.

    drop_constant : bool, default=True
        Whether a number that never changes needs no column.

    Returns
    -------
    Number, Date, Category or Constant

    Raises
    ------
    LeftOut
        If the column says nothing of use; the message says why.

    Examples
    --------
    >>> import pandas as pd
    >>> from skae.cli.recognition import learn_column
    >>> rooms = pd.Series([2, 3, None, 4])
    >>> kind = learn_column(rooms, standardize=False, max_categories=20)
    >>> kind.encode(rooms).ravel()
    array([2., 3., 3., 4.])
    >>> kind.decode(kind.encode(rooms) + 0.2)
    array([2, 3, 3, 4])
    """
    nature = nature_of(column)
    if nature == "empty":
        return Constant(None)
    if nature == "other":
        raise LeftOut("its values are neither numbers, dates nor text")
    if nature == "number" and not drop_constant:
        return Number.learn(column, standardize)
    if nature == "number":
        return _learn_numbers(column, standardize)
    if nature == "date":
        if column.notna().all() and column.nunique() == 1:
            return Constant(str(column.iloc[0]))
        return Date.learn(column, standardize)
    if nature == "boolean":
        return _constant(column) or Category.learn(column, max_categories)
    return _learn_texts(column, standardize, max_categories)


def _learn_numbers(column, standardize):
    values = numbers_of(column)
    seen = values[np.isfinite(values)]
    if not len(seen):
        return Constant(None)
    if seen.min() == seen.max():
        value = seen[0]
        if column.dtype.kind in "iu":  # beyond 2**53 a float is another number
            value = column.dropna().iloc[0]
        return Constant(int(value) if value == np.round(value) else float(value))
    name = str(column.name)
    if HAS_NO_NAME.match(name) and (np.diff(values) == 1).all():
        raise LeftOut("row numbers")
    if IS_IDENTIFIER.search(name) and decimals_of(seen) == 0:
        if len(np.unique(seen)) == len(column):
            raise LeftOut("an identifier: every value differs")
    if are_dates(column):
        return Date.learn(column, standardize, DIGITS)
    return Number.learn(column, standardize)


def _learn_texts(column, standardize, max_categories):
    """Read text as numbers, as dates or as categories, in this order.

    Where one value is a code, so are all: to leave out its zeros would be to lose them.
    """
    constant = _constant(column)
    if constant is not None:
        return constant
    texts = texts_of(column)
    present = texts.dropna()
    unit = _unit_of(present)
    is_number = np.isfinite(numbers_of(present, unit))
    if is_number.mean() >= MOSTLY and not has_codes(present):
        if unit:
            return Number.learn(column, standardize, unit)
        return _learn_numbers(column, standardize)
    format = date_format(present)
    if format is not None:
        return Date.learn(column, standardize, format)
    reason = _why_left_out(present, max_categories)
    if reason is not None:
        raise LeftOut(reason)
    return Category.learn(column, max_categories)


def _why_left_out(texts, max_categories):
    """Say what texts are that are no category; None where they are one."""
    n_values = texts.nunique()
    all_differ = n_values == len(texts) and n_values > 2
    if not all_differ and n_values <= max(max_categories, len(texts) / 2):
        return None
    sign = _sign_of(texts)
    if sign:
        return f"numbers with a sign or unit ({sign}): write them without it"
    if has_codes(texts) and texts.str.fullmatch(r"\d+").all():
        return "digits with a zero before them: write them without, if they are numbers"
    if texts.str.fullmatch(IN_GROUPS).mean() >= MOSTLY:
        return "digits in groups: write them together, if they are numbers"
    if all_differ:
        return "an identifier: every value differs"
    return f"text: {n_values:,} values, most of them in one row alone"


def _sign_of(texts):
    """Find the sign or unit beside the numbers that most texts are; else nothing."""
    signs = texts.str.extract(MEASURE).fillna("").sum(axis=1)
    counts = signs.value_counts()
    return counts.index[0] if counts.iloc[0] >= MOSTLY * len(texts) else ""


def _unit_of(texts):
    """Find the per cent sign behind most texts, as it is set; else nothing."""
    signs = texts.str.extract(r"\d(\s?%)$", expand=False).dropna()
    return signs.iloc[0] if len(signs) >= MOSTLY * len(texts) else ""


def _constant(column):
    """Take a column of one value, none of them missing, as a constant."""
    if column.notna().all() and column.nunique() == 1:
        value = column.iloc[0]
        return Constant(value.item() if isinstance(value, np.generic) else value)
    return None
