"""Options that several commands share, each declared once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

LARGEST_BATCH = 64

Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="draft, standard, fine, pairs/classic…; several joined by +, the later winning.",
        metavar="NAME",
    ),
]
File = Annotated[
    Path | None, typer.Option("-c", "--config", help="A YAML file of config keys.", metavar="FILE")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any config key, as in cutouts.count=32; repeatable.", metavar="KEY=VALUE"),
]
Size = Annotated[str | None, typer.Option("--size", help="Width x height in pixels.", metavar="WxH")]
Steps = Annotated[
    int | None, typer.Option("--steps", help="How often the (first) latent is nudged.", metavar="N")
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="The same seed paints the same picture.", metavar="N")
]
Drawer = Annotated[
    str | None,
    typer.Option("--drawer", help="What makes the image: vqgan, or fft (pixels).", metavar="NAME"),
]
Init = Annotated[Path | None, typer.Option("--init", help="A picture to begin with.", metavar="IMAGE")]
ImagePrompts = Annotated[
    list[str] | None,
    typer.Option("--image-prompt", help="A picture to resemble; repeatable.", metavar="FILE[:weight]"),
]
FrameSteps = Annotated[
    int | None,
    typer.Option("--frame-steps", help="How often it is nudged for each later frame.", metavar="N"),
]
Fps = Annotated[float | None, typer.Option("--fps", help="Pictures a second.", metavar="X")]
Loop = Annotated[bool, typer.Option("--loop", help="Let the end flow into the beginning.")]
Film = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Where to save the film.", metavar="FILE.mp4|.gif|.webp"),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Where to save the picture.", metavar="FILE.png")
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--together", min=1, max=LARGEST_BATCH, help="Paint so many at once; else as is fastest.", metavar="K"
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", metavar="NAME")]
Runs = Annotated[Path, typer.Option("--runs", help="Where run folders are made.", metavar="DIR")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be done, and do nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Results as JSON, an object a line.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No conversation; errors still speak.")]
Pull = Annotated[bool, typer.Option("--pull", help="Download models that are named but not here.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never touch the network; VQCLIP_OFFLINE=1 does the same.")
]
Video = Annotated[
    str | None,
    typer.Option(
        "--video",
        help="Make a video of the painting: .mp4, .gif or .webp; without FILE in the run folder.",
        metavar="[FILE]",
    ),
]
VideoSeconds = Annotated[
    float | None,
    typer.Option(
        "--video-seconds", min=0.1, help="How long it is, within 10 to 60 pictures a second; by default 10."
    ),
]
VideoFps = Annotated[
    float | None,
    typer.Option(
        "--video-fps", min=0.1, max=240, help="Pictures a second, instead of a length.", metavar="N"
    ),
]
VideoHold = Annotated[
    float | None,
    typer.Option("--video-hold", min=0, help="Seconds that the finished picture is held; by default 1."),
]
ForthAndBack = Annotated[
    bool, typer.Option("--forth-and-back", help="The video runs back again to its beginning.")
]


def spell_out(words: Sequence[str], option: str, bare: str, is_value: Callable[[str], bool]) -> list[str]:
    """A command line in which an option that stands without a value has got the one that this means."""
    spelled: list[str] = []
    for word, following in zip(words, [*words[1:], "-"], strict=False):
        spelled += [word, bare] if word == option and not is_value(following) else [word]
    return spelled
