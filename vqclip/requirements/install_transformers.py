"""Put transformers into the store: taming's beside its VQGAN, and DALL·E mini's with its text encoder and tokenizer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any

from vqclip.base.errors import WeightsError, cause
from vqclip.models.transformer.architecture import NOTE, TransformerArchitecture
from vqclip.models.transformer.loading import build
from vqclip.models.transformer.net2net import read_net2net
from vqclip.models.transformer.text import MERGES, VOCABULARY, PairTokenizer, as_bytes
from vqclip.models.vqgan_configs import NOTE as VQGAN_NOTE
from vqclip.models.vqgan_configs import to_note
from vqclip.models.vqgan_loading import architecture_of, check_fit, read_vqgan
from vqclip.requirements.storing import save, stored
from vqclip.weights import store
from vqclip.weights.checkpoint import WEIGHTS, read_tensors
from vqclip.weights.store import Record
from vqclip.weights.transformer_state_dicts import (
    Tensors,
    from_flax_dalle,
    from_min_dalle,
    is_flax_dalle,
    is_min_dalle,
    is_net2net,
    with_plain_norms,
)

SUFFIX = "-transformer"  # of its name in the store, after the VQGAN's
DALLE_CODES = 2**14
DALLE_GUIDANCE = 16.0  # min-dalle's own
FIRST = {
    "min-dalle": DALLE_CODES - 1,
    "flax": DALLE_CODES,
}  # the token before the first code: each as its makers sample


@dataclass(frozen=True)
class DALLE:
    """A DALL·E mini whose parts were found beside one another."""

    architecture: TransformerArchitecture
    tensors: Tensors
    tokenizer: Mapping[str, bytes]
    vqgan: Path


def keep_beside(
    weights: Path,
    vqgan: Path,
    scratch: Path,
    name: str,
    half: bool,
    stated: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> str:
    """Put the transformer that lies in a VQGAN's file into the store, and return its name; "" if there is none.

    `vqgan` is the VQGAN's own file, which was made before.
    """
    tensors = read_tensors(weights)
    if not is_net2net(tensors):
        return ""
    codes = architecture_of(str(vqgan)).n_embed
    architecture, own = read_net2net(weights, tensors, codes, name, stated)
    _put(architecture, own, {}, scratch, name, half, origin, weights)
    return name + SUFFIX


def read_dalle(path: Path) -> DALLE | None:
    """Read DALL·E mini from its decoder, encoder or Flax's file, and the parts beside it; None for any other file.

    Raises WeightsError, naming what is missing.
    """
    if path.suffix not in WEIGHTS or path.stem.partition("_")[0] not in ("encoder", "decoder", "flax"):
        return None
    tensors = read_tensors(path)
    if is_flax_dalle(tensors):
        return _dalle(path, from_flax_dalle(tensors), "flax", "")
    if not is_min_dalle(tensors):
        return None
    part, _, size = path.stem.partition("_")
    tail = f"_{size}" if size else ""
    encoder, decoder = (
        tensors if part == own else read_tensors(_beside(path, f"{own}{tail}{path.suffix}"))
        for own in ("encoder", "decoder")
    )
    return _dalle(path, from_min_dalle(encoder, decoder), "min-dalle", tail)


def _dalle(path: Path, tensors: Tensors, layout: str, tail: str) -> DALLE:
    """Describe DALL·E mini by its tensors' shapes."""
    try:
        block = tensors["pos_emb"].shape[1]
        width, vocabulary = tensors["tok_emb.weight"].shape[1], tensors["tok_emb.weight"].shape[0]
        architecture = TransformerArchitecture(
            flavour="bart", layers=len({key.split(".")[1] for key in tensors if key.startswith("blocks.")}),
            heads=max(1, width // 64), width=width, hidden=tensors["blocks.0.glu.fc0.weight"].shape[0],
            vocabulary=vocabulary, outputs=tensors["head.weight"].shape[0], codes=min(DALLE_CODES, vocabulary - 1),
            block=block, rows=isqrt(block), columns=isqrt(block), conditioning="tokens",
            start=min(FIRST[layout], vocabulary - 1),
            text=tensors["encoder.pos_emb"].shape[1], text_vocabulary=tensors["encoder.tok_emb.weight"].shape[0],
            guidance=DALLE_GUIDANCE,
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} holds no whole DALL·E mini: {error}") from None
    files = {VOCABULARY: f"vocab{tail}.json", MERGES: f"merges{tail}.txt"}
    texts = {key: _read(_beside(path, file)) for key, file in files.items()}
    PairTokenizer.of_bytes(texts[VOCABULARY], texts[MERGES], str(path.parent))
    return DALLE(architecture, tensors, texts, _vqgan_beside(path))


def _vqgan_beside(path: Path) -> Path:
    """The VQGAN of a DALL·E mini, where min-dalle keeps it, or in a folder `vqgan` beside it."""
    folder = path.absolute().parent
    places = [
        folder / "detoker.pt",
        folder.parent / "vqgan/detoker.pt",
        *sorted((folder / "vqgan").glob("*")),
    ]
    found = next((place for place in places if place.is_file() and place.suffix in WEIGHTS), None)
    if found is None:
        raise WeightsError(f"{path}: the VQGAN of this DALL·E isn't beside it; lay detoker.pt there")
    return found


def _beside(path: Path, name: str) -> Path:
    if not (found := path.with_name(name)).is_file():
        raise WeightsError(f"{path} is a part of a DALL·E, and {name} isn't beside it; lay it there")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {cause(error)}") from None


def put_dalle(dalle: DALLE, scratch: Path, name: str, half: bool, origin: Mapping[str, Any]) -> Record:
    """Put a DALL·E mini into the store: its VQGAN under a name, and NAME-transformer."""
    architecture, tensors = read_vqgan(dalle.vqgan)
    architecture = replace(architecture, lowest=0.0)  # DALL·E mini's images lie in [0, 1]
    made = scratch / "made"
    with store.writing():
        made.mkdir(exist_ok=True)
    kept = {key: stored(key, value, half) for key, value in tensors.items()}
    save(kept, made / store.VQGAN_FILE, {VQGAN_NOTE: to_note(architecture)})
    described = TransformerArchitecture(**{**json.loads(dalle.architecture.to_note()), "vqgan": name})
    _put(described, dalle.tensors, dalle.tokenizer, scratch, name, half, origin, dalle.vqgan)
    facts = {**origin, "transformer": name + SUFFIX}
    return store.put(name, "vqgan", made, store.VQGAN_FILE, facts)


def _put(
    architecture: TransformerArchitecture, tensors: Tensors, texts: Mapping[str, bytes], scratch: Path,
    vqgan: str, half: bool, origin: Mapping[str, Any], source: Path,
) -> Record:  # fmt: skip
    """Check a transformer, write it with its description, and move it into the store beside its VQGAN."""
    name, made = vqgan + SUFFIX, scratch / "transformer"
    expected = build(architecture).state_dict()
    tensors = with_plain_norms(tensors, expected)
    check_fit(source, "its description", expected, tensors)
    kept = {
        key: stored(key, value, half) if value.is_floating_point() else value
        for key, value in tensors.items()
    }
    kept |= {key: as_bytes(text) for key, text in texts.items()}
    if store.record(name) is not None:  # of an import that was stopped before its VQGAN was there
        store.remove(name)
    with store.writing():
        made.mkdir(exist_ok=True)
    save(kept, made / store.VQGAN_FILE, {NOTE: architecture.to_note()})
    return store.put(name, "transformer", made, store.VQGAN_FILE, {**origin, "vqgan": vqgan})
