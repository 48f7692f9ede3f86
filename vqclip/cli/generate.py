"""`vqclip generate`: from a prompt to a picture."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqclip import prompt as prompts
from vqclip.cli import options
from vqclip.cli.console import listen_to_library, obey, say
from vqclip.errors import UsageError

if TYPE_CHECKING:
    from vqclip.schema import Config


@dataclass(frozen=True)
class Wanted:
    """One picture: its Config, and the file that it is saved to besides its run folder."""

    config: "Config"
    output: Path | None


def generate(
    prompt: Annotated[
        str, typer.Argument(help='What to paint: "text:weight:stop", several by "|".', metavar="PROMPT")
    ],
    output: options.Output = None,
    size: Annotated[
        str | None, typer.Option("--size", help="Width x height in pixels.", metavar="WxH")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="How often the latent is nudged.", metavar="N")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="The same seed paints the same picture.", metavar="N")
    ] = None,
    preset: options.Preset = None,
    file: options.File = None,
    settings: options.Settings = None,
    init: Annotated[
        Path | None, typer.Option("--init", help="A picture to begin with.", metavar="IMAGE")
    ] = None,
    image_prompts: Annotated[
        list[str] | None,
        typer.Option("--image-prompt", help="A picture to resemble; repeatable.", metavar="FILE[:weight]"),
    ] = None,
    device: options.Device = "auto",
    count: Annotated[
        int, typer.Option("--count", min=1, help="How many pictures, with seeds that follow.", metavar="N")
    ] = 1,
    best: Annotated[
        int | None, typer.Option("--best", min=1, help="Keep so many of --count, the best.", metavar="K")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option("--judge", help="The CLIP that ranks them; best one that didn't paint.", metavar="NAME"),
    ] = None,
    runs: options.Runs = Path("runs"),
    plan: options.Plan = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
) -> None:
    """Paint a picture of PROMPT.

    stdout carries the path of each finished picture; everything else goes to stderr.
    """
    from vqclip import config as configs  # noqa: PLC0415

    wishes = [prompt, *(prompts.format(prompts.image(given)) for given in image_prompts or [])]
    named = {"size": size, "steps": steps, "seed": seed, "init": str(init) if init else None}
    given = {"prompts": wishes} | {key: value for key, value in named.items() if value is not None}
    config = configs.resolve(given, preset, file, settings or [])
    check_best(best, judge, count)
    wanted = want(config, output, count, best or count)
    obey(offline)
    listen_to_library(quiet)
    if not quiet:
        for wish in config.wishes:
            say("wish", describe(wish))
    if plan:
        from vqclip.cli.plan import explain  # noqa: PLC0415

        return explain(wanted, device, runs, as_json)

    from vqclip.cli.work import Contest, paint  # noqa: PLC0415

    contest = Contest(best, judge or config.perceptors[0].model) if best else None
    return paint(wanted, device, runs, contest, as_json=as_json, quiet=quiet, pull=pull)


def describe(wish: prompts.Prompt) -> str:
    """What was understood of a prompt."""
    away = " (away from it)" if wish.weight < 0 else ""
    stop = "" if wish.stop == float("-inf") else f", stop {wish.stop:g}"
    return f"{wish.label} · {wish.kind.value}, weight {wish.weight:g}{away}{stop}"


def check_best(best: int | None, judge: str | None, count: int) -> None:
    """Refuse to choose where there is no choice."""
    if judge is not None and best is None:
        raise UsageError("--judge ranks for --best; say how many to keep, as in --count 8 --best 2")
    if best is not None and best > count:
        raise UsageError(
            f"--best {best} of --count {count} is impossible; paint more, as in --count {4 * best}"
        )


def want(config: "Config", output: Path | None, count: int, kept: int) -> list[Wanted]:
    """`count` configs with seeds that follow; where several are kept, their files are named after the seeds."""
    if output is not None:
        check_output(output)
    wanted = []
    for seed in range(config.seed, config.seed + count):
        named = output and output.with_name(f"{output.stem}-{seed}{output.suffix}")
        wanted.append(Wanted(replace(config, seed=seed), output if kept == 1 else named))
    return wanted


def check_output(path: Path) -> None:
    """Refuse, before anything is painted, a file that couldn't be written in the end."""
    if path.suffix.lower() != ".png":
        raise UsageError(
            f"-o {path}: pictures are saved as PNG, which carries their config; name it {path.stem or 'picture'}.png"
        )
    if path.is_dir():
        raise UsageError(f"-o {path} is a folder; name a file in it, as in {path / 'picture.png'}")
    if not path.parent.is_dir():
        raise UsageError(f"-o {path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"-o {path}: the folder {path.parent} can't be written to; name another")
