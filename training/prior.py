"""Train the prior from one packed file: python -m training.prior --packed FILE --device cuda --minutes 9 --out DIR

It needs torch, numpy, pillow, safetensors and PyYAML (which timm brings along). The results are model.safetensors, in
parts of at most 15 MB, log.jsonl and samples.png.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from training import parts, work
from training.argument_types import device, number, whole
from training.codes.prior_trainer import Plan, Trainer, tiny
from training.packed.file import Packed
from vqclip.models.transformer.architecture import NOTE

WHOLE = ("side", "layers", "width", "heads", "prefix", "modulation", "batch", "pool", "tried", "seed")
PARTED = {"rate": math.inf, "calm": 1.0}  # keys of a plan that are no whole numbers, and the largest value
PROMPTS = (
    "a red apple", "a cat", "a castle", "a yellow fish", "a tree in a green meadow", "a boat on the sea",
    "a blue car", "a rocket at night", "a strawberry", "a house in the snow", "two green apples", "a butterfly",
    "an owl", "a mushroom", "a guitar", "a landscape at sunset",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    plan = replace(tiny(Plan()) if given.smoke else Plan(), minutes=given.minutes)
    for name in (*WHOLE, *PARTED):
        if (value := getattr(given, name)) is not None:
            plan = replace(plan, **{name: value})
    packed = Packed.open(given.packed)
    if given.start is not None:
        packed = replace(packed, start=load_file(given.start))
    trainer = Trainer(plan, packed, torch.device(given.device), given.work or given.out / "work")
    trainer.run()
    deliver(trainer, given.out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packed", type=Path, required=True, metavar="FILE", help="of training.pack")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--minutes", type=number(), default=9.0, help="training time in all (default: 9)")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="folder of snapshot and log (default: OUT/work)"
    )
    parser.add_argument("--threads", type=whole(), default=torch.get_num_threads(), help="of the CPU")
    for name in WHOLE:
        smallest = 0 if name in ("modulation", "seed") else 1
        parser.add_argument(f"--{name}", type=whole(smallest), help=f"default: {getattr(Plan, name)}")
    for name, largest in PARTED.items():
        parser.add_argument(f"--{name}", type=number(largest), help=f"default: {getattr(Plan, name)}")
    parser.add_argument(
        "--start", type=Path, metavar="FILE", help="weights of a prior to begin with, of any grid"
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny network")
    return parser


def deliver(trainer: Trainer, out: Path) -> None:
    """Write the averaged weights with their description, the log, and a sheet of samples."""
    out.mkdir(parents=True, exist_ok=True)
    network = trainer.average.module
    file = out / "model.safetensors"
    note = {NOTE: network.architecture.to_note()}
    work.export_tensors(network.state_dict(), file, note)
    parts.split(file)
    (out / "log.jsonl").write_text((trainer.folder / "log.jsonl").read_text())
    known = [text for text in PROMPTS if trainer.packed.reader.vocabulary.knows(text)]
    if known:
        sheet(trainer.sample(known, 4), 8).save(out / "samples.png")


def sheet(images: Tensor, columns: int) -> Image.Image:
    """Pictures n 3 s s in rows."""
    pixels = (images.float().cpu() * 255).round().byte().permute(0, 2, 3, 1).numpy()
    rest = -len(pixels) % columns
    pixels = np.concatenate([pixels, np.full((rest, *pixels.shape[1:]), 255, np.uint8)])
    rows = pixels.reshape(-1, columns, *pixels.shape[1:]).transpose(0, 2, 1, 3, 4)
    return Image.fromarray(rows.reshape(rows.shape[0] * rows.shape[1], -1, 3))


if __name__ == "__main__":
    raise SystemExit(main())
