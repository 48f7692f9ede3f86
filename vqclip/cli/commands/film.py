"""`vqclip film`: make the video of a run's frames again."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import completion, options, video_options
from vqclip.cli.display.console import listen_to_library, result
from vqclip.cli.help_layout import OUTPUT
from vqclip.cli.outputs import check_output, filled, template


def film(
    run: Annotated[
        Path, typer.Argument(help="The run folder.", metavar="RUN", autocompletion=completion.runs)
    ],
    output: options.Film = None,
    fps: options.Fps = None,
    between: Annotated[
        int,
        typer.Option(
            "--interpolate", min=1, help="Make N frames out of each one.", metavar="N", rich_help_panel=OUTPUT
        ),
    ] = 1,
    hold: Annotated[
        float,
        typer.Option(
            "--hold", min=0, help="Seconds that the last frame stays.", metavar="S", rich_help_panel=OUTPUT
        ),
    ] = 0.0,
    forth_and_back: video_options.ForthAndBack = False,
    force: options.Force = False,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Make the video of a film again, from the frames in its run folder.

    With --interpolate, vqclip decodes more frames from latents between those of the film. The film keeps its length.
    """
    from vqclip.pipeline.events import VideoSaved  # noqa: PLC0415
    from vqclip.runs.run import read_config  # noqa: PLC0415
    from vqclip.session import Session  # noqa: PLC0415

    listen_to_library(quiet)
    if output is not None:
        output = filled(template(output), read_config(run))
        check_output(Path(output), is_film=True, force=force)
    session = Session(device, keeps_models=False, owns_process=True)
    events = session.film(run, output, fps=fps, between=between, hold=hold, forth_and_back=forth_and_back)
    for event in events:
        if isinstance(event, VideoSaved):
            result(str(event.path))
