"""`vqclip zoom`: generate a film that zooms, turns or moves."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from vqclip.cli import help_layout, options
from vqclip.cli.help_layout import HOW, WHAT
from vqclip.cli.outputs import plan_outputs
from vqclip.cli.painting_options import PaintingOptions, painting


class Command(help_layout.Command):
    """States the defaults of films/zoom."""

    defaults: ClassVar[Mapping[str, str]] = {"frame_steps": "12"}


@painting
def zoom(
    common: PaintingOptions,
    prompt: options.Scenes = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames", help="Frames of the film.", metavar="N", rich_help_panel=WHAT, show_default="48"
        ),
    ] = None,
    factor: Annotated[
        str | None,
        typer.Option(
            "--zoom",
            help="Enlargement per frame; below 1 shrinks.",
            metavar="X",
            rich_help_panel=HOW,
            show_default="1.03",
        ),
    ] = None,
    turn: Annotated[
        str | None,
        typer.Option("--turn", help="Degrees per frame, clockwise.", metavar="X", rich_help_panel=HOW),
    ] = None,
    right: Annotated[
        str | None,
        typer.Option("--right", help="Pixels per frame to the right.", metavar="X", rich_help_panel=HOW),
    ] = None,
    down: Annotated[
        str | None,
        typer.Option("--down", help="Pixels per frame downwards.", metavar="X", rich_help_panel=HOW),
    ] = None,
    border: Annotated[
        str | None,
        typer.Option(
            "--border",
            help="Edges: reflect, wrap, black or paint.",
            metavar="NAME",
            rich_help_panel=HOW,
            show_default="reflect",
        ),
    ] = None,
    loop: options.Loop = False,
    frame_steps: options.FrameSteps = None,
    output: options.Film = None,
    fps: options.Fps = None,
) -> None:
    """Generate a film in which each frame starts from the last one, moved.

    X is a number or a schedule over the frames: --zoom "1 -> 1.1", --turn "0:0, 50%:3, 100%:0".
    """
    film = {"frames": frames, "steps": frame_steps, "fps": fps, "loop": loop or None}
    motion = {"zoom": factor, "turn": turn, "right": right, "down": down, "border": border}
    config = common.config(prompt, "films/zoom", film=film, motion=motion)
    common.run(plan_outputs(config, output, force=common.force))
