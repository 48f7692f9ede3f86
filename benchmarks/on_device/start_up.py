"""How long a command takes to its first steps on a device, beside what no program of its kind can do without."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.cases import CASES, PROMPT, SMOKE
from benchmarks.on_device.pixels import ROOT
from benchmarks.on_device.table import Check, Row
from vqclip.config import resolve as configs

RATIO = 1.5
ROUNDS = 2  # of which the quicker ones count: the first may find files that nobody has read
STEPS = 10


def start_up(check: Check) -> Iterator[Row]:
    """From a command to the end of the step that is captured as a graph, models as real ones included."""
    from benchmarks.models import prepared  # noqa: PLC0415

    case = SMOKE if check.smoke else next(case for case in CASES if case.name == "real-256")
    named, files = prepared(case, check.folder)
    path, device = check.folder / "start.yaml", str(check.device)
    path.write_text(configs.dump(configs.resolve(named.settings() | {"steps": STEPS})), encoding="utf-8")
    words = [
        "generate",
        PROMPT,
        "-q",
        "-c",
        str(path),
        "--device",
        device,
        "--runs",
        str(check.folder / "runs"),
    ]
    rounds = range(1 if check.smoke else ROUNDS)
    least = min((answer(check, "least", device, *map(str, files)) for _ in rounds), key=_seconds)
    ours = min((answer(check, "start", device, *words) for _ in rounds), key=_seconds)
    share = _seconds(ours) / _seconds(least)
    parts = ", ".join(f"{name} {least[name]:.1f}" for name in ("imports", "context", "reading"))
    yield Row("torch, open_clip, a context, the weights' files", "", f"{_seconds(least):.1f} s: {parts}", "–")
    value = f"{_seconds(ours):.1f} s, × {share:.2f}"
    yield Row("start-up, a step's capture included", f"≤ × {RATIO:g}", value, check.verdict(share <= RATIO))


def answer(check: Check, task: str, *words: str, given: Any = None, **environment: str) -> dict[str, Any]:
    """What a task of `benchmarks.on_device.child` prints, and the `seconds` from its process' start, if it says none.

    Raises RuntimeError where the process fails, and TimeoutExpired when the check's time is over.
    """
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.on_device.child", task, *words], cwd=ROOT, check=False,
        env=os.environ | environment, input=json.dumps(given), stdout=subprocess.PIPE, text=True,
        timeout=check.patience,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{task} ended with {done.returncode}; it has said why above")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": told.get("clock", began) - began} | told


def _seconds(told: dict[str, Any]) -> float:
    return float(told["seconds"])
