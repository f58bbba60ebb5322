"""Where to look for a target in the next frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.patch import SearchRegion
from dcfst_core.tracking.target import Target

# Neighbouring tiles share a tenth of what a sample grid covers: nothing falls between them.
_TILE_STEP = 0.9
# So many frames after a target was last seen, what answers beyond its reach is something else.
# Later it may have gone there; where the camera moved unseen (`Motion.blind`), at once.
_BEYOND_FRAMES, _MOST_BLIND = 20, 0.25


@dataclass(frozen=True)
class Plan:
    """Where one target is looked for in one frame."""

    regions: tuple[SearchRegion, ...]
    """At least one; the first is around its box."""
    expected_xy: tuple[float, float]
    """Where it should be, image px."""
    reach: float
    """Pixels from there within which it must be found; infinite: no limit."""
    next_tile: int
    """The tile that comes next, if this frame does not find it."""
    beyond: SearchRegion | None = None
    """One at the border of its reach: what answers farther out is something else."""
    spread: float = math.inf
    """Pixels by which it is wont to be off from where it should be; infinite in doubt, and where
    it was not as usual in the last frame: a leap betrays what covers it."""

    @property
    def looked_at(self) -> tuple[SearchRegion, ...]:
        """All regions, the one beyond its reach last."""
        return self.regions if self.beyond is None else (*self.regions, self.beyond)


def make_plan(
    target: Target, width: int, height: int, grid: SampleGrid, config: TrackerConfig
) -> Plan:
    """Plan the search of one target: around its last box and, while lost, in some more regions.

    They are where it should be by now, larger and smaller regions there, and tiles, visited in
    turn, that cover what is within its reach, in the end the frame: `lost_search_tiles` in all, so
    the cost stays bounded. In the first frames in doubt there is one more, `Plan.beyond`.
    """
    home = SearchRegion.around(target.box_xywh, config.search_area_scale, config.patch_size)
    expected_xy = target.motion.expected()
    if target.state is TrackState.TRACKING:
        spread = target.motion.spread if target.is_as_usual else math.inf
        return Plan((home,), expected_xy, math.inf, target.next_tile, spread=spread)
    reach = target.motion.reach(config.reach)
    x, y = expected_xy
    expected = replace(home, centre_x=min(max(x, 0), width), centre_y=min(max(y, 0), height))
    covered = _covered(expected, grid)
    # In an order that stays while it is lost, so that every tile has its turn.
    seen = replace(expected, centre_x=target.motion.x, centre_y=target.motion.y)
    tiles = _tiles(seen, width, height, _TILE_STEP * covered)
    beyond = None
    if config.lost_search_tiles > 0:
        beyond = _beyond(target, tiles, expected, covered, reach)
    if target.state is not TrackState.LOST:
        return Plan((home,), expected_xy, reach, target.next_tile, beyond)
    extra = _in_reach(tiles, expected, covered, reach)
    extra += _zoomed(expected, config.lost_search_zoom)
    regions, budget = [home], config.lost_search_tiles
    if _distance(home, expected) > target.motion.size / 2:
        if budget > 1:
            regions.append(expected)
            budget -= 1
        else:
            extra.insert(0, expected)
    count = min(budget, len(extra))
    first = target.next_tile
    regions += [extra[(first + k) % len(extra)] for k in range(count)]
    next_tile = (first + count) % max(len(extra), 1)
    return Plan(tuple(regions), expected_xy, reach, next_tile, beyond)


def look_around(plan: Plan, target: Target, grid: SampleGrid, config: TrackerConfig) -> Plan:
    """Plan a second look in the same frame at what the first one could not reach.

    Four regions cover twice what one covers along each side.
    """
    home = plan.regions[0]
    step = _TILE_STEP * _covered(home, grid) / 2
    regions = tuple(
        replace(home, centre_x=home.centre_x + dx, centre_y=home.centre_y + dy)
        for dy in (-step, step)
        for dx in (-step, step)
    )
    reach = target.motion.reach(config.reach) + step
    return replace(plan, regions=regions, reach=reach, beyond=None)


def _covered(region: SearchRegion, grid: SampleGrid) -> float:
    """What its sample grid covers of a region along a side, image px."""
    return region.side * (grid.size - 1) * grid.spacing / grid.patch_size


def _zoomed(region: SearchRegion, zoom: float) -> list[SearchRegion]:
    """The region in which the target appears larger, and the one in which it appears smaller."""
    if zoom == 1.0:
        return []
    return [replace(region, side=region.side * factor) for factor in (zoom, 1 / zoom)]


def _in_reach(
    tiles: Sequence[SearchRegion], expected: SearchRegion, covered: float, reach: float
) -> list[SearchRegion]:
    """Tiles that cover what lies within reach; none where the expected region does so alone."""
    if reach <= covered / 2:
        return []
    return [tile for tile in tiles if _distance(tile, expected) < reach + covered / 2]


def _beyond(
    target: Target,
    tiles: Sequence[SearchRegion],
    expected: SearchRegion,
    covered: float,
    reach: float,
) -> SearchRegion | None:
    """The tile to look at beyond its reach, another one in every frame; None: there is none.

    Who stands there now will be within reach in some frames, and be found: it is well to know by
    then that he was there all the time.
    """
    motion = target.motion
    if motion.frames_unseen > _BEYOND_FRAMES or motion.blind > _MOST_BLIND:
        return None
    around = [
        tile for tile in tiles if reach - covered / 4 < _distance(tile, expected) < reach + covered
    ]
    return around[motion.frames_unseen % len(around)] if around else None


def _distance(a: SearchRegion, b: SearchRegion) -> float:
    """Between two regions' centres along the axis where they are farther apart, px."""
    return max(abs(a.centre_x - b.centre_x), abs(a.centre_y - b.centre_y))


def _tiles(home: SearchRegion, width: int, height: int, step: float) -> list[SearchRegion]:
    """Regions at most `step` apart that cover the frame, those nearest to `home` first."""
    columns, rows = math.ceil(width / step), math.ceil(height / step)
    tiles = [
        replace(
            home,
            centre_x=width * (column + 0.5) / columns,
            centre_y=height * (row + 0.5) / rows,
        )
        for row in range(rows)
        for column in range(columns)
    ]
    return sorted(
        tiles,
        key=lambda tile: math.hypot(tile.centre_x - home.centre_x, tile.centre_y - home.centre_y),
    )
