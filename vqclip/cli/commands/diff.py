"""`vqclip diff`: compare how two images were made."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import completion, options
from vqclip.cli.commands.show import read_upgraded
from vqclip.cli.display.console import result, result_json, say


def diff(
    one: Annotated[
        Path,
        typer.Argument(help="An image that vqclip saved.", metavar="A", autocompletion=completion.images),
    ],
    other: Annotated[
        Path,
        typer.Argument(
            help="Another image that vqclip saved.", metavar="B", autocompletion=completion.images
        ),
    ],
    as_json: options.Json = False,
) -> None:
    """Compare how two images were made: config, versions, device, weights."""
    from vqclip.config.diff import changes  # noqa: PLC0415

    rows = [
        (key.removeprefix("config."), *sides)
        for key, *sides in changes(read_upgraded(one), read_upgraded(other))
    ]
    if as_json:
        return result_json({key: [this, that] for key, this, that in rows})
    if not rows:
        return say("diff", "no difference: both images were made in the same way")
    cells = [("", str(one), str(other)), *((key, _spell(this), _spell(that)) for key, this, that in rows)]
    key_width, side_width = (max(len(row[column]) for row in cells) for column in (0, 1))
    for key, this, that in cells:
        result(f"{key:<{key_width}}  {this:<{side_width}}  {that}")
    return None


def _spell(value: object) -> str:
    """A value in one line; what a side hasn't got is a dash."""
    if isinstance(value, list):
        return " | ".join(map(str, value)) or "-"
    return "-" if value is None else " ".join(str(value).split())
