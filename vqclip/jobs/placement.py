"""Choose the number of workers, their devices and their threads."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from vqclip.base import device as devices
from vqclip.base.device import dtype_for
from vqclip.base.errors import WeightsError
from vqclip.config.schema import Config
from vqclip.config.timeline import Film
from vqclip.guidance.memory import MemoryBudget
from vqclip.guidance.memory_estimate import estimate
from vqclip.jobs.launcher import Launcher
from vqclip.jobs.processes import WorkerSpec, processes
from vqclip.jobs.ray import on_ray
from vqclip.jobs.serial import serial
from vqclip.jobs.worker import Worker
from vqclip.runs.job import Job

SHARE_OF_MEMORY = 0.8


@dataclass(frozen=True)
class Placement:
    """Say where to run jobs: by how many `workers` with how many CPU `threads` each, on which `devices`, or on `ray`.

    None, or no device, leaves the choice to the machine. `ray` is the address of a cluster, or "local" to start one.
    """

    workers: int | None = None
    threads: int | None = None
    devices: Sequence[str] = ()
    ray: str | None = None

    def launcher(self, jobs: Sequence[Job], pull: bool, worker: Callable[[WorkerSpec], Worker]) -> Launcher:
        """Make the requested launcher, or the one that suits the machine; `worker` makes a Worker in this process."""
        if self.ray is not None:
            gpus = any(name.startswith("cuda") for name in self.devices)
            return on_ray(self.ray, cpus=self.threads or 1, gpus=int(gpus), pull=pull)
        specs = worker_specs([job.config for job in jobs], self.devices, self.workers, self.threads)
        return processes(specs, pull) if len(specs) > 1 else serial(worker(specs[0]))


def worker_specs(
    configs: Sequence[Config],
    names: Sequence[str] = (),
    workers: int | None = None,
    threads: int | None = None,
) -> list[WorkerSpec]:
    """Plan a worker for each device; on the CPU, one for each core as far as memory allows, with one thread.

    The number of threads depends on the cores and on `workers` as given, never on the number of jobs, because an
    image's pixels in bfloat16 depend on it. Raises UsageError for devices that aren't here.
    """
    targets = [devices.pick(name) for name in names] or _all_of_the_fastest()
    if not devices.strengths(targets[0]).counts_threads:
        count = workers or len(targets)
        return [WorkerSpec(f"{target}" if count <= len(targets) else f"{target} #{k + 1}", str(target), threads)
                for k, target in zip(range(count), targets * count, strict=False)]  # fmt: skip
    threads = threads or max(1, cores() // (workers or cores()))
    count = min(workers or _most(configs, threads), len(configs))
    return [WorkerSpec(f"cpu #{k + 1}", "cpu", threads) for k in range(max(1, count))]


def cores() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _all_of_the_fastest() -> list[torch.device]:
    fastest = torch.device(devices.present()[0])
    return [target for target in map(torch.device, devices.present()) if target.type == fastest.type]


def _most(configs: Sequence[Config], threads: int) -> int:
    """Compute how many workers cores and memory allow, if each needs the memory of the largest image."""
    by_cores = max(1, cores() // threads)
    if not configs or by_cores == 1 or not hasattr(os, "sysconf"):
        return by_cores
    largest = max(configs, key=lambda config: config.width * config.height)
    cpu = torch.device("cpu")
    budget = MemoryBudget.of(largest.width, largest.height, cpu)
    try:
        need = estimate(largest, Film(largest).frame(0), dtype_for(largest.precision, cpu), budget).total
    except WeightsError:
        return by_cores
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * SHARE_OF_MEMORY
    return max(1, min(by_cores, int(have // need)))
