"""Options that several commands share, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import completion
from vqclip.cli.help_layout import HOW, OUTPUT, RUN, WHAT

LARGEST_BATCH = 64

Prompt = Annotated[
    str | None,
    typer.Argument(
        help='What the image shows: "text:weight:stop", joined by "|"; - reads stdin.',
        metavar="PROMPT",
        show_default=False,
    ),
]
Scenes = Annotated[
    str | None,
    typer.Argument(
        help='What the film shows: "a seed ^ a tree" are two scenes; - reads stdin.',
        metavar="PROMPT",
        show_default=False,
    ),
]

Size = Annotated[
    str | None,
    typer.Option(
        "-s", "--size", help="Width x height, init, or large portrait.", metavar="WxH", rich_help_panel=WHAT,
        show_default="256x256",
    ),
]  # fmt: skip
Count = Annotated[
    int,
    typer.Option(
        "-n", "--count", min=1, help="Generate N images, with consecutive seeds.", metavar="N",
        rich_help_panel=WHAT,
    ),
]  # fmt: skip
Seed = Annotated[
    str | None,
    typer.Option(
        "--seed", help="A number or words, which repeat an image.", metavar="N",
        rich_help_panel=WHAT, show_default="random",
    ),
]  # fmt: skip
Aspect = Annotated[
    str | None,
    typer.Option("--aspect", help="Its shape, at the same area.", metavar="16:9", rich_help_panel=WHAT),
]
Init = Annotated[
    str | None,
    typer.Option(
        "--init", help="Start from this image: a file or an address.", metavar="FILE",
        rich_help_panel=WHAT,
    ),
]  # fmt: skip
Start = Annotated[
    str | None,
    typer.Option(
        "--start", help="sketch, ascent, noise, codes, transformer…", metavar="NAME", autocompletion=completion.starts,
        rich_help_panel=WHAT, show_default="sketch",
    ),
]  # fmt: skip
Mask = Annotated[
    Path | None,
    typer.Option(
        "--mask", help="Render --init anew where this is white; keep the rest.", metavar="FILE",
        rich_help_panel=WHAT,
    ),
]  # fmt: skip
Extend = Annotated[
    str | None,
    typer.Option(
        "--extend", help="Grow --init, as in left=64,top=32, and fill that.", metavar="SIDES",
        rich_help_panel=WHAT,
    ),
]  # fmt: skip
ImagePrompts = Annotated[
    list[str] | None,
    typer.Option(
        "--image-prompt", help="Use an image as a prompt, FILE:weight; repeatable.", metavar="FILE",
        rich_help_panel=WHAT,
    ),
]  # fmt: skip
Tile = Annotated[
    bool, typer.Option("--tile", help="Make an image that repeats without a seam.", rich_help_panel=WHAT)
]
Transparent = Annotated[
    bool,
    typer.Option("--transparent", help="Leave out what the prompt doesn't need.", rich_help_panel=WHAT),
]

Preset = Annotated[
    str | None,
    typer.Option(
        "-p", "--preset", help="draft, standard, fine, free, pairs/classic…; join with +.",
        metavar="NAME", rich_help_panel=HOW, autocompletion=completion.presets,
    ),
]  # fmt: skip
File = Annotated[
    Path | None,
    typer.Option(
        "-c", "--config", help="Read config keys from a YAML file.", metavar="FILE", rich_help_panel=HOW
    ),
]
Images = Annotated[list[Path], typer.Argument(help="Files of images.", metavar="IMAGE…")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="CLIP, as in a config's perceptors; by default mini-clip-2; repeatable.",
        metavar="NAME",
        autocompletion=completion.models,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="CLIP, as in a config's perceptors; by default mini-clip-2.",
        metavar="NAME",
        autocompletion=completion.models,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Set any config key, as in cutouts.count=32; repeatable.", metavar="KEY=VALUE",
        rich_help_panel=HOW, autocompletion=completion.settings,
    ),
]  # fmt: skip
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps", help="Steps of an image or a film's first frame.", metavar="N", rich_help_panel=HOW,
        show_default="100",
    ),
]  # fmt: skip
Style = Annotated[
    str | None,
    typer.Option(
        "--style", help="watercolour, oil, ink, photo…; join them with +.", metavar="NAME",
        rich_help_panel=HOW,
    ),
]  # fmt: skip
Losses = Annotated[
    list[str] | None,
    typer.Option(
        "--loss", help="Add a loss, NAME:WEIGHT: symmetry, edges…; repeatable.", metavar="NAME",
        rich_help_panel=HOW, autocompletion=completion.losses,
    ),
]  # fmt: skip
Palette = Annotated[
    str | None,
    typer.Option(
        "--palette", help="Use only these colours: red;#00f, pico8, \\[a.png].", metavar="COLOURS",
        rich_help_panel=HOW,
    ),
]  # fmt: skip
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", help="Change the image, NAME:VALUE: wallpaper:p4m…; repeatable.", metavar="NAME",
        rich_help_panel=HOW, autocompletion=completion.filters,
    ),
]  # fmt: skip
FrameSteps = Annotated[
    int | None,
    typer.Option(
        "--frame-steps",
        help="Steps of each later frame.",
        metavar="N",
        rich_help_panel=HOW,
        show_default="15",
    ),
]

Drawer = Annotated[
    str | None,
    typer.Option(
        "--drawer", help="vqgan, fft, pyramid, pixel or lines.", metavar="NAME",
        rich_help_panel=HOW, show_default="vqgan", autocompletion=completion.drawers,
    ),
]  # fmt: skip
Pixels = Annotated[
    str | None,
    typer.Option(
        "--pixels",
        help="Draw a grid of so many colours, with --drawer pixel.",
        metavar="WxH",
        rich_help_panel=HOW,
    ),
]
Pull = Annotated[
    bool, typer.Option("--pull", help="Download the models that are missing.", rich_help_panel=RUN)
]
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Never use the network; so does VQCLIP_OFFLINE=1.", rich_help_panel=RUN),
]

Output = Annotated[
    str | None,
    typer.Option(
        "-o", "--output", help="Save as .png, .jpg or .webp; fills in {seed}, {slug}.",
        metavar="FILE", rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
Film = Annotated[
    str | None,
    typer.Option(
        "-o", "--output", help="Save as .mp4, .gif or .webp; fills in {seed}, {slug}.",
        metavar="FILE", rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
Force = Annotated[
    bool, typer.Option("--force", help="Replace output files that exist.", rich_help_panel=OUTPUT)
]
Runs = Annotated[
    Path,
    typer.Option("--runs", help="Make run folders in this folder.", metavar="DIR", rich_help_panel=OUTPUT),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print results as JSON, one object per line.", rich_help_panel=OUTPUT),
]
Thumbnails = Annotated[
    bool | None,
    typer.Option(
        "--thumbnails/--no-thumbnails", help="Show images in the terminal; by default where it can.",
        rich_help_panel=OUTPUT, show_default=False,
    ),
]  # fmt: skip
Fps = Annotated[
    float | None,
    typer.Option("--fps", help="Frames per second.", metavar="X", rich_help_panel=OUTPUT, show_default="12"),
]
Loop = Annotated[
    bool,
    typer.Option("--loop", help="Fade the end of the film into its beginning.", rich_help_panel=WHAT),
]
Upscale = Annotated[
    int | None,
    typer.Option(
        "--upscale", help="Enlarge the finished image 2 to 8 times.", metavar="N",
        rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
SaveEvery = Annotated[
    int | None,
    typer.Option(
        "--save-every", help="Save an image after every N steps, too.", metavar="N", rich_help_panel=OUTPUT
    ),
]

BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size", min=1, max=LARGEST_BATCH, help="Optimise K images at once.", metavar="K",
        rich_help_panel=RUN, show_default="the fastest",
    ),
]  # fmt: skip
Together = Annotated[
    int | None,
    typer.Option("--together", min=1, max=LARGEST_BATCH, hidden=True, help="Old name of --batch-size."),
]
Device = Annotated[
    str,
    typer.Option(
        "-d", "--device", help="auto, cpu, cuda, cuda:1 or mps.", metavar="NAME", rich_help_panel=RUN,
        autocompletion=completion.devices,
    ),
]  # fmt: skip
Plan = Annotated[
    bool, typer.Option("--plan", help="Print what would be done, and stop.", rich_help_panel=RUN)
]
Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="Print no progress output; only errors.", rich_help_panel=RUN),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v", "--verbose", help="Print more: files of weights, digests, times.", rich_help_panel=RUN
    ),
]
