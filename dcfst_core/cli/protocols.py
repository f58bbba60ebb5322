"""Protocols of `dcfst eval` beside one pass: hidden targets, clips to and fro, several starts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dcfst_core.cli.options import OptionError, positive_int
from dcfst_core.evaluation.absence import DURATIONS, KINDS, absence_cases
from dcfst_core.evaluation.case_results import (
    best_threshold,
    plain_results,
    run_cases,
    with_threshold,
)
from dcfst_core.evaluation.judgement import JudgementFigures, comparison, judgement_figures
from dcfst_core.evaluation.playing import first_and_last_pass, forgetting, forgetting_table
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.reunion import reunion_table, run_reunions, usable_clips
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.trackers import TrackerSpec

# By tracker and sequence; the tracker under test comes first.
Results = dict[str, dict[str, SequenceResult]]


def add_protocol_options(parser: argparse.ArgumentParser) -> None:
    """Add --absence and what belongs to it, --to-and-fro, --reunion and --jitter."""
    group = parser.add_argument_group("other protocols")
    group.add_argument(
        "--absence",
        action="store_true",
        help="also hide each target for a while: is the loss reported, is the target found again",
    )
    group.add_argument(
        "--absence-kinds",
        nargs="+",
        default=list(KINDS),
        choices=KINDS,
        metavar="KIND",
        help=f"of {', '.join(KINDS)} (default: all)",
    )
    group.add_argument(
        "--absence-frames",
        nargs="+",
        type=positive_int,
        default=[DURATIONS[0]],
        metavar="N",
        help="how long it is hidden, e.g. 30 100 300 (default: 30)",
    )
    group.add_argument(
        "--to-and-fro",
        type=positive_int,
        metavar="N",
        help="play each clip to and fro for N frames; show AUC of the first and the last pass",
    )
    group.add_argument(
        "--reunion",
        type=positive_int,
        metavar="GAP",
        help="also cut each clip in two, GAP frames apart; save the target of the first part and "
        "look for it in the second one and in all other clips",
    )
    add_jitter_option(group)


def add_jitter_option(parser: Any) -> None:
    """Add --jitter, to a parser or a group of its options."""
    parser.add_argument(
        "--jitter",
        type=positive_int,
        default=1,
        metavar="N",
        help="N starts a clip: the given box and boxes jittered by 2%%; scores are their means",
    )


def check_passes(frames: int, clips: Sequence[AnnotatedSequence]) -> None:
    """OptionError, before hours of work, where a clip cannot be compared with itself."""
    for clip in clips:
        try:
            first_and_last_pass(len(clip.frames), frames)
        except ValueError as error:
            raise OptionError(f"--to-and-fro: {clip.name}: {error}") from None


def check_reunion(options: argparse.Namespace, clips: Sequence[AnnotatedSequence]) -> None:
    """OptionError, before hours of work, where no tracker saves targets or no clip is long."""
    if options.compare_only:
        raise OptionError("--reunion: expected DCFST to run; other trackers do not save targets")
    try:
        usable_clips(clips, options.reunion)
    except ValueError as error:
        raise OptionError(f"--reunion: {error}") from None


def print_forgetting(
    options: argparse.Namespace,
    results: Results,
    played: Sequence[AnnotatedSequence],
    clips: Sequence[AnnotatedSequence],
) -> dict[str, Any]:
    """Print AUC of the first and the last pass of every tracker; returns them for JSON."""
    lengths = [len(clip.frames) for clip in clips for _ in range(options.jitter)]
    found = {name: forgetting(runs, played, lengths) for name, runs in results.items()}
    for name, aucs in found.items():
        print(f"\n{name}: AUC while each clip is played to and fro\n{forgetting_table(aucs)}")
    return found


def print_judgement(
    options: argparse.Namespace,
    specs: Sequence[TrackerSpec],
    results: Results,
    clips: Sequence[AnnotatedSequence],
    runs: Sequence[AnnotatedSequence],
) -> dict[str, JudgementFigures]:
    """Hide targets, judge every tracker that can be run, print; returns figures by tracker."""
    cases = absence_cases(clips, options.absence_kinds, options.absence_frames)
    if not cases:
        raise OptionError("--absence: expected clips of ten frames and more with published boxes")
    figures: dict[str, JudgementFigures] = {}
    for spec in specs:
        found = run_cases(
            spec, cases, options.out, options.workers, not options.quiet, options.repeat
        )
        found += plain_results(results[spec.name], runs)
        threshold = best_threshold(found) if spec.opencv else float("nan")
        if threshold == threshold:
            chosen = f"tracking where its score is at least {threshold:.3f}, the best here"
            print(f"\n{spec.name}: {chosen}")
            found = with_threshold(found, threshold)
        figures[spec.name] = judgement_figures(found)
    print("\n" + figures[specs[0].name].text())
    if len(figures) > 1:
        print("\n" + comparison(figures))
    return figures


def print_reunions(
    options: argparse.Namespace, spec: TrackerSpec, clips: Sequence[AnnotatedSequence]
) -> list[dict[str, Any]]:
    """Save each target, look for it later and elsewhere, print; returns them for JSON."""
    found = run_reunions(spec, clips, options.reunion, not options.quiet)
    print(f"\n{spec.name}: saved targets, {options.reunion} frames later\n{reunion_table(found)}")
    return [asdict(each) for each in found]
