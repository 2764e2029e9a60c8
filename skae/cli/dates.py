"""Dates: a column of them as numbers, and back, in whatever way they are written."""

from dataclasses import dataclass

import numpy as np

from skae.estimators.reporting import warn

from .kinds import MOSTLY, Number, check_read, nature_of, numbers_of, texts_of

__all__ = ["DIGITS", "Date", "are_dates", "date_format"]

# Ways to write a day; the first that fits all of a column is taken. So 03/04/2021 is
# in March unless another row cannot be.
DAYS = (
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d-%b-%Y",
    "%Y.%m.%d",
)
TIMES = ("", " %H:%M:%S", " %H:%M", " %I:%M %p")
ISO_TIME = "%Y-%m-%dT%H:%M:%S"
FORMATS = (*(day + time for time in TIMES for day in DAYS), ISO_TIME, "ISO8601")

# A day as a whole number; those of a table are told from other numbers by their range.
DIGITS = "%Y%m%d"
EARLIEST, LATEST = 1900_01_01, 2100_12_31

# How far a time in ISO 8601 is from UTC.
OFFSET = r":\d\d\S*?\s?(Z|[-+]\d\d(?::?\d\d)?)$"

# Different texts of a column by which their format is told.
MOST_TRIED = 500


@dataclass(frozen=True)
class Date:
    """A day, or a moment of one, as days since the first.

    Attributes
    ----------
    first : str
        The earliest date, in ISO 8601.

    format : str or None
        How it is written; None where the column holds dates, neither text nor numbers.

    days : Number
        What becomes of the days since the first.

    zone : str or None
        The time zone that dates are in, ``"UTC"`` or as ``"+02:00"`` where they are
        text; None where they have none.
    """

    first: str
    format: str | None
    days: Number
    zone: str | None = None

    kind = "date"

    @classmethod
    def learn(cls, column, standardize, format=None):
        """Learn from dates, or from text or numbers in a format."""
        import pandas as pd

        moments = _moments_of(column, format)
        first = np.nanmin(moments)
        days = Number.learn(pd.Series(_days(moments, first)), standardize)
        return cls(str(first), format, days, _zone_of(column, format))

    def names(self, name):
        """Name the columns of what ``encode`` returns."""
        return [name]

    def encode(self, column):
        """Count the days, and scale them."""
        import pandas as pd

        moments = self._read(column)
        written = self._written(pd.Series([np.datetime64(self.first)]))
        check_read(column, ~np.isnat(moments), f"date written as {written.iloc[0]}")
        days = _days(moments, np.datetime64(self.first))
        return self.days.encode(pd.Series(days))

    def _read(self, column):
        """Read dates as they were written, or else as they alone can be meant."""
        moments = _moments_of(column, self.format)
        if not np.isnat(moments).all() or nature_of(column) != "text":
            return moments
        format = _only_format(texts_of(column.dropna()))
        if format is None:
            return moments
        moments = _moments_of(column, format)
        where = int(np.flatnonzero(~np.isnat(moments))[0])
        warn(
            f"column {column.name!r}: its dates are written in another way than those "
            f"it was fitted to; {column.iloc[where]!r} is read as "
            f"{str(moments[where])[:10]}"
        )
        return moments

    def decode(self, numbers):
        """Give dates back, written as they were."""
        import pandas as pd

        seconds = np.round(self.days.decode(numbers) * 86_400.0)
        moments = np.datetime64(self.first, "s") + seconds.astype("timedelta64[s]")
        if self.format is None and self.zone is None:
            return moments
        moments = pd.Series(moments)
        if self.zone is not None:
            moments = moments.dt.tz_localize("UTC").dt.tz_convert(self.zone)
        if self.format is None:
            return moments
        written = self._written(moments)
        return written.to_numpy(dtype=object if self.format != DIGITS else np.int64)

    def _written(self, moments):
        """Write dates as those were that were seen."""
        format = self.format or "ISO8601"
        suffix = "Z" if self.zone == "UTC" else self.zone or ""
        return moments.dt.strftime(format.replace("ISO8601", ISO_TIME) + suffix)


def are_dates(column):
    """Whether all numbers of a column are days such as 20010307."""
    import pandas as pd

    values = numbers_of(column)
    seen = values[np.isfinite(values)]
    if seen.min() < EARLIEST or seen.max() > LATEST:
        return False
    return not np.isnat(_moments_of(pd.Series(seen), DIGITS)).any()


def date_format(texts):
    """Find the format in which most texts are dates, or None."""
    sample = _some(texts)
    if sample.str.contains(r"\d.*[-/. :]", regex=True).mean() < MOSTLY:
        return None
    best, best_share = None, MOSTLY
    for format in FORMATS:
        share = _read(sample, format).notna().mean()
        if share == 1.0:
            return format
        if share > best_share:
            best, best_share = format, share
    return best


def _only_format(texts):
    """Find the format in which all texts are dates, if no other gives other dates."""
    sample = _some(texts)
    formats: dict = {}
    for format in FORMATS:
        read = _read(sample, format)
        if read.notna().all():
            formats.setdefault(tuple(read), format)
    return next(iter(formats.values())) if len(formats) == 1 else None


def _some(texts):
    """Take so many different texts as tell a format."""
    texts = texts.drop_duplicates()
    return texts.iloc[:: max(1, len(texts) // MOST_TRIED)]


def _read(values, format):
    import pandas as pd

    return pd.to_datetime(values, format=format, errors="coerce", utc=True)


def _moments_of(column, format):
    """Dates of a column, in UTC and without a zone; what is none is not a time."""
    nature = nature_of(column)
    if nature == "text":
        moments = _read(texts_of(column), format or "ISO8601")
    elif nature == "number":
        moments = _read(_digits_of(column), DIGITS)
    else:
        moments = _read(column, None)
    return moments.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")


def _digits_of(column):
    """Write the whole numbers of eight digits; what is none is missing."""
    import pandas as pd

    values = numbers_of(column)
    is_whole = (values == np.floor(values)) & (values >= 1e7) & (values < 1e8)
    whole = pd.Series(np.where(is_whole, values, np.nan))
    return whole.map("{:.0f}".format, na_action="ignore")


def _zone_of(column, format):
    """Find the zone of dates; where texts have several offsets it is UTC."""
    import pandas as pd

    if format is None:
        zone = getattr(column.dtype, "tz", None)
        try:
            return None if zone is None else str(pd.Timestamp(0, tz=str(zone)).tz)
        except (ValueError, KeyError):  # a zone that has no name
            return "UTC"
    offsets = texts_of(column.dropna()).str.extract(OFFSET, expand=False).unique()
    if format != "ISO8601" or pd.isna(offsets).any():
        return None
    if len(offsets) > 1 or offsets[0] == "Z":
        return "UTC"
    hours, minutes = offsets[0][:3], offsets[0][3:].strip(":") or "00"
    return f"{hours}:{minutes}"


def _days(moments, first):
    days = (moments - first) / np.timedelta64(1, "D")
    return np.where(np.isnat(moments), np.nan, days)
