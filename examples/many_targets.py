#!/usr/bin/env python3
"""Follow many objects in one pass through the network:

python examples/many_targets.py my.mp4 cup=120,80,64,48 hand=300,200,90,90

A target more costs a fraction of the first. One that is lost is looked for while the others run.
"""

import sys
import time

from dcfst_core import load_tracker
from dcfst_core.boxes import parse_box
from dcfst_core.media.video import open_frames


def main(video: str, *targets: str) -> None:
    boxes = {name: parse_box(box) for name, box in (text.split("=") for text in targets)}
    tracker = load_tracker()
    with open_frames(video) as frames:
        for number, frame in enumerate(frames):
            began = time.perf_counter()
            if number == 0:
                tracks = {name: tracker.init(frame, box, name) for name, box in boxes.items()}
            else:
                tracks = tracker.update_all(frame)
            states = "  ".join(f"{name}: {track.state}" for name, track in tracks.items())
            print(f"{number:5}  {states}  ({1e3 * (time.perf_counter() - began):.0f} ms)")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
