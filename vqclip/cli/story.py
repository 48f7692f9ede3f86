"""`vqclip story`: a film whose wishes change from scene to scene."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.generate import carry_out, layered, only_given, want, wishes


def story(
    prompt: Annotated[
        str, typer.Argument(help='Scenes separated by "^": "a seed ^ a sapling ^ a tree".', metavar="PROMPT")
    ],
    output: options.Film = None,
    frames: Annotated[
        int | None, typer.Option("--frames", help="How many each scene has.", metavar="N")
    ] = None,
    fade: Annotated[
        float | None,
        typer.Option("--fade", help="The share of them in which a scene comes out of the last.", metavar="X"),
    ] = None,
    loop: options.Loop = False,
    size: options.Size = None,
    steps: options.Steps = None,
    frame_steps: options.FrameSteps = None,
    fps: options.Fps = None,
    seed: options.Seed = None,
    preset: options.Preset = None,
    file: options.File = None,
    settings: options.Settings = None,
    init: options.Init = None,
    image_prompts: options.ImagePrompts = None,
    device: options.Device = "auto",
    runs: options.Runs = Path("runs"),
    plan: options.Plan = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
) -> None:
    """Paint a film of scenes that turn into one another.

    Pictures (--image-prompt) are wished for in all of them, and a weight may change over the frames, as in
    "a tree | fog:{0 -> 1}".
    """
    from vqclip import config as configs  # noqa: PLC0415

    given = only_given({"size": size, "steps": steps, "seed": seed, "init": init}) | {
        "prompts": wishes(prompt, image_prompts),
        "film": only_given({"steps": frame_steps, "fps": fps, "loop": loop or None}),
        "story": only_given({"frames": frames, "fade": fade}),
    }
    config = configs.resolve(given, layered(preset), file, settings or [])
    carry_out(
        want(config, output), None, None, device, runs,
        plan=plan, as_json=as_json, quiet=quiet, pull=pull, offline=offline,
    )  # fmt: skip
