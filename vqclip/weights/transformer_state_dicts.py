"""Convert state dicts of transformers over codes from the layouts of other projects to ours.

Ours is taming's for what lies in a GPT, and close to min-dalle's for what lies in DALL·E mini's.
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
_NET2NET = re.compile(r"(?:.+\.)?transformer\.tok_emb\.weight")
_FLAX_LAYERS = re.compile(r"(?:.+\.)?(encoder|decoder)\.layers\.FlaxBart(?:En|De)coderLayers?(?:_\d+)?\.")


def is_net2net(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether taming's transformer is among the tensors."""
    return any(_NET2NET.fullmatch(key) for key in tensors)


def is_min_dalle(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the tensors of min-dalle's text encoder, or of its decoder."""
    return "layers.0.glu.fc0.weight" in tensors and "embed_tokens.weight" in tensors


def is_flax_dalle(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the tensors of DALL·E mini in Flax's layout."""
    return any(_FLAX_LAYERS.match(key) for key in tensors)


def from_net2net(tensors: Mapping[str, Tensor]) -> tuple[Tensors, Tensor | None, int]:
    """Return a GPT's tensors, its permuter's order unless that is row by row, and its number of unmasked tokens."""
    prefix = next(key for key in tensors if _NET2NET.fullmatch(key)).removesuffix(
        "transformer.tok_emb.weight"
    )
    own = f"{prefix}transformer."
    inner = {key.removeprefix(own): value for key, value in tensors.items() if key.startswith(own)}
    mask = inner.get("blocks.0.attn.mask")
    first = int(mask.reshape(mask.shape[-2:])[0].count_nonzero()) if mask is not None else 1
    kept = {key: value for key, value in inner.items() if not key.endswith(".attn.mask")}
    return kept, tensors.get(f"{prefix}permuter.forward_shuffle_idx"), first if first > 1 else 0


def has_condition_map(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether a network of the condition lies beside taming's transformer: it reads a map."""
    return any("cond_stage_model.decoder.conv_in" in key for key in tensors)


_MIN_DALLE = (
    (r"^embed_tokens\.", "tok_emb."), (r"^embed_positions\.weight$", "pos_emb"), (r"^layernorm_embedding\.", "ln_emb."),
    (r"^final_ln\.", "ln_f."), (r"^lm_head\.", "head."), (r"^layers\.", "blocks."),
    (r"\.q_proj\.", ".query."), (r"\.k_proj\.", ".key."), (r"\.v_proj\.", ".value."), (r"\.out_proj\.", ".proj."),
)  # fmt: skip


def from_min_dalle(encoder: Mapping[str, Tensor], decoder: Mapping[str, Tensor]) -> Tensors:
    """Join the tensors of min-dalle's text encoder and decoder in our layout."""
    parts = {"": decoder, "encoder.": encoder}
    spelt = {before + _respell(key): value for before, part in parts.items() for key, value in part.items()}
    return {key: value[None] if key.endswith("pos_emb") else value for key, value in spelt.items()}


def _respell(key: str) -> str:
    for theirs, ours in _MIN_DALLE:
        key = re.sub(theirs, ours, key)
    return key


_FLAX = (
    (r"FlaxBartAttention_0\.", "self_attn."), (r"FlaxBartAttention_1\.", "encoder_attn."),
    (r"GLU_0\.Dense_", "glu.fc"), (r"GLU_0\.LayerNorm_", "glu.ln"),
    (r"LayerNorm_0\.", "pre_self_attn_layer_norm."), (r"LayerNorm_1\.", "self_attn_layer_norm."),
    (r"LayerNorm_2\.", "pre_encoder_attn_layer_norm."), (r"LayerNorm_3\.", "encoder_attn_layer_norm."),
    (r"\.embedding$", ".weight"), (r"\.scale$", ".weight"), (r"\.kernel$", ".weight"),
)  # fmt: skip


def from_flax_dalle(tensors: Mapping[str, Tensor]) -> Tensors:
    """Convert DALL·E mini's tensors, of whose layers each may lie apart, or all in one tensor."""
    parts: dict[str, Tensors] = {"encoder": {}, "decoder": {}}
    for key, value in tensors.items():
        name = key.removeprefix("params.").removeprefix("model.")
        part, _, inner = name.partition(".")
        if name.startswith("lm_head."):
            part, inner = "decoder", name
        if part in parts:
            parts[part].update(_flax_layers(inner, value))
    return from_min_dalle(parts["encoder"], parts["decoder"])


def _flax_layers(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """One tensor in min-dalle's layout, or those of all layers."""
    if match := re.match(r"layers\.FlaxBart(?:En|De)coderLayers\.", name):
        for i, one in enumerate(value):
            yield _flax_one(f"layers.{i}.{name[match.end() :]}", one)
    else:
        yield _flax_one(re.sub(r"^layers\.FlaxBart(?:En|De)coderLayer_", "layers.", name), value)


def _flax_one(name: str, value: Tensor) -> tuple[str, Tensor]:
    is_kernel = name.endswith(".kernel")
    for theirs, ours in _FLAX:
        name = re.sub(theirs, ours, name)
    return name, value.T if is_kernel else value


def with_plain_norms(tensors: Tensors, expected: Mapping[str, Tensor]) -> Tensors:
    """Add the scales and shifts of normalisations that a file leaves out, because they do nothing: ones and zeros."""
    missing = {key: like for key, like in expected.items() if key not in tensors and _is_norm(key)}
    return tensors | {
        key: (torch.ones if key.endswith("weight") else torch.zeros)(like.shape)
        for key, like in missing.items()
    }


def _is_norm(key: str) -> bool:
    return bool(re.search(r"(?:^|\.|_)(?:ln\d?|ln_f|ln_emb|layer_norm)\.(?:weight|bias)$", key))
