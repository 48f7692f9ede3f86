"""Convert a VQGAN's state dict from the layouts of other projects to ours.

Ours is taming's layout. A layout is recognised by its keys alone. What belongs to a training run is left out.
"""

import re
from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

# Parts of a training run that rendering does without. Everything else in a file must fit.
_DROPPED = re.compile(
    r"loss\.|model_ema\.|ema_|transformer\.|cond_stage_model\.|permuter\.|colorize|quantize\.(?:used|codebook_used)"
    r"|quantize\.(?:embedding\.|_codebook\.)?(?:cluster_size|embed_avg|initted)"
)
Tensors = dict[str, Tensor]


def respell(tensors: Mapping[str, Tensor], unit_codes: bool = True) -> Tensors:
    """Return the VQGAN's own tensors under our names, from any layout.

    `unit_codes` says whether LlamaGen's codes are compared at length 1, as those that are published are.
    """
    inner = unwrap(tensors, _DECODER)
    codes = _code_averages(inner)
    kept = {key: value for key, value in inner.items() if not _DROPPED.match(key)} | codes
    for mark, translate in _LAYOUTS.items():
        if any(re.match(mark, key) for key in kept):
            spelt = translate(kept)
            return _with_unit_codes(spelt) if translate is _from_llamagen and unit_codes else spelt
    return kept


