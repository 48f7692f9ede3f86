"""Kill paintings at random moments and see that nothing is lost: .venv/bin/python tests/stress/soak.py [--kills 100]

Every painting is killed (SIGKILL) several times, half of the times at a moment, half of the times at a random call
that writes, renames or deletes a file, and resumed after each. In the end its picture and its step log must equal, byte
for byte, those of an undisturbed painting, and nothing else may lie in its folder.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from vqclip.cli.app import main as vqclip
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.pipeline import render
from vqclip.runs.provenance import provenance
from vqclip.runs.run import Run

CALLS = ("fsync", "replace", "unlink", "chmod")  # of a painting's files
KILLS_A_RUN = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("-c", "--config", type=Path, help="what is painted")
    options = parser.parse_args()
    torch.set_num_threads(1)
    render.SNAPSHOT_EVERY = 0.0
    small = {} if options.config else {"prompts": ["a red apple"], "size": "48x48", "steps": 14}
    config = configs.resolve(small | {"seed": 1}, file=options.config)
    with tempfile.TemporaryDirectory() as folder:
        deaths = soak(config, Path(folder), options.kills, random.Random(options.seed))
    print(", ".join(f"{count} x {how}" for how, count in sorted(deaths.items())))


def soak(config: Config, parent: Path, kills: int, chance: random.Random) -> Counter[str]:
    """How the paintings died; exits at the first that doesn't end as the undisturbed one."""
    began = time.monotonic()
    whole = begin(parent, config)
    expect(attempt(whole), "finished", whole)
    seconds, deaths = time.monotonic() - began, Counter[str]()
    while deaths.total() < kills:
        run = begin(parent, config)
        for _ in range(min(KILLS_A_RUN, kills - deaths.total())):
            at = chance.choice(CALLS) if chance.random() < 0.5 else None
            moment = chance.randint(1, 20) if at else chance.random() * seconds
            how = attempt(run, at, moment)
            if how == "finished":
                break
            deaths[how] += 1
        if how != "finished":
            expect(attempt(run), "finished", run)
        compare(whole, run)
        print(f"{deaths.total()} kills, all as if they had never been", flush=True)
    return deaths


def begin(parent: Path, config: Config) -> Path:
    return Run.create(parent, config, provenance(config, torch.device("cpu"))).folder


def attempt(run: Path, at: str | None = None, moment: float = 0) -> str:
    """`vqclip resume` in a process of its own, killed at the nth call of a kind or after a time; how it ended."""
    child = os.fork()
    if child == 0:
        if at:
            die_at(at, int(moment))
        sys.argv = ["vqclip", "resume", str(run), "-q", "--device", "cpu"]
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            vqclip()
        except SystemExit as left:
            os._exit(left.code if isinstance(left.code, int) else 1)
    if moment and not at:
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"at {at}" if at else "at a random moment"
    return "finished" if os.WEXITSTATUS(status) == 0 else f"failed with {os.WEXITSTATUS(status)}"


def die_at(call: str, nth: int) -> None:
    """Have this process killed right before its nth call of one of the os's functions, where it comes to that."""
    real, count = getattr(os, call), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    setattr(os, call, counted)


def compare(whole: Path, run: Path) -> None:
    expect({path.name for path in run.iterdir()}, {path.name for path in whole.iterdir()}, run)
    for name in ("image.png", "steps.jsonl", "config.yaml"):
        expect((run / name).read_bytes() == (whole / name).read_bytes(), True, run / name)


def expect(found: object, outputs: object, where: Path) -> None:
    if found != outputs:
        sys.exit(f"{where}: {found}, not {outputs}")


if __name__ == "__main__":
    main()
