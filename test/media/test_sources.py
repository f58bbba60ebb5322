"""Devices, pipes and streams: opened, or refused with the right reason."""

from __future__ import annotations

import functools
import http.server
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dcfst_core.media import video
from dcfst_core.media.video import VideoError, open_frames

Make = Callable[..., Path]
FRAMES = 24
X264 = "-c:v libx264 -pix_fmt yuv420p"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An HTTP server of the test's folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mkv", X264),
        ("b.ts", X264),
        ("c.mp4", f"{X264} -movflags faststart"),
        ("d.mjpeg", "-c:v mjpeg"),
    ],
)
def test_http_streams_are_read(name: str, options: str, make: Make, server: str) -> None:
    make(name, options)
    with open_frames(f"{server}/{name}") as source:
        assert [f.number for f in source.timed()] == list(range(FRAMES))
    assert source.missing is None


@pytest.mark.fault("a network stream that breaks off")
def test_a_stream_that_breaks_off_is_said(make: Make, server: str) -> None:
    path = make("a.mkv", X264)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_frames(f"{server}/a.mkv") as source:
        count = len(list(source))
    assert 0 < count < FRAMES


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:1/a.mp4", "Connection refused"),
        ("rtsp://127.0.0.1:1/camera", "Connection refused"),
        ("SERVER/missing.mp4", "404"),
        ("nonsense://somewhere", "Protocol not found"),
        ("SERVER/text.mp4", "Invalid data"),
        ("rtmp://127.0.0.1:1/live", "Connection refused|I/O error|Input/output error"),
    ],
)
def test_a_stream_that_cannot_be_opened_has_its_reason(
    address: str, reason: str, server: str, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("hello\n" * 100)
    with pytest.raises(VideoError, match=f"cannot open .*: .*({reason})"):
        open_frames(address.replace("SERVER", server))


def test_a_pipe_is_read_while_it_is_written(make: Make, tmp_path: Path) -> None:
    data = make("a.mkv", X264).read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    with open_frames(pipe) as source:
        assert source.name == str(pipe)
        assert len(list(source)) == FRAMES
    writer.join(10)


def test_standard_input_is_a_source(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with make("a.ts", X264).open("rb") as file:
        kept = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            with open_frames("-") as source:
                assert len(list(source)) == FRAMES
        finally:
            os.dup2(kept, 0)
            os.close(kept)


def test_what_is_no_source_is_named(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "PIPE_PATIENCE_S", 0.2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VideoError, match=r"nothing was written into the pipe .* within"):
        open_frames(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        with pytest.raises(VideoError, match="is a socket"):
            open_frames(tmp_path / "socket")
    with pytest.raises(VideoError, match=r"expected a camera .* /dev/null is another kind"):
        open_frames("/dev/null")
    (tmp_path / "link.mp4").symlink_to("gone.mp4")
    with pytest.raises(VideoError, match="a link that leads nowhere"):
        open_frames(tmp_path / "link.mp4")
    with pytest.raises(VideoError, match="nothing at"):
        open_frames(make("a.mkv", X264) / "below.mp4")
    with pytest.raises(VideoError, match="got none"):
        open_frames("")
    with pytest.raises(VideoError, match="cannot look at"):
        open_frames("x" * 5000)


def test_a_camera_device_is_opened_as_a_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No camera is here: the path of the device reaches OpenCV, which then cannot open it."""
    real = Path.stat

    def stat_of(path: Path, **options: object) -> os.stat_result:
        if str(path) == "/dev/video63":
            return os.stat_result((stat.S_IFCHR | 0o660, *[0] * 9))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat_of)
    with pytest.raises(VideoError, match=r"cannot open camera /dev/video63: is it connected"):
        open_frames("/dev/video63")
    with pytest.raises(VideoError, match="cannot open camera 63"):
        open_frames("63")


def test_file_addresses_are_paths(make: Make) -> None:
    path = make("a clip.mkv", X264)
    with open_frames(path.as_uri()) as source:
        assert len(list(source)) == FRAMES
