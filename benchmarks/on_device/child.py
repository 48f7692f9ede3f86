"""What a check measures in a process of its own: `python -m benchmarks.on_device.child TASK DEVICE` prints it as JSON.

Its own, so that nothing is warm that a command would find cold, and so that a kernel that breaks the device breaks no
other part of the check.
"""

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any


def least(name: str, *files: str) -> dict[str, float]:
    """Import torch and open_clip, make a device's context, read files of weights; seconds of each, and the time."""
    clocks = [time.monotonic()]
    import open_clip  # noqa: F401
    import torch

    clocks.append(time.monotonic())
    torch.zeros(1, device=name).item()
    clocks.append(time.monotonic())
    for file in files:
        Path(file).read_bytes()
    clocks.append(time.monotonic())
    seconds = [after - before for before, after in itertools.pairwise(clocks)]
    return dict(zip(("imports", "context", "reading"), seconds, strict=True)) | {"clock": clocks[-1]}


def start(name: str, *words: str) -> dict[str, float]:
    """The command line of these words, up to the end of the first step that can be captured."""
    from vqclip.cli.app import main
    from vqclip.guidance import optimize
    from vqclip.guidance.step_graph import WARM_UP

    take, taken = optimize.take_step, itertools.count()

    def counted(*given: Any, **named: Any) -> Any:
        done = take(*given, **named)
        if next(taken) == WARM_UP:
            _wait(name)
            print(json.dumps({"clock": time.monotonic()}), flush=True)
            os._exit(0)
        return done

    optimize.take_step = counted
    sys.argv = ["vqclip", *words]
    main()
    raise SystemExit("the command ended before a step was captured")


def triton(name: str) -> dict[str, Any]:
    """Steps with Triton's kernels, after memory was counted with them."""
    from benchmarks.cases import Case
    from benchmarks.on_device.steps import Pace, measure_vqclip
    from vqclip.base import determinism
    from vqclip.base import device as devices
    from vqclip.config import resolve as configs
    from vqclip.models import kernels
    from vqclip.pipeline.pipeline import Pipeline

    given, device = json.load(sys.stdin), devices.pick(name)
    case = Case(**given["case"] | {"clips": tuple(given["case"]["clips"])})
    determinism.enter(device)
    if not devices.strengths(device).triton:
        return {"refused": "this GPU is older than they are for"}
    if kernels.with_triton(device) is None:
        return {"refused": "they fail or don't agree here; the line above says why"}
    together = Pipeline(configs.resolve(case.settings()), device).batch_size
    return asdict(measure_vqclip(case, Pace(**given["pace"]), device)) | {"together": together}


def _wait(name: str) -> None:
    import torch

    from benchmarks.on_device.steps import synchronize

    synchronize(torch.device(name))


TASKS: dict[str, Callable[..., dict[str, Any]]] = {"least": least, "start": start, "triton": triton}


def main() -> None:
    task, *words = sys.argv[1:]
    print(json.dumps(TASKS[task](*words)))


if __name__ == "__main__":
    main()
