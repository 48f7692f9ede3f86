"""`vqclip reproduce`: generate an image again from its own config."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import completion, options
from vqclip.cli.display.console import listen_to_library, obey


def reproduce(
    image: Annotated[
        Path,
        typer.Argument(help="An image that vqclip saved.", metavar="IMAGE", autocompletion=completion.images),
    ],
    pull: options.Pull = False,
    offline: options.Offline = False,
    output: options.Output = None,
    force: options.Force = False,
    runs: options.Runs = Path("runs"),
    as_json: options.Json = False,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Generate an image again from the config in its file.

    Progress output names what differs: versions, device, weights, and at the end pixels.
    """
    from vqclip.cli.session_calls import reproduce  # noqa: PLC0415

    obey(offline)
    listen_to_library(quiet)
    reproduce(image, output, device, runs, force=force, as_json=as_json, quiet=quiet, pull=pull)
