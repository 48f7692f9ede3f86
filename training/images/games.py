"""Pictures of games: Wesnoth's units, portraits, items and scenery; Endless Sky's photographs of landscapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.images.names import NAMES
from training.images.sprite import WHOLE_PHOTO, Sprite
from vqclip.start.phrases import COLOURS

WESNOTH, LANDSCAPES = NAMES["wesnoth"], NAMES["landscapes"]
FRAME = re.compile(rf"\d|-({'|'.join(WESNOTH['frames'])})\b")
ITEMS_LEFT_OUT = re.compile("|".join(WESNOTH["items_left_out"]))
FURTHER_VIEWS = re.compile(r"(flames|mausoleum|fire|windmill-|lit)\d*[2-9]|windmill-1")  # of items that move
VAGUE = ("field", "foggy landscape", "cloudy sky")  # backgrounds, but no things
ALIKE = 3  # pictures of one name and style
OF_EACH = 9  # photographs of one kind of landscape


def wesnoth(package: Path, vocabulary: set[str]) -> Iterator[Sprite]:
    """One frame of each unit as pixel art, painted portraits, and items, villages and scenery."""
    seen: Counter[tuple[str, str]] = Counter()
    for sprite in _wesnoth(package, vocabulary):
        seen[sprite.style, sprite.name] += 1
        if seen[sprite.style, sprite.name] <= ALIKE:
            yield sprite


def _wesnoth(package: Path, vocabulary: set[str]) -> Iterator[Sprite]:
    root = next((package / "usr" / "share" / "games" / "wesnoth").glob("*/data/core/images"))
    for folder, style in (("units", "pixel art"), ("portraits", "fantasy painting")):
        for path in sorted((root / folder).rglob("*.png")):
            name = unit_name(path.relative_to(root / folder), vocabulary)
            if name is not None:
                yield _sprite(style, name, path)
    for folder in ("items", "scenery"):
        for path in sorted((root / folder).glob("*.png")):
            name = item_name(path.stem, vocabulary)
            if name is not None:
                yield _sprite("pixel art", name, path)
    for stem, name in WESNOTH["villages"].items():
        yield _sprite("pixel art", name, root / "terrain" / "village" / f"{stem}.png")


def landscape_files(package: Path) -> list[tuple[str, Path]]:
    """Some photographs of each kind of landscape: the name of the kind, and the file."""
    root = package / "usr" / "share" / "games" / "endless-sky" / "images" / "land"
    return [
        (name, path)
        for kind, name in LANDSCAPES.items()
        for path in sorted(p for p in root.glob("*.jpg") if re.match(rf"{kind}\d", p.stem))[:OF_EACH]
    ]


def landscape_photos(package: Path) -> Iterator[Sprite]:
    """The photographs whose kind is a thing with a name."""
    for name, path in landscape_files(package):
        if name not in VAGUE:
            yield Sprite(
                "endless-sky-data", WHOLE_PHOTO, name, (), "public domain, CC-BY-SA", str(path), added=True
            )


def unit_name(path: Path, vocabulary: set[str]) -> str | None:
    """`elves-wood/archer+female.png` → `elf archer`; None for frames, and where a name says nothing."""
    if FRAME.search(path.stem) or len(path.parts) < 2:
        return None
    plain = re.sub(r"[-_]", " ", path.stem.split("+")[0]).lower().strip()
    named = WESNOTH["units"].get(plain)
    unit = named or plain
    race = WESNOTH["races"].get(path.parts[0])
    if race is None:
        known = named or all(word in vocabulary for word in unit.split()) or unit in vocabulary
        return unit if known else None
    if path.parts[0] == "drakes" or unit not in vocabulary or unit.split()[-1] in race.split():
        return race  # a drake's class, such as clasher or flare, is not seen in its picture
    return f"{race.removesuffix(' warrior')} {unit}"


def item_name(stem: str, vocabulary: set[str]) -> str | None:
    """`potion-blue` → `blue potion`, `axe-2` → `axe`: the thing comes first, and its looks after it."""
    words = [word for word in re.sub(r"\d+", "", stem).split("-") if word]
    plain = " ".join(words)
    if ITEMS_LEFT_OUT.fullmatch(plain) or FURTHER_VIEWS.search(stem):
        return None
    for known, name in WESNOTH["items"].items():
        if f"{plain} ".startswith(f"{known} "):
            return str(name)
    if words[0] not in vocabulary:
        return None
    colour = next((word for word in words if word in COLOURS), None)
    return f"{colour} {words[0]}" if colour else words[0]


def _sprite(style: str, name: str, path: Path) -> Sprite:
    return Sprite("wesnoth-data", style, name, (), "GPL-2+", str(path), added=True)
