"""Plain text tables that are also valid Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(headers: Sequence[str], rows: Sequence[Sequence[object]], digits: int = 3) -> str:
    """Lay out rows under headers; the first column is left-aligned, the others right.

    Floats are shown with `digits` decimals, and as "-" where they are NaN or None.
    """
    cells = [[_show(value, digits) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(headers), *cells]) for i in range(len(headers))]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join(_line(line, widths) for line in [list(headers), rule, *cells])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cells[0].ljust(widths[0])]
    padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "| " + " | ".join(padded) + " |"


def _show(value: object, digits: int) -> str:
    if value is None or value != value:  # NaN is the only value unlike itself
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
