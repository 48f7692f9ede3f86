"""What kind of VQGAN a file holds, from the notes in it, the yaml or config.json beside it, or its tensors' shapes."""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from vqclip.errors import WeightsError, reason
from vqclip.models.vqgan import Architecture

NOTE = "vqclip.architecture"  # the key under which our own files carry theirs
LARGEST = 2**20  # bytes of a description


def find_description(weights: Path) -> Path | None:
    """The yaml or config.json that lies beside a weights' file."""
    yamls = [weights.with_suffix(".yaml"), weights.with_name("model.yaml"), weights.with_name("config.yaml")]
    return next((path for path in [*yamls, weights.with_name("config.json")] if path.is_file()), None)


def read_description(path: Path) -> Architecture:
    """The architecture that a yaml of taming or latent-diffusion, or a config.json, describes; raises WeightsError."""
    try:
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{path} is too large to describe a VQGAN")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return _of_json(json.loads(text))
        model = yaml.safe_load(text)["model"]
        if "first_stage_config" in model["params"]:  # Net2Net: a transformer over codes, and the VQGAN inside
            model = model["params"]["first_stage_config"]
        return _of_yaml(str(model["target"]), model["params"])
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {reason(error)}") from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise WeightsError(f"{path} doesn't describe a VQGAN ({what})") from None


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


def _of_yaml(target: str, params: Mapping[str, Any]) -> Architecture:
    net = params["ddconfig"]
    if net.get("double_z"):
        raise ValueError("double_z belongs to a KL autoencoder, which has no codebook")
    return _of_taming(net, embed_dim=params["embed_dim"], n_embed=params["n_embed"], target=target)


def _of_taming(net: Mapping[str, Any], embed_dim: Any, n_embed: Any, target: str = "") -> Architecture:
    return Architecture(
        ch=int(net["ch"]),
        ch_mult=tuple(map(int, net["ch_mult"])),
        num_res_blocks=int(net["num_res_blocks"]),
        attn_resolutions=tuple(map(int, net["attn_resolutions"])),
        resolution=int(net["resolution"]),
        in_channels=int(net.get("in_channels", 3)),
        out_ch=int(net.get("out_ch", 3)),
        z_channels=int(net["z_channels"]),
        embed_dim=int(embed_dim),
        n_embed=int(n_embed),
        quantizer="gumbel" if "Gumbel" in target else "nearest",
        mid_attention=net.get("attn_type", "vanilla") != "none",
        norm_groups=int(net.get("norm_groups", 32)),
        spatial_norm="MOVQ" in target,
    )


def _of_json(config: Mapping[str, Any]) -> Architecture:
    """A config.json: diffusers' VQModel, or vqgan-jax's, which repeats taming's keys."""
    if "ch_mult" in config:
        return _of_taming(config, config["embed_dim"], config["n_embed"])
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
    """The architecture that our spelling and the tensors' shapes tell; raises WeightsError, naming what is missing.

    Only the number of groups in a normalisation leaves no trace; it is taken to be the family's, 32.
    """
    try:
        return _of_shapes(tensors)
    except KeyError as error:
        raise WeightsError(
            f"{path} is no whole VQGAN: it lacks {error.args[0]} (it has {name_some(tensors)})"
        ) from None
    except (IndexError, ValueError) as error:
        raise WeightsError(f"{path} is no VQGAN that can be: {error}") from None


def _of_shapes(tensors: Mapping[str, Tensor]) -> Architecture:
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    gumbel = "quantize.embed.weight" in shapes
    codes = shapes["quantize.embed.weight" if gumbel else "quantize.embedding.weight"]
    levels = 1 + max(
        (int(m[1]) for key in shapes if (m := re.match(r"decoder\.up\.(\d+)\.", key))), default=0
    )
    widths = [shapes[f"decoder.up.{level}.block.0.conv1.weight"][0] for level in range(levels)]
    encoder = any(key.startswith("encoder.") for key in shapes)
    ch = shapes["encoder.conv_in.weight"][0] if encoder else widths[0]
    if ch < 1 or any(width % ch for width in widths):
        raise ValueError(f"widths {widths} are no multiples of {ch}")
    blocks = {m[1] for key in shapes if (m := re.match(r"decoder\.up\.0\.block\.(\d+)\.", key))}
    resolution = 2 ** (levels + 3)
    return Architecture(
        ch=ch,
        ch_mult=tuple(width // ch for width in widths),
        num_res_blocks=len(blocks) - 1,
        attn_resolutions=tuple(
            resolution // 2**level
            for level in range(levels)
            if f"decoder.up.{level}.attn.0.q.weight" in shapes
        ),
        resolution=resolution,
        in_channels=shapes["encoder.conv_in.weight"][1] if encoder else 3,
        out_ch=shapes["decoder.conv_out.weight"][0],
        z_channels=shapes["decoder.conv_in.weight"][1],
        embed_dim=codes[1],
        n_embed=codes[0],
        quantizer="gumbel" if gumbel else "nearest",
        mid_attention="decoder.mid.attn_1.q.weight" in shapes,
        spatial_norm="decoder.norm_out.conv_y.weight" in shapes,
        encoder=encoder,
    )


def name_some(keys: Iterable[str], most: int = 3) -> str:
    """The first of a file's keys, as parts of one line whatever is in them."""
    return ", ".join(" ".join(key.split())[:80] for key in list(keys)[:most]) or "no tensors at all"
