"""`vqclip resume`: continue a run that was stopped."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.display.console import listen_to_library, obey


def resume(
    run: Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")],
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
) -> None:
    """Continue a run that was stopped, from its last snapshot.

    On the CPU, the result has the same pixels as that of an uninterrupted run.
    """
    from vqclip.cli.session_calls import resume  # noqa: PLC0415

    obey(offline)
    listen_to_library(quiet)
    resume(run, device, as_json=as_json, quiet=quiet, pull=pull)
