"""Make a run's thumbnail, and a strip of small images that shows its progress."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from vqclip.base.files import atomic
from vqclip.gallery.entry import Entry
from vqclip.media.image import load_image, to_pil
from vqclip.media.video_reader import VideoReader
from vqclip.runs.folder_layout import VIDEO
from vqclip.runs.frame_store import FrameStore

LARGEST = 640  # pixels: the longer side of a thumbnail
FRAME = 320  # pixels: the longer side of an image in a strip
MOST_FRAMES = 24  # in a strip


def thumbnail(entry: Entry, folder: Path) -> str | None:
    """Give the name of a run's thumbnail in `folder`, and make it unless it is there and newer than the image.

    Gives None where the run has no image. Raises ImageError if the image is damaged.
    """
    if entry.image is None:
        return None
    target = folder / f"{entry.id}.webp"
    if not _is_newer(target, entry.image):
        small = to_pil(load_image(entry.image))
        small.thumbnail((LARGEST, LARGEST))
        _save(small, target)
    return target.name


def size_of(entry: Entry) -> tuple[int, int]:
    """Give width and height of a run's image, or of the image that its settings ask for."""
    if entry.image is not None:
        with Image.open(entry.image) as image:
            return image.size
    try:
        width, height = (int(side) for side in str(entry.settings.get("size")).lower().split("x"))
    except ValueError:
        return 1, 1
    return max(width, 1), max(height, 1)


def strip(entry: Entry, folder: Path) -> dict[str, Any] | None:
    """Make the strip of a run's frames in `folder`, side by side in one file, unless it is there and newer.

    Gives its name, the numbers of the frames, and what these count: the steps of a still, the frames of a film. Gives
    None where the run saved fewer than two. Raises VideoError or ImageError if a file is damaged.
    """
    is_film = entry.video is not None and entry.video.name == VIDEO
    source = FrameStore(entry.folder).images if is_film else entry.video
    if not source or entry.record is None:
        return None
    count = len(source) if isinstance(source, list) else int(entry.record.get("steps", 0)) + 1
    numbers = list(range(0, count, max(1, math.ceil(count / MOST_FRAMES))))
    if len(numbers) < 2:
        return None
    target = folder / f"{entry.id}-frames.webp"
    if not _is_newer(target, source[-1] if isinstance(source, list) else source):
        frames = list(_film_frames(source, numbers) if isinstance(source, list) else _steps(source, numbers))
        _save(_side_by_side(frames + frames[-1:] * (len(numbers) - len(frames))), target)
    return {"file": target.name, "numbers": numbers, "unit": "frame" if is_film else "step"}


def _film_frames(images: Sequence[Path], numbers: Sequence[int]) -> Iterator[Image.Image]:
    """Yield a film's chosen frames, small."""
    return (_small(to_pil(load_image(images[number]))) for number in numbers)


def _steps(video: Path, numbers: Sequence[int]) -> Iterator[Image.Image]:
    """Yield the chosen frames of a progress video, small. It has one frame for each step before it is held."""
    frames = VideoReader(video, every=numbers[1]).frames()
    return (_small(to_pil(frame)) for frame in islice(frames, len(numbers)))


def _small(image: Image.Image) -> Image.Image:
    image.thumbnail((FRAME, FRAME))
    return image


def _side_by_side(frames: Sequence[Image.Image]) -> Image.Image:
    width, height = frames[0].size
    whole = Image.new("RGB", (width * len(frames), height))
    for i, frame in enumerate(frames):
        whole.paste(frame, (i * width, 0))
    return whole


def _save(image: Image.Image, target: Path) -> None:
    with atomic(target) as file:
        image.save(file, format="WEBP", quality=84, method=3)


def _is_newer(target: Path, source: Path) -> bool:
    return target.is_file() and target.stat().st_mtime >= source.stat().st_mtime
