"""`vqclip zoom`: a film that moves into, out of, around or along its picture."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.cli import options
from vqclip.cli.generate import carry_out, layered, only_given, want, wishes


def zoom(
    prompt: Annotated[
        str, typer.Argument(help='What to paint; scenes may be separated by "^".', metavar="PROMPT")
    ],
    output: options.Film = None,
    frames: Annotated[int | None, typer.Option("--frames", help="How many.", metavar="N")] = None,
    factor: Annotated[
        str | None,
        typer.Option("--zoom", help="How much nearer each frame comes; below 1 goes away.", metavar="X"),
    ] = None,
    turn: Annotated[
        str | None, typer.Option("--turn", help="Degrees a frame, clockwise.", metavar="X")
    ] = None,
    right: Annotated[
        str | None, typer.Option("--right", help="Pixels a frame that the picture goes right.", metavar="X")
    ] = None,
    down: Annotated[
        str | None, typer.Option("--down", help="Pixels a frame that the picture goes down.", metavar="X")
    ] = None,
    border: Annotated[
        str | None,
        typer.Option("--border", help="What comes in: reflect, wrap, black or paint.", metavar="NAME"),
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
    """Paint a film in which each frame begins from the last one, moved.

    X is a number or a schedule over the frames: --zoom "1 -> 1.1", --turn "0:0, 50%:3, 100%:0".
    """
    from vqclip import config as configs  # noqa: PLC0415

    given = only_given({"size": size, "steps": steps, "seed": seed, "init": init}) | {
        "prompts": wishes(prompt, image_prompts),
        "film": only_given({"frames": frames, "steps": frame_steps, "fps": fps, "loop": loop or None}),
        "motion": only_given({"zoom": factor, "turn": turn, "right": right, "down": down, "border": border}),
    }
    config = configs.resolve(given, layered("films/zoom", preset), file, settings or [])
    carry_out(
        want(config, output), None, None, device, runs,
        plan=plan, as_json=as_json, quiet=quiet, pull=pull, offline=offline,
    )  # fmt: skip
