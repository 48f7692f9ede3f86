"""What kind of VQGAN a file holds, from the notes in it, the yaml or config.json beside it, or its tensors' shapes."""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from torch import Tensor

from vqclip.base.errors import UsageError, WeightsError, cause
from vqclip.models.vqgan import Architecture

NOTE = "vqclip.architecture"  # the key under which our own files carry theirs
LARGEST = 2**20  # bytes of a description


def find_description(weights: Path) -> Path | None:
    """The yaml or config.json that lies beside a weights' file."""
    yamls = [weights.with_suffix(".yaml"), weights.with_name("model.yaml"), weights.with_name("config.yaml")]
    return next((path for path in [*yamls, weights.with_name("config.json")] if path.is_file()), None)


class Loader(yaml.SafeLoader):
    """Reads taming's tuples as lists; any other Python object is refused."""


def _as_list(loader: yaml.SafeLoader, node: yaml.Node) -> list[Any]:
    return loader.construct_sequence(cast(yaml.SequenceNode, node))


Loader.add_constructor("tag:yaml.org,2002:python/tuple", _as_list)


def read_description(path: Path, shapes: Mapping[str, Any] | None = None) -> Architecture:
    """Read the architecture from a yaml of taming or latent-diffusion, or from a config.json; raises WeightsError.

    What it leaves open is taken from `shapes`, the fields that a file's tensors tell.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{path} is too large to describe a VQGAN")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return _of_json(json.loads(text), shapes or {})
        root = yaml.load(text, Loader)  # a SafeLoader with one tag more
        params = _resolved(root, root["model"])
        if "first_stage_config" in _resolved(
            root, params["params"]
        ):  # a network over codes, and the VQGAN inside
            params = _resolved(root, _resolved(root, params["params"])["first_stage_config"])
        return _of_yaml(str(params["target"]), root, _resolved(root, params["params"]), shapes or {})
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {cause(error)}") from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise WeightsError(f"{path} doesn't describe a VQGAN ({what})") from None


def _resolved(root: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the values that `${path.to.key}` means; without those that it doesn't lead to."""
    pairs = {key: _resolve(root, value) for key, value in fields.items()}
    return {key: value for key, value in pairs.items() if not _reference(value)}


def _reference(value: Any) -> str | None:
    match = re.fullmatch(r"\$\{([^{}]*)\}", value.strip()) if isinstance(value, str) else None
    return match[1] if match else None


def _resolve(root: Any, value: Any, steps: int = 8) -> Any:
    path = _reference(value)
    if path is None or not steps:
        return value
    node = root
    for key in path.split("."):
        node = _resolve(root, node, steps - 1)
        if not isinstance(node, Mapping) or key not in node:
            return value
        node = node[key]
    return _resolve(root, node, steps - 1)


def to_note(architecture: Architecture) -> str:
    return json.dumps(dataclasses.asdict(architecture))


def read_note(path: Path, note: str) -> Architecture:
    """The architecture that one of our own files carries; raises WeightsError."""
    try:
        fields = json.loads(note)
        lists = {key: tuple(map(int, fields[key])) for key in ("ch_mult", "attn_resolutions")}
        return Architecture(**(fields | lists))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        what = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path} carries a description that can't be ({what}); import it again") from None


def _of_yaml(target: str, root: Any, params: Mapping[str, Any], shapes: Mapping[str, Any]) -> Architecture:
    net = _resolved(root, params["ddconfig"])
    if net.get("double_z") is True:
        raise ValueError("double_z belongs to a KL autoencoder, which has no codebook")
    sizes = {key: params[key] for key in ("embed_dim", "n_embed") if key in params}
    return _of_taming({**shapes, **net, **sizes}, target)


