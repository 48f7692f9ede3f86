"""Rounds of measurements, each in a fresh process, all that will be compared taking turns.

This process imports no torch: Linux counts a parent's memory to a child until the child has become another program,
so a large parent would show in the memory of every child.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cases import PROMPT, Case

ROOT = Path(__file__).resolve().parents[1]  # where `python -m benchmarks.child` is found
LOOPS = ("vqclip", "plain")
PICTURE, SAVES = 150, 3  # steps of a picture, and how often the plain loop decodes it once more to save
Figures = dict[str, float]


class Bench:
    """Cases made ready in a folder."""

    def __init__(self, cases: Sequence[Case], folder: Path, say: Callable[[str], None]):
        self.folder, self.say = folder, say
        self.limit = int(0.8 * available())
        self.peaks: Figures = {}  # operations a second; the best of all rounds, as only other work lowers them
        self.cases, self.files, self.planned = [], {}, {}
        for case in cases:
            ready = self._child("prepare", case, str(folder))
            self.cases.append(Case(**ready["case"] | {"clips": tuple(ready["case"]["clips"])}))
            self.files[case.name], self.planned[case.name] = ready["files"], ready["planned"]

    def round(self, backwards: bool) -> dict[str, dict[str, Figures]]:
        """Everything once: figures by case and loop."""
        if not all(case.memory_only for case in self.cases):
            reached = self._child("peak", self.cases[0])
            self.peaks = {kind: max(self.peaks.get(kind, 0.0), reached[kind]) for kind in reached}
        return {case.name: self._measure(case, backwards) for case in self.cases}

    def summary(self, rounds: Sequence[Mapping[str, Mapping[str, Figures]]]) -> dict[str, dict[str, Figures]]:
        """Medians over rounds by case and loop, and under `ratio` those of the rounds' own ratios, vqclip to plain."""
        told: dict[str, dict[str, Figures]] = {}
        for case in rounds[0]:
            told[case] = {loop: medians([each[case][loop] for each in rounds]) for loop in LOOPS}
            for found in told[case].values():
                if found.get("flop"):  # none where only memory counts
                    found["share"] = found["flop"] / found["seconds"] / max(self.peaks.values())
            told[case]["ratio"] = medians([ratios(each[case]) for each in rounds])
        return told

    def _measure(self, case: Case, backwards: bool) -> dict[str, Figures]:
        found: dict[str, Figures] = {}
        for loop in reversed(LOOPS) if backwards else LOOPS:
            self.say(f"{case.name}: {loop}")
            found[loop] = self._child(loop, case)
            if not case.memory_only:
                found[loop]["pictures"] = pictures_an_hour(found[loop], loop)
        found["vqclip"]["planned"] = self.planned[case.name]
        if not case.memory_only:
            self.say(f"{case.name}: start")
            found["vqclip"] |= self._starting(case)
        return found

    def _starting(self, case: Case) -> Figures:
        """Seconds until help is there, until the first step begins, and of importing torch and reading the weights."""
        read = "import sys, torch\nfor file in sys.argv[1:]: open(file, 'rb').read()"
        floor = seconds_of("-c", read, *self.files[case.name])
        help_ = seconds_of("-c", "from vqclip.cli.app import main; main()", "--help")
        config, runs = str(self.folder / f"{case.name}.yaml"), str(self.folder / "runs")
        began = time.monotonic()
        words = ["generate", PROMPT, "-q", "-c", config, "--device", "cpu", "--runs", runs]
        first = self._child("start", case, *words)["clock"] - began
        return {"help": help_, "first": first, "floor": floor, "start": first / floor}

    def _child(self, task: str, case: Case, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.child", task, *words], cwd=ROOT,
            input=json.dumps(asdict(case) | {"limit": self.limit}),
            stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{case.name}: {task} failed")  # it has said why
        return json.loads(done.stdout.splitlines()[-1])


def seconds_of(*words: str) -> float:
    """How long a Python process of these arguments takes."""
    began = time.monotonic()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def pictures_an_hour(found: Figures, loop: str) -> float:
    saving = found["finish"] * (SAVES if loop == "plain" else 1)
    return 3600 / (PICTURE * found["seconds"] + saving)


@contextmanager
def bench(cases: Sequence[Case], say: Callable[[str], None]) -> Iterator[Bench]:
    """Random weights and runs lie in a folder that is deleted in the end."""
    with tempfile.TemporaryDirectory(prefix="vqclip-bench-") as folder:
        yield Bench(cases, Path(folder), say)


def medians(figures: Sequence[Figures]) -> Figures:
    return {name: statistics.median(each[name] for each in figures) for name in figures[0]}


def ratios(loops: Mapping[str, Figures]) -> Figures:
    """How often vqclip's figures contain the plain loop's: 2 seconds to 1 is 2, whatever is better."""
    ours, plain = (loops[loop] for loop in LOOPS)
    names = [name for name in ("seconds", "memory", "pictures", "flop") if plain.get(name) and ours.get(name)]
    return {name: ours[name] / plain[name] for name in names}


def available() -> int:
    """Bytes of memory that nobody uses."""
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return next(int(kib) * 1024 for name, kib, *_ in rows if name == "MemAvailable:")
