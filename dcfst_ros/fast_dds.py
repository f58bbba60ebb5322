"""Room for images in Fast DDS: the profile of config/, in force unless the user has one.

Fast DDS's own shared-memory segment is smaller than one VGA image, so best-effort images get lost
on the way. The variable is read when ROS starts in a process, so it may be set there. No rclpy.
"""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import MutableMapping
from pathlib import Path

# Fast DDS 2 (Humble, Jazzy) reads the first, Fast DDS 3 (from Kilted on) the second.
VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
# auto, none or a path, for nodes that are not started by launch.
PROFILE_CHOICE = "DCFST_FASTDDS_PROFILE"
PROFILE = "fastdds_images.xml"
SHARED_MEMORY = Path("/dev/shm")
# Each process takes a segment of 64 MB; one that does not fit would end it with a bus error.
LEAST_FREE_BYTES = 256 * 1024 * 1024


class ProfileError(ValueError):
    """A Fast DDS profile that cannot be read."""


def uses_fast_dds(env: MutableMapping[str, str]) -> bool:
    """Whether nodes of that environment talk by Fast DDS, the default of all distributions."""
    return (env.get("RMW_IMPLEMENTATION") or "rmw_fastrtps_cpp").startswith("rmw_fastrtps")


def use_image_profile(
    env: MutableMapping[str, str], wanted: str = "", shared_memory: Path = SHARED_MEMORY
) -> str:
    """Give an environment room for images; returns what was done, for the log.

    `wanted`: auto = this package's profile where there is room for it and the user has none;
    none = leave everything; else the path of a profile; empty = as DCFST_FASTDDS_PROFILE says,
    or auto. Raises ProfileError for a profile that
    cannot be read, the user's own too: Fast DDS would go on without it, and lose images.
    """
    wanted = wanted or env.get(PROFILE_CHOICE) or "auto"
    if not uses_fast_dds(env):
        return f"{env['RMW_IMPLEMENTATION']} needs no Fast DDS profile"
    own = [env[name] for name in VARIABLES if env.get(name)]
    if wanted == "none":
        return "the Fast DDS profile is left as it is"
    if wanted == "auto":
        if own:
            check_profile(Path(own[0]))
            return f"Fast DDS profile of the environment: {own[0]}"
        profile = find_profile()
        if profile is None:
            return "no Fast DDS profile: config/fastdds_images.xml is not installed"
        free = shutil.disk_usage(shared_memory).free if shared_memory.is_dir() else 0
        if free < LEAST_FREE_BYTES:
            return (
                f"no Fast DDS profile: {shared_memory} has only {free / 1e6:.0f} MB free "
                "(docker run --shm-size=1g gives it more); best-effort images may be lost"
            )
    else:
        profile = Path(wanted)
    check_profile(profile)
    for name in VARIABLES:
        env[name] = str(profile)
    return f"Fast DDS profile: {profile}"


def check_profile(path: Path) -> None:
    """ProfileError unless the file is one of Fast DDS's profiles."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ProfileError(
            f"expected a Fast DDS profile at {path}, but it cannot be read: {error}. Unset "
            f"{' and '.join(VARIABLES)}, or correct the path"
        ) from None
    name = root.tag.rpartition("}")[2]
    if name not in ("profiles", "dds"):
        raise ProfileError(f"expected a Fast DDS profile at {path}, got XML of <{name}>")


def find_profile() -> Path | None:
    """config/fastdds_images.xml of the checkout or of the installation; None without one."""
    package = Path(__file__).resolve().parent
    # Installed, it is <prefix>/share/dcfst_ros beside <prefix>/lib/python3.x/site-packages.
    roots = [package.parent, *(above / "share" / "dcfst_ros" for above in package.parents)]
    found = [root / "config" / PROFILE for root in roots if (root / "config" / PROFILE).exists()]
    return found[0] if found else None
