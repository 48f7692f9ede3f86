"""Other people's files and ours: the only place that knows how taming and latent-diffusion spell a VQGAN."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from vqclip.errors import WeightsError, reason, suggest
from vqclip.models import catalog
from vqclip.models.checkpoint import read_tensors
from vqclip.models.vqgan import VQGAN, Architecture

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
# Parts of a training run that painting does without. Everything else in a file must fit.
_DROPPED = (
    "loss.",
    "model_ema.",
    "transformer.",
    "cond_stage_model.",
    "permuter.",
    "quantize.used",
    "colorize",
)


def load_vqgan(name: str) -> VQGAN:
    """The frozen VQGAN of a catalogue name, a file, or a folder; raises WeightsError."""
    weights = find_vqgan(name)
    architecture = read_architecture(find_yaml(weights))
    with torch.device("meta"):
        model = VQGAN(architecture)
    tensors = strip(read_tensors(weights))
    _check_fit(weights, model.state_dict(), tensors)
    model.load_state_dict({key: tensors[key].float() for key in model.state_dict()}, assign=True)
    return model.eval().requires_grad_(False)


def find_vqgan(name: str) -> Path:
    """The weights' file that a name, a file or a folder means; raises WeightsError."""
    card = catalog.cards().get(name)
    if card is not None and card.family == "vqgan":
        return card.verify()
    path = Path(name).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in WEIGHTS)
        if len(files) != 1:
            raise WeightsError(f"{path} holds {len(files)} files of weights; name one of them")
        path = files[0]
    if path.is_file():
        return path
    known = catalog.names("vqgan")
    raise WeightsError(
        f"there is no VQGAN {name!r}: no such file, and the names are {', '.join(known)}{suggest(name, known)}"
    )


def find_yaml(weights: Path) -> Path:
    """The description that lies beside a weights' file; raises WeightsError."""
    candidates = [
        weights.with_suffix(".yaml"),
        weights.with_name("model.yaml"),
        weights.with_name("config.yaml"),
    ]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise WeightsError(f"{weights} has no description; put its yaml beside it as {candidates[0].name}")


def read_architecture(path: Path) -> Architecture:
    """The architecture that a taming or latent-diffusion yaml describes; raises WeightsError."""
    try:
        model = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]
        if (
            "first_stage_config" in model["params"]
        ):  # Net2Net: a transformer over the codes, and the VQGAN inside
            model = model["params"]["first_stage_config"]
        return _architecture(str(model["target"]), model["params"])
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {reason(error)}") from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise WeightsError(f"{path} doesn't describe a VQGAN ({what})") from None


def _architecture(target: str, params: Mapping[str, Any]) -> Architecture:
    net = params["ddconfig"]
    if net.get("double_z"):
        raise ValueError("double_z belongs to a KL autoencoder, which has no codebook")
    return Architecture(
        ch=int(net["ch"]),
        ch_mult=tuple(map(int, net["ch_mult"])),
        num_res_blocks=int(net["num_res_blocks"]),
        attn_resolutions=tuple(map(int, net["attn_resolutions"])),
        resolution=int(net["resolution"]),
        in_channels=int(net.get("in_channels", 3)),
        out_ch=int(net.get("out_ch", 3)),
        z_channels=int(net["z_channels"]),
        embed_dim=int(params["embed_dim"]),
        n_embed=int(params["n_embed"]),
        quantizer="gumbel" if "Gumbel" in target else "nearest",
        mid_attention=net.get("attn_type", "vanilla") != "none",
        norm_groups=int(net.get("norm_groups", 32)),
    )


def strip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The VQGAN's own tensors: lifted out of a Net2Net file, without losses and training twins."""
    inner = {key.removeprefix("first_stage_model."): value for key, value in tensors.items()}
    return {key: value for key, value in inner.items() if not key.startswith(_DROPPED)}


def _check_fit(path: Path, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    missing, unknown = sorted(expected.keys() - given.keys()), sorted(given.keys() - expected.keys())
    misshapen = [key for key in expected.keys() & given.keys() if expected[key].shape != given[key].shape]
    for what, keys in (
        ("lacks", missing),
        ("has unknown", unknown),
        ("has other shapes for", sorted(misshapen)),
    ):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise WeightsError(f"{path} doesn't fit its yaml: it {what} {', '.join(keys[:3])}{more}")
