"""List the user's own files that a Config names. This imports no torch and opens no file."""

from collections.abc import Iterator
from typing import Any

from vqclip.config import region as regions
from vqclip.config.palette import image_files
from vqclip.config.prompt import Kind
from vqclip.config.schema import Config, in_use
from vqclip.guidance.interfaces import LossTerm


def input_files(config: Config) -> tuple[str, ...]:
    """List the files of images, embeddings and video that a Config names, each once.

    Raises ConfigError where a loss lacks the image that it compares with.
    """
    return tuple(dict.fromkeys([*input_images(config), *input_vectors(config), *_videos(config)]))


def input_images(config: Config) -> tuple[str, ...]:
    """List the files of images that a Config names, each once."""
    return tuple(dict.fromkeys(_images(config)))


def input_vectors(config: Config) -> tuple[str, ...]:
    """List the files of embeddings that prompts name, each once."""
    files = (prompt.body for prompt in config.parsed_prompts if prompt.kind is Kind.VECTOR)
    return tuple(dict.fromkeys(files))


def _images(config: Config) -> Iterator[str]:
    yield from filter(None, (config.init, config.mask.file, config.overlay.file))
    for prompt in config.parsed_prompts:
        if prompt.kind is Kind.IMAGE:
            yield prompt.body
        if prompt.region is not None and (file := regions.parse(prompt.region).file):
            yield file
    if config.palette.lock:
        yield from image_files(config.palette.colours, "palette")
    terms = in_use(config.losses).values()
    entries: list[Any] = [*config.filters, *terms]
    for entry in entries:
        yield from entry.images()
    for term in terms:
        if isinstance(term, LossTerm):
            yield from term.files(config.init)


def _videos(config: Config) -> Iterator[str]:
    if config.source.video is not None:
        yield config.source.video
