"""`vqclip restyle`: generate a film from the frames of a video."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from vqclip.cli import help_layout, options
from vqclip.cli.help_layout import HOW, WHAT
from vqclip.cli.outputs import plan_outputs
from vqclip.cli.painting_options import PaintingOptions, painting

if TYPE_CHECKING:
    from vqclip.config.schema import Config

SIDES = 16  # pixels, of which a side is a multiple: the commonest VQGANs' cell


class Command(help_layout.Command):
    """States the defaults of films/restyle."""

    defaults: ClassVar[Mapping[str, str]] = {"size": "the video's shape", "steps": "30"}


@painting
def restyle(
    common: PaintingOptions,
    video: Annotated[Path, typer.Argument(help="The video to restyle.", metavar="VIDEO")],
    prompt: options.Scenes = None,
    begin: Annotated[
        float | None,
        typer.Option(
            "--from",
            help="Begin at this second of the video.",
            metavar="S",
            rich_help_panel=WHAT,
            show_default="0",
        ),
    ] = None,
    end: Annotated[
        float | None,
        typer.Option("--to", help="End at this second of the video.", metavar="S", rich_help_panel=WHAT),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every", help="Use every Nth frame.", metavar="N", rich_help_panel=WHAT, show_default="1"
        ),
    ] = None,
    nearness: Annotated[
        str | None,
        typer.Option(
            "--pull-to-source",
            help="Weight that keeps each frame near the video's.",
            metavar="X",
            rich_help_panel=HOW,
        ),
    ] = None,
    flow: Annotated[
        bool,
        typer.Option(
            "--flow", help="Move the last frame along the video's motion first.", rich_help_panel=HOW
        ),
    ] = False,
    frame_steps: options.FrameSteps = None,
    output: options.Film = None,
) -> None:
    """Restyle a video, frame by frame.

    Each frame starts from the last one. The video's pace and sound stay. Without --size, the film has the video's
    shape, and as many pixels as the preset or config says.
    """
    source = {
        "video": video,
        "begin": begin,
        "end": end,
        "every": every,
        "pull": nearness,
        "flow": flow or None,
    }
    config = common.config(prompt, "films/restyle", film={"steps": frame_steps}, source=source)
    if common.size is None:
        config = replace(config, size=shaped_like(video, config))
    common.run(plan_outputs(config, output, force=common.force))


def shaped_like(video: Path, config: "Config") -> str:
    """A size with the shape of a video and about as many pixels as the Config's; raises VideoError."""
    from vqclip.media.video_reader import VideoReader  # noqa: PLC0415

    reader = VideoReader(video)
    aspect = math.sqrt(reader.width / reader.height)
    side = math.sqrt(config.width * config.height)
    width, height = (max(1, round(ideal / SIDES)) * SIDES for ideal in (side * aspect, side / aspect))
    return f"{width}x{height}"
