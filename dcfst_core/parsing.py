"""Boxes as people type them; free of PyTorch, because light nodes read them too."""

from __future__ import annotations

from dcfst_core.errors import BoxError


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Read `x,y,w,h`; BoxError where it is not four numbers.

    Whether it can be tracked (finite, positive, on the image) is for the tracker to say.
    """
    try:
        x, y, w, h = (float(v) for v in text.replace(";", ",").split(","))
    except ValueError:
        raise BoxError(
            f"expected a box as x,y,w,h (left, top, width, height in pixels), "
            f"e.g. 120,80,64,48; got {text!r}"
        ) from None
    return (x, y, w, h)
