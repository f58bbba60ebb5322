"""Drawing a box on a frozen image with mouse and keys: what happens, without window and ROS."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from dcfst_core.media.frames import Frame
from dcfst_ros.conversions import BoxXYWH

SMALLEST_PX = 4.0
STEP_PX = 1.0
# (dx, dy, dw, dh) in steps; the box grows and shrinks about its top left corner.
NUDGES: dict[str, tuple[int, int, int, int]] = {
    "left": (-1, 0, 0, 0),
    "right": (1, 0, 0, 0),
    "up": (0, -1, 0, 0),
    "down": (0, 1, 0, 0),
    "a": (0, 0, -1, 0),
    "d": (0, 0, 1, 0),
    "w": (0, 0, 0, -1),
    "s": (0, 0, 0, 1),
}


class Phase(Enum):
    """LIVE: the newest image is shown. FROZEN: one image, no box. DRAWN: an image and a box."""

    LIVE = "live"
    FROZEN = "frozen"
    DRAWN = "drawn"


@dataclass(frozen=True)
class Shown:
    """One image: uint8 RGB (H, W, 3), its message's header, and how many came before it."""

    frame_rgb: Frame
    header: Any
    index: int


@dataclass(frozen=True)
class SendBox:
    """Start the target on this image."""

    header: Any
    box_xywh: BoxXYWH


@dataclass(frozen=True)
class Release:
    """Stop following the target."""


class BoxSelection:
    """The state of the selection; the window tells it what happens and shows what it says.

    The image freezes when the mouse button goes down or on Space, so that the box fits the very
    image whose header is sent. `keeps_frames`: how many images the tracker keeps; a frozen image
    that is older cannot be started on. None: not known.
    """

    def __init__(self) -> None:
        self.phase = Phase.LIVE
        self.shown: Shown | None = None
        self.box_xywh: BoxXYWH | None = None
        self.keeps_frames: int | None = None
        self.note = ""
        self._newest: Shown | None = None
        self._corner: tuple[float, float] | None = None

    @property
    def dragging(self) -> bool:
        """Whether the mouse button is held down."""
        return self._corner is not None

    @property
    def age(self) -> int:
        """Images that came since the one that is shown."""
        if self.shown is None or self._newest is None:
            return 0
        return self._newest.index - self.shown.index

    @property
    def too_old(self) -> bool:
        """Whether the tracker no longer has the image that is shown."""
        return self.keeps_frames is not None and self.age >= self.keeps_frames

    def add_image(self, shown: Shown) -> None:
        """An image came; it is shown unless another one is frozen."""
        self._newest = shown
        if self.phase is Phase.LIVE:
            self.shown = shown

    def press(self, x: float, y: float) -> None:
        """The mouse button went down at a pixel: freeze, and begin a box there."""
        if self.shown is None:
            return
        if self.phase is Phase.LIVE:
            self.phase = Phase.FROZEN
        self._corner, self.box_xywh, self.note = (x, y), None, ""
        self.drag(x, y)

    def drag(self, x: float, y: float) -> None:
        """The mouse moved to a pixel; both corner pixels belong to the box."""
        if self._corner is None:
            return
        left, right = sorted((self._corner[0], x))
        top, bottom = sorted((self._corner[1], y))
        self._set_box(left, top, right + 1, bottom + 1)

    def let_go(self, x: float, y: float) -> None:
        """The mouse button went up; a mere click makes no box but keeps the image frozen."""
        if self._corner is None:
            return
        self.drag(x, y)
        self._corner = None
        if self.box_xywh is None or min(self.box_xywh[2:]) < SMALLEST_PX:
            self.box_xywh, self.phase = None, Phase.FROZEN
            self.note = f"drag over the object: at least {SMALLEST_PX:.0f} x {SMALLEST_PX:.0f} px"
        else:
            self.phase = Phase.DRAWN

    def key(self, name: str) -> SendBox | Release | None:
        """A key by name (`enter`, `escape`, `space`, those of NUDGES); what is to be sent."""
        if name == "enter":
            return self._send()
        if name == "escape":
            return self._escape()
        if name == "space":
            self._freeze_newest()
        elif name in NUDGES and self.phase is Phase.DRAWN and self.box_xywh is not None:
            dx, dy, dw, dh = (STEP_PX * n for n in NUDGES[name])
            x, y, w, h = self.box_xywh
            w, h = max(w + dw, SMALLEST_PX), max(h + dh, SMALLEST_PX)
            self._set_box(x + dx, y + dy, x + dx + w, y + dy + h, keep_size=True)
        return None

    def _send(self) -> SendBox | None:
        if self.phase is not Phase.DRAWN or self.shown is None or self.box_xywh is None:
            self.note = "draw a box first: drag with the left mouse button"
            return None
        if self.too_old:
            self.note = "the tracker no longer has this image: Space takes a new one"
            return None
        sent = SendBox(self.shown.header, self.box_xywh)
        self._go_live("box sent")
        return sent

    def _escape(self) -> Release | None:
        if self.phase is Phase.LIVE:
            self.note = "target released"
            return Release()
        self._go_live("")
        return None

    def _freeze_newest(self) -> None:
        """Freeze, or take a newer image under the box that is drawn already."""
        if self._newest is not None and not self.dragging:
            self.shown, self.note = self._newest, ""
            if self.phase is Phase.LIVE:
                self.phase = Phase.FROZEN

    def _go_live(self, note: str) -> None:
        self.phase, self.box_xywh, self._corner = Phase.LIVE, None, None
        self.shown, self.note = self._newest, note

    def _set_box(
        self, left: float, top: float, right: float, bottom: float, keep_size: bool = False
    ) -> None:
        """The box inside the image; moved back in where its size is to be kept."""
        assert self.shown is not None
        height, width = self.shown.frame_rgb.shape[:2]
        if keep_size:
            shift_x = max(0.0, -left) - max(0.0, right - width)
            shift_y = max(0.0, -top) - max(0.0, bottom - height)
            left, right, top, bottom = (
                left + shift_x,
                right + shift_x,
                top + shift_y,
                bottom + shift_y,
            )
        left, top = max(left, 0.0), max(top, 0.0)
        right, bottom = min(right, float(width)), min(bottom, float(height))
        self.box_xywh = (left, top, right - left, bottom - top)
