"""Tiny random transformers over codes, as files and as other projects' checkpoints."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from vqclip.models.transformer.architecture import NOTE, TransformerArchitecture
from vqclip.models.transformer.network import CodeTransformer
from vqclip.models.transformer.text import MERGES, VOCABULARY, as_bytes

SMALL: dict[str, Any] = {
    "layers": 2, "heads": 2, "width": 8, "hidden": 12, "vocabulary": 16, "outputs": 16, "codes": 16, "block": 16,
    "rows": 4, "columns": 4,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "none": {},
    "class": {"conditioning": "class", "classes": 10},
    "coordinates": {"conditioning": "coordinates", "block": 32},
    "unmasked": {"conditioning": "coordinates", "block": 32, "unmasked": 16},
    "tokens": {"conditioning": "tokens", "block": 24, "text": 6, "text_vocabulary": 49408, "guidance": 2.0},
    "embedding": {"conditioning": "embedding", "block": 18, "embedding": 16, "prefix": 3, "guidance": 2.0},
    "bart": {
        "flavour": "bart", "conditioning": "tokens", "text": 6, "text_vocabulary": 12, "vocabulary": 17, "outputs": 17,
        "start": 16, "guidance": 4.0,
    },
    "map": {"conditioning": "map", "block": 32},
}  # fmt: skip
WORDS = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "Ġ", *"aple", "pp", "Ġa", "ppl"])}
PAIRS = ["p p", "Ġ a", "pp l", "z z"]


def random_transformer(kind: str = "none", seed: int = 0, **fields: Any) -> CodeTransformer:
    """A transformer whose scores differ from cell to cell."""
    torch.manual_seed(seed)
    network = (
        CodeTransformer(TransformerArchitecture(**SMALL | KINDS[kind] | fields)).eval().requires_grad_(False)
    )
    for name, weight in network.named_parameters():
        weight.normal_(0, 1.5 if "pos_emb" in name else 0.4)
    return network


def write_transformer(path: Path, network: CodeTransformer) -> Path:
    """Write a transformer as vqclip stores it."""
    tensors = network.state_dict()
    if network.encoder is not None:
        vocabulary, merges = json.dumps(WORDS).encode(), "\n".join(["#version", *PAIRS, ""]).encode()
        tensors |= {VOCABULARY: as_bytes(vocabulary), MERGES: as_bytes(merges)}
    save_file(tensors, path, {NOTE: network.architecture.to_note()})
    return path
