"""Where the pictures come from: each source yields `Sprite`s (cut-outs with a name) or wallpapers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from training.images.games import landscape_files
from training.images.names import NAMES
from training.images.packages import EMOJI_SETS
from training.images.sprite import Sprite
from training.images.words import IN_PLENTY, EmojiNames, read_vocabulary, without_article

NOT_PICTURES = re.compile(
    r"skin tone|^flag|flag of|keycap|button|o’clock|-thirty|square$|circle$|^input|squared|arrow|letter|"
    r"^(man|men|woman|women|mr\.?|mx|couple|kiss|family|people|red hair|curly hair|white hair|bald)\b.+|"
    r"japanese “|cross mark|check mark|hole$|selector|jamo|sign$|^(plus|minus|divide|multiply|infinity)$"
)
CLIP_ART = re.compile(
    r"^(animals|food|plants|buildings|transportation(?!/(roadsigns|aiga))|people|tools|electronics|containers|science|"
    r"education|recreation(?!/games/cards)|geography|signs_and_symbols/weather|computer/hardware|office)/"
)
STAMPS_WITHOUT_SENSE = re.compile(r"^(symbols|town/flags|town/roadsigns)")
ADDED_WALLS = "endless-sky-data"  # photographs that came after the splits were fixed
TOO_GENERAL: list[str] = NAMES["clip_art"]["too_general"]


def emoji(
    places: dict[str, Path], styles: Sequence[str] = EMOJI_SETS, added: bool = False
) -> Iterator[Sprite]:
    """The emoji sets, under CLDR's names; skin tones, flags, key caps, letters and arrows are left out."""
    names = EmojiNames.read(places["cldr-annotations-full"])
    slugs = names.of_slugs()
    for style in styles:
        package = places[f"@iconify-json/{style}"]
        icons, licence = read_icons(package)
        known = slugs | _names_by_key(package, names)
        seen = set()
        for key, icon in icons["icons"].items():
            name = known.get(key.removesuffix("-1") if added else key)  # of like drawings the first
            if name is None or name in seen or not shown(name):
                continue
            seen.add(name)
            words = names.words(name)
            if added and IN_PLENTY & {*name.split(), *words}:
                continue
            yield Sprite(f"@iconify-json/{style}", style, name, words, licence, svg_of(icons, icon), added)


def stamps(package: Path) -> Iterator[Sprite]:
    """Tux Paint's stamps: photographs and cartoons with transparency and a sentence each."""
    root = package / "usr" / "share" / "tuxpaint" / "stamps"
    for path in sorted([*root.rglob("*.png"), *root.rglob("*.svg")]):
        text = path.with_suffix(".txt")
        inside = path.relative_to(root).as_posix()
        if STAMPS_WITHOUT_SENSE.match(inside) or not text.is_file():
            continue
        sentences = text.read_text(encoding="utf-8", errors="replace").splitlines()[:1]
        name = without_article(re.split(r"[.!,;(]", sentences[0])[0] if sentences else "").lower()
        if not name.isascii() or not 2 < len(name) < 48:
            continue
        drawn = path.suffix == ".svg" or "/cartoon" in inside or "/toys" in inside
        yield Sprite(
            "tuxpaint-stamps-default",
            "cartoon" if drawn else "photo",
            name,
            (),
            "GPL-2",
            str(path),
        )


def clip_art(package: Path, wordnet: Path) -> Iterator[Sprite]:
    """Open Clip Art, where a usable English name can be had from title, file name or keywords."""
    vocabulary = read_vocabulary(wordnet)
    allowed = vocabulary | read_vocabulary(wordnet, "adj") | {"with", "in", "on", "of", "and", "a", "the"}
    root = package / "usr" / "share" / "openclipart" / "svg"
    for path in sorted(root.rglob("*.svg")):
        inside = path.relative_to(root).as_posix()
        if not CLIP_ART.match(inside) or path.stat().st_size > 600_000:  # larger ones take minutes to render
            continue
        head = path.read_text(encoding="utf-8", errors="replace")
        found = re.search(r"<dc:title>([^<]*)", head)
        keywords = [word.strip().lower().replace("_", " ") for word in re.findall(r"<rdf:li>([^<]*)", head)]
        keywords = [
            word for word in dict.fromkeys(keywords) if word in vocabulary and word not in TOO_GENERAL
        ]
        name = _clip_art_name(found[1] if found else "", path.stem, keywords, vocabulary, allowed)
        if name is not None:
            yield Sprite("openclipart-svg", "clip art", name, tuple(keywords[:6]), "public domain", str(path))


def wallpapers(places: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """Each photograph and painting once, in its largest landscape version."""
    for package, place in places.items():
        if not package.endswith(("backgrounds", "wallpapers", "wallpapers-16.04", "wallpapers-20.04")):
            continue
        best: dict[str, Path] = {}
        for path in sorted(place.rglob("*")):
            if (
                path.suffix not in (".jpg", ".jpeg", ".png", ".webp")
                or path.stem == "screenshot"
                or path.is_symlink()
            ):
                continue
            key = (
                path.parent.parent.parent.name + path.parent.name
                if "contents" in path.parts
                else path.stem.split("_Blue")[0]
            )
            if key not in best or path.stat().st_size > best[key].stat().st_size:
                best[key] = path
        yield from ((package, path) for path in best.values())
    yield from ((ADDED_WALLS, path) for _, path in landscape_files(places[ADDED_WALLS]))


def wall_name(path: Path) -> str:
    """What a wallpaper's caption is found by: its file, its theme, or the kind of landscape."""
    if path.parent.name == "land":
        return "land " + re.split(r"\d", path.stem)[0]
    return path.name if "contents" not in path.parts else path.parts[path.parts.index("contents") - 1]


def _names_by_key(package: Path, names: EmojiNames) -> dict[str, str]:
    found = {}
    for code, key in json.loads((package / "chars.json").read_text()).items():
        name = names.of_code_points(code)
        if name is not None:
            found[key] = name
    return found


def shown(name: str) -> bool:
    """Whether an emoji of this name shows a thing, and the name is in ASCII."""
    return name.isascii() and not NOT_PICTURES.search(name)


def read_icons(package: Path) -> tuple[dict[str, Any], str]:
    """Read a package of Iconify: its icons by key, with their usual size, and their licence."""
    licence = json.loads((package / "info.json").read_text())["license"]["spdx"]
    return json.loads((package / "icons.json").read_text()), licence


def svg_of(icons: dict[str, Any], icon: dict[str, Any]) -> str:
    """Write one icon as an SVG; what it doesn't say of its size holds for all of its set."""
    side = {edge: icon.get(edge, icons.get(edge, 16)) for edge in ("width", "height")}
    left, top = icon.get("left", 0), icon.get("top", 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {side["width"]} {side["height"]}">{icon["body"]}</svg>'
    )


def _clip_art_name(
    title: str, stem: str, keywords: list[str], vocabulary: set[str], allowed: set[str]
) -> str | None:
    title = re.sub(r"clipart by [^-]*-|\(.*?\)|[0-9#]+", " ", title.lower()).replace("_", " ")
    words = [word for word in re.findall(r"[a-z]+", without_article(title)) if len(word) > 1]
    if words and len(words) <= 4 and all(word in allowed for word in words) and words[-1] in vocabulary:
        name = " ".join(words)
        if name not in TOO_GENERAL and len(name) > 2:
            return name
    first = re.split(r"[_\-0-9]", stem.lower())[0]
    if len(first) > 2 and first in vocabulary and first not in TOO_GENERAL:
        return first
    return keywords[0] if keywords else None
