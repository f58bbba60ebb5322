#!/usr/bin/env python3
"""Write what the reliability tests found into docs/reliability.md, from pytest's JUnit reports.

    python -m pytest -m fault --junitxml=faults.xml ...
    python scripts/reliability_report.py faults.xml fuzz.xml --soak soak.jsonl --scenarios out.json

Reports of parts may be given together; of a test that is in several, the last one counts. What is
not given keeps what the page says of it.
"""

from __future__ import annotations

import argparse
import ast
import json
import platform
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
sys.path.insert(0, str(ROOT / "test" / "reliability"))


@dataclass(frozen=True)
class Result:
    """One test (with its parameters): what it is about, and what came of it."""

    test: str
    file: str
    outcome: str
    properties: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """What the test recorded under a name."""
        return [value for key, value in self.properties if key == name]


def read_report(path: Path) -> dict[str, Result]:
    """The results of a JUnit report by the test's full name."""
    found = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        outcome = next(
            (kind.tag for kind in case if kind.tag in ("failure", "error", "skipped")), "passed"
        )
        properties = tuple(
            (item.get("name", ""), item.get("value", "")) for item in case.iter("property")
        )
        # Folders and file, and the class where the test is in one.
        parts = [p for p in case.get("classname", "").split(".") if not p[:1].isupper()]
        folder = "/".join(parts) + ".py"
        name = case.get("name", "")
        found[f"{folder}::{name}"] = Result(name.split("[")[0], folder, outcome, properties)
    return found


def declared_faults() -> list[tuple[str, str, str]]:
    """Fault, test and file of every marker in the source."""
    found = []
    for path in sorted([*ROOT.glob("test/**/test_*.py"), *ROOT.glob("training/tests/test_*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                    name = ast.literal_eval(mark.args[0])
                    found.append((name, node.name, str(path.relative_to(ROOT))))
    return found


def fault_table(results: list[Result]) -> str:
    """One row for each fault and test; the test's name says what must happen."""
    rows: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row in declared_faults():
        rows[row] = Counter()
    for result in results:
        for fault in result.values("fault"):
            rows[(fault, result.test, result.file)][result.outcome] += 1
    lines = ["| fault | what must happen | result |", "|---|---|---|"]
    for (fault, test, file), outcomes in sorted(rows.items(), key=lambda row: row[0]):
        must = test.removeprefix("test_").replace("_", " ")
        said = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
        said = said or "not run for this page"
        lines.append(f"| {fault} | [{must}](../{file}) | {said} |")
    faults = {row[0] for row in rows}
    bad = {row[0] for row, outcomes in rows.items() if set(outcomes) - {"passed", "skipped"}}
    good = faults - bad
    run = {row[0] for row, outcomes in rows.items() if outcomes}
    said = f"{len(faults)} faults; of the {len(run)} run for this page {len(good & run)} passed"
    lines.append(f"\n{said} in every test. {stamp()}")
    return "\n".join(lines)


def fuzz_table(results: list[Result]) -> str:
    """Cases really run by each fuzz test."""
    lines = ["| what | cases | result |", "|---|---:|---|"]
    total, seeds = 0, set()
    for result in sorted(results, key=lambda r: r.test):
        cases = sum(int(value) for value in result.values("fuzz cases"))
        if not cases:
            continue
        total += cases
        seeds |= set(result.values("fuzz seed"))
        what = result.test.removeprefix("test_").replace("_", " ")
        lines.append(f"| [{what}](../{result.file}) | {cases} | {result.outcome} |")
    lines.append(f"\n{total} cases from seed {', '.join(sorted(seeds))}. {stamp()}")
    return "\n".join(lines)


def soak_table(record: Path) -> str:
    """What the node held at the beginning and at the end of each session."""
    from soak import growth, read_rows, sessions

    rows = read_rows(record)
    names = ("rss_mb", "threads", "files", "shm_mb", "gpu_mb")
    lines = [f"| session | frames | {' | '.join(names)} |", "|---:|---:|" + "---:|" * len(names)]
    for number, session in enumerate(sessions(rows), start=1):
        first, last = session[len(session) // 5], session[-1]
        spans = [f"{first[name]:.0f} → {last[name]:.0f}" for name in names]
        begin = session[0]["frame"] - 50
        lines.append(f"| {number} | {max(0, begin)}–{last['frame']} | {' | '.join(spans)} |")
    grown = ", ".join(f"{name} {value:.1f}" for name, value in growth(rows).items())
    lines.append(f"\n{rows[-1]['frame']} frames; growth of medians: {grown}. {stamp()}")
    return "\n".join(lines)


def scenario_table(outcomes: list[dict[str, object]]) -> str:
    """Figures and verdict of each scenario."""
    names = list(dict(outcomes[0]["measured"]))  # type: ignore[call-overload]
    lines = [f"| scenario | frames | {' | '.join(names)} | result |"]
    lines.append("|---|---:|" + "---:|" * len(names) + "---|")
    for outcome in outcomes:
        measured: dict[str, float] = outcome["measured"]  # type: ignore[assignment]
        shown = ["" if measured[n] != measured[n] else f"{measured[n]:.3g}" for n in names]
        verdict = "; ".join(outcome["failed"]) or "passed"  # type: ignore[arg-type]
        lines.append(
            f"| {outcome['name']} | {outcome['frames']} | {' | '.join(shown)} | {verdict} |"
        )
    passed = sum(not outcome["failed"] for outcome in outcomes)
    lines.append(f"\n{passed} of {len(outcomes)} passed. {stamp()}")
    return "\n".join(lines)


def stamp() -> str:
    """Commit, day and machine of the results."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    commit = git("rev-parse", "--short=10", "HEAD") or "unknown"
    day = time.strftime("%d %B %Y").lstrip("0")
    return f"Written at commit {commit}{changed}, {day}, Python {platform.python_version()}."


def put(page: str, name: str, table: str) -> str:
    """The page with the part between the markers of that name replaced."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
    if not pattern.search(page):
        raise SystemExit(f"reliability_report: expected <!-- {name} --> … <!-- end --> in {PAGE}")
    return pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", page, count=1)


def main() -> int:
    """Read what is given and write the page."""
    parser = argparse.ArgumentParser(description="Write results into docs/reliability.md.")
    parser.add_argument("reports", nargs="*", type=Path, help="pytest's JUnit reports")
    parser.add_argument("--soak", type=Path, help="soak.jsonl")
    parser.add_argument("--scenarios", type=Path, help="what dcfst scenario --json wrote")
    options = parser.parse_args()
    page = PAGE.read_text()
    found: dict[str, Result] = {}
    for report in options.reports:
        found |= read_report(report)
    results = list(found.values())
    if any(result.values("fault") for result in results):
        page = put(page, "faults", fault_table(results))
    if any(result.values("fuzz cases") for result in results):
        page = put(page, "fuzzing", fuzz_table(results))
    if options.soak is not None:
        page = put(page, "soak", soak_table(options.soak))
    if options.scenarios is not None:
        page = put(page, "scenarios", scenario_table(json.loads(options.scenarios.read_text())))
    PAGE.write_text(page)
    return int(any(result.outcome in ("failure", "error") for result in results))


if __name__ == "__main__":
    sys.exit(main())
