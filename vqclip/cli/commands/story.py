"""`vqclip story`: generate a film whose prompt changes from scene to scene."""

from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.help_layout import WHAT
from vqclip.cli.outputs import plan_outputs
from vqclip.cli.painting_options import PaintingOptions, painting


@painting
def story(
    common: PaintingOptions,
    prompt: options.Scenes = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames", help="Frames of each scene.", metavar="N", rich_help_panel=WHAT, show_default="20"
        ),
    ] = None,
    fade: Annotated[
        float | None,
        typer.Option(
            "--fade",
            help="Share of a scene's frames that fade from the last scene.",
            metavar="X",
            rich_help_panel=WHAT,
            show_default="0.5",
        ),
    ] = None,
    loop: options.Loop = False,
    frame_steps: options.FrameSteps = None,
    output: options.Film = None,
    fps: options.Fps = None,
) -> None:
    """Generate a film of scenes that fade into one another.

    An --image-prompt holds for all scenes. A weight may change over the frames, as in "a tree | fog:{0 -> 1}".
    """
    film = {"steps": frame_steps, "fps": fps, "loop": loop or None}
    config = common.config(prompt, film=film, story={"frames": frames, "fade": fade})
    if config.scenes == 1:
        line = 'this is one scene, so it is a still; separate scenes with "^", as in "a seed ^ a tree"'
        common.notes.append(("note", line))
    common.run(plan_outputs(config, output, force=common.force))
