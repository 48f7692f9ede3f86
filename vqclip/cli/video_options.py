"""Options of the video that shows how an image comes about, each declared once."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from vqclip.cli.help_layout import OUTPUT

Video = Annotated[
    str | None,
    typer.Option(
        "--video", help="Make a video of all steps, here or in the run folder.", metavar="[FILE]",
        rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
VideoSeconds = Annotated[
    float | None,
    typer.Option(
        "--video-seconds", min=0.1, help="Length of the video.", metavar="S",
        rich_help_panel=OUTPUT, show_default="10",
    ),
]  # fmt: skip
VideoFps = Annotated[
    float | None,
    typer.Option(
        "--video-fps", min=0.1, max=240, help="Frames per second, not a length.", metavar="N",
        rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
VideoHold = Annotated[
    float | None,
    typer.Option(
        "--video-hold", min=0, help="Seconds that the last frame stays.", metavar="S",
        rich_help_panel=OUTPUT, show_default="1",
    ),
]  # fmt: skip
ForthAndBack = Annotated[
    bool,
    typer.Option("--forth-and-back", help="Play the video forwards, then backwards.", rich_help_panel=OUTPUT),
]


def spell_out(words: Sequence[str], option: str, bare: str, is_value: Callable[[str], bool]) -> list[str]:
    """Insert the value that an option means when the command line gives it none."""
    spelled: list[str] = []
    for word, following in zip(words, [*words[1:], "-"], strict=False):
        spelled += [word, bare] if word == option and not is_value(following) else [word]
    return spelled
