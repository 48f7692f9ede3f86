"""Check vqclip on a GPU: does it run, is it right, is it fast? scripts/gpu_check

One table of targets and values, in eight minutes, without a network. It needs torch, torchvision, timm, open_clip,
safetensors, huggingface_hub, einops, numpy, pillow, yaml, filelock, requests, typer and rich. Where they are there,
kornia changes the plain loop's crops, and transformers and MiniLM's package read the prompts for R@1.

Each part is tried on its own. Parts that the time no longer suffices for say so. With --smoke all is small, for a CPU.
"""

import argparse
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import device_checks as checks
from benchmarks.cases import CASES, SMOKE, Case
from benchmarks.device_checks import Row
from benchmarks.device_steps import SMALL, WHOLE, Measured, Pace, measure_plain, measure_vqclip, profile
from vqclip.base import determinism
from vqclip.base import device as devices
from vqclip.models import kernels

MIB = 2**20
# Milliseconds of a step on an H200, and the share of the plain loop's memory.
TARGETS = {"real-256": 13.0, "real-512": 22.0, "mini-256": 6.0}
MEMORY = 0.5


@dataclass
class Check:
    """What is checked where, until when."""

    device: torch.device
    smoke: bool
    folder: Path
    out: Path
    until: float
    rows: list[Row] = field(default_factory=list)

    @property
    def pace(self) -> Pace:
        return SMALL if self.smoke else WHOLE

    @property
    def counts(self) -> bool:
        """Whether targets hold here: they are a GPU's, at full size."""
        return devices.strengths(self.device).graphs and not self.smoke

    def cases(self) -> list[Case]:
        return [SMOKE] if self.smoke else [case for case in CASES if case.name in TARGETS]

    def run(self, name: str, part: Callable[[], Iterator[Row]]) -> None:
        """Add a part's rows, whatever becomes of it."""
        if time.monotonic() > self.until:
            self.add(Row(name, "", "", "not run"))
            return
        try:
            for row in part():
                self.add(row)
        except Exception as error:  # the parts after it may still hold
            traceback.print_exc()
            line = str(error).strip().partition("\n")[0][:120]
            self.add(Row(name, "", f"{type(error).__name__}: {line}", "fail"))

    def add(self, row: Row) -> None:
        """Keep and print a row, and write all there are: a check that is cut off leaves what it found."""
        self.rows.append(row)
        print(f"{row.name}: {row.value} ({row.target or 'no target'}) {row.verdict}", flush=True)
        told = json.dumps([asdict(row) for row in self.rows], indent=2, ensure_ascii=False)
        (self.out / "gpu_check.json").write_text(told + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part begins later")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu_check"), help="table, pictures, sheet")
    parser.add_argument("--smoke", action="store_true", help="small sizes, few steps: to see that all works")
    given = parser.parse_args(arguments)
    until = time.monotonic() + 60 * given.minutes
    device = devices.pick(given.device)
    determinism.enter(device)
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vqclip-gpu-check-") as folder:
        check = Check(device, given.smoke, Path(folder), given.out, until)
        for name, part in parts(check):
            check.run(name, part)
    Console(width=110).print(table(check))
    return int(any(row.verdict == "fail" for row in check.rows))


def parts(check: Check) -> list[tuple[str, Callable[[], Iterator[Row]]]]:
    """What is checked, in order: the quick and the most important first."""
    painting = checks.Painting(check.device, check.smoke, check.folder, check.out, check.until)
    return [
        ("same pixels twice", painting.repeated),
        ("graph and ordinary steps", painting.replayed),
        ("killed and resumed", painting.resumed),
        *((case.name, lambda case=case: speed(check, case)) for case in check.cases()),
        ("profile", lambda: launches(check, check.cases()[0])),
        ("prompts", painting.prompts),
    ]


def speed(check: Check, case: Case) -> Iterator[Row]:
    """A step's time and memory, and the plain loop's."""
    from benchmarks.models import prepared  # noqa: PLC0415  # draws gigabytes of weights

    named, _ = prepared(case, check.folder)
    ours = measure_vqclip(named, check.pace, check.device)
    target = TARGETS.get(case.name, float("inf"))
    shown = f"≤ {target:g} ms" if case.name in TARGETS else ""
    yield Row(f"{case.name} step", shown, ms(ours), verdict(check, 1000 * ours.seconds <= target))
    yield with_triton(check, named, ours)
    plain = measure_plain(named, check.pace, check.device)
    yield Row(f"{case.name} step, plain loop", "", f"{ms(plain)}, × {plain.seconds / ours.seconds:.1f}", "–")
    if ours.memory and plain.memory:
        share = ours.memory / plain.memory
        value = f"{ours.memory / MIB:.0f} of {plain.memory / MIB:.0f} MiB, × {share:.2f}"
        yield Row(f"{case.name} memory", f"≤ × {MEMORY:g}", value, verdict(check, share <= MEMORY))
    else:
        yield Row(f"{case.name} memory", f"≤ × {MEMORY:g}", "this device doesn't tell", "–")


def with_triton(check: Check, case: Case, ours: Measured) -> Row:
    """The step's time with Triton's kernels, which VQCLIP_TRITON=1 asks for; a ratio below 1 speaks for them."""
    name = f"{case.name} step, VQCLIP_TRITON=1"
    os.environ["VQCLIP_TRITON"] = "1"
    try:
        if not devices.strengths(check.device).triton:
            return Row(name, "", "a GPU's alone", "–")
        if kernels.with_triton(check.device) is None:
            return Row(name, "", "they fail or don't agree here; the line above says why", "fail")
        found = measure_vqclip(case, check.pace, check.device)
        return Row(name, "", f"{ms(found)}, × {found.seconds / ours.seconds:.2f}", "–")
    finally:
        del os.environ["VQCLIP_TRITON"]


def launches(check: Check, case: Case) -> Iterator[Row]:
    """What a step asks of the GPU."""
    from benchmarks.models import prepared  # noqa: PLC0415

    if not devices.strengths(check.device).graphs:
        yield Row("launches a step", "", "a GPU's alone", "–")
        return
    found = profile(prepared(case, check.folder)[0], check.pace, check.device)
    yield Row(f"{case.name} launches a step", "", f"{found.launches:.1f}, {found.kernels:.0f} kernels", "–")
    yield Row(f"{case.name} kernel time of wall time", "", f"{found.busy:.0%}", "–")


def ms(found: Measured) -> str:
    return f"{1000 * found.seconds:.2f} ms"


def verdict(check: Check, holds: bool) -> str:
    return ("pass" if holds else "fail") if check.counts else "–"


def table(check: Check) -> Table:
    shown = Table(
        "",
        "target",
        "value",
        "",
        title=f"vqclip on {devices.describe(check.device)}, torch {torch.__version__}",
    )
    for row in check.rows:
        shown.add_row(row.name, row.target, row.value, row.verdict)
    return shown


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    raise SystemExit(main())
