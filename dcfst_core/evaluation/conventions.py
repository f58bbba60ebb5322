"""Which frames count, and how a mean over sequences is taken: toolkits differ in it.

The same boxes score differently by them, so every table names the one that it was made by.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Convention:
    """How the toolkit of a data set makes numbers from overlaps and distances.

    first_frame: the given box of the first frame counts. absent_fails: a frame without target
    counts as a failure, whatever is reported; else it is left out. pooled: means are over all
    frames together, so that long sequences weigh more; else over sequences. bounded: boxes are
    moved and cut into the frame before they are compared.
    """

    name: str
    first_frame: bool
    absent_fails: bool
    pooled: bool
    bounded: bool

    def text(self) -> str:
        """One line for below a table."""
        return (
            f"Convention {self.name}: the first frame "
            f"{'counts' if self.first_frame else 'is left out'}, absent frames "
            f"{'are failures' if self.absent_fails else 'are left out'}, means over "
            f"{'all frames' if self.pooled else 'sequences'}."
        )


# This project's own: nothing is counted that a tracker was given or could not do.
STRICT = Convention("strict", first_frame=False, absent_fails=False, pooled=False, bounded=False)
# Wu, Lim, Yang's toolkit and those made from it (UAV123, LaSOT, NfS), as in the got10k package.
# The MATLAB scripts differ in odd frames: where x or y of a true box is 0 or less the overlap
# fails, and in all frames that fail so, or are absent, the centre counts as right.
OTB = Convention("otb", first_frame=True, absent_fails=True, pooled=False, bounded=False)
# The got10k package's report on the validation set.
GOT10K = Convention("got10k", first_frame=False, absent_fails=False, pooled=True, bounded=True)

CONVENTIONS = {c.name: c for c in (STRICT, OTB, GOT10K)}
# VOT's own measures restart the tracker; one pass over its sequences is nobody's protocol.
OF_FORMAT = {
    "otb": OTB,
    "uav123": OTB,
    "lasot": OTB,
    "nfs": OTB,
    "trackingnet": OTB,
    "got10k": GOT10K,
    "vot": STRICT,
}
