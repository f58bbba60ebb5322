"""Every command and code block of the documents is run, checked, or named here as out of reach.

A command that none of these rules knows fails: who prints a new kind says here how it is checked.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from runpy import run_path

import cv2
import numpy as np
import pytest
import torch

from dcfst_core.cli.arguments import with_negative_boxes
from dcfst_core.cli.main import build_parser, main
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.sinks import VideoWriter

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
# What needs another machine, a ROS install, root, the network, or hours; each with its reason.
OUT_OF_REACH = {
    "sudo": "root",
    "cd": "a workspace",
    "python3 -m venv": "a new environment",
    "pip": "the network; test_package.py installs the package",
    ".venv/bin/pip": "the network",
    "source": "a ROS install",
    "export": "a ROS install",
    "P=": "a ROS install",
    "python -m colcon": "test_package.py builds with colcon",
    "ros2 topic echo": "a ROS install; the topic is checked in test_documented.py",
    "ros2 security": "a ROS install with keys",
    "srun": "a cluster",
    "torchrun": "a cluster",
    "for": "hours of training",
    "done": "hours of training",
    "OPTIONS=": "hours of training",
    "MINUTES=": "a GPU",
    "DEVICE=": "test_gpu_scripts.py runs it",
}
# Commands of `dcfst` that other tests run: test_cli.py, test_ros_bench.py, test/reliability.
ELSEWHERE = ("bench", "scenario")
# Not commands: settings of other programs, formulas.
OTHER = ("[dcfst]", "label =", "protocol =", "command =", "p' =", "logit p =", "window(x) =")


def blocks(text: str) -> Iterator[str]:
    """Indented code: a blank line, then lines that begin with four spaces."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for match in re.finditer(r"(?:\A|\n\n)((?:    .+\n?(?:\n(?=    ))?)+)", plain):
        yield match[1]


def commands(page: Path) -> list[str]:
    """One command a line, without comments; a line that ends in a backslash goes on."""
    found = []
    for block in blocks(page.read_text()):
        lines = re.sub(r"\\\n\s*", " ", block).splitlines()
        found += [re.split(r"\s#\s", line)[0].strip() for line in lines if line.strip()]
    return found


ALL = [(page.name, command) for page in PAGES for command in commands(page)]


def test_there_are_commands() -> None:
    assert len(ALL) > 60


@pytest.mark.parametrize(("page", "command"), ALL)
def test_it_is_a_command_that_exists(page: str, command: str) -> None:
    if command.startswith(OTHER) or any(command.startswith(start) for start in OUT_OF_REACH):
        return
    words = shlex.split(command.replace("…", ""))
    check = {
        "dcfst": check_dcfst,
        "dcfst-train": check_training,
        "make": check_make,
        "ros2": check_ros2,
    }.get(words[0])
    assert check is not None, f"{page}: nothing here checks {command!r}"
    check(words[1:])


def check_dcfst(words: list[str]) -> None:
    """Optional parts in brackets are left out; the real parser takes the rest."""
    line = re.sub(r"\[[^\]]*\]", "", " ".join(words)).split()
    if "--weights" in line and line[:2] == ["eval", "--weights"]:
        line.insert(1, "ROOT")
    build_parser().parse_args(with_negative_boxes(line))


def check_training(words: list[str]) -> None:
    pytest.importorskip("dcfst_training")
    help_text = (ROOT / "training" / "dcfst_training" / "cli.py").read_text()
    assert f'"{words[0]}"' in help_text, words
    for index, word in enumerate(words):
        if word == "--config":
            assert (ROOT / words[index + 1]).is_file(), words


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert next(word for word in words if "=" not in word) in targets


def check_ros2(words: list[str]) -> None:
    verb, package, name, *rest = words
    if verb == "run":
        assert package == "dcfst_ros"
        assert f'"{name} = dcfst_ros.{name}:main"' in (ROOT / "setup.py").read_text()
    elif verb == "launch":
        assert (ROOT / "launch" / name).is_file()
        from dcfst_ros.launching import ARGUMENTS

        known = {argument for argument, _, _ in ARGUMENTS}
        assert all(word.split(":=")[0] in known for word in rest if ":=" in word), rest
    elif (verb, package) == ("topic", "pub"):
        check_message(rest)
    else:
        pytest.fail(f"nothing here checks ros2 {verb} {package}")


