"""Kinds: columns of a table as numbers, and back again.

A kind learns from a column of training rows what it needs (``learn``), turns columns
into numbers (``encode``, an array with as many columns as ``names`` gives), and numbers
into what such a column holds (``decode``): integers, dates, categories, within the
range that was seen. It keeps plain values only, so it can be stored anywhere.
"""

import re
from dataclasses import dataclass

import numpy as np

from skae.estimators.reporting import warn

__all__ = [
    "MOSTLY",
    "Category",
    "Constant",
    "Number",
    "check_read",
    "decimals_of",
    "has_codes",
    "nature_of",
    "numbers_of",
    "texts_of",
]

OTHER = "other"

# Share of the texts in a column that have to be numbers, or dates, for it to be one.
MOSTLY = 0.95

# Digits that name something and measure nothing: 0012 is not 12.
CODE = re.compile(r"\s*0\d+\s*")

# Share of the numbers in a column that have to be the lowest, or the highest, for it to
# be a limit, as 0 is of rain.
LIMITED = 0.01


# -------------------------------------------------------------------------- kinds


@dataclass(frozen=True)
class Number:
    """A measure or a count.

    Attributes
    ----------
    fill : float
        What a missing value is replaced with: the median.

    center, scale : float
        What is subtracted, and then divided by.

    lowest, highest : float
        Range of the values seen.

    decimals : int or None
        Digits after the point that the values have; None is any number of them.

    unit : str
        What is written behind each value: a per cent sign, or nothing.

    has_floor, has_ceiling : bool
        Whether many values are the lowest, or the highest.
    """

    fill: float
    center: float
    scale: float
    lowest: float
    highest: float
    decimals: int | None
    unit: str = ""
    has_floor: bool = False
    has_ceiling: bool = False

    kind = "number"

    @classmethod
    def learn(cls, column, standardize, unit=""):
        """Learn from numbers, some of them missing."""
        values = numbers_of(column, unit)
        seen = values[np.isfinite(values)]
        fill = float(np.median(seen))
        filled = np.where(np.isfinite(values), values, fill)
        center, scale = _moments(filled) if standardize else (0.0, 1.0)
        lowest, highest = float(seen.min()), float(seen.max())
        learned = cls(
            fill,
            center,
            scale,
            lowest,
            highest,
            decimals_of(seen),
            unit,
            has_floor=_are_many(seen == lowest),
            has_ceiling=_are_many(seen == highest),
        )
        learned._check_squares(filled, column.name)
        return learned

    def _check_squares(self, values, name):
        """Refuse numbers whose squares no float can hold."""
        with np.errstate(over="ignore"):
            if np.isfinite(np.square((values - self.center) / self.scale).sum()):
                return
        raise ValueError(
            f"column {name!r} has numbers whose squares are beyond a float (from "
            f"{self.lowest:.3g} to {self.highest:.3g}); give it another unit, or leave "
            "it out (--drop)"
        )

    def names(self, name):
        """Name the columns of what ``encode`` returns."""
        return [name]

    def encode(self, column):
        """Fill, center and scale."""
        values = numbers_of(column, self.unit)
        check_read(column, np.isfinite(values), "finite number")
        filled = np.where(np.isfinite(values), values, self.fill)
        return ((filled - self.center) / self.scale)[:, None]

    def decode(self, numbers):
        """Undo ``encode``, to as many decimals as the values had."""
        values = self._folded(numbers[:, 0] * self.scale + self.center)
        if self.decimals is not None:
            values = np.round(values, self.decimals)
        values = np.clip(values, self.lowest, self.highest) + 0.0  # never -0.0
        if self.unit:
            return np.array([self._written(value) for value in values], dtype=object)
        is_whole = self.decimals == 0 and max(-self.lowest, self.highest) < 2**53
        return values.astype(np.int64) if is_whole else values

    def _folded(self, values):
        """Fold what is out of range back into it, where values do not pile up there.

        Draws from a smooth density know no range; cut off, many would be the lowest
        value of all. Those that are far out are left as they are.
        """
        ends = (self.lowest, self.has_floor), (self.highest, self.has_ceiling)
        for end, is_limit in ends:
            folded = end - (values - end)
            are_in = (folded >= self.lowest) & (folded <= self.highest)
            values = np.where(are_in & (not is_limit), folded, values)
        return values

    def _written(self, value):
        """Write a value as those with a unit were."""
        number = value if self.decimals is None else f"{value:.{self.decimals}f}"
        return f"{number}{self.unit}"


