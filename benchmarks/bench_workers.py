"""Pictures an hour of one worker with all cores, and of a worker a core: scripts/bench_workers

The two take turns, so that other work on the machine harms both alike; their ratio is what counts. Seconds are those of
painting: models are loaded once a worker, however many pictures follow.
"""

import argparse
import itertools
import statistics
import tempfile
from pathlib import Path

from vqclip.base.stop import StopToken
from vqclip.config import resolve as configs
from vqclip.jobs.placement import cores
from vqclip.jobs.processes import WorkerSpec, processes
from vqclip.pipeline.events import Failed, Finished
from vqclip.runs.job import Job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=2, help="of each worker in a round")
    parser.add_argument("--preset", default="draft")
    options = parser.parse_args()
    one = [WorkerSpec("one", "cpu", cores())]
    many = [WorkerSpec(f"#{k}", "cpu", 1) for k in range(cores())]
    seeds = itertools.count(1)
    rates: dict[str, list[float]] = {"one": [], "many": []}
    for _ in range(options.rounds):
        for name, specs in (("one", one), ("many", many)):
            rates[name].append(rate(specs, options.pictures * len(specs), options.preset, seeds))
        print(", ".join(f"{name} {measured[-1]:.0f}" for name, measured in rates.items()), flush=True)
    single, several = (statistics.median(measured) for measured in rates.values())
    print(
        f"{options.preset}: {single:.0f} images an hour with one worker of {cores()} threads, {several:.0f} with "
        f"{cores()} workers of one; {several / single:.2f} times as many"
    )


def rate(specs: list[WorkerSpec], images: int, preset: str, seeds: "itertools.count[int]") -> float:
    """Pictures an hour while all of a crew are at work."""
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        configs_ = [
            configs.resolve({"prompts": ["a red apple"], "seed": next(seeds)}, preset) for _ in range(images)
        ]
        jobs = [Job(config, Path(folder) / str(config.seed)) for config in configs_]
        for event in processes(specs)(jobs, StopToken()):
            if isinstance(event.event, Failed):
                raise SystemExit(event.event.cause)
            if isinstance(event.event, Finished):
                seconds.append(event.event.result.seconds)
    return len(specs) * 3600 / statistics.mean(seconds)


if __name__ == "__main__":
    main()
