"""Pixels, numbers and times of sound files: interlaced, turned, mirrored, of varying rate."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcfst_core.media.video import VideoError, open_frames

Make = Callable[..., Path]
FRAMES = 24

X264 = "-c:v libx264 -pix_fmt yuv420p"
INTERLACED = {
    "h264.mp4": "-vf setfield=tff -c:v libx264 -x264-params interlaced=1 -pix_fmt yuv420p -crf 10",
    "h264_bff.mkv": "-vf setfield=bff -c:v libx264 -x264-params interlaced=1 -pix_fmt yuv420p",
    "mpeg2.ts": "-c:v mpeg2video -q:v 2 -flags +ildct+ilme -f mpegts",
    "mpeg2.mpg": "-c:v mpeg2video -q:v 2 -flags +ildct+ilme",
    "mpeg4.avi": "-c:v mpeg4 -q:v 2 -flags +ildct+ilme",
    "prores.mov": "-vf setfield=tff -c:v prores_ks -pix_fmt yuv422p10le -flags +ildct",
    "hevc.mp4": "-vf setfield=tff -c:v libx265 -x265-params interlace=tff:log-level=none "
    "-pix_fmt yuv420p",
    "ffv1.mkv": "-vf setfield=tff -c:v ffv1 -flags +ildct -pix_fmt yuv420p",
}


def difference(frame: np.ndarray, picture: np.ndarray) -> float:
    assert frame.shape == picture.shape
    return float(np.abs(frame.astype(int) - picture).mean())


@pytest.mark.parametrize("name", INTERLACED)
def test_interlaced_pictures_are_the_real_ones_and_said_once(
    name: str, make: Make, pictures: list[np.ndarray]
) -> None:
    with open_frames(make(name, INTERLACED[name])) as source:
        frames = list(source)
    assert len(frames) == FRAMES
    assert max(difference(f, p) for f, p in zip(frames, pictures, strict=True)) < 6
    assert len(source.notes) == 1 and "is interlaced" in source.notes[0]
    assert source.missing is None


@pytest.mark.parametrize(
    ("turn", "mirror", "flip"),
    list(itertools.product((0, 90, 180, 270), (False, True), (False, True))),
)
def test_every_display_matrix_is_obeyed_as_ffmpeg_does(
    turn: int, mirror: bool, flip: bool, make: Make, ffmpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    turned = tmp_path / "turned.mp4"
    options = ["-display_rotation", turn]
    options += ["-display_hflip"] * mirror + ["-display_vflip"] * flip
    ffmpeg(*options, "-i", make("plain.mp4", X264), "-c", "copy", turned)
    raw = ffmpeg("-i", turned, "-frames:v", 1, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    with open_frames(turned) as source:
        first = next(iter(source))
    assert first.shape[:2] == ((160, 120) if turn in (90, 270) else (120, 160))
    np.testing.assert_array_equal(first, np.frombuffer(raw, np.uint8).reshape(first.shape))


def test_a_turn_that_is_not_by_quarters_is_said(
    make: Make, ffmpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    tilted = tmp_path / "tilted.mp4"
    plain = make("plain.mp4", X264)
    ffmpeg("-display_rotation", 30, "-i", plain, "-c", "copy", tilted)
    with open_frames(tilted) as source:
        assert next(iter(source)).shape == (120, 160, 3)
    assert "to be turned by" in source.notes[0]


GAP = "-vf setpts=N/(25*TB)+gte(N\\,10)*1.52/TB -fps_mode vfr"
GAP_TIMES = [n / 25 + 1.52 * (n >= 10) for n in range(FRAMES)]
STEADY = [n / 25 for n in range(FRAMES)]


@pytest.mark.parametrize(
    ("name", "options", "times"),
    [
        ("vfr.mp4", f"{GAP} {X264}", GAP_TIMES),
        ("vfr.mkv", f"{GAP} {X264}", GAP_TIMES),
        ("vfr.avi", f"{GAP.replace('1.52', '0.4')} -c:v mpeg4 -q:v 3",
         [n / 25 + 0.4 * (n >= 10) for n in range(FRAMES)]),
        ("late.ts", f"{X264} -output_ts_offset 7", STEADY),
        ("late.mp4", f"{X264} -output_ts_offset 7", STEADY),
        ("b_frames.avi", "-c:v mpeg4 -q:v 3 -bf 2", STEADY),
        ("raw.h264", X264, STEADY),
        ("vp8.webm", "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 500k", STEADY),
        ("fragments.mp4", f"{X264} -movflags frag_keyframe+empty_moov", STEADY),
        ("clip.flv", f"{X264} -f flv", STEADY),
    ],
)  # fmt: skip
def test_frames_have_their_own_times(
    name: str, options: str, times: list[float], make: Make
) -> None:
    with open_frames(make(name, options)) as source:
        frames = list(source.timed())
    assert [f.number for f in frames] == list(range(FRAMES))
    assert [f.time_s for f in frames] == pytest.approx(times, abs=0.001)
    assert source.missing is None and source.notes == []


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
@pytest.mark.parametrize("start", [0.3, 0.5])
def test_a_clip_cut_out_without_recoding_is_whole(
    suffix: str, start: float, make: Make, ffmpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    whole = make("whole.mp4", f"{X264} -g 12")
    clip = tmp_path / f"clip.{suffix}"
    ffmpeg("-ss", start, "-i", whole, "-c", "copy", clip)
    shown = ffmpeg("-i", clip, "-f", "framemd5", "-").decode().splitlines()
    with open_frames(clip) as source:
        frames = list(source.timed())
    assert len(frames) == len([line for line in shown if not line.startswith("#")])
    assert frames[0].number == 0 and frames[0].time_s == 0
    assert np.diff([f.time_s for f in frames]) == pytest.approx(0.04, abs=0.002)
    assert source.missing is None and source.notes == []


@pytest.mark.parametrize(
    ("name", "options", "old", "new", "expected"),
    [
        ("a.avi", "-c:v mjpeg", b"MJPG", b"XQZ1", "coded as XQZ1"),
        ("b.avi", "-c:v mpeg4", b"FMP4", b"ABCD", "coded as ABCD"),
        ("c.mp4", X264, b"avc1", b"zzz1", "coded as zzz1"),
        ("d.mov", X264, b"avc1", b"encv", "coded as encv"),
        ("e.mkv", X264, b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ", "coded as V_MPEG4/ISO/XYZ"),
        ("f.webm", "-c:v libvpx", b"V_VP8", b"V_VQ8", "coded as V_VQ8"),
    ],
)
def test_a_coding_that_cannot_be_decoded_is_named(
    name: str, options: str, old: bytes, new: bytes, expected: str, make: Make
) -> None:
    path = make(name, options)
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(VideoError, match=expected):
        open_frames(path)


def test_sound_alone_is_no_video(ffmpeg: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", path)
    with pytest.raises(VideoError, match="holds no video stream, only audio"):
        open_frames(path)


def test_names_that_look_like_addresses_and_foreign_tags_are_read(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make("plain.avi", "-c:v mjpeg -metadata title=CAFE")
    data = plain.read_bytes().replace(b"CAFE", b"CAF\xe9")  # Latin-1, as old cameras write
    for name in ("2024-01-31T12:00:00.avi", "100%d.avi", "größe ☃.avi"):
        (tmp_path / name).write_bytes(data)
        monkeypatch.chdir(tmp_path)
        with open_frames(name) as source:
            assert len(list(source)) == FRAMES
