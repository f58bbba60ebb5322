"""Training data in its published layouts, all behind one small interface: `ClipSet` of `Clip`s."""

from dcfst_training.datasets.clips import Clip, ClipSet, DatasetLayoutError
from dcfst_training.datasets.coco import COCO
from dcfst_training.datasets.got10k import GOT10k
from dcfst_training.datasets.lasot import LaSOT
from dcfst_training.datasets.masks import MaskVideos
from dcfst_training.datasets.otb_folders import OTBFolders
from dcfst_training.datasets.stills import BoxStills
from dcfst_training.datasets.synthetic import MovingTargets
from dcfst_training.datasets.trackingnet import TrackingNet

__all__ = [
    "COCO",
    "BoxStills",
    "Clip",
    "ClipSet",
    "DatasetLayoutError",
    "GOT10k",
    "LaSOT",
    "MaskVideos",
    "MovingTargets",
    "OTBFolders",
    "TrackingNet",
]