def _of_taming(net: Mapping[str, Any], target: str = "") -> Architecture:
    return Architecture(
        ch=int(net["ch"]),
        ch_mult=tuple(map(int, net["ch_mult"])),
        num_res_blocks=int(net["num_res_blocks"]),
        attn_resolutions=tuple(map(int, net["attn_resolutions"])),
        resolution=int(net["resolution"]),
        in_channels=int(net.get("in_channels", 3)),
        out_ch=int(net.get("out_ch", 3)),
        z_channels=int(net["z_channels"]),
        embed_dim=int(net["embed_dim"]),
        n_embed=int(net["n_embed"]),
        quantizer="gumbel" if "Gumbel" in target else "nearest",
        mid_attention=net.get("attn_type", "vanilla") != "none",
        norm_groups=int(net.get("norm_groups", 32)),
        spatial_norm="MOVQ" in target,
        tanh_out=bool(net.get("tanh_out", False)),
    )


def _of_json(config: Mapping[str, Any], shapes: Mapping[str, Any]) -> Architecture:
    """A config.json: diffusers' VQModel, or vqgan-jax's, which repeats taming's keys."""
    if "ch_mult" in config:
        return _of_taming({**shapes, **config})
    if config.get("_class_name", "VQModel") != "VQModel":
        raise ValueError(f"it describes a {config['_class_name']}; VQModel is the one with a codebook")
    widths = tuple(map(int, config["block_out_channels"]))
    if any(width % widths[0] for width in widths):
        raise ValueError(f"widths {list(widths)} are no multiples of the first")
    resolution = 2 ** (
        len(widths) + 3
    )  # any that halves often enough; diffusers names levels, not resolutions
    attends = [str(kind).startswith("Attn") for kind in config["down_block_types"]]
    return Architecture(
        ch=widths[0],
        ch_mult=tuple(width // widths[0] for width in widths),
        num_res_blocks=int(config.get("layers_per_block", 1)),
        attn_resolutions=tuple(resolution // 2**level for level, attn in enumerate(attends) if attn),
        resolution=resolution,
        in_channels=int(config.get("in_channels", 3)),
        out_ch=int(config.get("out_channels", 3)),
        z_channels=int(config["latent_channels"]),
        embed_dim=int(config.get("vq_embed_dim") or config["latent_channels"]),
        n_embed=int(config["num_vq_embeddings"]),
        mid_attention=bool(config.get("mid_block_add_attention", True)),
        norm_groups=int(config.get("norm_num_groups", 32)),
        spatial_norm=config.get("norm_type", "group") == "spatial",
    )


def infer(path: Path, tensors: Mapping[str, Tensor]) -> Architecture:
    """The architecture that our spelling and the tensors' shapes tell; raises WeightsError, naming what is missing."""
    return make_architecture(path, read_shapes(path, tensors))


def make_architecture(path: Path, fields: Mapping[str, Any]) -> Architecture:
    """Return an Architecture of fields about a file; raises WeightsError if no network can be made of them."""
    try:
        return Architecture(**fields)
    except ValueError as error:
        raise WeightsError(f"{path} is no VQGAN that can be: {error}") from None


def read_shapes(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return an Architecture's fields, as far as tensors tell them; raises WeightsError, naming what is missing.

    The number of groups in a normalisation leaves no trace, nor does a tangent at the decoder's end.
    """
    try:
        return _of_shapes(tensors)
    except KeyError as error:
        if _has_moments(tensors):
            raise WeightsError(f"{path} is a KL autoencoder, which has no codebook to decode from") from None
        raise WeightsError(
            f"{path} is no whole VQGAN: it lacks {error.args[0]} (it has {name_some(tensors)})"
        ) from None
    except (IndexError, ValueError) as error:
        raise WeightsError(f"{path} is no VQGAN that can be: {error}") from None


def _has_moments(tensors: Mapping[str, Tensor]) -> bool:
    """Whether an encoder gives means and variances, as a KL autoencoder's does."""
    pair = [tensors.get(key) for key in ("quant_conv.weight", "post_quant_conv.weight")]
    sides = [tuple(weight.shape[:2]) for weight in pair if weight is not None]
    return len(sides) == 2 and sides[0][:1] == (2 * sides[1][-1],)


def reconcile(described: Architecture, shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a description, corrected by what the tensors tell."""
    stated = dict(shapes)
    levels = range(len(stated["ch_mult"]))
    attends = [stated["resolution"] // 2**level in stated["attn_resolutions"] for level in levels]
    if attends == [described.attends(level) for level in levels]:
        del stated["resolution"], stated["attn_resolutions"]  # the same, in the description's own numbers
    return dataclasses.asdict(described) | stated


_TELLABLE = {"norm_groups": int, "tanh_out": bool, "codebook_l2_norm": bool}


def parse_stated(text: str) -> dict[str, int | bool]:
    """Read what the user says about a VQGAN whose file doesn't tell, as in `tanh_out=true,norm_groups=16`.

    Raises UsageError.
    """
    stated: dict[str, int | bool] = {}
    for part in filter(None, text.split(",")):
        key, _, word = part.strip().partition("=")
        value = _parse_word(word)
        if type(value) is not _TELLABLE.get(key) or value == -1:
            raise UsageError(
                f"--architecture {part!r}: of a VQGAN it takes norm_groups=NUMBER, tanh_out=true and "
                "codebook_l2_norm=false; of a CLIP open_clip's name of its network, as in ViT-B-32"
            )
        stated[key] = value
    return stated


def _parse_word(word: str) -> int | bool:
    """Return a number or a truth value; -1 for anything else."""
    if word.isdecimal() and len(word) < 9:
        return int(word)
    return {"true": True, "false": False}.get(word.lower(), -1)


def _of_shapes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    gumbel = "quantize.embed.weight" in shapes
    codes = shapes["quantize.embed.weight" if gumbel else "quantize.embedding.weight"]
    levels = 1 + max(
        (int(m[1]) for key in shapes if (m := re.match(r"decoder\.up\.(\d+)\.", key))), default=0
    )
    widths = [shapes[f"decoder.up.{level}.block.0.conv1.weight"][0] for level in range(levels)]
    encoder = any(key.startswith(("encoder.", "quant_conv.")) for key in shapes)
    ch = shapes["encoder.conv_in.weight"][0] if encoder else widths[0]
    if ch < 1 or any(width % ch for width in widths):
        raise ValueError(f"widths {widths} are no multiples of {ch}")
    blocks = {m[1] for key in shapes if (m := re.match(r"decoder\.up\.0\.block\.(\d+)\.", key))}
    resolution = 2 ** (levels + 3)
    range_of_dalle = {} if encoder else {"lowest": 0.0}  # a decoder alone is min-dalle's
    return range_of_dalle | {
        "ch": ch,
        "ch_mult": tuple(width // ch for width in widths),
        "num_res_blocks": len(blocks) - 1,
        "attn_resolutions": tuple(
            resolution // 2**level
            for level in range(levels)
            if f"decoder.up.{level}.attn.0.q.weight" in shapes
        ),
        "resolution": resolution,
        "in_channels": shapes["encoder.conv_in.weight"][1] if encoder else 3,
        "out_ch": shapes["decoder.conv_out.weight"][0],
        "z_channels": shapes["decoder.conv_in.weight"][1],
        "embed_dim": codes[1],
        "n_embed": codes[0],
        "quantizer": "gumbel" if gumbel else "nearest",
        "mid_attention": "decoder.mid.attn_1.q.weight" in shapes,
        "spatial_norm": "decoder.norm_out.conv_y.weight" in shapes,
        "encoder": encoder,
    }


def name_some(keys: Iterable[str], most: int = 3) -> str:
    """The first of a file's keys, as parts of one line whatever is in them."""
    return ", ".join(" ".join(key.split())[:80] for key in list(keys)[:most]) or "no tensors at all"
