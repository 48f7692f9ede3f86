"""Read the images and the video that a Config names, before any model is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vqclip.base.errors import ConfigError, cause
from vqclip.config.prompt import Kind
from vqclip.config.schema import Config
from vqclip.guidance import motion
from vqclip.guidance.filtered_drawer import open_filters, open_lock
from vqclip.guidance.interfaces import Apply
from vqclip.guidance.masking import Canvas, open_canvas
from vqclip.guidance.overlay import Overlay, open_overlay
from vqclip.guidance.references import read_references
from vqclip.media.image import load_image
from vqclip.pipeline.source_video import Source, open_source
from vqclip.requirements.inputs import input_images, input_vectors


@dataclass(frozen=True)
class Inputs:
    """Hold what the user's own files give: images (1 3 h w) by file, the canvas, the overlay, filters, the video.

    `prompts` are the images that image prompts name, `references` those that losses compare with.
    """

    canvas: Canvas | None
    overlay: Overlay | None
    prompts: Mapping[str, Tensor]
    references: Mapping[str, Tensor]
    filters: Sequence[Apply]
    lock: Apply | None  # the filter of a locked palette, the last of the filters
    source: Source | None


@dataclass
class _Tools:
    """Give filters where relative paths begin."""

    base: Path


def read_inputs(config: Config, base: Path = Path()) -> Inputs:
    """Read every file that a Config names; relative paths begin at `base`.

    Raises ImageError, VideoError, and ConfigError for what a file holds or lacks.
    """
    canvas, video = open_canvas(config, base), open_source(config.source, base)
    if video and config.source.flow:
        motion.check_flow()
    for file in input_images(config):
        load_image(base / file)  # those of masks, losses and starts are read again where they are needed
    for file in input_vectors(config):
        _check_readable(base / file)
    return Inputs(
        canvas=canvas,
        overlay=open_overlay(config.overlay, base, config.width, config.height),
        prompts={
            prompt.body: load_image(base / prompt.body)
            for prompt in config.parsed_prompts
            if prompt.kind is Kind.IMAGE
        },
        references=read_references(config, base, canvas),
        filters=open_filters(config, _Tools(base)),
        lock=open_lock(config, _Tools(base)),
        source=Source(video) if video else None,
    )


def _check_readable(path: Path) -> None:
    """Refuse a file of embeddings that can't be opened; raises ConfigError."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"prompts: {path} can't be read: {cause(error)}") from None
