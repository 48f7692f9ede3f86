"""What every training needs: a clock that survives kills, atomic snapshots, averaged weights, a log."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Foreign: TypeAlias = Any  # a module of timm or open_clip, of whose members no type tells
M = TypeVar("M", bound=nn.Module)


class Clock:
    """Training time that was really spent, whatever interrupted it; schedules are functions of its progress."""

    def __init__(self, minutes: float, spent: float = 0.0):
        self.total = minutes * 60
        self._spent = spent
        self._begin = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds of training so far, those of earlier runs included."""
        return self._spent + time.monotonic() - self._begin

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the time is over."""
        return min(1.0, self.spent / self.total) if self.total > 0 else 1.0


class Every:
    """True once in so many seconds."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        if time.monotonic() - self._last < self.seconds:
            return False
        self._last = time.monotonic()
        return True


class Threads:
    """As many threads as cores that others leave free.

    Threads that wait for a descheduled one at every operation made a step of 0.6 s take 4 s beside one busy
    process; on a single core it takes 1.1 s whatever the other does.
    """

    def __init__(self, seconds: float = 3.0):
        self.most = os.cpu_count() or 1
        self._every = Every(seconds)
        self._last = self._read()

    def adapt(self) -> None:
        """Look at the load now and then, and choose."""
        if not self._every.due():
            return
        busy, own, now = self._read()
        seconds = max(1e-3, now - self._last[2])
        others = ((busy - self._last[0]) - (own - self._last[1])) / seconds
        self._last = busy, own, now
        torch.set_num_threads(max(1, self.most - round(max(0.0, others) + 0.2)))

    def _read(self) -> tuple[float, float, float]:
        """Busy seconds of all cores, of this process, and the time."""
        stat = Path("/proc/stat")
        fields = (
            [int(x) for x in stat.read_text().split("\n", 1)[0].split()[1:9]] if stat.is_file() else [0] * 8
        )
        busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
        return busy, sum(os.times()[:2]), time.monotonic()


class Average(Generic[M]):
    """Exponential moving average of a module's weights, short-sighted at first."""

    def __init__(self, module: M, decay: float = 0.998):
        self.module: M = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, module: M) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, now in zip(self.module.state_dict().values(), module.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)

    def state_dict(self) -> dict[str, Any]:
        return {"module": self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.updates = state["updates"]


def falling(progress: float, step: int, warmup: int = 100, floor: float = 0.02) -> float:
    """Factor of the learning rate: a short rise, then half a cosine down to `floor`."""
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    return cosine * min(1.0, (step + 1) / warmup)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)


def save_snapshot(state: Mapping[str, Any], path: Path) -> None:
    """Write beside the old snapshot and swap, so a kill leaves one of the two whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_snapshot(path: Path) -> dict[str, Any] | None:
    """Read a snapshot, whatever device it was written on; None if there is none."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else None


def log(path: Path, **values: Any) -> None:
    """Append a line of JSON, and show it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(
        {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
    )
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, note: dict[str, str] | None = None) -> None:
    """Write a safetensors file of tensors as they are, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, note)
    temporary.chmod(0o644)  # safetensors writes files that only their owner reads
    os.replace(temporary, path)


def export_tensors(
    tensors: Mapping[str, Tensor], path: Path, note: dict[str, str] | None = None
) -> dict[str, str]:
    """Write 16-bit weights: fp16 where all values fit (it keeps three more bits than bf16), else bf16.

    `note` goes into the file's header. Returns what was chosen and the largest relative error, for the model card.
    """
    largest = max(float(t.abs().max()) for t in tensors.values() if t.is_floating_point())
    dtype = torch.float16 if largest < 6e4 else torch.bfloat16
    small = {
        name: t.detach().to(dtype).contiguous() if t.is_floating_point() else t.contiguous()
        for name, t in tensors.items()
    }
    lost = max(
        float((small[name].float() - t).norm() / t.norm().clamp_min(1e-9))
        for name, t in tensors.items()
        if t.is_floating_point()
    )
    write_tensors(small, path, note)
    return {"dtype": str(dtype).removeprefix("torch."), "largest relative error": f"{lost:.1e}"}


def write_text(path: Path, text: str) -> None:
    """Replace a small text file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(text)
    os.replace(temporary, path)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]
