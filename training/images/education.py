"""Pictures of educational programs: GCompris' photographs and drawings, and pysiogame's cartoons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from training.images.names import NAMES
from training.images.sprite import WHOLE_PHOTO, Sprite

PHOTOS = (
    "erase/resource",
    "explore_farm_animals/resource/animals",
    "explore_world_animals/resource/animals",
    "categorization/resource/images/*",
    "explore_monuments/resource/*",
)
DRAWINGS = ("instruments/resource", "babymatch/resource/images", "babyshapes/resource/food")
CARTOONS = (
    *("animals", "clothes_n_accessories", "construction", "food", "fruit_n_veg"),
    *("jobs", "nature", "people", "transport"),
)
NAMED: dict[str, str] = NAMES["education"]["names"]
LEFT_OUT = re.compile("|".join(NAMES["education"]["left_out"]))


def gcompris(folder: Path) -> Iterator[Sprite]:
    """GCompris' photographs of animals, tools and monuments, and its drawings of instruments, toys and food."""
    root = folder / "gcompris" / "src" / "activities"
    for patterns, suffix, style, licence in (
        (PHOTOS, "webp", WHOLE_PHOTO, "CC-BY-SA, CC-BY, CC0"),
        (DRAWINGS, "svg", "cartoon", "CC-BY-SA, GPL-3"),
    ):
        files = (path for pattern in patterns for path in sorted(root.glob(f"{pattern}/*.{suffix}")))
        yield from _named(files, "gcompris-qt-data", style, licence)


def cartoons(package: Path) -> Iterator[Sprite]:
    """Art4Apps' cartoons in pysiogame, on white; parts of the body are left out, as arrows point at them."""
    root = package / "usr" / "share" / "games" / "pysiogame" / "res" / "images" / "art4apps"
    files = (path for folder in CARTOONS for path in sorted((root / folder).glob("*.jpg")))
    yield from _named(files, "pysiogame", "cartoon", "CC-BY-SA")


def _named(files: Iterable[Path], source: str, style: str, licence: str) -> Iterator[Sprite]:
    for path in files:
        name = name_of(path.stem)
        if name is not None:
            yield Sprite(source, style, name, (), licence, str(path), added=True)


def name_of(stem: str) -> str | None:
    """`measuringTape4` → `measuring tape`; None for a file that is left out."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem).replace("_", " ").lower()
    name = re.sub(r"\d+", "", words).strip()
    name = NAMED.get(name, name)
    return None if len(name) < 3 or LEFT_OUT.fullmatch(name) else name
