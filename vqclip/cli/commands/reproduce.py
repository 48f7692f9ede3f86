"""`vqclip reproduce`: generate an image again from its own config."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.display.console import listen_to_library


def reproduce(
    image: Annotated[Path, typer.Argument(help="A PNG that vqclip saved.", metavar="IMAGE")],
    output: options.Output = None,
    device: options.Device = "auto",
    runs: options.Runs = Path("runs"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    pull: options.Pull = False,
) -> None:
    """Generate an image again from the config in its file.

    Progress output names what differs: versions, device, weights, and at the end pixels.
    """
    from vqclip.cli.session_calls import reproduce  # noqa: PLC0415

    listen_to_library(quiet)
    reproduce(image, output, device, runs, as_json=as_json, quiet=quiet, pull=pull)