@dataclass(frozen=True)
class Category:
    """One of a few values, as an indicator of each; of two, as one of the second.

    Attributes
    ----------
    levels : list of str or None
        The values; None is a missing one.

    shares : list of float
        How often each was seen: what an unknown value is replaced with.

    has_other : bool
        Whether the last level stands for all values that were too rare.

    is_boolean : bool
        Whether the values are true and false.
    """

    levels: list
    shares: list
    has_other: bool
    is_boolean: bool

    kind = "category"

    @classmethod
    def learn(cls, column, max_categories):
        """Learn the values of a column; those beyond ``max_categories`` are one."""
        counts = texts_of(column).value_counts()
        n_missing = int(column.isna().sum())
        room = max_categories - (n_missing > 0)
        has_other = len(counts) > room
        kept = counts.iloc[: room - 1] if has_other else counts
        tally: dict = {str(level): int(n) for level, n in sorted(kept.items())}
        if n_missing:
            tally[None] = n_missing
        if has_other:
            rest = int(counts.sum() - kept.sum())
            tally[OTHER] = tally.pop(OTHER, 0) + rest
        shares = [count / len(column) for count in tally.values()]
        return cls(list(tally), shares, has_other, nature_of(column) == "boolean")

    def names(self, name):
        """Name the columns of what ``encode`` returns."""
        names = [f"{name}={level or 'missing'}" for level in self.levels]
        return names[1:] if len(names) == 2 else names

    def encode(self, column):
        """Indicate the level of each row."""
        import pandas as pd

        texts = texts_of(column)
        if self.is_boolean:  # which a text file may write in capitals
            texts = texts.map(str.capitalize, na_action="ignore")
        values = texts.to_numpy(dtype=object, na_value=None)
        where = [j for j, level in enumerate(self.levels) if level is not None]
        known = pd.Index([self.levels[j] for j in where], dtype=object)
        codes = np.append(where, -1)[known.get_indexer(values)]
        missing = column.isna().to_numpy()
        codes[missing] = self.levels.index(None) if None in self.levels else -1
        if self.has_other:
            codes[(codes < 0) & ~missing] = len(self.levels) - 1
        indicators = np.eye(len(self.levels))[codes]
        indicators[codes < 0] = self.shares
        _warn_of_unseen(column, int(((codes < 0) & ~missing).sum()))
        return indicators[:, 1:] if len(self.levels) == 2 else indicators

    def decode(self, numbers):
        """Choose the level that is most probable."""
        if len(self.levels) == 2:
            codes = (numbers[:, 0] > 0.5).astype(int)
        else:
            codes = numbers.argmax(axis=1)
        levels = np.array(self.levels, dtype=object)
        if self.is_boolean:
            truth = {"True": True, "False": False, None: None}
            levels = np.array([truth[level] for level in self.levels], dtype=object)
        return levels[codes]


@dataclass(frozen=True)
class Constant:
    """One value in all rows, which needs no number.

    Attributes
    ----------
    value : object
        The value; None where all are missing.
    """

    value: object

    kind = "constant"

    def names(self, name):
        """Name the columns of what ``encode`` returns: none."""
        return []

    def decode(self, numbers):
        """Repeat the value."""
        return np.array([self.value] * len(numbers), dtype=object)


# ---------------------------------------------------------------------- conversions


def nature_of(column):
    """Say in one word what a column holds; "text" may be numbers or dates, written."""
    import pandas as pd

    if not column.notna().any():
        return "empty"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "text"
    kinds = {
        "boolean": "boolean",
        "string": "text",
        **dict.fromkeys(("integer", "floating", "mixed-integer-float"), "number"),
        **dict.fromkeys(("decimal", "timedelta", "timedelta64"), "number"),
        **dict.fromkeys(("date", "datetime", "datetime64"), "date"),
    }
    found = pd.api.types.infer_dtype(column, skipna=True)
    if found in kinds:
        return kinds[found]
    plain = (str, int, float, bool)
    return "text" if column.dropna().map(type).isin(plain).all() else "other"


def texts_of(column):
    """Write the values of a column as text; missing ones stay missing."""
    return column.map(lambda value: str(value).strip(), na_action="ignore")


def has_codes(texts):
    """Whether some text is digits that a number would not be written with, as 0012."""
    return any(map(CODE.fullmatch, texts.dropna().unique()))


def numbers_of(column, unit=""):
    """Numbers of a column; what is none, or infinite, is not a number."""
    import pandas as pd

    if unit and nature_of(column) == "text":
        column = texts_of(column).str.removesuffix(unit.strip())
    if column.dtype.kind == "m":
        return column.dt.total_seconds().to_numpy()
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    numbers = pd.to_numeric(column, errors="coerce")
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _are_many(are_equal):
    """Whether more than one value, and more than few, are an end of their range."""
    return bool(are_equal.sum() > max(1, LIMITED * len(are_equal)))


def _moments(values):
    """Mean and deviation, which is 1 where all are equal.

    They are taken of values below 1, whose squares are as exact as those of any others
    and neither too large nor too small for a float.
    """
    _, exponent = np.frexp(np.abs(values).max())
    small = np.ldexp(values, -exponent)
    deviation = float(np.ldexp(small.std(), exponent))
    return float(np.ldexp(small.mean(), exponent)), deviation or 1.0


def decimals_of(values):
    """Count the digits after the point: those that all values need, if at most 6."""
    if np.abs(values).max() >= 2**53:
        return 0 if (values == np.round(values)).all() else None
    for decimals in range(7):
        # Most columns of measures are told by a few values.
        for part in (values[:1000], values):
            error = np.abs(np.round(part, decimals) - part)
            if (error > 4 * np.finfo(np.float64).eps * np.abs(part)).any():
                break
        else:
            return decimals
    return None


def check_read(column, is_read, what):
    """Say which values are not of the column's kind, and refuse if none is."""
    present = column.dropna()
    n_lost = len(present) - int(is_read.sum())
    if n_lost and n_lost == len(present):
        raise ValueError(
            f"column {column.name!r} holds no {what}, but was fitted to some; its "
            f"first value is {str(present.iloc[0])!r}"
        )
    _warn_of_some(
        column,
        n_lost,
        f"value is no {what}, and counts as missing",
        f"values are no {what}, and count as missing",
    )


def _warn_of_unseen(column, n_unseen):
    _warn_of_some(
        column,
        n_unseen,
        "value was not seen in fitting; it stands for all that were, by their shares",
        "values were not seen in fitting; each stands for all that were, by their "
        "shares",
    )


def _warn_of_some(column, number, one, many):
    """Say what one value of a column is, or many are; nothing of none."""
    if number:
        warn(f"column {column.name!r}: {number:,} {one if number == 1 else many}")
