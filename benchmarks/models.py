"""Real architectures with random weights, written where vqclip and the plain loop find them as anybody's files."""

import json
from dataclasses import replace
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

from benchmarks.cases import REAL, Case
from vqclip.models.clip import weights_file
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_loading import find_vqgan

F16 = Architecture()  # its defaults are those of taming's ImageNet f16 with 16384 codes


def prepared(case: Case, folder: Path) -> tuple[Case, list[Path]]:
    """The case with names that can be loaded, and the files behind them."""
    named = replace(
        case,
        vqgan=_vqgan(F16, folder / f"{REAL}.safetensors") if case.vqgan == REAL else case.vqgan,
        clips=tuple(clip if clip == "mini-clip-2" else _clip(clip, folder) for clip in case.clips),
    )
    return named, [find_vqgan(named.vqgan), *map(weights_file, named.clips)]


def small_clip(folder: Path, side: int = 160) -> str:
    """A folder with a CLIP of few random weights that reads crops of a side."""
    home = folder / f"clip-{side}"
    if not home.is_dir():
        home.mkdir()
        vision = {"image_size": side, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
        text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
        settings = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
        torch.manual_seed(0)
        save_file(open_clip.CLIP(**settings).state_dict(), home / "open_clip_model.safetensors")
        preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
        told = {"model_cfg": settings, "preprocess_cfg": preprocess}
        (home / "open_clip_config.json").write_text(json.dumps(told), encoding="utf-8")
    return str(home)


def _vqgan(architecture: Architecture, file: Path) -> str:
    if not file.is_file():
        torch.manual_seed(0)
        vqgan = VQGAN(architecture)
        with torch.no_grad():
            vqgan.codebook.normal_()  # trained codes differ as much
        save_file(vqgan.state_dict(), file)
    return str(file)


def _clip(architecture: str, folder: Path) -> str:
    file = folder / f"{architecture}.safetensors"
    if not file.is_file():
        torch.manual_seed(0)
        save_file(open_clip.create_model(architecture, load_weights=False).state_dict(), file)
    return f"{architecture}@{file}"
