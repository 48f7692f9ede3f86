"""Icons of things: coloured sets, 3D emoji, and silhouettes of what no other set has."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from training.images.packages import ICON_SETS
from training.images.sources import NOT_PICTURES, PLENTY, svg_of
from training.images.sprite import Sprite
from training.images.words import EmojiNames

*COLOURED, SILHOUETTES = ICON_SETS
CODE_POINTS = re.compile(r"[0-9a-f]{2,5}(-[0-9a-f]{2,5})*")
DRESS = ("duo", "flat")  # of a key: a variant of the same icon
NO_THINGS = {
    "android", "automatic", "down", "export", "import", "cursor", "filter", "loading", "bin", "connector", "farm",
    "apc",
    "black sea", "antarctica", "south america", "grab", "load", "leak", "led", "electric", "foam", "fuji", "headshot",
    "male", "mac", "pc", "cpu", "platform", "upgrade", "world", "detour", "diagram", "trail", "union jack", "portal",
    "martini", "booze", "meal", "giant", "hole", "life support", "luger", "uzi", "embryo", "fetus", "gibbet",
    "jerusalem cross", "polar star", "sea creature", "squib", "timer", "charger", "frame", "theater", "carrion", "bud",
    "ursa major", "bleeding heart", "road", "river", "circuitry", "clothes", "cooler", "disc", "metal bar", "sesame",
}  # fmt: skip


def emoji_3d(package: Path, cldr: Path) -> Iterator[Sprite]:
    """Fluent's emoji as rendered in 3D, named by their characters."""
    names, seen = EmojiNames.read(cldr), set()
    for path in sorted(p for p in (package / "assets").glob("*.webp") if CODE_POINTS.fullmatch(p.stem)):
        character = "".join(chr(int(part, 16)) for part in path.stem.split("-")).replace("\ufe0f", "")
        name = names.by_character.get(character)
        if name is None or name in seen or NOT_PICTURES.search(name) or not name.isascii():
            continue
        seen.add(name)
        words = tuple(names.synonyms[name][:24])
        if PLENTY & {*name.split(), *words}:
            continue
        yield Sprite("@lobehub/fluent-emoji-3d", "3d emoji", name, words, "MIT", str(path), True)


def coloured(places: dict[str, Path], things: set[str]) -> Iterator[Sprite]:
    """Icons whose whole key is a thing: `camera-1` is one, `camera-settings` is none."""
    for style in COLOURED:
        yield from _icons(places[f"@iconify-json/{style}"], style, style, things)


def silhouettes(places: dict[str, Path], things: set[str], known: Collection[str]) -> Iterator[Sprite]:
    """Black icons of things that nothing else shows."""
    yield from _icons(places[f"@iconify-json/{SILHOUETTES}"], SILHOUETTES, "silhouette", things - set(known))


def thing_of(key: str, things: set[str]) -> str | None:
    """`shopping-basket-3` → `shopping basket`, where that is a thing."""
    name = " ".join(part for part in key.split("-") if not part.isdigit() and part not in DRESS)
    return name if name in things and name not in NO_THINGS else None


def _icons(package: Path, set_name: str, style: str, things: set[str]) -> Iterator[Sprite]:
    icons = json.loads((package / "icons.json").read_text())
    licence = json.loads((package / "info.json").read_text())["license"]["spdx"]
    found: dict[str, str] = {}
    for key in sorted(icons["icons"], key=lambda key: ("-duo" in key, key)):
        name = thing_of(key, things)
        if name is not None:
            found.setdefault(name, key)
    for name, key in found.items():
        picture = svg_of(icons, icons["icons"][key])
        yield Sprite(f"@iconify-json/{set_name}", style, name, (), licence, picture, True)
