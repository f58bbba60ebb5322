"""Writing a rosbag2 with tracks beside what another one holds; without ROS."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import ConnectionExtRosbag2, MessageDefinitionFormat
from rosbags.rosbag2 import StoragePlugin, Writer

from dcfst_core.media.bags import BagError, ImageBag, message_types
from dcfst_core.media.frames import Closing
from dcfst_core.track import Track, TrackState

DETECTION = "vision_msgs/msg/Detection2D"
DETECTIONS = "vision_msgs/msg/Detection2DArray"
STATUS = "diagnostic_msgs/msg/DiagnosticStatus"
# Iron's format: the oldest that rosbags writes, read by every later release.
FORMAT_VERSION: Literal[8] = 8


class TrackedBag(Closing):
    """A new rosbag2: another one's messages as they were, and the tracks.

    `tracker`: the name under which the node would publish; `/tracker` gives `/tracker/track`,
    `/tracker/tracks` and `/tracker/state`. Raises BagError when `path` exists or the source bag
    holds these topics already. `left_out` names topics whose type nobody knows.
    """

    def __init__(self, path: Path, source: ImageBag, tracker: str = "/tracker") -> None:
        self.path = path
        self.left_out: dict[str, str] = {}
        self._types = message_types()
        self._classes = self._types.types
        if not re.fullmatch(r"/?[A-Za-z]\w*(/[A-Za-z]\w*)*", tracker):
            raise BagError(f"--tracker-name: expected a ROS name, such as /tracker; got {tracker}")
        names = [f"/{tracker.strip('/')}/{part}" for part in ("track", "tracks", "state")]
        taken = sorted(set(names) & set(source.topics))
        if taken:
            raise BagError(
                f"{source.path} holds {', '.join(taken)} already: choose another --tracker-name"
            )
        if path.exists():
            raise BagError(f"{path} exists already and is not written over: choose another --out")
        plugin = StoragePlugin.MCAP if source.storage == "mcap" else StoragePlugin.SQLITE3
        # Under its own name, but in a folder beside its place, where it is put when complete.
        self._work = path.with_name(f".{path.name}.part")
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        self._writer = Writer(
            self._work / path.name, version=FORMAT_VERSION, storage_plugin=plugin
        )
        self._writer.open()
        self._copies: dict[tuple[str, str], Any] = {}
        for connection in source.connections:
            # Each file of a bag has its own connection for a topic.
            if _kind(connection) not in self._copies:
                self._copies[_kind(connection)] = self._copy_of(connection)
        self._track, self._tracks, self._state = (
            self._writer.add_connection(name, kind, typestore=self._types)
            for name, kind in zip(names, (DETECTION, DETECTIONS, STATUS), strict=True)
        )

    def close(self) -> None:
        """Complete the bag, with index and metadata, and put it in place."""
        if self._writer.storage is not None:
            self._writer.close()
            os.rename(self._work / self.path.name, self.path)
            self._work.rmdir()

    def copy(self, connection: Any, time_ns: int, data: bytes) -> None:
        """Write a message of the source bag as it is."""
        copy = self._copies[_kind(connection)]
        if copy is not None:
            self._writer.write(copy, time_ns, data)

    def write_tracks(self, header: Any, time_ns: int, tracks: Sequence[Track]) -> None:
        """Write the targets seen in an image, with that image's header, as the node does."""
        seen = [self._detection(header, t) for t in tracks if t.state is TrackState.TRACKING]
        for detection in seen:
            self._write(self._track, time_ns, detection)
        self._write(self._tracks, time_ns, self._classes[DETECTIONS](header, seen))

    def write_state(self, time_ns: int, target_id: str, state: str, score: float) -> None:
        """Write a target's new state."""
        classes = self._classes
        level = {"uncertain": 1, "lost": 2}.get(state, 0)
        value = classes["diagnostic_msgs/msg/KeyValue"]("score", f"{score:.4f}")
        self._write(self._state, time_ns, classes[STATUS](level, target_id, state, "", [value]))

    def _write(self, connection: Any, time_ns: int, message: Any) -> None:
        data = self._types.serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, time_ns, data)

    def _copy_of(self, connection: Any) -> Any:
        """The same topic in the new bag; None when its type is not known, so that it is lost."""
        assert isinstance(connection.ext, ConnectionExtRosbag2)
        qos = connection.ext.offered_qos_profiles
        if connection.msgdef.format is MessageDefinitionFormat.NONE:
            if connection.msgtype not in self._types.fielddefs:
                self.left_out[connection.topic] = connection.msgtype
                return None
            known = {"typestore": self._types}
        else:
            digest = connection.digest or self._types.hash_rihs01(connection.msgtype)
            known = {"msgdef": connection.msgdef.data, "rihs01": digest}
        return self._writer.add_connection(
            connection.topic, connection.msgtype, offered_qos_profiles=qos, **known
        )

    def _detection(self, header: Any, track: Track) -> Any:
        def new(name: str, *values: Any) -> Any:
            package, _, kind = name.partition("/")
            return self._classes[f"{package}/msg/{kind}"](*values)

        x, y, width, height = track.box_xywh
        centre = new("vision_msgs/Point2D", x + width / 2, y + height / 2)
        box = new(
            "vision_msgs/BoundingBox2D", new("vision_msgs/Pose2D", centre, 0.0), width, height
        )
        pose = new(
            "geometry_msgs/PoseWithCovariance",
            new(
                "geometry_msgs/Pose",
                new("geometry_msgs/Point", 0.0, 0.0, 0.0),
                new("geometry_msgs/Quaternion", 0.0, 0.0, 0.0, 1.0),
            ),
            np.zeros(36),
        )
        hypothesis = new("vision_msgs/ObjectHypothesis", "", track.score)
        result = new("vision_msgs/ObjectHypothesisWithPose", hypothesis, pose)
        return new("vision_msgs/Detection2D", header, [result], box, track.target_id)


def _kind(connection: Any) -> tuple[str, str]:
    return connection.topic, connection.msgtype
