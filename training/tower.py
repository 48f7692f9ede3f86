"""Train mini-clip-2's image tower further, on a GPU or a CPU, from one packed file:

python -m training.tower --packed FILE --device cuda --minutes 9 --out DIR

It needs torch, torchvision, timm, numpy, pillow and safetensors. The results are image.safetensors, in parts of at most
15 MB, and log.jsonl; `python -m training.tower_join` makes a folder of them that open_clip loads.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training import parts
from training.argument_types import device, number, several, whole
from training.packed.clip import PackedClip
from training.towers.trainer import Plan, Trainer, tiny

START = Path(__file__).resolve().parents[1] / "checkpoints" / "mini-clip-2"
ON_A_CPU: dict[str, Any] = {"batch": 16, "painted": 6, "rate": 1e-4, "decay": 0.99}
HELP = {
    "batch": "pictures of a step",
    "sides": "sides of the pictures, in pixels",
    "rate": "learning rate at its highest",
    "projecting": "the projection's rate, as a share of the tower's",
    "radius": "of the attack, in 255ths",
    "ramp": "share of the time in which the radius grows",
    "attack_steps": "steps of an attack",
    "stride": "of an attack's step, as a share of the radius",
    "coarse": "sides of the squares that an attack changes alike, in pixels",
    "painted": "images of a step that the present tower painted",
    "climb": "steps of each of them whenever it is drawn",
    "disbelief": "weight of not taking them for what they were painted of",
    "keep": "weight of the distance to the teacher's clean view",
    "embedding": "weight of the embeddings' distance beside the features'",
    "naming": "weight of the sentences' loss",
    "said": "share of pictures with a sentence",
    "others": "sentences beside the batch's own that a picture is told from",
    "pool": "scenes that are kept",
    "reuse": "how often a scene is painted",
    "decay": "of the averaged weights",
    "look": "seconds between two lines of held-out figures",
    "seed": "of all random numbers",
}

SHARES = ("ramp", "said", "decay")  # numbers up to 1
SMALLEST = {"painted": 0, "seed": 0, "sides": 32}  # of whole numbers that don't begin with 1


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    torch.backends.cudnn.benchmark = True
    usual = Plan() if given.device.startswith("cuda") else Plan(**ON_A_CPU)
    plan = tiny(usual) if given.smoke else usual
    typed = {name: getattr(given, name) for name in (*HELP, "teacher", "norm", "against", "minutes")}
    plan = replace(plan, **{name: value for name, value in typed.items() if value is not None})
    folder = given.work or given.out / "work"
    trainer = Trainer(
        plan, PackedClip.open(given.packed), given.start, torch.device(given.device), folder, given.out
    )
    trainer.run()
    parts.split(given.out / "image.safetensors")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--packed", type=Path, required=True, metavar="FILE", help="of training.pack --for clip"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument(
        "--start",
        type=Path,
        default=START,
        metavar="DIR",
        help="the CLIP to begin with (default: mini-clip-2)",
    )
    parser.add_argument(
        "--minutes", type=number(), default=Plan.minutes, help="training time in all (default: 9)"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="folder of the snapshot (default: OUT/work)")
    parser.add_argument("--threads", type=whole(), default=torch.get_num_threads(), help="of the CPU")
    for name, text in HELP.items():
        usual = getattr(Plan, name)
        known = ",".join(map(str, usual)) if isinstance(usual, tuple) else f"{usual:g}"
        known += f", on a CPU {ON_A_CPU[name]:g}" if name in ON_A_CPU else ""
        kind = _type_of(name, usual)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"{text} (default: {known})")
    parser.add_argument(
        "--norm", choices=("linf", "l2"), help="of the ball that an attack stays in (default: linf)"
    )
    parser.add_argument(
        "--against",
        type=_targets,
        metavar="WHAT",
        help="what an attack moves pictures away from: view (the clean picture's features), sentence (their own, "
        "towards another), or view,sentence (one of both at each step) (default: view)",
    )
    parser.add_argument(
        "--teacher", choices=("untouched", "start"), help="whose clean view is kept (default: untouched)"
    )
    parser.add_argument("--smoke", action="store_true", help="few and small pictures")
    return parser


def _targets(text: str) -> tuple[str, ...]:
    targets = tuple(text.split(","))
    if not set(targets) <= {"view", "sentence"}:
        raise argparse.ArgumentTypeError(f"{text}: write view, sentence, or view,sentence")
    return targets


def _type_of(name: str, usual: object) -> Callable[[str], object]:
    """Choose the type of an option by its default."""
    if isinstance(usual, float):
        return number(maximum=1.0 if name in SHARES else math.inf)
    count = whole(SMALLEST.get(name, 1))
    return several(count) if isinstance(usual, tuple) else count


if __name__ == "__main__":
    raise SystemExit(main())
