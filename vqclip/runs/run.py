"""Manage a run folder, which holds everything that was made from one Config."""

import contextlib
import io
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from torch import device as Device

from vqclip.base import lock
from vqclip.base.errors import RunError, UsageError, cause, visible
from vqclip.base.files import LONGEST_NAME, is_writable, sweep, write_text
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.guidance.state import MakeOptimizer, State
from vqclip.media.image import save_png
from vqclip.runs import snapshot
from vqclip.runs.folder_layout import (
    CONFIG,
    DRAWING,
    IMAGE,
    PREVIOUS,
    PROVENANCE,
    RECORD,
    STEPS,
    STILLS,
    VIDEO,
)
from vqclip.runs.frame_store import FrameStore
from vqclip.runs.job import slug
from vqclip.runs.record import read_record

log = logging.getLogger(__name__)


def folder_name(config: Config) -> str:
    """Name a run folder <time>-<slug>-<digest>: it sorts by time, and names prompt and Config."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(config)}-{config.digest}"


class Run:
    """Read and write one run folder; raises RunError if it can't be written."""

    def __init__(self, folder: Path, config: Config, metadata: dict[str, Any], base: Path = Path()):
        """`base` is where the Config's relative paths begin."""
        self.folder, self.config, self.metadata, self.base = folder, config, metadata, base
        self.frames = FrameStore(folder)
        self._held = False

    @classmethod
    def create(cls, parent: Path, config: Config, metadata: dict[str, Any], base: Path = Path()) -> "Run":
        """Make a new folder under `parent`, with the Config and its provenance in it."""
        with writing(parent, "name another folder with --runs"):
            parent.mkdir(parents=True, exist_ok=True)
            run = cls(_new_folder(parent, folder_name(config)), config, metadata, base)
            run.describe()
        return run

    @classmethod
    def open(cls, folder: Path, config: Config, metadata: dict[str, Any], base: Path = Path()) -> "Run":
        """Open a Config's folder, or make it; raises RunError if it is another Config's."""
        with writing(folder, "name another folder with --runs"):
            folder.mkdir(parents=True, exist_ok=True)
        run = cls(folder, config, metadata, base)
        if not (folder / CONFIG).is_file():
            run.describe()
        elif (there := read_config(folder)).digest != config.digest:
            raise RunError(
                f"{folder} is the run of another config ({there.digest}, not {config.digest}); name another folder"
            )
        return run

    @contextlib.contextmanager
    def held(self, patience: float = 0.0) -> Iterator[None]:
        """Lock the folder against other processes; may be nested. Raises RunError, which names the holder."""
        if self._held:
            yield
            return
        with lock.held(self.folder, patience):
            self._held = True
            try:
                self._tidy()
                yield
            finally:
                self._held = False

    def describe(self) -> None:
        """Write the Config, the provenance, and the folder where relative paths begin."""
        with self._writing():
            write_text(
                self.folder / PROVENANCE,
                json.dumps(self.metadata | {"folder": os.path.abspath(self.base)}, indent=2) + "\n",
            )
            write_text(self.folder / CONFIG, configs.dump(self.config))

    @property
    def threads(self) -> int | None:
        """Read how many threads the run was begun with, if that is recorded."""
        threads = read_provenance(self.folder).get("threads")
        return threads if isinstance(threads, int) and threads > 0 else None

    @property
    def image(self) -> Path:
        return self.folder / IMAGE

    @property
    def video(self) -> Path:
        return self.folder / VIDEO

    def log(self, frame: int, step: int, losses: dict[str, float]) -> None:
        """Append a line to the step log."""
        rounded = {name: round(loss, 6) for name, loss in losses.items()}
        line = visible(json.dumps({"frame": frame, "step": step, "losses": rounded}, ensure_ascii=False))
        with self._writing(), (self.folder / STEPS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def save_image(self, image: Image.Image) -> Path:
        """Save the newest image, with its Config and provenance inside."""
        save_png(image, self.image, image_metadata(self.config, self.metadata))
        return self.image

    @property
    def drawing(self) -> Path:
        """Give the path of the image as vectors, which only some drawers write."""
        return self.folder / DRAWING

    def save_drawing(self, svg: str) -> None:
        """Save the image as vectors, beside it."""
        with self._writing():
            write_text(self.drawing, svg)

    def save_still(self, frame: int, step: int, image: Image.Image) -> Path:
        """Save the image after a step, which `save_every` asks for, beside the newest image."""
        film = f"{frame:06d}-" if self.config.is_film else ""
        path = self.folder / STILLS / f"{film}{step:06d}.png"
        with self._writing():
            path.parent.mkdir(exist_ok=True)
        save_png(image, path, image_metadata(self.config, self.metadata) | {"frame": frame, "step": step})
        return path

    def keep(self, frame: int, z: Tensor) -> None:
        """Save the latent z of a film's rendered frame."""
        with self._writing():
            self.frames.keep(frame, z)

    def save_frame(self, number: int, image: Image.Image) -> Path:
        """Save an output image of a film; it also becomes the newest image."""
        metadata = image_metadata(self.config, self.metadata)
        with self._writing():
            path = self.frames.save(number, image, metadata | {"frame": number})
        save_png(image, self.image, metadata)
        return path

    def snapshot(self, state: State) -> None:
        """Save the State, and keep the snapshot before it."""
        with self._writing():
            snapshot.write(self.folder, state, self.config.digest)

    def restore(self, make_optimizer: MakeOptimizer, device: Device) -> State | None:
        """Read the State to go on from, or None to begin, and cut the step log to it.

        Raises RunError if the snapshots are damaged or another Config's.
        """
        state = snapshot.read(self.folder, self.config.digest, make_optimizer, device)
        with self._writing():
            self._trim_log((state.frame, state.step) if state else (0, 0))
        return state

    def finish(self, record: dict[str, Any], state: State | None = None) -> None:
        """Write the record, which marks the run as finished, and keep one snapshot, of `state`, to add steps later."""
        with self._writing():
            write_text(self.folder / RECORD, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
            if state is None:
                return snapshot.forget(self.folder)
        try:
            snapshot.write(self.folder, state, self.config.digest)
            snapshot.forget(self.folder, [PREVIOUS])
        except OSError as error:
            log.warning(
                "no steps can be added to this run later: its snapshot can't be written: %s", cause(error)
            )

    def record(self) -> dict[str, Any] | None:
        """Read what `finish` wrote, or give None if the run isn't finished."""
        return read_record(self.folder)

    def _tidy(self) -> None:
        """Delete temporary files and snapshots that a killed process left."""
        with self._writing():
            sweep(self.folder)
            self.frames.tidy()
            if self.record():
                snapshot.forget(self.folder, [PREVIOUS])

    def _trim_log(self, position: tuple[int, int]) -> None:
        """Keep the lines up to a frame's step: later ones will be written again, and the last may be incomplete."""
        path = self.folder / STEPS
        if path.is_file():
            lines = io.StringIO(
                path.read_text(encoding="utf-8", errors="replace")
            )  # a line ends at a newline alone
            write_text(path, "".join(line for line in lines if _is_up_to(position, line)))

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return writing(self.folder, f"make it writable, then: vqclip resume {self.folder}")


def read_config(folder: Path) -> Config:
    """Read the Config of a run folder; raises RunError."""
    path = folder / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is no run folder: it has no {CONFIG}")
    try:
        return configs.from_dict(configs.read_yaml(path))
    except UsageError as error:
        raise RunError(f"{path} is unusable: {error}") from None


def read_provenance(folder: Path) -> dict[str, Any]:
    """Read a run folder's provenance; give an empty dict if it can't be read."""
    try:
        return dict(json.loads((folder / PROVENANCE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def origin(folder: Path) -> Path:
    """Give the folder where a run's relative paths begin: where it was begun if that exists, or the working folder."""
    begun: Any = read_provenance(folder).get("folder")
    is_elsewhere = isinstance(begun, str) and begun != os.getcwd() and Path(begun).is_dir()
    return Path(begun) if is_elsewhere else Path()


def check_parent(parent: Path) -> None:
    """Check, before any work, that runs can be made in a folder; raises RunError."""
    nearest = next(
        folder for folder in (parent.absolute(), *parent.absolute().parents) if os.path.exists(folder)
    )
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in parent.parts):
        raise RunError(
            f"--runs {parent}: no name may have more than {LONGEST_NAME} bytes; write a shorter one"
        )
    if not nearest.is_dir():
        raise RunError(f"--runs {parent}: {nearest} is a file; name a folder")
    if not is_writable(nearest):
        raise RunError(f"--runs {parent}: {nearest} can't be written to; name another folder")


def image_metadata(config: Config, metadata: dict[str, Any]) -> dict[str, Any]:
    """Give the metadata of a saved image, which is enough to make it again."""
    return {"config": configs.to_dict(config), **metadata}


@contextlib.contextmanager
def writing(where: Path, advice: str) -> Iterator[None]:
    """Turn an OSError into a RunError of one line about a folder."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{where} can't be written: {cause(error)}; {advice}") from None


def _is_up_to(position: tuple[int, int], line: str) -> bool:
    try:
        entry = json.loads(line)
        return line.endswith("\n") and (entry["frame"], entry["step"]) <= position
    except (ValueError, KeyError, TypeError):
        return False


def _new_folder(parent: Path, name: str) -> Path:
    """Make a folder of that name, numbered if it is taken."""
    for attempt in range(1, 10_000):
        folder = parent / (name if attempt == 1 else f"{name}-{attempt}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise RunError(f"{parent / name} is taken ten thousand times")
