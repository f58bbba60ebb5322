"""Which image comes first? The order in time of files that cameras, programs and people name.

Names of one series differ only in their numbers, which are compared from left to right as numbers:
`frame2` comes before `frame10`, `12.05` before `12.1`, `9.58.00 AM` before `1.02.00 PM`. Where
names allow two readings that disagree, no order is invented: OrderError says why.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from dcfst_core.media.name_times import OrderError, plain_times

Key = tuple[Decimal, ...]
# Digits, and further digits behind single points: 12, 12.05, 2024.01.31.
_NUMBER = re.compile(r"\d+(?:\.\d+)*", re.ASCII)
_VIEW = re.compile(r"(cam|camera|view|channel|ch|sensor|lens)[-_ ]?$")
# A camera's own names, whose counter begins again after 9999.
_CAMERA_COUNTER = re.compile(r"[a-z_]+#")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts `frame2` before `frame10`; for names of folders and sequences."""
    parts = re.split(r"(\d+)", name)
    return [
        (1, int(part), "") if index % 2 else (0, 0, part.lower())
        for index, part in enumerate(parts)
    ]


def in_time_order(stems: Sequence[str]) -> list[tuple[int, Key]]:
    """Indices of the names in the order in which the images were taken, with their numbers.

    `stems`: names without suffix. Names without a number are left out where the others have one.
    Raises OrderError where the order is not known.
    """
    if len(stems) == 1:
        return [(0, ())]
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        plain = {index: (Decimal(stem),) for index, stem in enumerate(stems)}
        ordered = sorted(plain, key=lambda i: plain[i])
        _check_twins(ordered, plain, stems)
        return [(index, plain[index]) for index in ordered]
    read = [_read(text) for text in plain_times(stems)]
    numbered = [i for i, name in enumerate(read) if name.numbers]
    if not numbered:
        raise OrderError(
            f"the order of {_example(stems)} is not known: there are no numbers in the names. "
            "Name the images 1, 2, 3, ..."
        )
    series: dict[str, list[int]] = defaultdict(list)
    for index in numbered:
        series[read[index].text].append(index)
    keys: dict[int, Key] = {}
    for indices in series.values():
        made = _keys([read[i] for i in indices], [stems[i] for i in indices])
        keys |= dict(zip(indices, made, strict=True))
    ordered = sorted(numbered, key=lambda i: keys[i])
    _check_series(series, ordered, keys, stems)
    _check_twins(ordered, keys, stems)
    first = _unnumbered_first(read)
    return [(i, ()) for i in first] + [(i, keys[i]) for i in ordered]


def seconds_of(keys: Sequence[Key]) -> list[float] | None:
    """Times after the first image in s, from names that are Unix times in s, ms, us or ns.

    None where the names hold no such times, or they do not rise.
    """
    for place in range(min((len(key) for key in keys), default=0)):
        values = [key[place] for key in keys]
        for unit in (0, 3, 6, 9):
            low, high = Decimal(10) ** (9 + unit), Decimal(10) ** (10 + unit)
            whole = unit == 0 and all(value == int(value) for value in values)
            rising = all(a < b for a, b in pairwise(values))
            if rising and not whole and all(low <= value < high for value in values):
                return [float((value - values[0]) / Decimal(10) ** unit) for value in values]
    return None


@dataclass(frozen=True)
class _Name:
    """text: with # for each number. numbers: each one's parts between points. sign: 1 or -1."""

    text: str
    numbers: list[list[str]]
    sign: int


def _read(text: str) -> _Name:
    text = text.strip()
    negative = re.match(r"-\d", text) is not None
    text = text[1:] if negative else text
    numbers = [match[0].split(".") for match in _NUMBER.finditer(text)]
    return _Name(_NUMBER.sub("#", text).lower(), numbers, -1 if negative else 1)


def _keys(series: list[_Name], stems: list[str]) -> list[Key]:
    """The numbers of the names of one series, comparable from left to right."""
    keys: list[list[Decimal]] = [[] for _ in series]
    for place in range(len(series[0].numbers)):
        column = [name.numbers[place] for name in series]
        length = max(len(parts) for parts in column)
        decimal = length > 1 and _is_decimal(column, length, stems)
        for key, name, parts in zip(keys, series, column, strict=True):
            sign = name.sign if place == 0 else 1
            key += [sign * value for value in _value(parts, length, decimal)]
    _check_views(series, keys, stems)
    _check_counter(series, stems)
    return [tuple(key) for key in keys]


