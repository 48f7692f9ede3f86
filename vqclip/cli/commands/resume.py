"""`vqclip resume`: continue a run that was stopped, or add steps to one that is finished."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import completion, options
from vqclip.cli.display.console import listen_to_library, obey


def resume(
    run: Annotated[
        Path, typer.Argument(help="The run folder.", metavar="RUN", autocompletion=completion.runs)
    ],
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", min=1, help="Go on with a finished image to N steps, in a new run.", metavar="N"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Save the result here as well.", metavar="FILE"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")] = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
) -> None:
    """Continue a run that was stopped, from its last snapshot; its result goes to the file that its -o named.

    On the CPU, the result has the same pixels as that of an uninterrupted run.
    With --steps, a finished image gets more steps. The run of fewer steps stays as it is.
    """
    from vqclip.cli.resume_calls import Further, resume  # noqa: PLC0415

    obey(offline)
    listen_to_library(quiet)
    further = Further(steps, output, force)
    resume(run, further, device, as_json=as_json, quiet=quiet, pull=pull)
