"""`vqclip reproduce`: paint a picture again from what it carries."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.console import listen_to_library


def reproduce(
    picture: Annotated[Path, typer.Argument(help="A PNG that vqclip saved.", metavar="PICTURE")],
    output: options.Output = None,
    device: options.Device = "auto",
    runs: options.Runs = Path("runs"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    pull: options.Pull = False,
) -> None:
    """Paint a picture again, and say what differs: versions, device, weights, and in the end pixels."""
    from vqclip.cli.work import paint_again  # noqa: PLC0415

    listen_to_library(quiet)
    paint_again(picture, output, device, runs, as_json=as_json, quiet=quiet, pull=pull)
