"""Keep the user's models: each in a folder of its own, with the weights as vqclip reads them and a record of them.

models/<name>/      model.safetensors, or open_clip's pair of config and weights; record.yaml
downloads/<name>/   what is on its way
catalog.yaml        the user's own cards
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from vqclip.base.errors import UsageError, WeightsError, cause, suggest
from vqclip.base.files import write_text
from vqclip.base.paths import expand, has_home, home
from vqclip.weights import catalog
from vqclip.weights.catalog import ModelCard

VQGAN_FILE, CLIP_FILE, RECORD = "model.safetensors", "open_clip_model.safetensors", "record.yaml"
PART = 2**24  # bytes hashed at once: between two parts a thread waits for Python to be its own


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is in the store, and what it was made from."""

    name: str
    family: str
    file: str
    bytes: int
    sha256: str
    origin: Mapping[str, Any] = field(default_factory=dict)  # file or url, bytes, sha256, licence


def folder(name: str) -> Path:
    """Return the folder of a model with this name, whether it exists or not."""
    return home() / "models" / slug(name)


def slug(name: str) -> str:
    """Return a name that is safe for a folder: without separators and without `..`."""
    return re.sub(r"[^\w.@+-]+", "--", name).lstrip(".") or "unnamed"


def records() -> dict[str, Record]:
    """Return all models of the store by name. One with a damaged record is left out, so it doesn't block the others."""
    found: dict[str, Record] = {}
    if not has_home():
        return found
    for path in sorted((home() / "models").glob(f"*/{RECORD}")):
        with contextlib.suppress(WeightsError):
            entry = _read(path)
            found[entry.name] = entry
    return found


def record(name: str) -> Record | None:
    if not has_home():
        return None
    path = folder(name) / RECORD
    return _read(path) if os.path.isfile(path) else None


def _read(path: Path) -> Record:
    try:
        entry = Record(**yaml.safe_load(path.read_text(encoding="utf-8")))
        if Path(entry.file).name != entry.file:
            raise ValueError(entry.file)
        return entry
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {cause(error)}") from None
    except (yaml.YAMLError, TypeError, ValueError):
        raise WeightsError(f"{path} is damaged; `vqclip models remove` its model and pull it again") from None


def cards() -> dict[str, ModelCard]:
    """Return the catalogue, and the imported models that it doesn't have."""
    known = catalog.cards()
    for name, entry in records().items():
        if name not in known:
            about = f"imported from {entry.origin.get('file', 'a file')}"
            known[name] = ModelCard(name=name, family=entry.family, about=about, bytes=entry.bytes)
    return known


def locate(card: ModelCard) -> Path:
    """Return the path of a card's weights, and check their size. Raises WeightsError with the command to type.

    Models that ship with vqclip are small. Their digest is checked once per process. `verify` checks the others'.
    """
    if card.ships:
        return _verified(card, card.path.stat().st_mtime_ns if card.path.is_file() else None)
    entry = record(card.name)
    if entry is None:
        raise WeightsError(f"{card.name} isn't on this machine{_remedy(card)}")
    path = folder(card.name) / entry.file
    if not path.is_file() or path.stat().st_size != entry.bytes:
        again = f"; type: vqclip models remove {card.name}, then import its file again"
        remedy = _remedy(card) if card.urls or card.hub else again
        raise WeightsError(f"{card.name}: {path} is missing or damaged{remedy}")
    return path


def find_file(name: str, family: str, advice: str) -> Path:
    """Find the file that a catalogue name of a family means, or that is named itself.

    Raises WeightsError, in which the names that are known follow the advice.
    """
    card = catalog.cards().get(name)
    if card is not None and card.family == family:
        return locate(card)
    path = expand(name)
    if not path.is_file():
        known = catalog.names(family)
        raise WeightsError(
            f"there is no {family} {name!r}; {advice} {', '.join(known)}{suggest(name, known)}"
        )
    return path


