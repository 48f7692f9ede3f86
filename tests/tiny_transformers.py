"""Tiny random transformers over codes, as files and as other projects' checkpoints."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from conftest import TINY, describe, random_vqgan
from safetensors.torch import save_file
from torch import Tensor

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


STAGES: dict[str, Any] = {
    "none": "__is_unconditional__",
    "class": {"target": "taming.modules.util.Labelator", "params": {"n_classes": 10}},
    "coordinates": {
        "target": "taming.modules.misc.coord.CoordStage",
        "params": {"n_embed": 16, "down_factor": 2},
    },
    "map": {"target": "taming.models.vqgan.VQModel", "params": {}},
}


def net2net(
    path: Path,
    kind: str = "none",
    order: str = "row",
    described: bool = True,
    more: dict[str, Tensor] | None = None,
) -> CodeTransformer:
    """A training run's file: a transformer, its VQGAN, its masks, and the yaml beside it."""
    network = random_transformer(kind, order=order)
    a, parts = network.architecture, {"first_stage_model": random_vqgan().state_dict()}
    parts["transformer"] = {key: value for key, value in network.state_dict().items() if key != "order"}
    mask = torch.ones(a.block, a.block).tril()
    mask[: a.unmasked, : a.unmasked] = 1
    parts["transformer"] |= {f"blocks.{i}.attn.mask": mask[None, None] for i in range(a.layers)}
    if order != "row":
        parts["permuter"] = {
            "forward_shuffle_idx": network.order,
            "backward_shuffle_idx": network.order.argsort(),
        }
    if kind == "map":
        parts["cond_stage_model"] = random_vqgan(seed=1).state_dict()
    state = {f"{part}.{key}": value for part, tensors in parts.items() for key, value in tensors.items()}
    torch.save({"state_dict": state | (more or {})}, path)
    if described:
        first = describe(TINY)["model"]
        params = {
            "transformer_config": {"params": {"n_head": a.heads}}, "first_stage_config": first,
            "cond_stage_config": STAGES["coordinates" if kind == "unmasked" else kind],
        }  # fmt: skip
        path.with_suffix(".yaml").write_text(
            yaml.safe_dump({"model": {"target": "Net2Net", "params": params}})
        )
    return network
