"""`dcfst eval`: one-pass evaluation on a data set, with tables, JSON, plots and a report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dcfst_core.cli.options import (
    OptionError,
    add_tracker_options,
    apply_threads,
    positive_int,
    tracker_config,
)
from dcfst_core.cli.protocols import (
    Results,
    add_protocol_options,
    check_passes,
    check_reunion,
    print_forgetting,
    print_judgement,
    print_reunions,
)
from dcfst_core.cli.sequences import add_sequence_options, chosen_sequences, tracker_spec
from dcfst_core.evaluation.ablations import ablations
from dcfst_core.evaluation.conventions import CONVENTIONS, OF_FORMAT, Convention
from dcfst_core.evaluation.judgement import JudgementFigures
from dcfst_core.evaluation.one_pass import run_one_pass
from dcfst_core.evaluation.playing import play
from dcfst_core.evaluation.results import SequenceResult, load_result
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.starts import with_starts
from dcfst_core.evaluation.summary import (
    Evaluation,
    auc_table,
    comparison_table,
    evaluate,
    sequence_table,
)
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.inference.machine import describe_machine

OPENCV_TRACKERS = ("mil", "csrt", "kcf", "nano", "vit")


def add_command(commands: Any) -> None:
    """Add the `eval` command to the parser."""
    parser = commands.add_parser(
        "eval",
        help="measure accuracy and speed on a data set",
        description="One-pass evaluation, by the convention of the data set's own toolkit unless "
        "--convention says otherwise. Results are written sequence by sequence; a second run with "
        "the same settings, weights and code goes on where the first one stopped.",
    )
    add_sequence_options(parser)
    parser.add_argument("--name", default="dcfst", help="the tracker's name in tables and files")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/eval"), help="folder of result files (runs/eval)"
    )
    parser.add_argument("--json", type=Path, help="write all scores to this file")
    parser.add_argument(
        "--sequences", nargs="+", default=[], metavar="NAME", help="only these sequences"
    )
    _add_other_trackers(parser)
    parser.add_argument(
        "--workers", type=positive_int, default=1, metavar="N", help="processes (default: 1)"
    )
    _add_outputs(parser)
    add_protocol_options(parser)
    parser.add_argument(
        "--convention",
        choices=sorted(CONVENTIONS),
        help="which frames count and what means are over: otb (all frames; absent ones are "
        "failures), got10k (frames pooled), strict (neither the first nor absent ones); default: "
        "that of --format",
    )
    parser.add_argument("--repeat", action="store_true", help="run again what is done already")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_tracker_options(parser)
    parser.set_defaults(run=run)


def _add_other_trackers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ablations",
        action="store_true",
        help="also run without trained head, without refinement, without update",
    )
    parser.add_argument(
        "--untrained",
        metavar="FILE",
        help="weights from before training, for --ablations; default: random projections of "
        "plain trunk features",
    )
    parser.add_argument(
        "--compare",
        nargs="+",
        default=[],
        metavar="RESULTS",
        help="folders of other trackers' result files, or OpenCV's trackers to run: mil, csrt, "
        "kcf, nano:BACKBONE.onnx,HEAD.onnx, vit:MODEL.onnx",
    )
    parser.add_argument(
        "--compare-only",
        action="store_true",
        help="do not run DCFST: score and plot only what --compare names",
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="write success and precision plots as PNG"
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write report.md with plots and filmstrips"
    )
    parser.add_argument(
        "--calibration", action="store_true", help="show how far scores predict overlap"
    )


def run(options: argparse.Namespace) -> int:
    """Run, print tables, write files."""
    clips = chosen_sequences(options, options.sequences)
    sequences = clips
    if options.to_and_fro is not None:
        check_passes(options.to_and_fro, clips)
        sequences = [play(clip, options.to_and_fro) for clip in clips]
    if options.reunion is not None:
        check_reunion(options, clips)
    runs = with_starts(sequences, options.jitter)
    apply_threads(options)
    specs, folders = _trackers(options, runs)
    results = _all_results(options, specs, folders, runs)
    convention = _convention(options)
    evaluations = [evaluate(name, found, runs, convention) for name, found in results.items()]
    _print_tables(evaluations)
    if options.calibration:
        _print_calibration(results[evaluations[0].tracker], runs)
    extra: dict[str, Any] = {}
    if options.to_and_fro is not None:
        extra["to_and_fro"] = print_forgetting(options, results, runs, clips)
    figures: dict[str, JudgementFigures] = {}
    if options.absence:
        figures = print_judgement(options, specs, results, clips, runs)
        extra["judgement"] = {name: found.to_dict() for name, found in figures.items()}
    if options.reunion is not None:
        extra["reunions"] = print_reunions(options, specs[0], clips)
    if options.json is not None:
        _write_json(options, evaluations, extra)
    if options.plots is not None:
        from dcfst_core.evaluation.plots import write_plots

        for path in write_plots(evaluations, options.plots):
            print(f"wrote {path}", file=sys.stderr)
    if options.report is not None:
        from dcfst_core.evaluation.report import write_report

        path = write_report(evaluations, results, runs, options.report, figures)
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _convention(options: argparse.Namespace) -> Convention:
    return CONVENTIONS[options.convention] if options.convention else OF_FORMAT[options.format]


def _trackers(
    options: argparse.Namespace, sequences: Sequence[AnnotatedSequence]
) -> tuple[list[TrackerSpec], list[Path]]:
    """The trackers to run, the one under test first, and folders of others' results."""
    specs: list[TrackerSpec] = []
    if not options.compare_only:
        specs.append(tracker_spec(options, options.name))
        specs += ablations(specs[0], options.untrained) if options.ablations else []
    elif not options.compare:
        raise OptionError("--compare-only: expected --compare with results or trackers")
    folders: list[Path] = []
    for text in options.compare:
        # Both are checked before hours of work, not after them.
        if text.partition(":")[0] in OPENCV_TRACKERS and not Path(text).is_dir():
            specs.append(TrackerSpec(text.partition(":")[0], opencv=text))
            specs[-1].build()
        else:
            folders.append(_result_folder(Path(text), sequences))
    if options.absence and not specs:
        raise OptionError("--absence: expected a tracker to run; results of others do not do")
    return specs, folders