@cache
def _verified(card: ModelCard, changed: int | None) -> Path:
    """Verify a file's digest, once per process unless the file changes."""
    return verify(card.name)


def _remedy(card: ModelCard) -> str:
    if card.refused:
        return f", and this vqclip can't load it: {card.refused}"
    return f"; type: vqclip models pull {card.name}" if card.urls or card.hub else "; import its file again"


def verify(name: str) -> Path:
    """Check size and digest of a model's weights, and return their path. Raises WeightsError."""
    card = cards().get(name)
    entry = record(name)
    if card is not None and card.ships:
        path, size, sha256, remedy = card.path, card.bytes, card.sha256, "; get a fresh copy of vqclip"
    elif entry is not None:
        path, size, sha256 = folder(name) / entry.file, entry.bytes, entry.sha256
        remedy = f"; type: vqclip models remove {name}, then pull or import it again"
    else:
        raise WeightsError(f"{name} isn't in the store{_remedy(card) if card else ''}")
    if not path.is_file():
        raise WeightsError(f"{name}: {path} is missing{remedy}")
    if path.stat().st_size != size or digest(path) != sha256:
        raise WeightsError(f"{name}: {path} is damaged or not the file that was put there{remedy}")
    return path


def digest_of(name: str) -> str | None:
    """Return the SHA-256 of a model's weights, as the catalogue or the store knows it."""
    card, entry = catalog.cards().get(name), record(name)
    if entry is not None:
        return entry.sha256
    return card.sha256 if card is not None and card.ships else None


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    hashed, part = hashlib.sha256(), memoryview(bytearray(PART))
    with path.open("rb", buffering=0) as file:
        while length := file.readinto(part):
            hashed.update(part[:length])
    return hashed.hexdigest()


def with_transformer(name: str) -> list[str]:
    """List a model and, if it is a VQGAN that was imported with a transformer which is still here, that as well."""
    try:
        entry = record(name)
    except WeightsError:  # a damaged record is removed like any other
        return [name]
    beside = entry.origin.get("transformer") if entry else None
    return [name, beside] if isinstance(beside, str) and folder(beside).is_dir() else [name]


def remove(name: str) -> int:
    """Delete a model and its unfinished downloads. Return the bytes set free. Raises UsageError if there is none."""
    card = catalog.cards().get(name)
    if card is not None and card.ships:
        raise UsageError(f"{name} ships with vqclip and stays")
    paths = [path for path in (folder(name), _work_folder(name)) if path.is_dir()]
    if not paths:
        raise UsageError(f"{name} isn't in the store {home()}")
    freed = sum(file.stat().st_size for path in paths for file in path.rglob("*") if file.is_file())
    with writing():
        for path in paths:
            shutil.rmtree(path)
    return freed


def _work_folder(name: str) -> Path:
    return home() / "downloads" / slug(name)


@contextlib.contextmanager
def workshop(name: str) -> Iterator[Path]:
    """Hold a folder to download and convert in. Other processes that need the same model wait."""
    path = _work_folder(name)
    with writing():
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
    with lock:
        path.mkdir(exist_ok=True)  # the process before us may have cleared it away
        yield path
        shutil.rmtree(path, ignore_errors=True)


def put(name: str, family: str, made: Path, file: str, origin: Mapping[str, Any]) -> Record:
    """Move a finished folder into the store, whole or not at all, with its record."""
    weights = made / file
    entry = Record(
        name=name, family=family, file=file, bytes=weights.stat().st_size, sha256=digest(weights), origin=origin
    )  # fmt: skip
    with writing():
        write_text(made / RECORD, yaml.safe_dump(asdict(entry), sort_keys=False))
        target = folder(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():  # a model that was damaged
            shutil.rmtree(target)
        os.rename(made, target)
    return entry


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Turn errors of the operating system into one line about the store."""
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"the store {home()} can't be written: {cause(error)}; set VQCLIP_HOME to another folder"
        ) from None
