"""List the checkpoints that have names, with what is known about each before it is downloaded or opened.

The cards are in cards/, and those that a user adds are in `catalog.yaml` of the store.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

from vqclip.base.errors import ConfigError, UsageError, cause, in_words, suggest
from vqclip.base.paths import CHECKPOINTS, has_home, home

FAMILIES = ("vqgan", "clip", "sketchbook", "transformer", "image-prior", "upscaler")
_SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # safe either way; the one in C reads 70 cards at once
_FILES = ("mini.yaml", "vqgan.yaml", "clip.yaml", "upscaler.yaml")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known about a checkpoint before it is opened."""

    name: str
    family: str  # one of FAMILIES
    about: str = ""  # what it is good for
    licence: str = "unknown"
    page: str = ""  # where its makers speak of it
    status: str = ""  # what is known against it
    refused: str = ""  # why this vqclip can't load it
    urls: tuple[str, ...] = ()  # addresses of the same file, tried in turn
    hub: str = ""  # what open_clip fetches it by: MODEL/TAG, or hf-hub:ORG/REPO
    folder: str = ""  # in checkpoints/, for those that ship with vqclip
    file: str = ""  # the file's name, where its address doesn't end in it
    bytes: int | None = None  # of the file, exactly
    roughly: float | None = None  # bytes, where nobody states them exactly
    sha256: str = ""  # "" where nobody states it
    stated: str = ""  # who states it
    recipe: str = ""  # the preset that a VQGAN is known to work well with; "": that of unknown ones
    text_of: str = ""  # of an image tower alone: the CLIP in whose folder its config and text tower are

    @property
    def ships(self) -> bool:
        return bool(self.folder)

    @property
    def path(self) -> Path:
        """The path of the weights of a model that ships with vqclip."""
        return CHECKPOINTS / self.folder / self.file

    @property
    def download(self) -> str:
        """The name of the file that is downloaded. Its suffix decides how it is read."""
        return self.file or PurePosixPath(urlsplit(self.urls[0]).path).name

    @property
    def size(self) -> str:
        """The size in words."""
        if self.bytes is None and self.roughly is None:
            return "size unknown"
        return human(self.bytes) if self.bytes is not None else f"about {human(self.roughly or 0)}"

    @property
    def digest(self) -> str:
        """The state of the digest, in words."""
        if self.hub and not self.urls:
            return "kept by the hub"
        return f"stated by {self.stated or 'its makers'}" if self.sha256 else "unknown: nobody states it"


def human(size: float) -> str:
    """Describe a number of bytes: 980 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit in ("bytes", "kB") or size >= 100 else f"{size:.3g} {unit}"


def cards() -> dict[str, ModelCard]:
    """Return all cards by name, with the user's own. Raises ConfigError if the user's file can't be read."""
    return {**shipped(), **(_users(home() / "catalog.yaml") if has_home() else {})}


def card(name: str) -> ModelCard:
    """Return the card of a name. Raises UsageError, which suggests the nearest names."""
    known = cards()
    if name not in known:
        hint = suggest(name, known) or "; `vqclip models list` prints the names"
        raise UsageError(f"there is no model {name!r} in the catalogue{hint}")
    return known[name]


def names(family: str) -> list[str]:
    return [card.name for card in cards().values() if card.family == family]


@cache
def shipped() -> dict[str, ModelCard]:
    """Return the cards that ship with vqclip, without the user's."""
    folder = Path(__file__).with_name("cards")
    return {card.name: card for name in _FILES for card in _read(folder / name)}


def _users(path: Path) -> dict[str, ModelCard]:
    return {card.name: card for card in _read(path)} if path.is_file() else {}


def _read(path: Path) -> Iterator[ModelCard]:
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), _SAFE) or {}
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {cause(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(entries, Mapping):
        raise ConfigError(f"{path} holds {in_words(entries)}; it takes names of models with their cards")
    for name, entry in entries.items():
        yield make(str(name), entry, str(path))


def make(name: str, entry: Any, where: str) -> ModelCard:
    """Make a card from plain data. Raises ConfigError, which names the file and what is wrong."""
    known = {field.name for field in dataclasses.fields(ModelCard)} - {"name"}
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: {name}: a card takes keys, such as family and urls")
    for key in entry:
        if key not in known:
            raise ConfigError(f"{where}: {name}: there is no key {key!r} in a card{suggest(str(key), known)}")
    if entry.get("family") not in FAMILIES:
        raise ConfigError(f"{where}: {name}: family {entry.get('family')!r} is none of {', '.join(FAMILIES)}")
    urls = entry.get("urls", ())
    if not isinstance(urls, list | tuple) or not all(isinstance(url, str) for url in urls):
        raise ConfigError(f"{where}: {name}: urls takes a list of addresses")
    return ModelCard(name=name, **{**entry, "urls": tuple(urls)})
