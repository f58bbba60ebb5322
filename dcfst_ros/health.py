"""Rates, latencies, stage times and what is wrong now, as level, line and values. Pure Python.

What is wrong is a condition that holds or not (a target is lost, no image comes), looked at anew
for each message: so the level neither flickers nor outlives its cause.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from dcfst_core.track import TrackState

OK, WARN, ERROR = 0, 1, 2
# Longer than any real pipeline delay: the stamps are of another clock (a bag without /clock).
FOREIGN_CLOCK_S = 3600.0
# Parts of a frame's way, as they are called in /diagnostics.
LATENCY, RECEIVE, INSIDE = "stamp-to-publish", "stamp-to-receive", "receive-to-publish"
TRACKER, OVERHEAD = "tracker", "convert and publish"
LOSS_REMEDY = (
    "start the camera with room for images too: FASTRTPS_DEFAULT_PROFILES_FILE and "
    "FASTDDS_DEFAULT_PROFILES_FILE = config/fastdds_images.xml, or let it publish reliable"
)

NAMESAKES = (
    "another node has this node's name: boxes reach both, and their answers mix; start one in a "
    "namespace of its own (-r __ns:=/robot1)"
)


def status_name(node_name: str) -> str:
    """What the tracker of that fully qualified name is called in /diagnostics."""
    return f"{node_name.lstrip('/')}: tracker"


class RateMeter:
    """Events per second over a sliding window."""

    def __init__(self, window_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.window_s = window_s
        self.total = 0
        self._clock = clock
        self._started = self._last = clock()
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Count one event now."""
        with self._lock:
            self.total += 1
            self._times.append(self._clock())
            self._expire()

    def hz(self) -> float:
        """Events per second over the window, or since the start where that is shorter."""
        with self._lock:
            self._expire()
            span = min(self.window_s, self._clock() - self._started)
            return len(self._times) / span if span > 0 else 0.0

    def count(self) -> int:
        """Events within the window."""
        with self._lock:
            self._expire()
            return len(self._times)

    def silent_s(self) -> float:
        """Seconds since the last event, or since the start."""
        with self._lock:
            return self._clock() - (self._times[-1] if self._times else self._last)

    def restart(self) -> None:
        """Begin anew (the input was paused on purpose)."""
        with self._lock:
            self._times.clear()
            self._started = self._last = self._clock()

    def _expire(self) -> None:
        limit = self._clock() - self.window_s
        while self._times and self._times[0] < limit:
            self._last = self._times.popleft()


@dataclass(frozen=True)
class Limits:
    """Latency above or rate below which the status is a warning or an error; 0 = off."""

    latency_warn_ms: float
    latency_error_ms: float
    output_rate_warn_hz: float


@dataclass(frozen=True)
class Situation:
    """What the node is about: `activity` is unconfigured, inactive, paused or active."""

    activity: str = "active"
    states: dict[str, TrackState] = field(default_factory=dict)


