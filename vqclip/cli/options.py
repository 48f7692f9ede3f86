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
        help="draft, standard, fine, free, pairs/classic…; join several with +, later ones win.",
        metavar="NAME",
    ),
]
File = Annotated[
    Path | None, typer.Option("-c", "--config", help="Read config keys from a YAML file.", metavar="FILE")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Set any config key, as in cutouts.count=32; repeatable.", metavar="KEY=VALUE"
    ),
]
Size = Annotated[
    str | None, typer.Option("--size", help="Width x height of the image, in pixels.", metavar="WxH")
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", help="Optimisation steps of an image, or of a film's first frame.", metavar="N"),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="The same seed gives the same image; random if left out.", metavar="N"),
]
Drawer = Annotated[
    str | None,
    typer.Option("--drawer", help="What makes the image: vqgan, or fft (pixels).", metavar="NAME"),
]
Init = Annotated[Path | None, typer.Option("--init", help="Start from this image.", metavar="IMAGE")]
Start = Annotated[
    str | None,
    typer.Option("--start", help="What to start from: sketch, noise, codes, transformer…", metavar="NAME"),
]
ImagePrompts = Annotated[
    list[str] | None,
    typer.Option("--image-prompt", help="Use this image as a prompt; repeatable.", metavar="FILE[:weight]"),
]
FrameSteps = Annotated[
    int | None,
    typer.Option("--frame-steps", help="Optimisation steps of each later frame.", metavar="N"),
]
Fps = Annotated[float | None, typer.Option("--fps", help="Frames per second.", metavar="X")]
Loop = Annotated[bool, typer.Option("--loop", help="Fade the end of the film into its beginning.")]
Film = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Save the film here as well.", metavar="FILE.mp4|.gif|.webp"),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Save the image here as well.", metavar="FILE.png")
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        max=LARGEST_BATCH,
        help="Optimise K images at once; by default, as many as is fastest.",
        metavar="K",
    ),
]
Together = Annotated[
    int | None, typer.Option("--together", min=1, max=LARGEST_BATCH, hidden=True)
]  # the old name of --batch-size
Device = Annotated[
    str, typer.Option("--device", help="Compute on auto, cpu, cuda, cuda:1 or mps.", metavar="NAME")
]
Runs = Annotated[Path, typer.Option("--runs", help="Make run folders in this folder.", metavar="DIR")]
Plan = Annotated[bool, typer.Option("--plan", help="Print what would be done, and stop.")]
Json = Annotated[bool, typer.Option("--json", help="Print results as JSON, one object per line.")]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", help="Print no progress output; errors are still printed.")
]
Pull = Annotated[bool, typer.Option("--pull", help="Download the models that are missing.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never use the network; VQCLIP_OFFLINE=1 does the same.")
]
Video = Annotated[
    str | None,
    typer.Option(
        "--video",
        help="Make a video of all steps: .mp4, .gif or .webp; by default in the run folder.",
        metavar="[FILE]",
    ),
]
VideoSeconds = Annotated[
    float | None,
    typer.Option(
        "--video-seconds", min=0.1, help="Length of the video, at 10 to 60 frames per second; by default 10."
    ),
]
VideoFps = Annotated[
    float | None,
    typer.Option(
        "--video-fps", min=0.1, max=240, help="Frames per second, instead of a length.", metavar="N"
    ),
]
VideoHold = Annotated[
    float | None,
    typer.Option("--video-hold", min=0, help="Seconds that the last frame stays; by default 1."),
]
ForthAndBack = Annotated[
    bool, typer.Option("--forth-and-back", help="Play the video forwards, then backwards.")
]


def spell_out(words: Sequence[str], option: str, bare: str, is_value: Callable[[str], bool]) -> list[str]:
    """Insert the value that an option means when the command line gives it none."""
    spelled: list[str] = []
    for word, following in zip(words, [*words[1:], "-"], strict=False):
        spelled += [word, bare] if word == option and not is_value(following) else [word]
    return spelled
