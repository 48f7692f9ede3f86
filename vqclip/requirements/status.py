"""Find the weights behind a Requirement on this machine: their file, size and digest, or the line that fetches them."""

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vqclip.base.errors import UsageError, WeightsError
from vqclip.base.paths import expand
from vqclip.guidance.perceptors.judge_config import find_judge
from vqclip.models.clip import weights_file
from vqclip.models.image_prior import find_image_prior
from vqclip.models.transformer.finding import find_transformer
from vqclip.models.upscaler import find_upscaler
from vqclip.models.vqgan_loading import find_vqgan
from vqclip.requirements import install
from vqclip.requirements.needs import distinct
from vqclip.start.sketchbook import find_sketchbook
from vqclip.weights import store
from vqclip.weights.catalog import ModelCard, human
from vqclip.weights.requirement import USER_FILE, Requirement, find_user_file

_FINDERS = {
    "vqgan": find_vqgan, "clip": weights_file, "sketchbook": find_sketchbook, "judge": find_judge,
    "transformer": find_transformer, "image-prior": find_image_prior, "upscaler": find_upscaler,
    USER_FILE: find_user_file,
}  # fmt: skip
_READING = threading.Lock()  # what is asked for twice is read once


@dataclass(frozen=True)
class Status:
    """Where a Requirement's weights lie, or why they are missing and whether they can be fetched."""

    need: Requirement
    path: Path | None  # None where they are missing
    card: ModelCard | None  # None for the user's own files
    reason: str = ""  # why they are missing, in one line

    @property
    def ships(self) -> bool:
        """Whether they come with vqclip."""
        return self.card is not None and self.card.ships

    @property
    def fetchable(self) -> bool:
        """Whether `vqclip models pull` knows where to fetch them."""
        card = self.card
        return card is not None and not card.refused and bool(card.urls or card.hub)

    @property
    def size(self) -> str:
        """The size in words: the file's, or what the catalogue says of it."""
        if self.path is not None:
            return human(self.path.stat().st_size)
        return self.card.size if self.card else "size unknown"


def find(need: Requirement) -> Path:
    """Find the file of weights, in a folder the largest; raises WeightsError if it isn't here."""
    return _FINDERS[need.kind](need.name)


def status(need: Requirement) -> Status:
    """Look for a Requirement's weights, without reading them or using the network."""
    card = _card(need)
    try:
        return Status(need, find(need), card)
    except WeightsError as error:
        return Status(need, None, card, str(error))


def locations_from(base: Path, needs: Iterable[Requirement]) -> dict[str, str]:
    """Where the weights lie that are named by paths relative to `base`, by name; empty for the working folder."""
    if os.path.abspath(base) == os.getcwd():
        return {}
    found, known = {}, store.cards()
    for need in needs:
        model, at, path = need.name.rpartition("@")
        file = base / expand(path)
        if need.name not in known and not expand(path).is_absolute() and file.exists():
            found[need.name] = f"{model}{at}{file.absolute()}"
    return found


def missing(needs: Iterable[Requirement]) -> list[Status]:
    """List what isn't on this machine, each model once."""
    return [found for found in map(status, distinct(needs)) if found.path is None]


def weighed(absent: Sequence[Status]) -> str:
    """What fetching weights would take, in words."""
    sizes = [found.card.bytes or found.card.roughly if found.card else None for found in absent]
    known = [size for size in sizes if size]
    parts = [human(sum(known))] if known else []
    parts += [
        f"{found.need.name} of unknown size" for found, size in zip(absent, sizes, strict=True) if not size
    ]
    return f"to download: {' and '.join(parts)}" if parts else "nothing to download"


def check(absent: Sequence[Status], pull: bool) -> None:
    """Raise WeightsError if weights are missing that may not be fetched, or that nobody knows where to fetch."""
    if lost := [found.reason for found in absent if not found.fetchable]:
        raise WeightsError("; ".join(lost))
    if absent and not pull:
        names = [found.need.name for found in absent]
        verb = "isn't" if len(names) == 1 else "aren't"
        line = f"vqclip models pull {' '.join(names)}; {weighed(absent)}"
        raise WeightsError(f"{' and '.join(names)} {verb} on this machine; add --pull, or type: {line}")


def digest(need: Requirement) -> str | None:
    """The SHA-256 of the weights, or None where they aren't here. A file is read once unless it has changed."""
    try:
        if known := store.digest_of(need.name):
            return known
        path = find(need)
        with _READING:
            return _digest_once(path, path.stat().st_mtime_ns)
    except (WeightsError, OSError):
        return None


@cache
def _digest_once(path: Path, changed: int) -> str:
    return store.digest(path)


def _card(need: Requirement) -> ModelCard | None:
    """The card of a name, if it means weights of the kind that is needed."""
    try:
        card = install.find_card(need.name)
    except UsageError:
        return None
    return card if card.family == need.kind else None
