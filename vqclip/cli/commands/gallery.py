"""`vqclip gallery`: show runs on one page."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import completion, options
from vqclip.cli.display.console import listen_to_library, result, say


def gallery(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders, or folders of runs.", metavar="RUNS…", autocompletion=completion.runs
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Write the page here.", metavar="FILE.html")
    ] = Path("gallery.html"),
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Show runs on one HTML page, with a folder of thumbnails beside it.

    The page needs neither a server nor a network.
    """
    from vqclip.gallery.find import find_runs  # noqa: PLC0415
    from vqclip.gallery.gallery import check_page, write_gallery  # noqa: PLC0415

    listen_to_library(quiet)
    check_page(output)
    folders = find_runs(runs)
    if not quiet:
        say("runs", str(len(folders)))
    write_gallery(folders, output)
    result(str(output))
    if open_:
        webbrowser.open(output.resolve().as_uri())
