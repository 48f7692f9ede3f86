"""Read what the page shows of one run: prompt, settings, losses and files."""

import json
import math
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqclip.base.errors import RunError, UsageError, visible
from vqclip.config import resolve as configs
from vqclip.config.diff import flatten
from vqclip.gallery.find import run_id
from vqclip.pipeline.progress_video import VIDEO as PROGRESS
from vqclip.runs.folder_layout import CONFIG, IMAGE, STEPS, VIDEO
from vqclip.runs.record import read_record
from vqclip.runs.run import read_provenance

MOST_POINTS = 80  # of a curve of losses
PROGRESS_KINDS = (".mp4", ".gif", ".webp")

Curve = dict[str, list[float | None]]


@dataclass(frozen=True)
class Entry:
    """Hold what is shown of a run. `image` and `video` are None where the run has none yet."""

    folder: Path
    settings: dict[str, Any]  # dotted keys of the Config
    record: dict[str, Any] | None  # None: the run isn't finished
    provenance: dict[str, Any]
    curve: Curve  # a list for each loss, and "step" for the steps that they belong to
    image: Path | None
    video: Path | None

    @property
    def id(self) -> str:
        return run_id(self.folder)

    @property
    def prompt(self) -> str:
        return " | ".join(map(str, self.settings["prompts"]))

    @property
    def command(self) -> str:
        """Give the command that makes the image again, or goes on with it."""
        if self.record is None:
            return f"vqclip resume {shlex.quote(str(self.folder))}"
        return f"vqclip reproduce {shlex.quote(str(self.folder / IMAGE))}"

    @property
    def losses(self) -> dict[str, float]:
        """Give the last losses by name."""
        last = {name: values[-1] for name, values in self.curve.items() if name != "step"}
        return _numbers((self.record or {}).get("losses")) or _numbers(last)

    def to_dict(self) -> dict[str, Any]:
        """Give the entry as plain data for the page, without its files."""
        losses, seconds = self.losses, (self.record or {}).get("seconds")
        score = (self.record or {}).get("score")
        steps = (self.record or {}).get("steps") or next(reversed(self.curve.get("step", [])), 0)
        versions = self.provenance.get("versions")
        return {
            "id": self.id,
            "name": self.folder.name,
            "prompt": self.prompt,
            "seed": str(self.settings.get("seed")),  # a text: JavaScript's numbers end at 2**53
            "finished": self.record is not None,
            "film": self.video is not None and self.video.name == VIDEO,
            "steps": steps,
            "seconds": seconds if _is_number(seconds) else None,
            "made": _made(self.folder),
            "losses": losses,
            "loss": round(sum(losses.values()), 5) if losses else None,
            "score": score if _is_number(score) else None,  # None where nothing ranked it
            "curve": self.curve,
            "settings": {key: _plain(value) for key, value in self.settings.items() if key != "version"},
            "device": str(self.provenance.get("device") or ""),
            "version": str(versions.get("vqclip", "")) if isinstance(versions, Mapping) else "",
            "command": visible(self.command),
        }


def read_entry(folder: Path) -> Entry:
    """Read a run folder; raises RunError if its config can't be read."""
    try:
        settings = flatten(configs.upgrade(configs.read_yaml(folder / CONFIG)))
    except UsageError as error:
        raise RunError(f"{folder / CONFIG} is unusable: {error}") from None
    if not isinstance(settings.get("prompts"), list):
        raise RunError(f"{folder / CONFIG} is unusable: it has no list of prompts")
    image = folder / IMAGE
    return Entry(
        folder=folder,
        settings=settings,
        record=read_record(folder),
        provenance=read_provenance(folder),
        curve=read_curve(folder / STEPS),
        image=image if image.is_file() else None,
        video=_video(folder),
    )


def read_curve(path: Path, most: int = MOST_POINTS) -> Curve:
    """Read a step log as columns of at most `most` points; "step" counts through all frames of a film.

    A loss that a step doesn't have is None there: the scenes of a story have prompts of their own.
    """
    rows = list(_rows(path))
    if len(rows) > most:
        rows = [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]
    names = dict.fromkeys(name for _, losses in rows for name in losses)
    columns: Curve = {"step": [step for step, _ in rows]} if names else {}
    return columns | {name: [rounded(losses.get(name)) for _, losses in rows] for name in names}


def rounded(value: float | None) -> float | None:
    """Round a loss to five digits, which a curve can show."""
    return None if value is None else float(f"{value:.5g}")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the step and the losses of each whole line of a step log."""
    before, frame, step = 0, 0, 0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    frame_now, step_now = int(entry["frame"]), int(entry["step"])
                    losses = _numbers(entry["losses"])
                except (ValueError, KeyError, TypeError):
                    continue
                if frame_now != frame:
                    before, frame = before + step, frame_now
                step = step_now
                yield before + step, losses
    except OSError:
        return


def _video(folder: Path) -> Path | None:
    names = [VIDEO, *(PROGRESS + kind for kind in PROGRESS_KINDS)]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _made(folder: Path) -> str:
    """Give the time at which a run was begun, from its folder's name or from its config's date, as ISO 8601."""
    if named := re.match(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-", folder.name):
        year, month, day, hour, minute, second = named.groups()
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(os.stat(folder / CONFIG).st_mtime))


def _numbers(values: Any) -> dict[str, float]:
    """Keep the finite numbers of a mapping."""
    if not isinstance(values, Mapping):
        return {}
    return {str(name): value for name, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> Any:
    """Give a value that JSON can spell: a whole number beyond 2**53 or an infinite one becomes a text."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    is_plain = value is None or isinstance(value, str | bool | int) or _is_number(value)
    return value if is_plain else str(value)
