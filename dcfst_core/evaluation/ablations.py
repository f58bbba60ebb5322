"""The tracker with one part taken away, to see what that part is worth."""

from __future__ import annotations

from dataclasses import replace

from dcfst_core.evaluation.trackers import TrackerSpec


def ablations(spec: TrackerSpec, untrained: str | None = None) -> list[TrackerSpec]:
    """Return the ablations that are reported beside a tracker: head, refinement, update.

    `untrained`: weights from before the head's training; without them the head is replaced by
    `plain_head.plain_feature_head`.
    """
    frozen = {**spec.config, "learning_rate": 0.0, "recent_rate": 0.0}
    headless = f"{spec.name}-untrained-head"
    return [
        replace(spec, name=headless, untrained_head=True)
        if untrained is None
        else replace(spec, name=headless, weights=untrained),
        replace(
            spec,
            name=f"{spec.name}-no-refinement",
            config={**spec.config, "box_refinement": False},
        ),
        replace(spec, name=f"{spec.name}-no-update", config=frozen),
    ]
