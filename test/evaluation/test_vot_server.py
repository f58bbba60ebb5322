"""The TraX server against vot-trax's own client, as the VOT toolkit drives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.evaluation.vot_server import TraxUnavailable, serve


def test_a_client_gets_a_region_and_a_confidence_for_every_object(
    tmp_path: Path, untrained: str, small: list[str]
) -> None:
    pytest.importorskip("trax", reason="pip install vot-trax")
    from trax.client import Client
    from trax.image import FileImage
    from trax.region import Rectangle

    clip = SyntheticClip(frames=5, size=(160, 120), target=(24, 30), period=60)
    paths = []
    for i, frame in enumerate(clip):
        paths.append(tmp_path / f"{i:04d}.png")
        cv2.imwrite(str(paths[-1]), frame[..., ::-1])
    command = [sys.executable, "-m", "dcfst_core.cli", "vot"]
    arguments = ["--weights", untrained, *small]
    server = subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        client = Client((server.stdin.fileno(), server.stdout.fileno()), log=str(tmp_path / "log"))
        truth = clip.boxes_xywh()
        boxes = [truth[0], (5.0, 5.0, 20.0, 20.0)]
        given = [(Rectangle.create(*box), {}) for box in boxes]
        client.initialize({"color": FileImage.create(str(paths[0]))}, given, {})
        for index in range(1, 5):
            found, _ = client.frame({"color": FileImage.create(str(paths[index]))}, {}, [])
            assert len(found) == 2
            for region, properties in found:
                assert 0 <= float(properties["confidence"]) <= 1
                assert all(abs(v) < 1000 for v in region.bounds())
        region, _ = found[0]
        left, top, width, height = region.bounds()
        assert (width, height) == pytest.approx((24, 30), abs=0.5)
        assert abs(left - truth[4, 0]) < 8 and abs(top - truth[4, 1]) < 8
        client.quit()
        assert server.wait(timeout=30) == 0
    finally:
        server.kill()
        server.wait()


def test_without_vot_trax_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "trax", None)
    with pytest.raises(TraxUnavailable, match="pip install vot-trax"):
        serve(None)  # type: ignore[arg-type]
