"""Puts models into the store: fetched by their cards or imported from files, converted once into what loads at once."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch

from vqclip.base.errors import UsageError, WeightsError
from vqclip.base.paths import offline
from vqclip.models.clip import HUB, LOCAL, find_clip, pretrained
from vqclip.models.transformer.net2net import parse_stated as parse_transformer
from vqclip.models.upscaler import read_upscaler
from vqclip.models.vqgan_configs import NOTE, parse_stated, to_note
from vqclip.models.vqgan_loading import check_fit, read_vqgan
from vqclip.requirements import install_transformers as transformers
from vqclip.requirements.storing import save, stored
from vqclip.start.sketchbook import read_sketchbook
from vqclip.weights import catalog, store
from vqclip.weights.archives import unpacked
from vqclip.weights.catalog import ModelCard
from vqclip.weights.checkpoint import WEIGHTS, read_tensors
from vqclip.weights.clip_folder import CONFIG
from vqclip.weights.clip_state_dicts import openai_clip, transformers_clip
from vqclip.weights.download import Download, Progress
from vqclip.weights.store import Record
from vqclip.weights.vqgan_state_dicts import is_vqgan

SKETCHBOOK_FILE = UPSCALER_FILE = "model.safetensors"
MADE = "made"  # the folder in the workshop that becomes the model's


def pull(name: str, progress: Progress = lambda here, whole: None, half: bool = False) -> None:
    """Fetch a model by its name, convert it, and put it into the store; nothing is done if it is there and whole.

    Names are the catalogue's and open_clip's. Raises WeightsError or UsageError.
    """
    card = find_card(name)
    if card.refused:
        raise WeightsError(f"{name} can't be loaded by this vqclip: {card.refused}")
    if card.ships or (store.record(name) is not None and not (card.urls or card.hub)):
        store.locate(card)
        return
    if _is_whole(card):
        return
    with store.workshop(name) as scratch:
        if not _is_whole(card):  # another process may have been as quick
            _fetch(card, scratch, progress, half)


def _is_whole(card: ModelCard) -> bool:
    """Whether the store has a model's file in its whole length."""
    if store.record(card.name) is None:
        return False
    try:
        store.locate(card)
    except WeightsError:
        return False
    return True


def import_file(path: Path, name: str = "", architecture: str = "", half: bool = False) -> Record:
    """Convert a file of weights and put it into the store under a name; raises WeightsError or UsageError.

    A CLIP needs open_clip's name of its architecture, unless the config.json of transformers lies beside it. Of a VQGAN
    `architecture` may say what its file doesn't, see `parse_stated`. A transformer beside a VQGAN becomes a model of
    its own, NAME-transformer.
    """
    dalle = transformers.read_dalle(path) if path.is_file() else None
    name = name or (path.absolute().parent.name if dalle else path.stem)
    if store.record(name) is not None:
        raise UsageError(f"the store has a model {name!r}; remove it first, or give another --name")
    card = catalog.cards().get(name)
    if card is not None and card.ships:
        raise UsageError(f"{name} ships with vqclip; give another --name")
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    origin = {"file": path.name, "bytes": path.stat().st_size, "sha256": store.digest(path)}
    with store.workshop(name) as scratch:
        if dalle is not None:
            return transformers.put_dalle(dalle, scratch, name, half, origin)
        return _put(path, scratch, name, card.family if card else "", architecture, half, origin)


def is_here(name: str) -> bool:
    """Whether a model can be loaded without the network."""
    card = store.cards().get(name)
    try:
        if card is not None and (card.ships or store.record(name) is not None):
            store.locate(card)
        elif card is None or card.hub:
            find_clip(name)
        else:
            return False
    except WeightsError:
        return False
    return True


def find_card(name: str) -> ModelCard:
    """The card of a name, also of one that only open_clip knows; raises UsageError with the nearest names."""
    known = store.cards()
    if name in known:
        return known[name]
    if name.startswith(HUB) or pretrained(name):
        return ModelCard(name=name, family="clip", hub=name)
    return catalog.card(name)  # which says what it may have meant


def _fetch(card: ModelCard, scratch: Path, progress: Progress, half: bool) -> None:
    try:
        source = _download(card, scratch, progress)
    except WeightsError:
        if not card.hub:
            raise
        source = None
    if source is None:
        return _fetch_from_hub(card, scratch)
    origin = {"file": source.name, "bytes": source.stat().st_size, "sha256": store.digest(source),
              "page": card.page, "licence": card.licence}  # fmt: skip
    try:
        _put(source, scratch, card.name, card.family, card.hub.partition("/")[0], half, origin)
    except WeightsError:
        source.unlink(missing_ok=True)  # the next attempt should fetch it, not stumble over it
        raise
    return None


