"""Real architectures with random weights, written where vqclip and the plain loop find them as anybody's files."""

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
        clips=tuple(clip if clip == "mini-clip" else _clip(clip, folder) for clip in case.clips),
    )
    return named, [find_vqgan(named.vqgan), *map(weights_file, named.clips)]


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