def check_message(words: list[str]) -> None:
    """The message of `ros2 topic pub [--once] TOPIC TYPE YAML` can be built."""
    import yaml

    messages = pytest.importorskip("vision_msgs.msg")
    kind, text = words[-2:]
    message = getattr(messages, kind.rsplit("/", 1)[1])()
    fill(message, yaml.safe_load(text))
    assert message.bbox.size_x == 80.0 and message.bbox.center.position.y == 240.0


def fill(message: object, values: dict[str, object]) -> None:
    """As ros2's own tool does; a field that does not exist is an AttributeError."""
    for name, value in values.items():
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        else:
            assert type(getattr(message, name)) is type(value)
            setattr(message, name, value)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the README's names stand for something small."""
    monkeypatch.chdir(tmp_path)
    clip = SyntheticClip(frames=5, size=(320, 240), target=(64, 48), period=120)
    for name in ("video.mp4", "other.mp4"):
        with VideoWriter(tmp_path / name, 25) as writer:
            for frame in clip:
                writer.write(frame, None)
    folder = tmp_path / "ROOT" / "Toy" / "img"
    folder.mkdir(parents=True)
    for number, frame in enumerate(clip, start=1):
        cv2.imwrite(str(folder / f"{number:04d}.png"), frame[..., ::-1])
    np.savetxt(
        folder.parent / "groundtruth_rect.txt",
        clip.boxes_xywh() + np.array([1, 1, 0, 0]),
        fmt="%.2f",
        delimiter=",",
    )
    return tmp_path


def write_bag(path: Path, clip: SyntheticClip) -> None:
    writing = pytest.importorskip("rosbags.rosbag2")
    from dcfst_core.media.bags import message_types

    types, kind = message_types(), "sensor_msgs/msg/Image"
    make = types.types
    with writing.Writer(path, version=8) as writer:
        images = writer.add_connection("/camera/image_raw", kind, typestore=types)
        for number, frame in enumerate(clip, start=1):
            header = make["std_msgs/msg/Header"](
                make["builtin_interfaces/msg/Time"](number, 0), ""
            )
            image = make[kind](header, 240, 320, "rgb8", 0, 960, frame.reshape(-1))
            writer.write(images, number * 10**9, types.serialize_cdr(image, kind))


def test_the_readmes_dcfst_commands_run_as_printed(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In their order, for later ones use what earlier ones wrote; those for a GPU are left out."""
    write_bag(desk / "drive", SyntheticClip(3, (320, 240), (64, 48), period=120))
    threads, run = torch.get_num_threads(), []
    try:
        for command in commands(ROOT / "README.md"):
            if not command.startswith("dcfst ") or command.split()[1] in ELSEWHERE:
                continue
            # The box is the README's, so nothing is said here about what is in it.
            assert main([*shlex.split(command)[1:]]) == 0, command + capsys.readouterr().err
            run.append(command)
    finally:
        torch.set_num_threads(threads)
    assert len(run) >= 6
    for name in ("out.mp4", "out.csv", "cup.target"):
        assert (desk / name).stat().st_size > 0
    assert len(list((desk / "scores").glob("*.png"))) == 5 and (desk / "drive_tracked").is_dir()


def python_blocks() -> list[tuple[str, str]]:
    found = [
        (page.name, code)
        for page in PAGES
        for code in re.findall(
            r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
        )
    ]
    assert len(found) >= 3
    return found


class Still:
    """A tracker that leaves the box where it is."""

    def init(self, frame_rgb: np.ndarray, box_xywh: tuple[float, ...]) -> None:
        self.box_xywh = box_xywh

    def update(self, frame_rgb: np.ndarray) -> tuple[float, ...]:
        return self.box_xywh


@pytest.mark.parametrize(("page", "code"), python_blocks())
def test_python_blocks_run(
    page: str, code: str, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the names that a reader would have; one that takes minutes is only looked through."""
    for module, names in re.findall(r"^from (dcfst_[\w.]+) import (.+)$", code, re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(import_module(module), name), name
    compile(code, page, "exec")
    if "workers=4" in code:  # absences of a data set, in four processes
        return
    clip = SyntheticClip(2, (320, 240), (64, 48), period=120)
    given = dict(zip("xywh", (float(v) for v in clip.boxes_xywh()[0]), strict=True))
    first, second = clip
    (desk / "ROOT").rename(desk / "OTB2015")
    (desk / "block.py").write_text(code)
    names = {**given, "frame_rgb": first, "next_frame_rgb": second, "my_tracker": Still()}
    run_path(str(desk / "block.py"), init_globals=names)
    assert "tracking" in (said := capsys.readouterr().out) or "Toy" in said
