"""Convert CLIPs in other people's files to the pair of config and weights that open_clip loads from a folder.

OpenAI's own archives are TorchScript with the state dict of the original CLIP, which open_clip kept; transformers has a
spelling and a config of its own (TinyCLIP is published so).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from vqclip.base.errors import WeightsError, suggest
from vqclip.weights.vqgan_state_dicts import unwrap

Tensors = dict[str, Tensor]
# OpenAI's archives carry three numbers of their architecture as buffers.
_NUMBERS = ("input_resolution", "context_length", "vocab_size")
_IMPLIED = (*_NUMBERS, "attn_mask")  # the mask is among a TorchScript archive's attributes


def bare_clip(tensors: Mapping[str, Tensor]) -> Tensors:
    """Return a CLIP's tensors without the names of what trained it and without what its architecture implies."""
    inner = unwrap(tensors, r"(?:logit_scale|visual\.proj)")
    return {key: value for key, value in inner.items() if key not in _IMPLIED}


def is_openais(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether a file is OpenAI's own, or a copy of its state dict: it has entries that open_clip's lack."""
    return any(key.rpartition(".")[2] in _NUMBERS for key in tensors)


def openai_clip(tensors: Mapping[str, Tensor], model: str) -> tuple[Tensors, dict[str, Any]]:
    """Read weights and config of a CLIP in OpenAI's and open_clip's layout. Raises WeightsError.

    `model` is open_clip's name for the network. It decides the activation, as in ViT-B-32-quickgelu and ViT-B-32. For
    OpenAI's own files it doesn't: those were trained with quickgelu.
    """
    settings = open_clip.get_model_config(model)
    if settings is None:
        raise WeightsError(
            f"open_clip knows no architecture {model!r}{suggest(model, open_clip.list_models())}"
        )
    if is_openais(tensors):
        settings = settings | {"quick_gelu": True}
    return bare_clip(tensors), {"model_cfg": settings, "preprocess_cfg": normalisation(model)}


def normalisation(model: str) -> dict[str, Any]:
    """Return the means and deviations that all weights of an architecture share, or else OpenAI's."""
    tags = open_clip.list_pretrained_tags_by_model(model)
    known = {
        tuple(map(tuple, (c["mean"], c["std"])))
        for tag in tags
        if (c := open_clip.get_pretrained_cfg(model, tag))
    }
    mean, std = known.pop() if len(known) == 1 else (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
    return {"mean": mean, "std": std, "interpolation": "bicubic"}


def transformers_clip(tensors: Mapping[str, Tensor], folder: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read weights and config of a CLIPModel of transformers, with config.json in `folder`. Raises WeightsError."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        settings = {"model_cfg": _network(config), "preprocess_cfg": _preprocess(folder)}
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise WeightsError(f"{path} doesn't describe a CLIP ({what})") from None
    return _respell(tensors), settings


def _network(config: Mapping[str, Any]) -> dict[str, Any]:
    vision, text = (_with_defaults(config[f"{tower}_config"], tower) for tower in ("vision", "text"))
    if config.get("model_type") != "clip":
        raise ValueError(f"model_type {config.get('model_type')!r} is not clip")
    if vision["hidden_act"] != text["hidden_act"] or vision["hidden_act"] not in ("quick_gelu", "gelu"):
        raise ValueError(
            f"activations {vision['hidden_act']} and {text['hidden_act']} are none of open_clip's"
        )
    return {
        "embed_dim": config["projection_dim"],
        "quick_gelu": vision["hidden_act"] == "quick_gelu",
        "vision_cfg": {
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "layers": vision["num_hidden_layers"],
            "width": vision["hidden_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "layers": text["num_hidden_layers"],
            "width": text["hidden_size"],
            "heads": text["num_attention_heads"],
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        },
    }


# What transformers leaves out of a config.json, as it is the default: CLIP ViT-B/32's numbers.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "vision": {"image_size": 224, "patch_size": 32, "num_hidden_layers": 12, "hidden_size": 768,
               "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "quick_gelu"},
    "text": {"max_position_embeddings": 77, "vocab_size": 49408, "num_hidden_layers": 12, "hidden_size": 512,
             "num_attention_heads": 8, "intermediate_size": 2048, "hidden_act": "quick_gelu"},
}  # fmt: skip


def _with_defaults(given: Mapping[str, Any], tower: str) -> dict[str, Any]:
    return _DEFAULTS[tower] | dict(given)


def _preprocess(folder: Path) -> dict[str, Any]:
    path = folder / "preprocessor_config.json"
    given = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    mean, std = given.get("image_mean", OPENAI_DATASET_MEAN), given.get("image_std", OPENAI_DATASET_STD)
    return {"mean": mean, "std": std, "interpolation": "bicubic"}


_KEYS = (
    (r"^(text|vision)_model\.encoder\.layers\.", r"\1_model.transformer.resblocks."),
    (r"\.layer_norm(\d)\.", r".ln_\1."), (r"\.mlp\.fc1\.", ".mlp.c_fc."), (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"\.self_attn\.", ".attn."),
    (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."), (r"^text_model\.", ""),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.embeddings\.", "visual."),
    (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."), (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^vision_model\.", "visual."),
)  # fmt: skip


def _respell(tensors: Mapping[str, Tensor]) -> Tensors:
    spelt: Tensors = {}
    for key, value in tensors.items():
        if key.endswith("position_ids"):  # 0, 1, 2, …: older versions saved them
            continue
        for theirs, ours in _KEYS:
            key = re.sub(theirs, ours, key)  # noqa: PLW2901
        spelt[key] = value
    for ours, theirs in (
        ("text_projection", "text_projection.weight"),
        ("visual.proj", "visual_projection.weight"),
    ):
        if theirs in spelt:
            spelt[ours] = spelt.pop(theirs).T
    return _join_projections(spelt)


def _join_projections(tensors: Tensors) -> Tensors:
    """Join query, key and value of each attention into one matrix."""
    joined = dict(tensors)
    for key in tensors:
        if match := re.fullmatch(r"(.*\.attn\.)q_proj\.(weight|bias)", key):
            parts = [joined.pop(f"{match[1]}{name}_proj.{match[2]}", None) for name in "qkv"]
            if all(part is not None for part in parts):
                joined[f"{match[1]}in_proj_{match[2]}"] = torch.cat([p for p in parts if p is not None])
    return joined
