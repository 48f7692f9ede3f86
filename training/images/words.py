"""Words for pictures: emoji names and synonyms from CLDR, a vocabulary and glosses from WordNet."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

READ = 8  # synonyms of a name that trainings read; the sketchbook chooses among all
VISIBLE = {5, 6, 13, 17, 20}  # WordNet's files of animals, artefacts, food, natural objects, plants
PEOPLE = {"face", "hand", "person", "people", "man", "woman", "gesture"}
SIGNS = {"button", "symbol", "sign", "zodiac", "geometric"}
IN_PLENTY = PEOPLE | SIGNS  # words of emoji of which the first sets have up to nine each
ARTICLE = re.compile(r"^(an?|the|some) ", re.IGNORECASE)


@dataclass(frozen=True)
class EmojiNames:
    """What CLDR calls each emoji: `name` by character, `synonyms` by name."""

    by_character: dict[str, str] = field(default_factory=dict)
    synonyms: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, package: Path) -> EmojiNames:
        text = (package / "annotations" / "en" / "annotations.json").read_text()
        names, synonyms = {}, {}
        for character, entry in json.loads(text)["annotations"]["annotations"].items():
            if "tts" not in entry:
                continue
            name = entry["tts"][0].lower().replace(":", "")
            names[character.replace("\ufe0f", "")] = name
            synonyms[name] = [word.lower() for word in entry.get("default", []) if word.lower() != name]
        return cls(names, synonyms)

    def of_code_points(self, text: str) -> str | None:
        """`1f469-200d-1f680` → `woman astronaut`; None for what is no emoji."""
        character = "".join(chr(int(part, 16)) for part in text.split("-")).replace("\ufe0f", "")
        return self.by_character.get(character)

    def words(self, name: str) -> tuple[str, ...]:
        """The first synonyms of a name."""
        return tuple(self.synonyms[name][:24])

    def of_slugs(self) -> dict[str, str]:
        """`hot-dog` and `hotdog` → `hot dog`: the ways in which icon sets write a name."""
        slugs = {}
        for name in self.by_character.values():
            slug = re.sub(r"[^a-z0-9]+", "-", name.replace("’", "")).strip("-")
            slugs[slug] = slugs[slug.replace("-", "")] = slugs[slug.replace("-", "") + "face"] = name
        return slugs


@dataclass(frozen=True)
class Synset:
    """One meaning of WordNet: its words, most usual first, and what it is."""

    words: tuple[str, ...]
    gloss: str
    lexicographer: int  # WordNet's file number: 5 is animals, 6 artefacts, 13 food, 20 plants …


def read_synsets(wordnet: Path, part: str) -> list[Synset]:
    """All synsets of `noun` or `adj` in WordNet's own data files."""
    lines = (_dictionary(wordnet) / f"data.{part}").read_text(encoding="latin-1").splitlines()
    return [_synset(line) for line in lines if not line.startswith("  ")]


def read_vocabulary(wordnet: Path, part: str = "noun") -> set[str]:
    """All lemmas of a part of speech, with spaces for underscores."""
    lines = (_dictionary(wordnet) / f"index.{part}").read_text(encoding="latin-1").splitlines()
    return {line.split(" ", 1)[0].replace("_", " ") for line in lines if not line.startswith("  ")}


def read_things(wordnet: Path) -> set[str]:
    """All nouns whose most usual meaning can be seen: animals, artefacts, food, natural objects, plants."""
    folder, things = _dictionary(wordnet), set()
    kinds = {
        line.split(" ", 1)[0]: int(line.split(" ", 2)[1])
        for line in (folder / "data.noun").read_text(encoding="latin-1").splitlines()
        if not line.startswith("  ")
    }
    for line in (folder / "index.noun").read_text(encoding="latin-1").splitlines():
        if not line.startswith("  "):
            parts = line.split()
            if kinds[parts[-int(parts[2])]] in VISIBLE:
                things.add(parts[0].replace("_", " "))
    return things


def without_article(text: str) -> str:
    """'A hiking boot.' → 'hiking boot'"""
    return ARTICLE.sub("", text.strip().rstrip(".!")).strip()


def with_article(noun: str) -> str:
    """'apple' → 'an apple'; plurals and mass nouns keep bare."""
    if (noun.endswith("s") and not noun.endswith("ss")) or noun.split(" ", maxsplit=1)[0] in (
        "the",
        "a",
        "an",
    ):
        return noun
    return ("an " if noun[:1] in "aeiou" else "a ") + noun


def _dictionary(wordnet: Path) -> Path:
    return wordnet / "usr" / "share" / "wordnet"


def _synset(line: str) -> Synset:
    data, _, gloss = line.partition(" | ")
    parts = data.split(" ")
    count = int(parts[3], 16)
    words = tuple(re.sub(r"\(.*\)", "", word).replace("_", " ") for word in parts[4 : 4 + 2 * count : 2])
    return Synset(words, gloss.split("; ")[0].strip(), int(parts[1]))
