"""`vqclip show`: print the config in an image or a video."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vqclip.base.errors import ConfigError
from vqclip.cli import completion, options
from vqclip.cli.display.console import result, result_json, say


def show(
    image: Annotated[
        Path,
        typer.Argument(
            help="An image or a video that vqclip made.", metavar="FILE", autocompletion=completion.images
        ),
    ],
    as_json: options.Json = False,
    thumbnails: options.Thumbnails = None,
) -> None:
    """Print the config in the file of an image or a video."""
    import yaml  # noqa: PLC0415

    from vqclip.cli.display.terminal_images import print_image, protocol  # noqa: PLC0415

    metadata = read_upgraded(image)
    if as_json:
        return result_json(metadata)
    if image.suffix.lower() != ".mp4" and (how := protocol(thumbnails)):
        print_image(how, image)
    for topic, value in metadata.items():
        if topic != "config":
            listed = (
                ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
            )
            say(topic, listed)
    return result(yaml.safe_dump(metadata.get("config"), sort_keys=False, allow_unicode=True).rstrip())


def read_upgraded(path: Path) -> dict[str, Any]:
    """Read the metadata of an image or a video. Its config gets today's keys, or stays as it is if that fails."""
    from vqclip.config import resolve as configs  # noqa: PLC0415
    from vqclip.media.image import read_metadata  # noqa: PLC0415
    from vqclip.media.video_metadata import read_video_metadata  # noqa: PLC0415
    from vqclip.media.video_writer import ENCODERS  # noqa: PLC0415

    metadata = read_video_metadata(path) if path.suffix.lower() in ENCODERS else read_metadata(path)
    try:
        return metadata | {"config": configs.upgrade(metadata.get("config") or {})}
    except ConfigError as error:
        say("note", f"{path}: {error}")
        return metadata
