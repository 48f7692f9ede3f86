"""`vqclip ui`: generate images in the browser."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.display.console import listen_to_library, obey, result, say


def ui(
    runs: options.Runs = Path("runs"),
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Listen on this port; by default on a free one.")
    ] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
) -> None:
    """Generate images in the browser, and look at all runs of a folder.

    The page's address goes to stdout. It has a token in it, and answers on this machine only. Ctrl-C ends the server. A
    run that is under way can be resumed.
    """
    from vqclip.session import Session  # noqa: PLC0415
    from vqclip.ui.server import Server  # noqa: PLC0415

    obey(offline)
    listen_to_library(quiet)
    server = Server(Session(device, pull=pull, owns_process=True), runs, port)
    result(server.address)
    if open_:
        webbrowser.open(server.address)
    dropped = server.run()
    if dropped and not quiet:
        say("dropped", f"{dropped} of the queue that had not begun")
