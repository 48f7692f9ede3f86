"""Make a saved image again from its metadata, and compare the two."""

from contextlib import closing
from pathlib import Path
from typing import Any

from vqclip.base import device as devices
from vqclip.base import runtime
from vqclip.base.errors import ImageError, UsageError
from vqclip.base.stop import StopToken
from vqclip.config import resolve as configs
from vqclip.config.diff import changes
from vqclip.config.schema import Config
from vqclip.jobs.worker import BATCH_SEEDS, Worker
from vqclip.media.image import from_pil, load_image, read_metadata
from vqclip.pipeline.events import Compared, Differs, Events, Finished, Result
from vqclip.runs.folder_layout import IMAGE
from vqclip.runs.frame_store import FrameStore

LARGEST_BATCH = 64  # images in one batch


VIDEOS = (".mp4", ".gif", ".mov", ".webm", ".mkv", ".avi", ".m4v")


def saved_metadata(image: Path) -> dict[str, Any]:
    """Read the metadata of an image that vqclip saved. Raises ImageError, which says what a folder or film needs."""
    if image.is_dir():
        found = next(
            (image / name for name in (IMAGE, "frames/000000.png") if (image / name).is_file()), None
        )
        advice = f"; type: vqclip reproduce {found}" if found else ""
        raise ImageError(f"{image} is a folder, and an image that vqclip saved is needed{advice}")
    try:
        return read_metadata(image)
    except ImageError:
        if not image.is_file() or image.suffix.lower() not in VIDEOS:
            raise
    frames = FrameStore(image.parent).images
    frame = frames[0] if frames else "RUN/frames/000000.png, where RUN is the film's run folder"
    raise ImageError(
        f"{image} is a video, and reproduce takes an image; any frame makes the whole film again; "
        f"type: vqclip reproduce {frame}"
    )


def carried_config(image: Path, metadata: dict[str, Any]) -> Config:
    """Read the Config from a saved image's metadata; raises ImageError."""
    try:
        return configs.from_dict(metadata.get("config") or {})
    except UsageError as error:
        raise ImageError(f"{image} carries a config that this version can't render: {error}") from None


def reproduce(
    worker: Worker,
    image: Path,
    config: Config,
    metadata: dict[str, Any],
    runs: Path | None,
    stop: StopToken | None,
) -> Events:
    """Make a saved image again; yields Differs for what changed since, the image's events, and Compared."""
    threads = _threads(worker, metadata)
    with runtime.threads(threads):
        now = worker.provenance(config)
    for key, then, today in changes({key: metadata.get(key) for key in now}, now):
        yield Differs(key, then, today)
    with closing(worker.again(config, _batch_seeds(metadata, config), runs, threads, stop)) as events:
        for event in events:
            yield event
            if isinstance(event, Finished):
                yield _compared(image, event.result, metadata)


def _threads(worker: Worker, metadata: dict[str, Any]) -> int:
    """Give the number of threads that made an image on the CPU, as another number may round differently."""
    threads = metadata.get("threads")
    if isinstance(threads, int) and threads > 0 and devices.threads(worker.device):
        return threads
    return worker.threads


def _batch_seeds(metadata: dict[str, Any], config: Config) -> list[int]:
    """Read the seeds of an image's batch from its metadata; give none if they aren't there."""
    seeds = metadata.get(BATCH_SEEDS)
    if config.is_film or not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        return []
    is_one = config.seed in seeds and len(set(seeds)) == len(seeds) <= LARGEST_BATCH
    return seeds if is_one else []


def _compared(image: Path, made: Result, metadata: dict[str, Any]) -> Compared:
    """Compare a saved still, or frame of a film, with the same image of a new run."""
    again = from_pil(made.image)
    if "frame" in metadata and made.folder:
        again = load_image(FrameStore(made.folder).images[int(metadata["frame"])])
    off = (load_image(image) - again).abs()
    return Compared(made, float((off.amax(1) > 0).float().mean()), float(off.max()))
