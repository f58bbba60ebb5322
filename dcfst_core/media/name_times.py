"""Dates, clocks and scientific numbers in file names, written so that their digits sort."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from dcfst_core.media.frames import VideoError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Exponents of two digits: written out, a greater one is no time, but may be gigabytes of zeros.
_SCIENTIFIC = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?[eE][+-]?0*\d{1,2})(?![\w.])", re.ASCII)
_HALF_DAY = re.compile(
    r"(?<!\d)(?P<hour>\d{1,2})(?P<rest>[.:_\-h ]?\d{2}(?:[.:_\-m ]?\d{2})?(?:\.\d+)?)"
    r"\s*[-_]?(?P<half>[AaPp])\.?[Mm]\b\.?"
)
_OFFSET = re.compile(
    r"(?P<year>\d{4})-?(?P<month>\d{2})-?(?P<day>\d{2})[T _](?P<hour>\d{2})[-:._]?"
    r"(?P<minute>\d{2})[-:._]?(?P<second>\d{2})(?P<fraction>[.,]\d+)?"
    r"(?P<zone>Z|[+-]\d{2}[:_.-]?\d{2})(?!\d)"
)
_NAMED_MONTH = re.compile(
    rf"(?<!\d)(?P<day>\d{{1,2}})[-_. ]?(?P<month>{'|'.join(_MONTHS)})[a-z]*[-_. ]?"
    r"(?P<year>(?:19|20)\d{2})(?!\d)",
    re.IGNORECASE,
)
_DAY_FIRST = re.compile(
    r"(?<!\d)(?P<a>\d{1,2})(?P<sep>[-_. ])(?P<b>\d{1,2})(?P=sep)(?P<year>(?:19|20)\d{2})(?!\d)"
)


class OrderError(VideoError):
    """File names that do not tell in which order the images were taken."""


def plain_times(stems: Sequence[str]) -> list[str]:
    """The names with digits of any script as 0-9, and every time written from large to small.

    12-hour clocks become 24-hour ones, times with a zone UTC, `31-Jan-2024` becomes `2024-01-31`
    and `1.7e9` becomes `1700000000`. OrderError where 03-04-2024 may be March or April and it
    matters.
    """
    texts = [unicodedata.normalize("NFKC", stem) for stem in stems]
    texts = ["".join(_ascii_digit(c) for c in text) for text in texts]
    texts = [_SCIENTIFIC.sub(lambda m: f"{Decimal(m[1]):f}", text) for text in texts]
    texts = [_OFFSET.sub(_to_utc, text) for text in texts]
    texts = [_HALF_DAY.sub(_to_whole_day, text) for text in texts]
    texts = [_NAMED_MONTH.sub(_to_year_first, text) for text in texts]
    dates = {(m["a"], m["b"], m["year"]) for text in texts for m in _DAY_FIRST.finditer(text)}
    day, month = _day_and_month(dates)
    return [
        _DAY_FIRST.sub(lambda m: f"{m['year']}-{int(m[month]):02d}-{int(m[day]):02d}", text)
        for text in texts
    ]


def _day_and_month(dates: set[tuple[str, str, str]]) -> tuple[str, str]:
    """Which of the two groups of _DAY_FIRST is the day, which the month."""
    numbers = [(int(a), int(b), int(year)) for a, b, year in dates]
    a_is_day, b_is_day = any(a > 12 for a, _, _ in numbers), any(b > 12 for _, b, _ in numbers)
    if a_is_day == b_is_day:
        day_first = sorted(numbers, key=lambda n: (n[2], n[1], n[0]))
        if day_first != sorted(numbers, key=lambda n: (n[2], n[0], n[1])):
            a, b, year = numbers[0]
            raise OrderError(
                f"the order of the images is not known: {a:02d}-{b:02d}-{year} in a name can mean "
                "two dates. Name the images year-month-day"
            )
    return ("b", "a") if b_is_day else ("a", "b")


def _ascii_digit(character: str) -> str:
    value = unicodedata.digit(character, None)
    return character if value is None else str(value)


def _to_whole_day(match: re.Match[str]) -> str:
    hour = int(match["hour"]) % 12 + (12 if match["half"] in "pP" else 0)
    return f"{hour:02d}{match['rest']}"


def _to_year_first(match: re.Match[str]) -> str:
    month = _MONTHS.index(match["month"].lower()) + 1
    return f"{match['year']}-{month:02d}-{int(match['day']):02d}"


def _to_utc(match: re.Match[str]) -> str:
    digits = "".join(match.group("year", "month", "day", "hour", "minute", "second"))
    try:
        local = datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return match[0]
    zone = match["zone"]
    if zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        local -= offset if zone[0] == "+" else -offset
    fraction = (match["fraction"] or "").replace(",", ".")
    return f"{local:%Y-%m-%dT%H-%M-%S}{fraction}"
