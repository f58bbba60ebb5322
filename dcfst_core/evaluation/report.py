"""A Markdown report: tables, plots, and filmstrips of the best and the worst sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from dcfst_core.evaluation.calibration import calibrate
from dcfst_core.evaluation.judgement import JudgementFigures, comparison
from dcfst_core.evaluation.metrics import overlaps
from dcfst_core.evaluation.plots import PlotsUnavailable, write_plots
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence, DatasetError
from dcfst_core.evaluation.summary import (
    Evaluation,
    auc_table,
    comparison_table,
    sequence_table,
)
from dcfst_core.inference.machine import describe_machine
from dcfst_core.media.drawing import (
    STATE_COLOURS,
    TRUTH_COLOUR,
    contact_sheet,
    draw_box,
    spread_indices,
)
from dcfst_core.media.video import Frame, read_image

STRIP_FRAMES = 8
STRIPS = 3


def write_report(
    evaluations: Sequence[Evaluation],
    results: Mapping[str, Mapping[str, SequenceResult]],
    sequences: Sequence[AnnotatedSequence],
    folder: Path,
    figures: Mapping[str, JudgementFigures] | None = None,
) -> Path:
    """Write report.md and its images to a folder; returns the report's path.

    `evaluations`: the tracker under test first. `results`: by tracker and sequence name.
    `figures`: of the judgement, by tracker, where targets were hidden.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = evaluations[0]
    parts = [
        f"# {first.tracker}: one-pass evaluation on {len(sequences)} sequences",
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, "
        f"{first.mean.frames} frames measured, {first.mean.absent_frames} with an absent target.",
    ]
    if len(evaluations) > 1:
        parts += ["## Trackers", comparison_table(evaluations)]
    parts += _plots(evaluations, folder)
    parts += ["## Sequences", sequence_table(first), first.convention.text()]
    if len(evaluations) > 1:
        parts += ["### AUC side by side", auc_table(evaluations)]
    if first.attributes:
        parts += ["## AUC by attribute", auc_table(evaluations, "attributes")]
    parts += _calibration(results[first.tracker], sequences)
    if figures:
        parts += ["## Hidden targets", next(iter(figures.values())).text()]
        parts += ["### Side by side", comparison(figures)] if len(figures) > 1 else []
    parts += _filmstrips(first, results[first.tracker], sequences, folder)
    machine = "\n".join(f"- {name}: {value}" for name, value in describe_machine().items())
    parts += ["## Machine", machine]
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path


def filmstrip(sequence: AnnotatedSequence, result: SequenceResult) -> Frame:
    """Eight frames side by side: predicted box in its state's colour, true box in white."""
    iou = overlaps(result.boxes_xywh, sequence.truth_xywh)
    cells, captions = [], []
    for index in spread_indices(len(sequence.frames), STRIP_FRAMES):
        frame = read_image(sequence.frames[index])
        draw_box(frame, _box(sequence.truth_xywh[index]), TRUTH_COLOUR)
        state = result.states[index] or "tracking"
        colour = STATE_COLOURS.get(state, STATE_COLOURS["tracking"])
        draw_box(frame, _box(result.boxes_xywh[index]), colour, dashed=state == "lost")
        cells.append(frame)
        shown = "absent" if np.isnan(iou[index]) else f"IoU {iou[index]:.2f}"
        captions.append(f"{index}: {shown}")
    return contact_sheet(cells, captions, columns=4, cell_width=240)


def _plots(evaluations: Sequence[Evaluation], folder: Path) -> list[str]:
    try:
        paths = write_plots(evaluations, folder)
    except PlotsUnavailable as error:
        return [f"*No plots: {error}.*"]
    return ["## Plots", *(f"![{path.stem}]({path.name})" for path in paths)]


def _calibration(
    results: Mapping[str, SequenceResult], sequences: Sequence[AnnotatedSequence]
) -> list[str]:
    try:
        return ["## Score and state against overlap", calibrate(results, sequences).text()]
    except DatasetError:
        return []  # results without scores


def _filmstrips(
    evaluation: Evaluation,
    results: Mapping[str, SequenceResult],
    sequences: Sequence[AnnotatedSequence],
    folder: Path,
) -> list[str]:
    # Of several starts of a clip the first, which has its name, is shown.
    own = [s for s in sequences if s.name in evaluation.scores]
    scored = [s for s in own if evaluation.scores[s.name].frames]
    ranked = sorted(scored, key=lambda s: evaluation.scores[s.name].auc)
    worst = ranked[:STRIPS]
    best = [s for s in ranked[::-1][:STRIPS] if s not in worst]
    parts = []
    for title, chosen in (("Worst sequences", worst), ("Best sequences", best)):
        if chosen:
            parts.append(f"## {title}")
        for sequence in chosen:
            name = f"strip_{sequence.name}.jpg"
            image = filmstrip(sequence, results[sequence.name])
            cv2.imwrite(str(folder / name), image[..., ::-1])
            auc = evaluation.scores[sequence.name].auc
            parts.append(f"**{sequence.name}** (AUC {auc:.3f})\n\n![{sequence.name}]({name})")
    return parts


def _box(values: np.ndarray) -> tuple[float, float, float, float]:
    x, y, w, h = (float(v) for v in values)
    return (x, y, w, h)
