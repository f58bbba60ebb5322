"""Ground truth as it comes: byte order marks, odd line ends, gaps, short files, bad neighbours."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_core.evaluation.datasets import load_sequences
from dcfst_core.evaluation.otb_spans import OTB_SPANS
from dcfst_core.evaluation.sequences import DatasetError, DatasetWarning

IMAGE = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
BOXES = [(6 + i, 8, 4, 4) for i in range(4)]
CORNERS = "\n".join(
    f"{x},{y},{x + w},{y},{x + w},{y + h},{x},{y + h}" for x, y, w, h in BOXES
)  # fmt: skip
RECTANGLES = "\n".join(",".join(map(str, box)) for box in BOXES)
NFS = "\n".join(
    f'0 {x} {y} {x + w} {y + h} {i} 0 0 0 "car"' for i, (x, y, w, h) in enumerate(BOXES)
)
# Where each layout keeps images and boxes, the text of the boxes, and the first pixel's index.
LAYOUTS = {
    "otb": ("S/img", "S/groundtruth_rect.txt", RECTANGLES, 1),
    "got10k": ("S", "S/groundtruth.txt", RECTANGLES, 0),
    "lasot": ("c-1/img", "c-1/groundtruth.txt", RECTANGLES, 1),
    "nfs": ("S/30/S", "S/30/S.txt", NFS, 0),
    "uav123": ("data_seq/UAV123/S", "anno/UAV123/S.txt", RECTANGLES, 1),
    "trackingnet": ("TEST/frames/S", "TEST/anno/S.txt", RECTANGLES, 0),
    "vot": ("S/color", "S/groundtruth.txt", CORNERS, 0),
}
FORMS = {
    "plain": lambda text: text.encode(),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "Windows line ends": lambda text: text.replace("\n", "\r\n").encode() + b"\r\n",
    "old Mac line ends": lambda text: text.replace("\n", "\r").encode(),
    "blanks at the ends": lambda text: text.replace("\n", "  \n").encode() + b" \t \n   \n\n",
    "no last line end": lambda text: text.rstrip().encode(),
}


def images(folder: Path, count: int, first: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"{number:08d}.jpg").write_bytes(IMAGE)


def build(root: Path, layout: str, data: bytes | None = None, count: int = 4) -> Path:
    """A data set with one sequence; returns its annotation file."""
    folder, file, text, _ = LAYOUTS[layout]
    images(root / folder, count)
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if data is None else data)
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_in_every_form(layout: str, form: str, tmp_path: Path) -> None:
    build(tmp_path, layout, FORMS[form](LAYOUTS[layout][2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (sequence,) = load_sequences(tmp_path, layout)
    origin = LAYOUTS[layout][3]
    expected = np.array(BOXES, float) - [origin, origin, 0, 0]
    np.testing.assert_array_equal(sequence.truth_xywh, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_that_macos_puts_beside_others_are_no_annotations(
    layout: str, tmp_path: Path
) -> None:
    path = build(tmp_path, layout)
    (path.parent / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07 resource fork")
    folder = tmp_path / LAYOUTS[layout][0]
    (folder / "._00000001.jpg").write_bytes(b"\x00\x05\x16\x07")
    copy = tmp_path / "__MACOSX" / path.relative_to(tmp_path)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"\x00\x05\x16\x07")
    (sequence,) = load_sequences(tmp_path, layout)
    assert len(sequence.frames) == 4


@pytest.mark.parametrize(
    ("layout", "line"),
    [
        ("vot", "7,8,nan,8,11,12,7,12"),
        ("vot", "7,8,11,8,11,NaN,7,12"),
        ("vot", "nan,nan,nan,nan"),
        ("vot", "nan"),
        ("otb", "NaN,NaN,NaN,NaN"),
        ("otb", "7,nan,4,4"),
        ("got10k", "nan,8,4,4"),
        ("trackingnet", "7.0,8.0,0.0,4.0"),
        ("nfs", "0 7 8 11 12 1 1 0 0 \"car\""),
    ],
)  # fmt: skip
def test_a_box_with_a_missing_corner_is_absent(layout: str, line: str, tmp_path: Path) -> None:
    lines = LAYOUTS[layout][2].split("\n")
    lines[1] = line
    build(tmp_path, layout, "\n".join(lines).encode())
    (sequence,) = load_sequences(tmp_path, layout)
    assert np.isnan(sequence.truth_xywh).all(axis=1).tolist() == [False, True, False, False]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_short_file_never_shortens_a_sequence_in_silence(layout: str, tmp_path: Path) -> None:
    path = build(tmp_path, layout, count=8)
    with pytest.raises(DatasetError, match="8 images"):
        load_sequences(tmp_path, layout)
    assert path.is_file()


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "vot"])
def test_a_bad_line_is_named_with_file_and_number(layout: str, tmp_path: Path) -> None:
    lines = LAYOUTS[layout][2].split("\n")
    lines[2] = "what, is, this"
    path = build(tmp_path, layout, "\n".join(lines).encode())
    with pytest.raises(DatasetError, match=f"{path}, line 3: expected"):
        load_sequences(tmp_path, layout)


def test_a_bad_region_is_named_with_file_and_number(tmp_path: Path) -> None:
    path = build(tmp_path, "vot", b"1,2,3,4\n1,2,3\n")
    with pytest.raises(DatasetError, match=f"{path}, line 2: expected a VOT rectangle"):
        load_sequences(tmp_path, "vot")


@pytest.mark.parametrize("fault", ["absent first", "no images", "text", "short", "order", "flags"])
def test_one_bad_sequence_does_not_refuse_the_set(fault: str, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        images(tmp_path / name, 4)
        (tmp_path / name / "groundtruth.txt").write_text(RECTANGLES)
    bad = tmp_path / "b"
    if fault == "absent first":
        (bad / "absence.label").write_text("1\n0\n0\n0\n")
    elif fault == "no images":
        for image in bad.glob("*.jpg"):
            image.unlink()
    elif fault == "text":
        (bad / "groundtruth.txt").write_bytes(b"\x89PNG\xff\xfe")
    elif fault == "short":
        (bad / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4\n")
    elif fault == "order":
        images(bad / "x", 0)
        (bad / "1.jpg").write_bytes(IMAGE)
    else:
        (bad / "absence.label").write_text("0\n0\n")
    with pytest.warns(DatasetWarning, match="left out") as told:
        sequences = load_sequences(tmp_path, "got10k")
    assert [s.name for s in sequences] == ["a", "c"]
    assert len(told) == 1 and "b" in str(told[0].message)


def test_a_list_of_names_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    for layout, file, name in (("lasot", "testing_set.txt", "c-1"), ("vot", "list.txt", "S")):
        build(tmp_path / layout, layout)
        (tmp_path / layout / file).write_bytes(f"\ufeff{name}\r\n".encode())
        assert [s.name for s in load_sequences(tmp_path / layout, layout)] == [name]


def test_the_objects_of_a_vot_sequence_are_sequences(tmp_path: Path) -> None:
    images(tmp_path / "S" / "color", 4)
    for name in ("000", "001"):
        (tmp_path / "S" / f"groundtruth_{name}.txt").write_text(RECTANGLES)
    assert [s.name for s in load_sequences(tmp_path, "vot")] == ["S-000", "S-001"]


@pytest.mark.parametrize("name", OTB_SPANS)
def test_published_exceptions_of_otb_are_known(name: str, tmp_path: Path) -> None:
    """Full size: images and boxes in the numbers that were published."""
    first, last = OTB_SPANS[name]
    surplus = {"football1": 7, "freeman3": 14, "freeman4": 14, "diving": 16, "david": 1}
    begin = 1 if name in ("david", "tiger1") else first
    images(tmp_path / name / "img", last + surplus.get(name, 0) - begin + 1, begin)
    count = 354 if name == "tiger1" else last - first + 1
    lines = "\n".join(f"{i + 1},5,5,5" for i in range(count))
    (tmp_path / name / "groundtruth_rect.txt").write_text(lines)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (sequence,) = load_sequences(tmp_path, "otb")
    assert (int(sequence.frames[0].stem), int(sequence.frames[-1].stem)) == (first, last)
    skipped = 5 if name == "tiger1" else 0
    assert sequence.init_box_xywh[0] == skipped  # 1-based boxes, numbered from 1


def test_a_cut_file_of_such_a_sequence_is_said(tmp_path: Path) -> None:
    images(tmp_path / "David" / "img", 310)
    (tmp_path / "David" / "groundtruth_rect.txt").write_text("5,5,5,5\n" * 8)
    with pytest.warns(DatasetWarning, match="expected 11 boxes, for the images 300 to 770"):
        (david,) = load_sequences(tmp_path, "otb")
    assert (david.frames[0].stem, len(david.frames)) == ("00000300", 8)
