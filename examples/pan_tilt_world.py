"""What pan_tilt.py looks at, a scene wider than the camera's view; and what is told of the run."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from dcfst_core.evaluation.synthetic import texture
from dcfst_core.media.frames import Frame

VIEW_WH = (320, 240)
PX_PER_RAD = 280.0  # 65 degrees across
TARGET_WH = (40, 48)


class World:
    """A textured wall, a target that walks before it, and a pillar that the target passes behind.

    Angles in rad: pan to the right, tilt downwards, both 0 in the middle of the wall.
    """

    def __init__(self, pillar_at_s: float = 25.0, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.wall = texture(rng, (1400, 900), grain=30, contrast=45.0)
        self.patch = texture(rng, TARGET_WH, grain=8, contrast=110.0)
        x, _ = self.target_px(pillar_at_s)
        self.pillar = slice(int(x) - 45, int(x) + 45)

    def target_px(self, time_s: float) -> tuple[float, float]:
        """The target's centre on the wall."""
        middle_x, middle_y = self.wall.shape[1] / 2, self.wall.shape[0] / 2
        x = middle_x + 420 * np.sin(0.21 * time_s)
        return x, middle_y + 160 * np.sin(0.13 * time_s)

    def target_rad(self, time_s: float) -> tuple[float, float]:
        """Where a camera would have to point."""
        x, y = self.target_px(time_s)
        return (x - self.wall.shape[1] / 2) / PX_PER_RAD, (y - self.wall.shape[0] / 2) / PX_PER_RAD

    def hidden(self, time_s: float) -> bool:
        """Whether none of the target can be seen."""
        x, half = self.target_px(time_s)[0], TARGET_WH[0] / 2
        return self.pillar.start <= x - half and x + half <= self.pillar.stop

    def view(self, time_s: float, pan: float, tilt: float) -> Frame:
        """The camera's image: uint8 RGB of VIEW_WH."""
        scene = self.wall.copy()
        x, y = self.target_px(time_s)
        (w, h), left, top = TARGET_WH, round(x - TARGET_WH[0] / 2), round(y - TARGET_WH[1] / 2)
        scene[top : top + h, left : left + w] = self.patch
        scene[:, self.pillar] = (70, 66, 60)
        centre = (scene.shape[1] / 2 + PX_PER_RAD * pan, scene.shape[0] / 2 + PX_PER_RAD * tilt)
        return np.asarray(cv2.getRectSubPix(scene, VIEW_WH, centre), dtype=np.uint8)


def report(rows: list[tuple[float, float, str, bool]], out: Path) -> str:
    """Write error.csv and error.png; rows: time in s, error in px, state, hidden."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "error.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["s", "error_px", "state", "hidden"])
        writer.writerows([f"{t:.3f}", f"{e:.2f}", state, int(h)] for t, e, state, h in rows)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.add_subplot()
    times_s = [row[0] for row in rows]
    axes.plot(times_s, [row[1] for row in rows], color="tab:blue")
    shade = {"transform": axes.get_xaxis_transform(), "alpha": 0.25, "linewidth": 0}
    axes.fill_between(times_s, 0, 1, where=[r[3] for r in rows], color="black", **shade)
    unseen = [row[2] != "tracking" for row in rows]
    axes.fill_between(times_s, 0, 1, where=unseen, color="tab:red", **shade)
    axes.set(xlabel="s", ylabel="from the middle, px", ylim=(0, None))
    axes.set_title("grey: behind the pillar; red: not tracked", fontsize=10)
    figure.savefig(out / "error.png", dpi=100)
    errors = sorted(error for _, error, state, _ in rows if state == "tracking")
    if not errors:
        return f"{len(rows)} images, none of them tracked"
    middle, most = errors[len(errors) // 2], errors[int(0.95 * len(errors))]
    return (
        f"{len(rows)} images, {len(errors)} tracked: {middle:.1f} px from the middle (median), "
        f"95 % under {most:.1f} px; in the end {rows[-1][2]}. See {out / 'error.png'}"
    )