def _download(card: ModelCard, scratch: Path, progress: Progress) -> Path | None:
    """The card's file from one of its addresses, or None if it has none."""
    if not card.urls:
        return None
    target = scratch / card.download
    if target.is_file() and card.sha256 and store.digest(target) == card.sha256:
        return target  # all of it was here when the process before us was stopped
    return Download(
        name=card.name, urls=card.urls, target=target, bytes=card.bytes, sha256=card.sha256, progress=progress
    ).fetch()


def _fetch_from_hub(card: ModelCard, scratch: Path) -> None:
    """Let open_clip and the hub's library fetch it, into the hub's cache; what open_clip can't read is converted."""
    if offline():
        raise WeightsError(
            f"{card.name} isn't on this machine, and VQCLIP_OFFLINE or --offline forbids the download"
        )
    source = find_clip(card.hub, pull=True)
    folder = Path(source.architecture.removeprefix(LOCAL))
    if not source.architecture.startswith(LOCAL) or (folder / CONFIG).is_file():
        return
    weights = next(
        (folder / name for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).is_file()),
        None,
    )
    if weights is None:
        raise WeightsError(f"{card.name}: neither open_clip nor transformers left weights in its repository")
    _put(weights, scratch, card.name, "clip", "", False, {"page": card.page, "licence": card.licence})


def _put(
    source: Path,
    scratch: Path,
    name: str,
    family: str,
    architecture: str,
    half: bool,
    origin: Mapping[str, Any],
) -> Record:
    """Convert a file in the workshop and move the result into the store."""
    made = scratch / MADE
    for left in made.glob("*"):  # by a process that was stopped
        left.unlink()
    with store.writing():
        made.mkdir(exist_ok=True)
    if family == "sketchbook":
        return store.put(name, family, made, _keep_sketchbook(source, made), origin)
    if family == "upscaler":
        save(read_upscaler(source), made / UPSCALER_FILE, {})
        return store.put(name, family, made, UPSCALER_FILE, origin)
    with unpacked(source, WEIGHTS, beside=scratch) as weights:
        is_clip = family == "clip" or (not family and _looks_like_clip(weights))
        if is_clip:
            family, file, metadata = "clip", store.CLIP_FILE, _convert_clip(weights, made, architecture)
        else:
            stated, architecture = parse_transformer(architecture)
            family, file, metadata = (
                "vqgan",
                store.VQGAN_FILE,
                _convert_vqgan(weights, made, half, architecture),
            )
            kept = transformers.keep_beside(weights, made / file, scratch, name, half, stated, origin)
            metadata |= {"transformer": kept} if kept else {}
    return store.put(name, family, made, file, {**origin, **metadata})


def _keep_sketchbook(source: Path, made: Path) -> str:
    """A sketchbook is stored as it is, once it reads."""
    read_sketchbook(source)
    with store.writing():
        shutil.copyfile(source, made / SKETCHBOOK_FILE)
    return SKETCHBOOK_FILE


def _looks_like_clip(weights: Path) -> bool:
    """Whether a file holds a CLIP and no VQGAN; a diffusion model holds both, for its prompts and its images."""
    tensors = read_tensors(weights)
    return not is_vqgan(tensors) and any("visual." in key or "vision_model." in key for key in tensors)


def _convert_vqgan(weights: Path, made: Path, half: bool, stated: str) -> dict[str, str]:
    """Write our spelling, fp32 or as short as it was, the architecture in the file's own notes; returns no facts."""
    architecture, tensors = read_vqgan(weights, parse_stated(stated))
    header = {NOTE: to_note(architecture)}
    save({key: stored(key, value, half) for key, value in tensors.items()}, made / store.VQGAN_FILE, header)
    return {}


def _convert_clip(weights: Path, made: Path, architecture: str) -> dict[str, str]:
    """Write what open_clip loads from a folder; returns the activation, which no tensor tells."""
    tensors = read_tensors(weights)
    if any("vision_model." in key for key in tensors):
        spelt, settings = transformers_clip(tensors, weights.parent)
    elif architecture:
        spelt, settings = openai_clip(tensors, architecture)
    else:
        raise UsageError(
            f"{weights} is a CLIP; say which of open_clip's networks it is: --architecture ViT-B-32 for weights of "
            "LAION's and open_clip's, --architecture ViT-B-32-quickgelu for OpenAI's and what was tuned from them"
        )
    with torch.device("meta"):
        expected = open_clip.CLIP(**json.loads(json.dumps(settings["model_cfg"]))).state_dict()
    check_fit(weights, "its architecture", expected, spelt)
    (made / CONFIG).write_text(json.dumps(settings, indent=2), encoding="utf-8")
    save(spelt, made / store.CLIP_FILE, {})
    return {"activation": "quickgelu" if settings["model_cfg"].get("quick_gelu") else "gelu"}
