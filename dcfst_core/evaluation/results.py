"""Result files in the GOT-10k toolkit's layout, and what they hold.

    <folder>/<tracker>/<sequence>/<sequence>_001.txt     x,y,w,h of each frame
    <folder>/<tracker>/<sequence>/<sequence>_time.txt    seconds of each frame
    <folder>/<tracker>/<sequence>/<sequence>_score.txt   the tracker's score of each frame
    <folder>/<tracker>/<sequence>/<sequence>_state.txt   its state of each frame
    <folder>/<tracker>/<sequence>/<sequence>_run.json    what made them; written last

Boxes are written with the first pixel numbered as in the data set's own files (1 for OTB), so that
its toolkits can read them. The last three files are this project's additions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcfst_core.evaluation.metrics import FloatArray
from dcfst_core.evaluation.sequences import AnnotatedClip, DatasetError, read_rows


@dataclass(frozen=True)
class SequenceResult:
    """One tracker's run over one sequence.

    boxes_xywh: (N, 4) in 0-based pixels. times_s: (N,) seconds inside the tracker, the first one
    for `init`; NaN when unknown. scores: (N,) in [0, 1], NaN when unknown. states: N words, empty
    strings when unknown.
    """

    boxes_xywh: FloatArray
    times_s: FloatArray
    scores: FloatArray
    states: tuple[str, ...]


def result_folder(root: Path, tracker: str, sequence: AnnotatedClip) -> Path:
    """The folder of one run."""
    return root / tracker / sequence.name


def save_result(
    root: Path, tracker: str, sequence: AnnotatedClip, result: SequenceResult, fingerprint: str
) -> None:
    """Write one run; the marker that makes it count as done comes last."""
    folder = result_folder(root, tracker, sequence)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / sequence.name
    marker = Path(f"{stem}_run.json")
    marker.unlink(missing_ok=True)
    boxes = result.boxes_xywh + np.array([sequence.origin, sequence.origin, 0, 0])
    np.savetxt(f"{stem}_001.txt", boxes, fmt="%.4f", delimiter=",")
    np.savetxt(f"{stem}_time.txt", result.times_s, fmt="%.8f")
    np.savetxt(f"{stem}_score.txt", result.scores, fmt="%.6f")
    Path(f"{stem}_state.txt").write_text("".join(f"{s}\n" for s in result.states))
    described = {"fingerprint": fingerprint, "clip": sequence.fingerprint()}
    marker.write_text(json.dumps(described) + "\n")


def is_done(root: Path, tracker: str, sequence: AnnotatedClip, fingerprint: str) -> bool:
    """Whether a complete run of this tracker's fingerprint on this very clip is on disk."""
    marker = result_folder(root, tracker, sequence) / f"{sequence.name}_run.json"
    try:
        described = json.loads(marker.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    wanted = {"fingerprint": fingerprint, "clip": sequence.fingerprint()}
    return bool(described == wanted)


def load_result(folder: Path, sequence: AnnotatedClip) -> SequenceResult:
    """Read one run from a tracker's folder, `<sequence>/<sequence>_001.txt` or `<sequence>.txt`.

    DatasetError when there is none, or it is of another length than the sequence.
    """
    nested = folder / sequence.name / f"{sequence.name}_001.txt"
    flat = folder / f"{sequence.name}.txt"
    path = nested if nested.is_file() else flat
    if not path.is_file():
        raise DatasetError(f"expected results of {sequence.name} at {nested} or {flat}")
    boxes = np.array(read_rows(path), dtype=np.float64)
    count = len(sequence.truth_xywh)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) != count:
        raise DatasetError(f"{path}: expected {count} lines x,y,w,h; got shape {boxes.shape}")
    boxes[:, :2] -= sequence.origin
    states = nested.with_name(f"{sequence.name}_state.txt")
    words = tuple(states.read_text().split("\n")[:count]) if states.is_file() else ()
    return SequenceResult(
        boxes,
        _column(nested.with_name(f"{sequence.name}_time.txt"), count),
        _column(nested.with_name(f"{sequence.name}_score.txt"), count),
        words if len(words) == count else ("",) * count,
    )


def _column(path: Path, count: int) -> FloatArray:
    """First value of each line; NaN where the file is missing or of another length."""
    values = [row[0] for row in read_rows(path)] if path.is_file() else []
    if len(values) != count:
        return np.full(count, np.nan)
    return np.array(values, dtype=np.float64)
