"""List run folders with what is in each, and delete them."""

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vqclip.base import lock
from vqclip.base.errors import RunError, VqclipError, cause
from vqclip.config.schema import Config
from vqclip.runs.folder_layout import CONFIG, SNAPSHOT, STEPS, is_run
from vqclip.runs.record import read_record
from vqclip.weights.safetensors_header import read_metadata

DEEPEST = 3  # folders below the one that is listed: a batch's runs lie in its folder jobs/
# All that vqclip writes into a run folder, unfinished files too; a file of any other name is the user's, and stays.
_NAMES = (
    r"config\.yaml|provenance\.json|steps\.jsonl|film\.mp4|image\.(?:png|svg)|painting\.json|output\.json|video\.json"
    r"|progress\.(?:mjpeg|mp4|gif|webp)|snapshot(?:\.previous)?\.safetensors"
)
_FILES = re.compile(rf"lock|(?:{_NAMES})|\.(?:{_NAMES})\.[a-z0-9_]{{8}}")
_FOLDERS = {
    "frames": re.compile(r"\d{6,}\.png|\.\d{6,}\.png\.[a-z0-9_]{8}"),
    "latents": re.compile(r"\d{6,}\.safetensors|\.\d{6,}\.safetensors\.[a-z0-9_]{8}"),
    "steps": re.compile(r"(?:\d{6,}-)?\d{6,}\.png|\.(?:\d{6,}-)?\d{6,}\.png\.[a-z0-9_]{8}"),
}


@dataclass(frozen=True)
class Listed:
    """Describe a run folder: its `state` is finished, stopped, in use or damaged; `bytes` is its size on the disk.

    `steps` is None while a film has as many frames as a video, which isn't opened.
    """

    folder: Path
    prompt: str
    state: str
    step: int
    steps: int | None
    date: datetime
    bytes: int


def runs_in(folder: Path) -> Iterator[Listed]:
    """Describe the runs in a folder and in the batches there, without following links; raises RunError."""
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}; name the one that has the runs")
    yield from map(describe, [folder] if _is_own(folder) else _find(folder, DEEPEST))


def _find(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as error:
        raise RunError(f"{folder} can't be read: {cause(error)}") from None
    for path in inner:
        if _is_own(path):
            yield path
        elif depth > 1:
            yield from _find(path, depth - 1)


def _is_own(folder: Path) -> bool:
    return not folder.is_symlink() and is_run(folder)


def describe(folder: Path) -> Listed:
    """Describe a run folder."""
    config, record = _config(folder), read_record(folder)
    steps = _steps(config) if config else 0
    step = int(record.get("steps", steps or 0)) if record else _last_step(folder, config)
    if record and steps is None:
        steps = step
    if lock.is_held(folder):
        state = "in use"
    elif config is None:
        state = "damaged"
    else:
        state = "finished" if record else "stopped"
    prompt = " | ".join(config.prompts) if config else ""
    date = datetime.fromtimestamp((folder / CONFIG).stat().st_mtime)
    return Listed(
        folder, prompt, state, step, steps, date, sum(path.lstat().st_size for path in _ours(folder))
    )


def remove(folder: Path) -> int:
    """Delete what vqclip wrote into a run folder, and the folder if nothing else is in it; give the bytes set free.

    Raises RunError if it is no run folder, a link, or in use.
    """
    check_removable(folder)
    with lock.held(folder):
        paths = [path for path in _ours(folder) if path.name != lock.LOCK]
        freed = sum(path.lstat().st_size for path in paths)
        # The config goes last: without it the folder would be no run folder, and what is left couldn't be removed.
        for path in sorted(paths, key=lambda path: path == folder / CONFIG):
            path.unlink(missing_ok=True)
    for path in (*(folder / name for name in _FOLDERS), folder):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
    return freed


def check_removable(folder: Path) -> None:
    """Raise RunError if a folder is a link, no run folder, or in use."""
    if folder.is_symlink():
        raise RunError(f"{folder} is a link; name the run folder itself: {os.path.realpath(folder)}")
    if not _is_own(folder):
        raise RunError(f"{folder} is no run folder, and stays; `vqclip runs` lists those that are")
    if lock.is_held(folder):
        raise RunError(f"{folder} is in use; wait for its end, or stop it")


def _ours(folder: Path) -> Iterator[Path]:
    """List the files of a run folder that vqclip writes; what lies behind a link to a folder is not among them."""
    for path in sorted(folder.iterdir()):
        if _FILES.fullmatch(path.name) and not stat.S_ISDIR(path.lstat().st_mode):
            yield path
        elif path.name in _FOLDERS and path.is_dir() and not path.is_symlink():
            yield from (inner for inner in sorted(path.iterdir())
                        if _FOLDERS[path.name].fullmatch(inner.name) and not inner.is_dir())  # fmt: skip


def _config(folder: Path) -> Config | None:
    from vqclip.runs.run import read_config  # noqa: PLC0415

    try:
        return read_config(folder)
    except VqclipError:
        return None


def _steps(config: Config) -> int | None:
    from vqclip.config.timeline import Film  # noqa: PLC0415

    if config.source.video and not config.film.frames:
        return None
    try:
        return Film(config).steps if config.is_film else config.steps
    except VqclipError:
        return 0


def _last_step(folder: Path, config: Config | None) -> int:
    """Read the last step, counted over all frames, of the step log and of the snapshot, which is written more often."""
    last = 0
    for read in (_logged, _kept):
        try:
            place = read(folder)
            before = (
                config.steps + (place["frame"] - 1) * config.film.steps if config and place["frame"] else 0
            )
            last = max(last, int(before + place["step"]))
        except (OSError, VqclipError, ValueError, KeyError, TypeError, IndexError):
            continue
    return last


def _logged(folder: Path) -> dict[str, Any]:
    lines = (folder / STEPS).read_text(encoding="utf-8", errors="replace").splitlines()
    return dict(json.loads(lines[-1]))


def _kept(folder: Path) -> dict[str, Any]:
    return dict(json.loads(read_metadata(folder / SNAPSHOT)["state"]))
