#!/usr/bin/env python3
"""Teach an object once and find it again, another day and in another place:

python examples/teach_and_find.py teach monday.mp4 120,80,64,48 cup.target
python examples/teach_and_find.py find tuesday.mp4 cup.target

What was learned is one file of under 5 MB. The object is looked for in the whole frame.
"""

import sys

from dcfst_core import TrackState, load_tracker
from dcfst_core.boxes import parse_box
from dcfst_core.media.video import open_frames


def teach(video: str, box: str, target: str) -> None:
    tracker = load_tracker()
    with open_frames(video) as frames:
        for number, frame in enumerate(frames):
            if number == 0:
                tracker.init(frame, parse_box(box), "cup")
            else:
                tracker.update(frame)
    tracker.save_target("cup", target)
    print(f"learned from {number + 1} frames: {target}")


def find(video: str, target: str) -> None:
    tracker = load_tracker()
    known = tracker.load_target(target)
    with open_frames(video) as frames:
        for number, frame in enumerate(frames):
            track = tracker.update(frame)
            if track.state is TrackState.TRACKING:
                print(f"found {known.target_id} in frame {number} at {track.box_xywh}")
                return
    print(f"{known.target_id} is not in {video}")


if __name__ == "__main__":
    what, *arguments = sys.argv[1:] or [""]
    if (what, len(arguments)) == ("teach", 3):
        teach(*arguments)
    elif (what, len(arguments)) == ("find", 2):
        find(*arguments)
    else:
        sys.exit(__doc__)
