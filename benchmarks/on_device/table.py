"""The table of a device's check: its rows, its parts, and what is left of its time."""

import json
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from rich.table import Table

from benchmarks.cases import CASES, SMOKE, Case
from benchmarks.on_device.steps import SMALL, WHOLE, Measured, Pace
from vqclip.base import device as devices
from vqclip.pipeline.model_cache import ModelCache

# Milliseconds of a step on an H200.
TARGETS = {"real-256": 13.0, "real-512": 22.0, "mini-256": 6.0}


@dataclass(frozen=True)
class Row:
    """One line of the table; `verdict` is pass, fail, not run, or – where there is nothing to judge."""

    name: str
    target: str
    value: str
    verdict: str


class Part(NamedTuple):
    """Some rows that are found together, and how many seconds must be left for it to begin."""

    name: str
    rows: Callable[[], Iterator[Row]]
    seconds: float = 0.0


@dataclass
class Check:
    """What is checked where, until when."""

    device: torch.device
    smoke: bool
    folder: Path
    out: Path
    until: float
    rows: list[Row] = field(default_factory=list)
    measured: dict[str, Measured] = field(default_factory=dict)  # steps by case

    @cached_property
    def models(self) -> ModelCache:
        """Networks that are loaded once: they are frozen, and all that a painting changes is its Pipeline's."""
        return ModelCache(self.device)

    @property
    def pace(self) -> Pace:
        return SMALL if self.smoke else WHOLE

    @property
    def has_graphs(self) -> bool:
        return devices.strengths(self.device).graphs

    @property
    def counts(self) -> bool:
        """Whether targets hold here: they are a GPU's, at full size."""
        return self.has_graphs and not self.smoke

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.until - time.monotonic()

    @property
    def patience(self) -> float:
        """Seconds after which a process of the check is ended."""
        return max(1.0, self.left)

    def cases(self) -> list[Case]:
        return [SMOKE] if self.smoke else [case for case in CASES if case.name in TARGETS]

    def verdict(self, holds: bool) -> str:
        """The verdict on a target that is a GPU's alone."""
        return ("pass" if holds else "fail") if self.counts else "–"

    def run(self, part: Part) -> None:
        """Add a part's rows, whatever becomes of it."""
        if self.left < part.seconds:
            self.add(Row(part.name, "", "too little time was left", "not run"))
            return
        try:
            for row in part.rows():
                self.add(row)
        except subprocess.TimeoutExpired:
            self.add(Row(part.name, "", "the time was over before it ended", "not run"))
        except Exception as error:  # the parts after it may still hold
            traceback.print_exc()
            line = str(error).strip().partition("\n")[0][:120]
            self.add(Row(part.name, "", f"{type(error).__name__}: {line}", "fail"))

    def add(self, row: Row) -> None:
        """Keep and print a row, and write all there are: a check that is cut off leaves what it found."""
        self.rows.append(row)
        print(f"{row.name}: {row.value} ({row.target or 'no target'}) {row.verdict}", flush=True)
        told = json.dumps([asdict(row) for row in self.rows], indent=2, ensure_ascii=False)
        (self.out / "gpu_check.json").write_text(told + "\n", encoding="utf-8")

    def table(self) -> Table:
        title = f"vqclip on {devices.describe(self.device)}, torch {torch.__version__}"
        shown = Table("", "target", "value", "", title=title)
        for row in self.rows:
            shown.add_row(row.name, row.target, row.value, row.verdict)
        return shown
