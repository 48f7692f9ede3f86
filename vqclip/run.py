"""A Run is one folder with everything that one Config made."""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vqclip import config as configs
from vqclip.errors import RunError, UsageError, reason
from vqclip.files import atomic, write_text
from vqclip.media import save_png
from vqclip.schema import Config
from vqclip.state import MakeOptimizer, State

IMAGE, CONFIG, PROVENANCE, SNAPSHOT, STEPS = (
    "image.png", "config.yaml", "provenance.json", "snapshot.safetensors", "steps.jsonl",
)  # fmt: skip


def folder_name(config: Config) -> str:
    """<time>-<slug>-<digest>: sorts by time, says the wish, names the Config."""
    words = re.findall(r"\w+", " ".join(wish.body for wish in config.wishes).lower())
    return "-".join(
        [time.strftime("%Y%m%d-%H%M%S"), "-".join(words)[:40].strip("-") or "untitled", config.digest]
    )


class Run:
    """Writes into one folder; raises RunError where it can't."""

    def __init__(self, folder: Path, config: Config, facts: dict[str, Any]):
        self.folder, self.config, self.facts = folder, config, facts

    @classmethod
    def create(cls, parent: Path, config: Config, facts: dict[str, Any]) -> "Run":
        """A new folder under `parent` that holds the Config and its provenance."""
        with writing(parent):
            parent.mkdir(parents=True, exist_ok=True)
            folder = _new_folder(parent, folder_name(config))
            write_text(folder / CONFIG, configs.dump(config))
            write_text(folder / PROVENANCE, json.dumps(facts, indent=2) + "\n")
        return cls(folder, config, facts)

    @property
    def image(self) -> Path:
        return self.folder / IMAGE

    def log(self, frame: int, step: int, losses: dict[str, float]) -> None:
        """Append a line to the step log."""
        rounded = {name: round(loss, 6) for name, loss in losses.items()}
        line = json.dumps({"frame": frame, "step": step, "losses": rounded}, ensure_ascii=False)
        with writing(self.folder), (self.folder / STEPS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def save_image(self, image: Image.Image) -> Path:
        """The newest picture, with its Config and provenance inside."""
        save_png(image, self.image, picture_facts(self.config, self.facts))
        return self.image

    def snapshot(self, state: State) -> None:
        """Save the State in place of the one before."""
        tensors, strings = state.to_tensors()
        content = save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            metadata=strings | {"digest": self.config.digest},
        )
        with writing(self.folder), atomic(self.folder / SNAPSHOT) as file:
            file.write(content)

    def restore(self, make_optimizer: MakeOptimizer, device: Any) -> State | None:
        """The State of the last snapshot, or None if there is none; raises RunError if it isn't this Config's."""
        path = self.folder / SNAPSHOT
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                strings = file.metadata() or {}
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if strings.get("digest") != self.config.digest:
                raise RunError(f"{path} belongs to another config; delete it to begin this run again")
            moved = {name: t.to(device) if t.ndim else t for name, t in tensors.items()}
            return State.from_tensors(moved, strings, make_optimizer)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}); delete it to begin this run again") from None

    def forget_snapshot(self) -> None:
        with writing(self.folder):
            (self.folder / SNAPSHOT).unlink(missing_ok=True)


def read_config(folder: Path) -> Config:
    """The Config that a run folder was made for; raises RunError."""
    path = folder / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is no run folder: it has no {CONFIG}")
    try:
        return configs.from_dict(configs.read_yaml(path))
    except UsageError as error:
        raise RunError(f"{path} is unusable: {error}") from None


def check_parent(parent: Path) -> None:
    """Refuse, before any work, a folder in which no run could be made."""
    nearest = next(folder for folder in (parent.absolute(), *parent.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise RunError(f"--runs {parent}: {nearest} is a file; name a folder")
    if not os.access(nearest, os.W_OK):
        raise RunError(f"--runs {parent}: {nearest} can't be written to; name another folder")


def picture_facts(config: Config, facts: dict[str, Any]) -> dict[str, Any]:
    """What a saved picture carries: enough to paint it again."""
    return {"config": configs.to_dict(config), **facts}


@contextlib.contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one line about a folder."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{where} can't be written: {reason(error)}; name another folder with --runs"
        ) from None


def _new_folder(parent: Path, name: str) -> Path:
    """Make a folder of that name, numbered if it is taken."""
    for attempt in range(1, 10_000):
        folder = parent / (name if attempt == 1 else f"{name}-{attempt}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise RunError(f"{parent / name} is taken ten thousand times")
