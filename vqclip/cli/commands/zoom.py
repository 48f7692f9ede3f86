"""`vqclip zoom`: generate a film that zooms, turns or moves."""

from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.outputs import plan_outputs
from vqclip.cli.painting_options import PaintingOptions, painting


@painting
def zoom(
    prompt: Annotated[
        str, typer.Argument(help='What the film shows; separate scenes with "^".', metavar="PROMPT")
    ],
    common: PaintingOptions,
    output: options.Film = None,
    frames: Annotated[int | None, typer.Option("--frames", help="Frames of the film.", metavar="N")] = None,
    factor: Annotated[
        str | None,
        typer.Option("--zoom", help="Enlargement per frame; below 1 shrinks.", metavar="X"),
    ] = None,
    turn: Annotated[
        str | None, typer.Option("--turn", help="Degrees per frame, clockwise.", metavar="X")
    ] = None,
    right: Annotated[
        str | None, typer.Option("--right", help="Pixels per frame to the right.", metavar="X")
    ] = None,
    down: Annotated[
        str | None, typer.Option("--down", help="Pixels per frame downwards.", metavar="X")
    ] = None,
    border: Annotated[
        str | None,
        typer.Option("--border", help="Fill the edges: reflect, wrap, black or paint.", metavar="NAME"),
    ] = None,
    loop: options.Loop = False,
    frame_steps: options.FrameSteps = None,
    fps: options.Fps = None,
) -> None:
    """Generate a film in which each frame starts from the last one, moved.

    X is a number or a schedule over the frames: --zoom "1 -> 1.1", --turn "0:0, 50%:3, 100%:0".
    """
    film = {"frames": frames, "steps": frame_steps, "fps": fps, "loop": loop or None}
    motion = {"zoom": factor, "turn": turn, "right": right, "down": down, "border": border}
    config = common.config(prompt, "films/zoom", film=film, motion=motion)
    common.run(plan_outputs(config, output))
