"""What a fresh process measures: `python -m benchmarks.child TASK` reads a case from stdin and prints what it found,
as JSON.

Fresh, so that memory is that of one painting, and nothing is warm that a user's command would find cold.
"""

import itertools
import json
import logging
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cases import PROMPT, Case

PEAK_SIDE = 1536


class Stopwatch:
    """Called after every step: notes the time, in the end the memory, and counts the last step's operations."""

    def __init__(self, case: Case):
        self.case, self.times, self.memory = case, [time.monotonic()], 0
        self.counter = operations()

    def step(self, _: object = None) -> None:
        self.times.append(time.monotonic())
        done = len(self.times) - 1
        if done == self.case.warm + self.case.steps:
            self.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if done == self.case.total - 1 and not self.case.memory_only:
            self.counter.__enter__()
        if done == self.case.total and not self.case.memory_only:
            self.counter.__exit__(None, None, None)

    def found(self) -> dict[str, float]:
        """Seconds of a step and of what follows the last, bytes, and operations of a step."""
        finish = time.monotonic() - self.times[-1]
        timed = [b - a for a, b in itertools.pairwise(self.times)][self.case.warm :][: self.case.steps]
        return {
            "seconds": statistics.median(timed),
            "finish": finish,
            "memory": self.memory,
            "flop": self.counter.get_total_flops(),
        }


def operations() -> Any:
    """A counter of floating point operations that knows the CPU's attention too."""
    import torch
    from torch.utils import flop_counter as counting

    aten = torch.ops.aten
    for operation, formula in (  # newer versions of torch know them
        (aten._scaled_dot_product_flash_attention_for_cpu, counting.sdpa_flop),
        (aten._scaled_dot_product_flash_attention_for_cpu_backward, counting.sdpa_backward_flop),
    ):
        if operation not in counting.flop_registry:
            counting.register_flop_formula(operation, get_raw=True)(formula)
    return counting.FlopCounterMode(display=False)


def paint(case: Case) -> dict[str, Any]:
    from vqclip.base import runtime

    runtime.use_large_pages()
    runtime.spin_briefly()
    from vqclip.pipeline.events import Stepped
    from vqclip.session import Session

    settings, watch = case.settings(), Stopwatch(case)
    (prompt,) = settings.pop("prompts")
    session = Session("cpu", keeps_models=False, owns_process=True)
    for event in session.generate(prompt, **settings):
        if isinstance(event, Stepped):
            watch.step()
    return watch.found()


def paint_plainly(case: Case) -> dict[str, Any]:
    from benchmarks.plain.loop import Loop

    loop, watch = Loop(case.vqgan, case.clips, PROMPT, (case.side, case.side), case.crops), Stopwatch(case)
    for _ in itertools.islice(loop.steps(), case.total):
        watch.step()
    loop.image()
    return watch.found()


def peak(case: Case) -> dict[str, Any]:
    """The most operations a second that products of two square matrices reach, by arithmetic.

    Short products, repeated for `peak_seconds`: some of them run while nothing else does.
    """
    import torch

    found: dict[str, Any] = {}
    for kind in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(PEAK_SIDE, PEAK_SIDE, dtype=kind) for _ in range(2))
        best, clocks = float("inf"), [time.monotonic()]
        while clocks[-1] < clocks[0] + case.peak_seconds:
            a @ b
            clocks.append(time.monotonic())
            best = min(best, clocks[-1] - clocks[-2])
        found[str(kind).removeprefix("torch.")] = 2 * PEAK_SIDE**3 / best
    return found


def start(_: Case) -> dict[str, Any]:
    """The command line, up to where its first step would begin. Its words follow the task's name."""
    from vqclip.cli.app import main
    from vqclip.guidance import optimize

    def stop(*_: object) -> None:
        print(json.dumps({"clock": time.monotonic()}), flush=True)
        os._exit(0)

    optimize.take_step = stop  # type: ignore[assignment]
    sys.argv = ["vqclip", *sys.argv[2:]]
    main()
    raise SystemExit("the command ended without a step")


def prepare(case: Case) -> dict[str, Any]:
    """Write what the case needs into the folder named after the task's name; tells what `--plan` says of it."""
    import torch

    from benchmarks.models import prepared
    from vqclip.base import device as devices
    from vqclip.config import resolve as configs
    from vqclip.config.timeline import Film
    from vqclip.guidance.memory import MemoryBudget
    from vqclip.guidance.memory_estimate import estimate

    logging.disable(logging.WARNING)  # open_clip's, that the weights are random
    folder = Path(sys.argv[2])
    named, files = prepared(case, folder)
    config, cpu = configs.resolve(named.settings()), torch.device("cpu")
    (folder / f"{case.name}.yaml").write_text(configs.dump(config))
    dtype = devices.dtype_for(config.precision, cpu)
    planned = estimate(
        config, Film(config).frame(0), dtype, MemoryBudget.of(config.width, config.height, cpu)
    )
    return {"case": asdict(named), "files": list(map(str, files)), "planned": planned.total}


TASKS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "prepare": prepare,
    "peak": peak,
    "start": start,
    "vqclip": paint,
    "plain": paint_plainly,
}


def main() -> None:
    given = json.load(sys.stdin)
    limit = given.pop("limit")
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    given["clips"] = tuple(given["clips"])
    try:
        found = TASKS[sys.argv[1]](Case(**given))
    except (RuntimeError, MemoryError) as error:
        if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
            raise
        found = {"over": limit}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
