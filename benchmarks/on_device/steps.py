"""Times, memory and launches of steps on a device: vqclip's and the plain loop's."""

import gc
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.cases import PROMPT, Case
from vqclip.base.device import strengths
from vqclip.config import resolve as configs
from vqclip.guidance.optimize import optimize
from vqclip.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class Pace:
    """How many steps come before those that are timed, how many blocks of how many steps follow."""

    warm: int
    blocks: int
    length: int

    @property
    def steps(self) -> int:
        return self.warm + self.blocks * self.length


WHOLE, SMALL = Pace(12, 5, 10), Pace(1, 1, 1)


@dataclass(frozen=True)
class Measured:
    """Seconds a step, and bytes of the device's memory at their peak; None where the device doesn't tell."""

    seconds: float
    memory: int | None


@dataclass(frozen=True)
class Profiled:
    """What a step asks of the device: launches by the host, kernels, and their share of the wall time."""

    launches: float
    kernels: float
    busy: float


def vqclip_steps(case: Case, steps: int, device: torch.device, **settings: Any) -> Iterator[Any]:
    """The steps of a painting, its models loaded before the first."""
    config = configs.resolve(replace(case, memory_only=True).settings() | {"steps": steps} | settings)
    pipeline = Pipeline(config, device)
    frame = pipeline.film.frame(0)
    objective = pipeline.objective(frame)
    state = pipeline.begin(frame, objective, config.seed)
    yield objective
    yield from optimize(frame, objective, [state])


def measure_vqclip(case: Case, pace: Pace, device: torch.device, **settings: Any) -> Measured:
    with _peak(device) as peak:
        steps = vqclip_steps(case, pace.steps, device, **settings)
        next(steps)
        seconds = timed(steps, pace, device)
    return Measured(seconds, peak[0])


def measure_plain(case: Case, pace: Pace, device: torch.device) -> Measured:
    """The plain loop, on a GPU with CLIP in fp16 and convolutions in TF32, as its peers have it."""
    from benchmarks.plain.loop import Loop  # noqa: PLC0415

    dtype = torch.float32 if strengths(device).host else torch.float16
    with _free_choices(), _peak(device) as peak:
        size = (case.side, case.side)
        loop = Loop(case.vqgan, case.clips, PROMPT, size, case.crops, device=device, dtype=dtype)
        seconds = timed(loop.steps(), pace, device)
        del loop
    return Measured(seconds, peak[0])


def timed(steps: Iterator[Any], pace: Pace, device: torch.device) -> float:
    """The median of the blocks' means, in seconds a step; the device is waited for between blocks."""
    means: list[float] = []
    _take(steps, pace.warm)
    for _ in range(pace.blocks):
        synchronize(device)
        began = time.perf_counter()
        _take(steps, pace.length)
        synchronize(device)
        means.append((time.perf_counter() - began) / pace.length)
    return statistics.median(means)


def profile(case: Case, pace: Pace, device: torch.device) -> Profiled:
    """Launches, kernels and the kernels' share of the wall time of steps that run without a profiler, too."""
    from torch import profiler  # noqa: PLC0415

    steps = vqclip_steps(case, pace.steps + pace.length, device)
    next(steps)
    seconds = timed(steps, pace, device)
    activities = [profiler.ProfilerActivity.CPU, profiler.ProfilerActivity.CUDA]
    with profiler.profile(activities=activities) as found:
        _take(steps, pace.length)
        synchronize(device)
    events = found.key_averages()
    launches = sum(event.count for event in events if "Launch" in event.key)
    kernels = [event for event in events if str(event.device_type).endswith("CUDA")]
    busy = sum(event.self_device_time_total for event in kernels) / 1e6
    each = pace.length
    return Profiled(launches / each, sum(event.count for event in kernels) / each, busy / each / seconds)


def synchronize(device: torch.device) -> None:
    """Wait for the work of this device, which needn't be the current one."""
    if not strengths(device).host:
        torch.accelerator.synchronize(device)


def _take(steps: Iterator[Any], count: int) -> Sequence[Any]:
    return list(itertools.islice(steps, count))[-1:]


@contextmanager
def _peak(device: torch.device) -> Iterator[list[int | None]]:
    """A list that is filled with the most bytes that the block's tensors took together, beyond what was there."""
    peak: list[int | None] = []
    if not strengths(device).graphs:
        yield peak
        peak.append(None)
        return
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    yield peak
    peak.append(torch.cuda.max_memory_allocated(device) - before)


@contextmanager
def _free_choices() -> Iterator[None]:
    """Kernels as torch chooses them for the peers: TF32 in convolutions, and whatever order sums are fastest in."""
    cudnn, mode = torch.backends.cudnn, torch.get_deterministic_debug_mode()
    before = cudnn.deterministic, cudnn.allow_tf32
    torch.set_deterministic_debug_mode(0)
    cudnn.deterministic, cudnn.allow_tf32 = False, True
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        cudnn.deterministic, cudnn.allow_tf32 = before