def _value(parts: list[str], length: int, decimal: bool) -> list[Decimal]:
    whole = [Decimal(part) for part in parts]
    if not decimal:
        return whole + [Decimal(-1)] * (length - len(parts))
    head, tail = whole[: length - 2], parts[length - 2 :]
    head += [Decimal(-1)] * (length - 2 - len(head))
    return [*head, Decimal(".".join(tail)) if tail else Decimal(-1)]


def _is_decimal(column: list[list[str]], length: int, names: list[str]) -> bool:
    """Whether what follows the last point is a fraction, as in 12.5, or a count, as in 1.10."""
    pairs = [parts[length - 2 :] for parts in column if len(parts) == length]
    fractions = [pair[1] for pair in pairs]
    if len(set(map(len, fractions))) == 1 and len(pairs) == len(column):
        return True  # padded: both readings give one order
    padded = any(len(f) > 1 and f.startswith("0") for f in fractions)
    trailing = any(len(f) > 1 and f.endswith("0") for f in fractions)
    if padded and trailing:
        as_fraction = sorted(pairs, key=lambda pair: Decimal(".".join(pair)))
        as_count = sorted(pairs, key=lambda pair: (int(pair[0]), int(pair[1])))
        if as_fraction != as_count:
            raise OrderError(
                f"the order of {_example(names)} is not known: what follows the point can be a "
                "fraction or a count. Write all names with as many digits"
            )
    if padded or trailing:
        return padded  # a count has no zeros before it, a printed fraction none behind it
    if len(pairs[0][0]) >= 9:
        return max(map(len, fractions)) < 8  # seconds since 1970: floats end there, ns do not
    counts = {tuple(map(int, pair)) for pair in pairs}
    groups: dict[int, list[int]] = defaultdict(list)
    for whole, count in counts:
        groups[whole].append(count)
    return any(max(g) - min(g) >= len(g) for g in groups.values())


def _check_series(
    series: dict[str, list[int]], ordered: list[int], keys: dict[int, Key], stems: Sequence[str]
) -> None:
    """Two series in one folder have an order only where text and number agree on it."""
    if len(series) == 1:
        return
    by_text = sorted(series.values(), key=lambda indices: natural_key(stems[indices[0]]))
    one_after_another = [i for indices in by_text for i in sorted(indices, key=lambda i: keys[i])]
    if ordered != one_after_another or len({len(keys[i]) for i in ordered}) > 1:
        kinds = ", ".join(f"{stems[s[0]]!r} ({len(s)})" for s in by_text[:4])
        raise OrderError(
            f"the order of the images is not known: their names are of {len(series)} kinds, such "
            f"as {kinds}. Put each series into a folder of its own"
        )


def _check_twins(ordered: list[int], keys: Mapping[int, Key], stems: Sequence[str]) -> None:
    for a, b in pairwise(ordered):
        if keys[a] == keys[b]:
            raise OrderError(
                f"the order of {stems[a]!r} and {stems[b]!r} is not known: their numbers are "
                "equal. Rename or remove one of them"
            )


def _check_views(series: list[_Name], keys: list[list[Decimal]], stems: list[str]) -> None:
    """`cam0_1`, `cam1_1`: pictures of several cameras at a time are no video."""
    before = series[0].text.split("#")[:-1]
    if len(keys[0]) != len(before):
        return
    varying = [len({key[place] for key in keys}) for place in range(len(before))]
    for place, text in enumerate(before):
        if _VIEW.search(text) and varying[place] > 1 and max(varying[place + 1 :], default=1) > 1:
            raise OrderError(
                f"the order of {_example(stems)} is not known: the images are of "
                f"{varying[place]} cameras. Put those of each into a folder of its own"
            )


def _check_counter(series: list[_Name], stems: list[str]) -> None:
    parts = [name.numbers[0][0] for name in series]
    if not _CAMERA_COUNTER.fullmatch(series[0].text) or set(map(len, parts)) != {4}:
        return
    numbers = set(map(int, parts))
    if 9999 in numbers and numbers & {0, 1} and len(numbers) < 9999:
        raise OrderError(
            f"the order of {_example(stems)} is not known: the camera's counter began again after "
            "9999. Put the images before and after it into folders of their own"
        )


def _unnumbered_first(read: list[_Name]) -> list[int]:
    """`IMG` before `IMG (1)`: a first file whose copies alone got numbers."""
    bare = [i for i, name in enumerate(read) if not name.numbers]
    texts = {name.text for name in read if name.numbers}
    return [i for i in bare if len(bare) == 1 and all(t.startswith(read[i].text) for t in texts)]


def _example(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:3])
    return f"{shown} ..." if len(names) > 3 else shown