class Health:
    """What the node knows of its own speed and troubles; thread-safe.

    `silence`: that no image comes, and why; empty while they do. `fault`: what keeps the node from
    its work: an image that cannot be read, weights that cannot be loaded; empty without one.
    `namesakes`: other nodes of this node's full name.
    """

    def __init__(self, window: int = 150, clock: Callable[[], float] = time.monotonic) -> None:
        self.received = RateMeter(clock=clock)
        self.published = RateMeter(clock=clock)
        self.lost = RateMeter(clock=clock)
        self.silence = ""
        self.fault = ""
        self.namesakes = 0
        self._parts_ms: dict[str, deque[float]] = {
            name: deque(maxlen=window) for name in (LATENCY, RECEIVE, INSIDE, TRACKER, OVERHEAD)
        }
        self._stage_ms: dict[str, float] = {}
        self._errors: deque[tuple[float, str]] = deque(maxlen=1)
        self._clock = clock
        self._lock = threading.Lock()

    def add_frame(
        self,
        latency_s: float | None,
        inside_ms: float,
        track_ms: float = 0.0,
        busy_ms: float = 0.0,
    ) -> None:
        """One result published.

        `latency_s`: age of its stamp (None: no stamp). `inside_ms`: time since it was received, of
        which `track_ms` in the tracker and `busy_ms` waiting for the tracker to end the frame
        before; the rest is the node's own overhead.
        """
        self.published.tick()
        with self._lock:
            if latency_s is not None:
                self._parts_ms[LATENCY].append(latency_s * 1e3)
                self._parts_ms[RECEIVE].append(latency_s * 1e3 - inside_ms)
            self._parts_ms[INSIDE].append(inside_ms)
            self._parts_ms[TRACKER].append(track_ms)
            self._parts_ms[OVERHEAD].append(inside_ms - track_ms - busy_ms)

    def add_stages(self, stage_ms: dict[str, float]) -> None:
        """Stage times of one frame."""
        with self._lock:
            self._stage_ms = dict(stage_ms)

    def add_error(self, text: str) -> None:
        """Remember what went wrong last."""
        with self._lock:
            self._errors.append((self._clock(), text))

    def note_fault(self, text: str) -> None:
        """Something keeps the node from its work: an image that cannot be read, bad weights."""
        self.fault = text
        self.add_error(text)

    def note_works(self) -> None:
        """It works again: an image was used."""
        self.fault = ""

    def note_lost_images(self, count: int) -> None:
        """The middleware says it lost so many."""
        for _ in range(count):
            self.lost.tick()

    def judge(self, limits: Limits, situation: Situation) -> tuple[int, str, dict[str, str]]:
        """Level (0 ok, 1 warn, 2 error), one line, and the values to show."""
        with self._lock:
            parts = {name: list(values) for name, values in self._parts_ms.items()}
            stages, errors = dict(self._stage_ms), list(self._errors)
        values = {
            "input rate (Hz)": f"{self.received.hz():.1f}",
            "output rate (Hz)": f"{self.published.hz():.1f}",
            "images received": str(self.received.total),
            "images lost by the middleware": str(self.lost.total),
            "frames processed": str(self.published.total),
            "last error": errors[0][1] if errors else "",
            "seconds since last error": f"{self._clock() - errors[0][0]:.0f}" if errors else "",
        }
        for name, times in parts.items():
            if times:
                values[f"{name} p50 (ms)"] = f"{statistics.median(times):.2f}"
                values[f"{name} p95 (ms)"] = f"{percentile(times, 0.95):.2f}"
        values.update({f"stage {name} (ms)": f"{ms:.1f}" for name, ms in stages.items()})
        problems = self._problems(situation)
        tracking = bool(situation.states)
        late = self._judge_latency(parts[LATENCY], values, limits, tracking)
        if situation.activity == "active" and not self.silence:
            problems += late
            rate = self.published.hz()
            if tracking and 0 < rate < limits.output_rate_warn_hz:
                problems.append((WARN, f"only {rate:.1f} frames/s processed"))
        if not problems:
            return OK, _calm(situation), values
        problems.sort(key=lambda problem: -problem[0])
        return problems[0][0], "; ".join(text for _, text in problems), values

    def _problems(self, situation: Situation) -> list[tuple[int, str]]:
        """What is wrong with targets and inputs."""
        problems: list[tuple[int, str]] = []
        if situation.activity == "paused":
            return [(WARN, "paused: targets are kept, ~/enable goes on")]
        if self.fault:
            problems.append((ERROR if situation.activity == "unconfigured" else WARN, self.fault))
        if self.namesakes:
            problems.append((WARN, NAMESAKES))
        if situation.activity != "active":
            return problems
        for level, state in ((ERROR, TrackState.LOST), (WARN, TrackState.UNCERTAIN)):
            names = sorted(name for name, held in situation.states.items() if held is state)
            if names:
                problems.append((level, f"{state.value}: {', '.join(names)}"))
        if self.silence:
            problems.append((WARN, self.silence))
        lost = self.lost.count()
        if lost:
            share = f"{lost} of the last {lost + self.received.count()} images"
            problems.append((WARN, f"the middleware lost {share}: {LOSS_REMEDY}"))
        return problems

    def _judge_latency(
        self, latency: list[float], values: dict[str, str], limits: Limits, tracking: bool
    ) -> list[tuple[int, str]]:
        if not latency:
            return []
        median = statistics.median(latency)
        if abs(median) > FOREIGN_CLOCK_S * 1e3 or median < -50.0:
            values["stamp clock"] = "differs from this node's clock: latency is not meaningful"
            return []
        if not tracking:
            return []
        if 0 < limits.latency_error_ms < median:
            return [(ERROR, f"latency {median:.0f} ms")]
        if 0 < limits.latency_warn_ms < median:
            return [(WARN, f"latency {median:.0f} ms")]
        return []


def _calm(situation: Situation) -> str:
    """One line when nothing is wrong."""
    if situation.activity != "active":
        return situation.activity
    return "tracking" if situation.states else "waiting for a box"


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
