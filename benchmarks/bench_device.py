"""The same table for a GPU: one process, medians of ten steps' means, the device's own memory, and what it is asked."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.cases import Case
from benchmarks.models import prepared
from benchmarks.on_device.steps import SMALL, WHOLE, Pace, measure_plain, measure_vqclip, profile
from vqclip.base import determinism
from vqclip.base import device as devices
from vqclip.base.errors import OutOfMemory

COLUMNS = ("case", "", "ms a step", "peak GiB", "launches", "kernels", "kernels of wall time")


def measure(cases: Sequence[Case], name: str, folder: Path, smoke: bool) -> dict[str, dict[str, Any]]:
    """Figures by case and loop; `over` where memory didn't suffice."""
    device, pace = devices.pick(name), SMALL if smoke else WHOLE
    determinism.enter(device)
    told = {}
    for case in cases:
        named, _ = prepared(case, folder)
        told[case.name] = {
            "vqclip": _figures(measure_vqclip, named, pace, device)
            | (_profiled(named, pace, device) if devices.strengths(device).graphs else {}),
            "plain": _figures(measure_plain, named, pace, device),
        }
    return told


def _figures(measured: Any, case: Case, pace: Pace, device: torch.device) -> dict[str, Any]:
    try:
        return asdict(measured(case, pace, device))
    except (OutOfMemory, torch.OutOfMemoryError):
        return {"over": True}


def _profiled(case: Case, pace: Pace, device: torch.device) -> dict[str, Any]:
    try:
        return asdict(profile(case, pace, device))
    except (OutOfMemory, torch.OutOfMemoryError):
        return {}


def table(told: dict[str, dict[str, Any]]) -> Table:
    """Three rows a case: vqclip, the plain loop, and how they compare."""
    shown = Table(*COLUMNS)
    for column in shown.columns[2:]:
        column.justify = "right"
    for case, loops in told.items():
        for name, found in loops.items():
            shown.add_row(case if name == "vqclip" else "", name, *cells(found))
        shown.add_row("", "ratio", ratio(loops, "seconds"), ratio(loops, "memory"), end_section=True)
    return shown


def ratio(loops: dict[str, Any], key: str) -> str:
    ours, plain = (loop.get(key) for loop in loops.values())
    return f"× {ours / plain:.2f}" if ours and plain else ""


def cells(found: dict[str, Any]) -> list[str]:
    """One loop's figures; what wasn't measured is left empty."""
    if "over" in found:
        return ["", "over"]
    forms = (
        ("seconds", 1e-3, "{:.2f}"), ("memory", 2**30, "{:.2f}"), ("launches", 1, "{:.1f}"),
        ("kernels", 1, "{:.0f}"), ("busy", 1, "{:.0%}"),
    )  # fmt: skip
    return [form.format(found[key] / unit) if found.get(key) else "" for key, unit, form in forms]
