"""Pictures of games: Wesnoth's units, portraits, items and scenery; Endless Sky's photographs of landscapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.images.sprite import WHOLE_PHOTO, Sprite
from vqclip.start.phrases import COLOURS

FRAME = re.compile(  # of an animation, or a unit's other equipment
    r"\d|-(shadow|e|rise|low|overlay|float|mace|torch|attack|defend|die|death|melee|bow|ranged|idle|run|se|ne|n|s|sw|nw|magic|leading|moving|fly|sword|stand|water|"
    r"mask|tail|crossbow|blade|dagger|base|bob|shoot|spear|staff|twirl|dive|glide|alone|tile|left|right|glow|heal|sting|"
    r"bite|claw|kneel|jump|pounce|throw|hunt|healing|recruit|frost|back|front|flying|wave|land|submerged|dying|cast|"
    r"victory|conjure|fire|hammer|axe|lunge|morph|ice|sleep|chew|howl|drawn|sheath|block)\b"
)
RACES = {
    "drakes": "dragon warrior",
    "dwarves": "dwarf",
    "elves": "elf",
    "elves-wood": "elf",
    "goblins": "goblin",
    "merfolk": "mermaid",
    "nagas": "naga",
    "ogres": "ogre",
    "orcs": "orc",
    "saurians": "lizard warrior",
    "trolls": "troll",
    "undead-skeletal": "skeleton warrior",
    "wolves": "wolf",
    "woses": "tree man",
}
PEOPLE = {
    "heavyinfantry": "armoured soldier",
    "heavy infantry": "armoured soldier",
    "royalguard": "guard",
    "master at arms": "swordsman",
    "masterbowman": "bowman",
    "croc": "crocodile",
    "icemonax": "glyptodon",
    "seaserpent": "sea serpent",
    "deep tentacle": "tentacle",
    "firewraith": "fire spirit",
    "fireghost": "fire spirit",
    "draug": "skeleton warrior",
    "banebow": "skeleton archer",
    "deathblade": "skeleton warrior",
    "nightgaunt": "ghost",
    "spectre": "ghost",
    "shadow": "ghost",
    "soulless": "zombie",
    "ghast": "ghoul",
    "necrophage": "ghoul",
    "roc": "giant eagle",
    "jinn": "genie",
    "mudcrawler": "mud monster",
    "wolf great": "wolf",
    "wild wyvern": "wyvern",
    "woodland boar": "wild boar",
    "scorpion elder": "scorpion",
    "scorpion rock": "scorpion",
    "transport galleon": "galleon",
    "zombie saurian": "zombie lizard",
    "fire wraith a": "fire spirit",
    "small icemonax": "glyptodon",
    "big icemonax": "glyptodon",
    "scuttler": "scorpion",
    "walking corpse": "zombie",
}
ITEMS = {
    "altar evil": "altar",
    "ankh necklace": "necklace",
    "archery target": "archery target",
    "bonestack": "pile of bones",
    "branch bare": "branch",
    "burial": "grave",
    "castle ruins": "castle ruin",
    "dragonstatue": "dragon statue",
    "dwarven doors closed": "stone gate",
    "flame sword": "burning sword",
    "flame sword bare": "burning sword",
    "gate rusty": "iron gate",
    "gold coins": "gold coins",
    "grain sheaf": "sheaf of grain",
    "holy water": "bottle of holy water",
    "leather pack": "leather bag",
    "leanto": "wooden shelter",
    "nest empty": "bird nest",
    "nest full": "bird nest with eggs",
    "oak leaning": "oak tree",
    "orcish flag": "flag",
    "rock cairn": "cairn",
    "sceptre of fire": "sceptre",
    "stone tablet": "stone tablet",
    "storm trident": "trident",
    "straw bale": "bale of straw",
    "tent fancy": "tent",
    "tent ruin": "torn tent",
    "tent shop weapons": "market stall",
    "village human burned": "burnt house",
    "circle magic": "magic circle",
    "pine": "pine tree",
    "temple cracked": "temple ruin",
    "mine abandoned": "mine entrance",
}
NO_ITEM = re.compile(
    r"^(dummy|gohere|ornate|thunderstick|slab|snowbits|summoning.*|icepack|rune.*|flames|wreck|trash|fire)$"
)
VILLAGES = {
    "cave": "cave",
    "coast": "house on stilts",
    "desert": "desert house",
    "dwarven": "dwarf house",
    "elven": "tree house",
    "human": "cottage",
    "human-city": "town house",
    "human-city-ruin": "ruined house",
    "human-cottage-ruin": "ruined cottage",
    "human-hills": "house on a hill",
    "human-snow": "snowy cottage",
    "hut": "hut",
    "hut-snow": "snowy hut",
    "igloo": "igloo",
    "log-cabin": "log cabin",
    "log-cabin-snow": "snowy log cabin",
    "orc": "orc hut",
    "swampwater": "hut in a swamp",
    "tropical-forest": "hut in the jungle",
}
LANDSCAPES = {  # how Endless Sky calls its photographs, and what they show
    "beach": "beach",
    "canyon": "canyon",
    "city": "city",
    "desert": "desert",
    "dune": "sand dune",
    "fields": "field",
    "forest": "forest",
    "fog": "foggy landscape",
    "hills": "hills",
    "mountain": "mountain",
    "sea": "sea",
    "sky": "cloudy sky",
    "snow": "snowy mountain",
    "valley": "valley",
    "water": "lake",
}
VAGUE = ("field", "foggy landscape", "cloudy sky")  # grounds, but no things
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
    for stem, name in VILLAGES.items():
        if (path := root / "terrain" / "village" / f"{stem}.png").is_file():
            yield _sprite("pixel art", name, path)


def landscapes(package: Path) -> list[tuple[str, Path]]:
    """Some photographs of each kind of landscape: what it is, and the file."""
    root = package / "usr" / "share" / "games" / "endless-sky" / "images" / "land"
    return [
        (name, path)
        for kind, name in LANDSCAPES.items()
        for path in sorted(p for p in root.glob("*.jpg") if re.match(rf"{kind}\d", p.stem))[:OF_EACH]
    ]


def landscape_photos(package: Path) -> Iterator[Sprite]:
    for name, path in landscapes(package):
        if name not in VAGUE:
            yield Sprite(
                "endless-sky-data", WHOLE_PHOTO, name, (), "public domain, CC-BY-SA", str(path), True
            )


def unit_name(path: Path, vocabulary: set[str]) -> str | None:
    """`elves-wood/archer+female.png` → `elf archer`; None for frames, and where a name says nothing."""
    stem = path.stem.split("+")[0]
    if FRAME.search(path.stem) or len(path.parts) < 2:
        return None
    race = RACES.get(path.parts[0])
    plain = re.sub(r"[-_]", " ", stem).lower().strip()
    plain = PEOPLE.get(plain, plain)
    if race is None:
        return plain if plain in vocabulary or plain in PEOPLE.values() else _ending(plain, vocabulary)
    if (
        path.parts[0] != "drakes"
        and plain in vocabulary
        and not race.endswith(plain)
        and plain.split()[-1] not in race.split()
    ):
        return (
            f"{race.split()[0]} {plain}"
            if len(race.split()) == 2 and race != "tree man"
            else f"{race} {plain}"
        )
    return race


def item_name(stem: str, vocabulary: set[str]) -> str | None:
    """`potion-blue` → `blue potion`, `axe-2` → `axe`: the thing comes first, and its looks after it."""
    words = re.sub(r"\d+", "", stem).strip("-").split("-")
    plain = " ".join(w for w in words if w)
    if NO_ITEM.match(plain) or re.search(r"(?:flames|mausoleum|fire|windmill-|lit)\d*[2-9]|windmill-1", stem):
        return None
    for known, name in ITEMS.items():
        if plain == known or plain.startswith(known + " "):
            return name
    colour = next((w for w in words if w in COLOURS), None)
    if words[0] not in vocabulary:
        return None
    return f"{colour} {words[0]}" if colour else words[0]


def _ending(name: str, vocabulary: set[str]) -> str | None:
    """`giant rat` → the whole where all its words are known; otherwise None."""
    words = name.split()
    return name if len(words) > 1 and all(word in vocabulary for word in words) else None


def _sprite(style: str, name: str, path: Path) -> Sprite:
    return Sprite("wesnoth-data", style, name, (), "GPL-2+", str(path), True)
