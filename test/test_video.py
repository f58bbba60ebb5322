"""Frames from files that are sound, cut off, of the wrong kind or missing; frames to files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_core.errors import DCFSTError, FrameError
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.video import VideoError, VideoWriter, open_frames, read_image

CLIP = SyntheticClip(frames=30, size=(160, 120), target=(24, 30))


def write_clip(path: Path, clip: SyntheticClip = CLIP) -> Path:
    with VideoWriter(path, fps=25) as writer:
        for frame in clip:
            writer.write(frame)
    return path


def write_folder(folder: Path, count: int = 12) -> list[np.ndarray]:
    folder.mkdir()
    frames = list(SyntheticClip(frames=count, size=(160, 120), target=(24, 30)))
    for index, frame in enumerate(frames, start=1):
        cv2.imwrite(str(folder / f"{index}.png"), frame[..., ::-1])
    return frames


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".webm"])
def test_a_written_video_reads_back(tmp_path: Path, suffix: str) -> None:
    with open_frames(write_clip(tmp_path / f"clip{suffix}")) as source:
        assert source.count == len(CLIP)
        assert source.fps == pytest.approx(25)
        frames = list(source)
    assert source.missing is None
    assert len(frames) == len(CLIP)
    original = list(CLIP)
    assert frames[7].shape == (120, 160, 3) and frames[7].dtype == np.uint8
    # Lossy codecs, so only close; a swap of red and blue or of frames would be far off.
    assert np.abs(frames[7].astype(int) - original[7]).mean() < 12
    assert np.abs(frames[7][..., ::-1].astype(int) - original[7]).mean() > 25


def test_an_interrupted_recording_still_plays(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "part.mp4")
    with pytest.raises(KeyboardInterrupt), writer:
        for index, frame in enumerate(CLIP):
            if index == 10:
                raise KeyboardInterrupt
            writer.write(frame)
    assert len(list(open_frames(tmp_path / "part.mp4"))) == 10


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    frames = write_folder(tmp_path / "img")
    (tmp_path / "img" / "notes.txt").write_text("not an image")
    with open_frames(tmp_path / "img") as source:
        read = list(source)
    assert source.count == 12 == len(read)
    for ours, original in zip(read, frames, strict=True):
        np.testing.assert_array_equal(ours, original)


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_skipping_reaches_the_right_frame(tmp_path: Path, kind: str) -> None:
    if kind == "video":
        path = write_clip(tmp_path / "clip.avi")
    else:
        path = tmp_path / "img"
        write_folder(path)
    with open_frames(path) as source:
        expected = list(source)[5]
    with open_frames(path) as source:
        source.skip(5)
        np.testing.assert_array_equal(next(iter(source)), expected)
    with open_frames(path) as source, pytest.raises(VideoError, match="start frame below"):
        source.skip(1000)


def test_a_truncated_video_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", SyntheticClip(frames=60, size=(320, 240)))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with open_frames(cut) as source:
        frames = list(source)
    assert 5 < len(frames) < 55
    assert source.missing is not None
    assert f"promises 60 frames but ended after {len(frames)}" in source.missing
    with open_frames(cut) as source:
        source.skip(4)
        assert len(list(source)) == len(frames) - 4
        assert f"promises 60 frames but ended after {len(frames)}" in (source.missing or "")


def test_an_mp4_cut_before_its_index_is_refused_with_the_reason(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(VideoError, match="cut off before its index"):
        open_frames(cut)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"there is nothing at .*missing.mp4"):
        open_frames(tmp_path / "missing.mp4")
    text = tmp_path / "text.mp4"
    text.write_text("hello\n" * 100)
    with pytest.raises(VideoError, match=r"expected a video file; .*text.mp4 \(600 bytes\)"):
        open_frames(text)
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match=r"expected images .* found none"):
        open_frames(tmp_path / "empty")
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(VideoError, match="single image"):
        open_frames(tmp_path / "one.png")
    with pytest.raises(VideoError, match="cannot open camera 97"):
        open_frames("97")
    assert issubclass(VideoError, DCFSTError) and issubclass(VideoError, ValueError)


def test_image_kinds_are_taken_or_refused_clearly(tmp_path: Path) -> None:
    grey = np.arange(120, dtype=np.uint8).reshape(10, 12)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), grey[..., None].repeat(3, 2))

    bgra = np.zeros((10, 12, 4), np.uint8)
    bgra[..., 2] = 200
    bgra[..., 3] = 50
    cv2.imwrite(str(tmp_path / "rgba.png"), bgra)
    rgb = read_image(tmp_path / "rgba.png")
    assert rgb.shape == (10, 12, 3) and rgb[0, 0].tolist() == [200, 0, 0]

    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 256)
    with pytest.raises(FrameError, match=r"8-bit image; .*deep.png holds uint16"):
        read_image(tmp_path / "deep.png")
    (tmp_path / "fake.jpg").write_text("no image")
    with pytest.raises(FrameError, match=r"fake.jpg \(8 bytes\) cannot be decoded"):
        read_image(tmp_path / "fake.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(FrameError, match=r"empty.jpg \(0 bytes\)"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(FrameError, match="there is none"):
        read_image(tmp_path / "missing.png")


def test_a_writer_names_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"ending in .mp4, .* got out.gif"):
        VideoWriter(tmp_path / "out.gif")
    with VideoWriter(tmp_path / "new" / "sizes.mp4") as writer:
        writer.write(np.zeros((120, 160, 3), np.uint8))
        writer.write(np.zeros((60, 80, 3), np.uint8))
    assert [f.shape for f in open_frames(tmp_path / "new" / "sizes.mp4")] == [(120, 160, 3)] * 2
