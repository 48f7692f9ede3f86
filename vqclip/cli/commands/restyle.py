"""`vqclip restyle`: generate a film from the frames of a video."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from vqclip.cli import help_layout, options
from vqclip.cli.help_layout import HOW, WHAT
from vqclip.cli.outputs import plan_outputs
from vqclip.cli.painting_options import PaintingOptions, painting
from vqclip.cli.shape import shaped_like


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
    if common.size is None and common.aspect is None:
        from vqclip.media.video_reader import VideoReader  # noqa: PLC0415

        reader = VideoReader(video)
        config = replace(config, size=shaped_like(reader.width, reader.height, config))
    common.run(plan_outputs(config, output, force=common.force))