_DECODER = r"decoder\.conv_in\.(?:weight|kernel)"
# What wraps a network while it is trained: torch.compile, FSDP and activation checkpointing put their words anywhere.
_WRAPPERS = re.compile(r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_OTHERS = ("cond_stage_model", "ema", "loss", "teacher")  # networks beside the one that is looked for


def is_vqgan(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether a VQGAN's decoder is among the tensors, at any depth."""
    return any(re.search(rf"(?:^|\.){_DECODER}$", _WRAPPERS.sub("", key)) for key in tensors)


def unwrap(tensors: Mapping[str, Tensor], anchor: str) -> Tensors:
    """Return the tensors of one network, without the names that training put before theirs.

    The network is the one that has a tensor called `anchor`, a pattern. Of several, a first stage is taken, or else the
    one with the shortest name. Tensors outside it are left out.
    """
    bare = {_WRAPPERS.sub("", key): value for key, value in tensors.items()}
    found = [match[1] for key in bare if (match := re.fullmatch(rf"((?:.+\.)?){anchor}", key))]
    own = [prefix for prefix in found if not any(word in prefix for word in _OTHERS)]
    prefix = min(own, key=lambda name: ("first_stage_model" not in name, len(name)), default="")
    return {key.removeprefix(prefix): value for key, value in bare.items() if key.startswith(prefix)}


def _code_averages(tensors: Tensors) -> Tensors:
    """Find the codes of a quantizer that learns by moving averages: (d k), or (1 k d) in lucidrains'."""
    for name in ("quantize.embed", "quantize._codebook.embed"):
        codes, counts = tensors.pop(name, None), tensors.get(name[:-5] + "cluster_size")
        if codes is None or codes.ndim not in (2, 3):
            continue
        flat = codes[0] if codes.ndim == 3 else codes
        count = counts.numel() if counts is not None else flat.shape[1]
        first = flat.shape[0] == count and (codes.ndim == 3 or flat.shape[1] != count)
        return {"quantize.embedding.weight": flat if first else flat.T}
    return {}


def _replace(key: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for theirs, ours in pairs:
        key = re.sub(theirs, ours, key)
    return key


def _levels(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """Count a decoder's levels by a pattern whose group is a level's number."""
    numbers = [int(match[1]) for key in tensors if (match := re.match(pattern, key))]
    return max(numbers, default=-1) + 1


def _from_the_top(key: str, levels: int) -> str:
    """Number levels from the highest resolution, as `up.0` is ours. diffusers and LlamaGen count from the lowest."""
    return re.sub(r"^decoder\.up\.(\d+)", lambda m: f"decoder.up.{levels - 1 - int(m[1])}", key)


_DIFFUSERS = (
    (r"^encoder\.down_blocks\.", "encoder.down."), (r"^decoder\.up_blocks\.", "decoder.up."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."), (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
    (r"\.resnets\.", ".block."), (r"\.attentions\.", ".attn."),
    (r"\.(down|up)samplers\.0\.conv\.", r".\1sample.conv."),
    (r"\.conv_shortcut\.", ".nin_shortcut."), (r"\.conv_norm_out\.", ".norm_out."),
    (r"(\.attn(?:_1|\.\d+)\.)(?:group_norm|spatial_norm)\.", r"\1norm."),
    (r"\.(?:to_q|query)\.", ".q."), (r"\.(?:to_k|key)\.", ".k."), (r"\.(?:to_v|value)\.", ".v."),
    (r"\.(?:to_out\.0|proj_attn)\.", ".proj_out."),
)  # fmt: skip


def _from_diffusers(tensors: Tensors) -> Tensors:
    """Convert diffusers' VQModel, with the names of its attention before and after 0.15."""
    levels = _levels(tensors, r"decoder\.up_blocks\.(\d+)")
    spelt = {_from_the_top(_replace(key, _DIFFUSERS), levels): value for key, value in tensors.items()}
    return {key: _as_convolution(value) if ".attn" in key else value for key, value in spelt.items()}


def _as_convolution(weight: Tensor) -> Tensor:
    """Return a linear layer's matrix as that of a 1x1 convolution."""
    return weight[:, :, None, None] if weight.ndim == 2 else weight


_LLAMAGEN = (
    (r"^encoder\.conv_blocks\.", "encoder.down."), (r"^decoder\.conv_blocks\.", "decoder.up."),
    (r"\.res\.", ".block."),
    (r"\.mid\.0\.", ".mid.block_1."), (r"\.mid\.1\.", ".mid.attn_1."), (r"\.mid\.2\.", ".mid.block_2."),
)  # fmt: skip


def _from_llamagen(tensors: Tensors) -> Tensors:
    """Convert LlamaGen's."""
    levels = _levels(tensors, r"decoder\.conv_blocks\.(\d+)")
    return {_from_the_top(_replace(key, _LLAMAGEN), levels): value for key, value in tensors.items()}


def _with_unit_codes(spelt: Tensors) -> Tensors:
    """Return the tensors with codes of length 1.

    LlamaGen shortens each cell and each code to length 1 before it compares them. Once the codes are of length 1, the
    nearest to a cell is the same whatever the cell's length, so normalising the codebook here is all it takes.
    """
    if (codes := spelt.get("quantize.embedding.weight")) is not None:
        spelt["quantize.embedding.weight"] = F.normalize(codes.float(), dim=-1)
    return spelt


_FLAX = (
    (r"^(encoder\.down|decoder\.up)_(\d+)\.(block|attn)_(\d+)\.", r"\1.\2.\3.\4."),
    (r"^(encoder\.down|decoder\.up)_(\d+)\.", r"\1.\2."),
    (r"\.(kernel|scale)$", ".weight"), (r"^quantize\.embedding\.embedding$", "quantize.embedding.weight"),
)  # fmt: skip


def _from_flax(tensors: Tensors) -> Tensors:
    """Convert vqgan-jax's (DALL·E mini): list names with underscores, convolutions as (height width in out)."""
    bare = {key.removeprefix("params."): value for key, value in tensors.items()}
    return {
        _replace(key, _FLAX): value.permute(3, 2, 0, 1)
        if key.endswith("kernel") and value.ndim == 4
        else value
        for key, value in bare.items()
    }


def _from_min_dalle(tensors: Tensors) -> Tensors:
    """Convert min-dalle's detokenizer: a decoder and its codes. Some files count their levels from the lowest."""
    spelt = {re.sub(r"^embedding\.", "quantize.embedding.", key): value for key, value in tensors.items()}
    if "decoder.up.0.upsample.conv.weight" not in spelt:  # our highest resolution has nothing to enlarge
        return spelt
    levels = _levels(spelt, r"decoder\.up\.(\d+)")
    return {_from_the_top(key, levels): value for key, value in spelt.items()}


# By a pattern that a key of the layout, and of no other, begins with.
_LAYOUTS: dict[str, Callable[[Tensors], Tensors]] = {
    r"encoder\.down_blocks\.|decoder\.up_blocks\.": _from_diffusers,
    r"encoder\.conv_blocks\.|decoder\.conv_blocks\.": _from_llamagen,
    r"(params\.)?(encoder|decoder)\.conv_in\.kernel": _from_flax,
    r"embedding\.weight$": _from_min_dalle,
}
