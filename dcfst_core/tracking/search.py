"""Where to look for a target in the next frame."""

from __future__ import annotations

import math
from dataclasses import replace

from dcfst_core.track import TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.patch import SearchRegion
from dcfst_core.tracking.target import Target

# A sample grid reaches over five sixths of its region.
_GRID_REACH = 5 / 12


def choose_regions(
    target: Target, width: int, height: int, config: TrackerConfig
) -> list[SearchRegion]:
    """The search regions of one target: around its last box and, while lost, some more.

    They are where it should be by now and tiles, visited in turn, that cover what is within its
    reach, in the end the frame: `lost_search_tiles` in all, so the cost stays bounded. All have
    the usual scale: the regressor knows the target at that size. While a candidate is being
    verified there are no tiles.
    """
    home = SearchRegion.around(target.box_xywh, config.search_area_scale, config.patch_size)
    if target.state is not TrackState.LOST:
        return [home]
    x, y = target.motion.expected()
    expected = replace(home, centre_x=min(max(x, 0), width), centre_y=min(max(y, 0), height))
    reach = target.reach(config)
    regions = [home]
    if _distance(home, expected) > target.motion.size / 2:
        regions.append(expected)
    verifying = target.frames_reaccepted > 0
    if not verifying and _distance(home, expected) + reach > _GRID_REACH * home.side:
        tiles = [
            tile
            for tile in _tiles(expected, width, height)
            if _distance(tile, expected) < reach + _GRID_REACH * home.side
        ]
        count = min(config.lost_search_tiles + 1 - len(regions), len(tiles))
        regions += [tiles[(target.next_tile + k) % len(tiles)] for k in range(count)]
        target.next_tile = (target.next_tile + count) % len(tiles)
    return regions[: 1 + config.lost_search_tiles]


def _distance(a: SearchRegion, b: SearchRegion) -> float:
    """Between two regions' centres along the axis where they are farther apart, px."""
    return max(abs(a.centre_x - b.centre_x), abs(a.centre_y - b.centre_y))


def _tiles(home: SearchRegion, width: int, height: int) -> list[SearchRegion]:
    """Regions that cover the frame, those nearest to `home` first.

    Three quarters of a side from one tile to the next leave no gap between the sample grids.
    """
    step = 0.75 * home.side
    columns, rows = math.ceil(width / step), math.ceil(height / step)
    tiles = [
        SearchRegion(
            width * (column + 0.5) / columns,
            height * (row + 0.5) / rows,
            home.side,
            home.patch_size,
        )
        for row in range(rows)
        for column in range(columns)
    ]
    return sorted(
        tiles,
        key=lambda tile: math.hypot(tile.centre_x - home.centre_x, tile.centre_y - home.centre_y),
    )
