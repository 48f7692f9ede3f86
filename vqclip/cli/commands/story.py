"""`vqclip story`: a film whose wishes change from scene to scene."""

from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.outputs import plan_outputs
from vqclip.cli.painting_options import PaintingOptions, painting


@painting
def story(
    prompt: Annotated[
        str, typer.Argument(help='Scenes separated by "^": "a seed ^ a sapling ^ a tree".', metavar="PROMPT")
    ],
    common: PaintingOptions,
    output: options.Film = None,
    frames: Annotated[
        int | None, typer.Option("--frames", help="How many each scene has.", metavar="N")
    ] = None,
    fade: Annotated[
        float | None,
        typer.Option("--fade", help="The share of them in which a scene comes out of the last.", metavar="X"),
    ] = None,
    loop: options.Loop = False,
    frame_steps: options.FrameSteps = None,
    fps: options.Fps = None,
) -> None:
    """Paint a film of scenes that turn into one another.

    Pictures (--image-prompt) are wished for in all of them, and a weight may change over the frames, as in
    "a tree | fog:{0 -> 1}".
    """
    film = {"steps": frame_steps, "fps": fps, "loop": loop or None}
    config = common.config(prompt, film=film, story={"frames": frames, "fade": fade})
    common.run(plan_outputs(config, output))
