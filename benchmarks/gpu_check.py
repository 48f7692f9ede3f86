"""Check vqclip on a GPU: does it run, is it right, is it fast? scripts/gpu_check

One table of targets and values, in eight minutes, without a network. It needs torch, torchvision, timm, open_clip,
safetensors, huggingface_hub, einops, numpy, pillow, yaml, filelock, requests, typer and rich. Where they are there,
kornia changes the plain loop's crops, and transformers and MiniLM's package read the prompts for R@1.

Each part is tried on its own: first those that have a target, and last, in a process of its own, what could break the
device. Parts that the time no longer suffices for say so. With --smoke all is small, for a CPU.
"""

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.on_device import pixels, speed
from benchmarks.on_device.prompts import prompts
from benchmarks.on_device.start_up import start_up
from benchmarks.on_device.table import Check, Part
from vqclip.base import determinism
from vqclip.base import device as devices


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part begins that takes longer")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu_check"), help="table, pictures, sheet")
    parser.add_argument("--smoke", action="store_true", help="small sizes, few steps: to see that all works")
    given = parser.parse_args(arguments)
    until = time.monotonic() + 60 * given.minutes
    device = devices.pick(given.device)
    determinism.enter(device)
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vqclip-gpu-check-") as folder:
        check = Check(device, given.smoke, Path(folder), given.out, until)
        for part in parts(check):
            check.run(part)
    Console(width=110).print(check.table())
    return int(any(row.verdict == "fail" for row in check.rows))


def parts(check: Check) -> list[Part]:
    """What is checked, in order. What must be shown comes first and begins at any time; the rest needs some seconds."""
    return [
        Part("same pixels twice", partial(pixels.repeated, check)),
        Part("graph and ordinary steps", partial(pixels.replayed, check)),
        Part("killed and resumed", partial(pixels.killed, check)),
        *(Part(case.name, partial(speed.steps, check, case)) for case in check.cases()),
        Part("prompts", partial(prompts, check)),
        Part("two CLIPs", partial(pixels.two_clips, check), 20),
        Part("reproduce", partial(pixels.reproduced, check), 30),
        Part("film", partial(pixels.film, check), 20),
        Part("start-up", partial(start_up, check), 60),
        Part("precisions", partial(speed.precisions, check), 45),
        Part("together", partial(speed.together, check), 45),
        *(Part(f"{case.name} profile", partial(speed.launches, check, case), 10) for case in check.cases()),
        Part("VQCLIP_TRITON=1", partial(speed.with_triton, check), 60),
    ]


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    raise SystemExit(main())
