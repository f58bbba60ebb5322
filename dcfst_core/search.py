"""Where to look for a target in the next frame."""

from __future__ import annotations

import math

from dcfst_core.config import TrackerConfig
from dcfst_core.patch import SearchRegion
from dcfst_core.target import Target, TrackState


def choose_regions(
    target: Target, width: int, height: int, config: TrackerConfig
) -> list[SearchRegion]:
    """The search regions of one target: around its last box and, while lost, some tiles more.

    The tiles cover the frame and are visited in turn, `lost_search_tiles` a frame, so the cost of
    a frame stays bounded. All have the usual scale: the regressor knows the target at that size.
    Once a candidate is being verified the search stays with it.
    """
    home = SearchRegion.around(target.box_xywh, config.search_area_scale, config.patch_size)
    if target.state is not TrackState.LOST or target.frames_reaccepted > 0:
        return [home]
    tiles = _tiles(home, width, height)
    count = min(config.lost_search_tiles, len(tiles))
    picked = [tiles[(target.next_tile + k) % len(tiles)] for k in range(count)]
    target.next_tile = (target.next_tile + count) % len(tiles)
    return [home, *picked]


def _tiles(home: SearchRegion, width: int, height: int) -> list[SearchRegion]:
    """Regions that cover the frame, those nearest to the last place first.

    The sample grid reaches over five sixths of a region; three quarters of a side from one tile to
    the next leave no gap between the grids.
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
