"""`vqclip sheet`: put images on one contact sheet."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.base.errors import ImageError, UsageError
from vqclip.base.files import check_target
from vqclip.cli import options
from vqclip.cli.display.console import complain, result
from vqclip.cli.outputs import check_free


def sheet(
    images: options.Images,
    output: Annotated[Path, typer.Option("-o", "--output", help="Save the sheet here.", metavar="FILE.png")],
    columns: Annotated[
        int | None,
        typer.Option(
            "--columns", min=1, help="Images in a row; by default about as many as rows.", metavar="N"
        ),
    ] = None,
    captions: Annotated[
        bool, typer.Option("--captions", help="Write each image's prompt, or its file's name, below it.")
    ] = False,
    side: Annotated[
        int,
        typer.Option("--side", min=16, max=2048, help="Longer side of each image in pixels.", metavar="N"),
    ] = 192,
    force: options.Force = False,
) -> None:
    """Put images on one contact sheet, in the order in which they are given.

    Files that can't be read are named and left out; the exit code is then 1.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output}: a sheet is written as PNG, as in {output.with_suffix('.png')}")
    check_target(output, "sheet.png")
    check_free(output, force)
    from vqclip.media.contact_sheet import MOST, contact_sheet, save_sheet, thumbnail  # noqa: PLC0415

    if len(images) > MOST:
        raise UsageError(f"{len(images)} images are too many for one sheet; give {MOST} at most")
    small, texts = [], []
    for path in images:
        try:
            small.append(thumbnail(path, side))
        except ImageError as error:
            complain(str(error))
            continue
        texts.append(caption_of(path) if captions else "")
    if not small:
        raise typer.Exit(UsageError.exit_code)
    save_sheet(output, contact_sheet(small, columns, texts if captions else ()))
    result(str(output))
    if len(small) < len(images):
        raise typer.Exit(1)


def caption_of(path: Path) -> str:
    """Give the prompt and the seed in a PNG that vqclip saved, or the name of another file."""
    from vqclip.media.image import read_metadata  # noqa: PLC0415

    try:
        config = read_metadata(path)["config"]
        return f"{' | '.join(config['prompts'])} ({config['seed']})"
    except (ImageError, KeyError, TypeError):
        return path.name