def _all_results(
    options: argparse.Namespace,
    specs: Sequence[TrackerSpec],
    folders: Sequence[Path],
    sequences: Sequence[AnnotatedSequence],
) -> Results:
    found = {}
    for each in specs:
        found[each.name] = run_one_pass(
            each, sequences, options.out, options.workers, not options.quiet, options.repeat
        )
    for folder in folders:
        found[folder.name] = {s.name: load_result(folder, s) for s in sequences}
    return found


def _result_folder(folder: Path, sequences: Sequence[AnnotatedSequence]) -> Path:
    if not folder.is_dir():
        raise OptionError(
            f"--compare: expected a folder of result files or one of {', '.join(OPENCV_TRACKERS)};"
            f" got {str(folder)!r}"
        )
    load_result(folder, sequences[0])
    return folder


def _print_tables(evaluations: Sequence[Evaluation]) -> None:
    print(sequence_table(evaluations[0]))
    print(evaluations[0].convention.text())
    attributes = evaluations[0].attributes
    if attributes:
        print("\nAUC by attribute\n" + auc_table(evaluations, "attributes"))
    if len(evaluations) > 1:
        print("\nAUC by sequence\n" + auc_table(evaluations))
        print("\n" + comparison_table(evaluations))


def _print_calibration(
    results: dict[str, SequenceResult], sequences: Sequence[AnnotatedSequence]
) -> None:
    from dcfst_core.evaluation.calibration import calibrate

    print("\n" + calibrate(results, sequences).text())


def _write_json(
    options: argparse.Namespace,
    evaluations: Sequence[Evaluation],
    extra: dict[str, Any],
) -> None:
    document = {
        "root": str(options.root),
        "format": options.format,
        "convention": asdict(_convention(options)),
        "workers": options.workers,
        "weights": options.weights,
        "config": tracker_config(options).to_dict(),
        "machine": describe_machine(),
        "trackers": [evaluation.to_dict() for evaluation in evaluations],
        **extra,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=2) + "\n")
    print(f"wrote {options.json}", file=sys.stderr)
