"""Icons of things: coloured sets, 3D emoji, and silhouettes of what no other set has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from training.images.names import NAMES
from training.images.packages import ICON_SETS
from training.images.sources import read_icons, shown, svg_of
from training.images.sprite import Sprite
from training.images.words import IN_PLENTY, EmojiNames

*COLOURED, SILHOUETTES = ICON_SETS
CODE_POINTS = re.compile(r"[0-9a-f]{2,5}(-[0-9a-f]{2,5})*")
VARIANTS = ("duo", "flat")  # parts of a key that say how the icon is drawn
LEFT_OUT: list[str] = NAMES["icons"]["left_out"]


def emoji_3d(package: Path, cldr: Path) -> Iterator[Sprite]:
    """Fluent's emoji as rendered in 3D, named by their characters."""
    names, seen = EmojiNames.read(cldr), set()
    for path in sorted(p for p in (package / "assets").glob("*.webp") if CODE_POINTS.fullmatch(p.stem)):
        name = names.of_code_points(path.stem)
        if name is None or name in seen or not shown(name):
            continue
        seen.add(name)
        words = names.words(name)
        if not IN_PLENTY & {*name.split(), *words}:
            yield Sprite("@lobehub/fluent-emoji-3d", "3d emoji", name, words, "MIT", str(path), added=True)


def coloured(places: dict[str, Path], things: set[str]) -> Iterator[Sprite]:
    """Icons whose whole key is a thing: `camera-1` is one, `camera-settings` is none."""
    for style in COLOURED:
        yield from _icons(places[f"@iconify-json/{style}"], style, style, things)


def silhouettes(places: dict[str, Path], things: set[str], known: Collection[str]) -> Iterator[Sprite]:
    """Black icons of things that nothing else shows."""
    yield from _icons(places[f"@iconify-json/{SILHOUETTES}"], SILHOUETTES, "silhouette", things - set(known))


def thing_of(key: str, things: set[str]) -> str | None:
    """`shopping-basket-3` → `shopping basket`, where that is a thing."""
    name = " ".join(part for part in key.split("-") if not part.isdigit() and part not in VARIANTS)
    return name if name in things and name not in LEFT_OUT else None


def _icons(package: Path, set_name: str, style: str, things: set[str]) -> Iterator[Sprite]:
    icons, licence = read_icons(package)
    found: dict[str, str] = {}
    for key in sorted(icons["icons"], key=lambda key: ("-duo" in key, key)):
        name = thing_of(key, things)
        if name is not None:
            found.setdefault(name, key)
    for name, key in found.items():
        picture = svg_of(icons, icons["icons"][key])
        yield Sprite(f"@iconify-json/{set_name}", style, name, (), licence, picture, added=True)
