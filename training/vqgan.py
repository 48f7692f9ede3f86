"""Train, measure and export the mini VQGAN."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from training import options, work
from training.codes.vqgan_trainer import TINY, Recipe, Trainer
from training.images.dataset import Dataset
from training.scenes.compose import Composer
from vqclip.models.vqgan import VQGAN, Architecture


@torch.no_grad()
def measure(model: VQGAN, pictures: Iterator[Tensor]) -> dict[str, float]:
    """Fidelity after the codebook, on batches n 3 h w in [-1, 1]."""
    apart, squared, used, cells = [], [], set(), 0
    for images in pictures:
        codes = model.codes(model.encode(images))
        made = model.decode(model.lookup(codes)).clamp(-1, 1)
        apart.append(float((made - images).abs().mean()))
        squared += (0.5 * (made - images)).square().mean((1, 2, 3)).tolist()
        used |= set(codes.flatten().tolist())
        cells += codes.numel()
    psnr = -10 * torch.tensor(squared).clamp_min(1e-9).log10()
    return {
        "psnr": float(psnr.mean()),
        "l1": sum(apart) / len(apart),
        "codes used": len(used) / len(model.codebook),
    }


def held_out(data: Dataset, side: int) -> dict[str, Iterator[Tensor]]:
    """Fixed pictures of each held-out split."""
    walls = data.wallpaper_rows("photos")
    splits = {}
    for name in ("names", "style", "photos"):
        rows = data.rows(name)
        if len(rows) and len(walls):
            composer = Composer(data, rows, walls, seed=7)
            splits[name] = iter([composer.batch(8, side, smallest=0.6, largest=1.1) for _ in range(8)])
    if len(walls):
        composer = Composer(data, data.rows("train"), walls, seed=7)
        splits["wallpapers"] = iter(
            [torch.stack([composer.wallpaper(side) for _ in range(8)]) * 2 - 1 for _ in range(8)]
        )
    return splits


def export(model: VQGAN, out: Path) -> dict[str, str]:
    """Write weights and taming's kind of configuration."""
    told = work.export_tensors(model.state_dict(), out / "model.safetensors")
    work.write_text(out / "model.yaml", yaml.safe_dump(configuration(model.architecture), sort_keys=False))
    return told


def configuration(architecture: Architecture) -> dict[str, Any]:
    kept = asdict(architecture)
    names = (
        "z_channels",
        "resolution",
        "in_channels",
        "out_ch",
        "ch",
        "ch_mult",
        "num_res_blocks",
        "attn_resolutions",
    )
    ddconfig = {"double_z": False} | {name: kept[name] for name in names}
    ddconfig |= {
        "ch_mult": list(architecture.ch_mult),
        "attn_resolutions": list(architecture.attn_resolutions),
        "dropout": 0.0,
        "norm_groups": architecture.norm_groups,
    }
    params = {"embed_dim": architecture.embed_dim, "n_embed": architecture.n_embed, "ddconfig": ddconfig}
    return {"model": {"target": "taming.models.vqgan.VQModel", "params": params}}


def main(arguments: list[str] | None = None) -> int:
    parser = options.parser("Train the mini VQGAN", "mini-vqgan", minutes=60)
    parser.add_argument(
        "--export", action="store_true", help="only export and measure what the snapshot holds"
    )
    options.add_start(parser)
    given, typed = options.read(parser, arguments)
    recipe = Recipe(minutes=given.minutes)
    if given.smoke:
        recipe = Recipe(TINY, given.minutes, crops=((4, 32, 1.0),))
    recipe = recipe.going_on() if typed.start else recipe
    trainer = Trainer(recipe, given.data, given.work, typed.start, stand_in=given.smoke)
    if not typed.export:
        trainer.run(save_seconds=1 if given.smoke else 120)
    model = trainer.average.module
    pictures = held_out(trainer.data, side=32 if given.smoke else 128)
    figures = {name: measure(model, batches) for name, batches in pictures.items()}
    told = export(copy.deepcopy(model), given.out)
    spent = trainer.clock.spent / 60
    work.log(
        given.work / "log.jsonl", step=trainer.step, minutes=spent, exported=str(given.out), **told, **figures
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
