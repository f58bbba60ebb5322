#!/usr/bin/env python3
"""Follow an object in your own video: python examples/follow_video.py my.mp4 120,80,64,48 out.mp4

The box is x,y,width,height in pixels of the first frame.
"""

import sys

from dcfst_core import load_tracker
from dcfst_core.boxes import parse_box
from dcfst_core.media.drawing import draw_tracks
from dcfst_core.media.video import VideoWriter, open_frames


def main(video: str, box: str, out: str) -> None:
    tracker = load_tracker()
    with open_frames(video) as frames, VideoWriter(out, frames.fps or 30) as writer:
        for frame in frames.timed():
            if tracker.target_ids:
                track = tracker.update(frame.rgb)
            else:
                track = tracker.init(frame.rgb, parse_box(box))
            writer.write(draw_tracks(frame.rgb, [track]), frame.time_s)
            place = " ".join(f"{value:7.1f}" for value in track.box_xywh)
            print(f"{frame.number:5}  {track.state:9}  {place}  {track.score:.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
