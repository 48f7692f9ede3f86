"""`vqclip generate`: from a prompt to a picture."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    size: options.Size = None,
    steps: options.Steps = None,
    seed: options.Seed = None,
    preset: options.Preset = None,
    file: options.File = None,
    settings: options.Settings = None,
    init: options.Init = None,
    image_prompts: options.ImagePrompts = None,
    tile: Annotated[bool, typer.Option("--tile", help="A picture that repeats without a seam.")] = False,
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

    prompts.parse(prompt)  # a story is told by another command
    named = {"size": size, "steps": steps, "seed": seed, "init": init}
    given = {"prompts": wishes(prompt, image_prompts)} | only_given(named)
    config = configs.resolve(given, layered("tile" if tile else None, preset), file, settings or [])
    check_best(best, judge, count)
    wanted = want(config, output, count, best or count)
    carry_out(
        wanted, best, judge, device, runs,
        plan=plan, as_json=as_json, quiet=quiet, pull=pull, offline=offline,
    )  # fmt: skip


def carry_out(
    wanted: list[Wanted], best: int | None, judge: str | None, device: str, runs: Path,
    *, plan: bool, as_json: bool, quiet: bool, pull: bool, offline: bool,
) -> None:  # fmt: skip
    """Say what was understood, and plan it or paint it."""
    obey(offline)
    listen_to_library(quiet)
    config = wanted[0].config
    if not quiet:
        for wish in config.wishes:
            say("wish", describe(wish))
    if plan:
        from vqclip.cli.plan import explain  # noqa: PLC0415

        return explain(wanted, device, runs, as_json)

    from vqclip.cli.work import Contest, paint  # noqa: PLC0415

    contest = Contest(best, judge or config.perceptors[0].model) if best else None
    return paint(wanted, device, runs, contest, as_json=as_json, quiet=quiet, pull=pull)


def wishes(prompt: str, image_prompts: list[str] | None) -> list[str]:
    """A Config's prompts: the words, and a line for each picture."""
    return [prompt, *(prompts.format(prompts.image(given)) for given in image_prompts or [])]


def only_given(named: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a user gave, as plain data."""
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in named.items()}
    return {key: value for key, value in plain.items() if value is not None}


def layered(*presets: str | None) -> str | None:
    """Several presets as one, the later ones winning."""
    return "+".join(filter(None, presets)) or None


def describe(wish: prompts.Prompt) -> str:
    """What was understood of a prompt."""
    weight = f"{wish.weight:g}" if wish.course is None else f"{{{wish.course}}}"
    away = " (away from it)" if wish.weight < 0 else ""
    stop = "" if wish.stop == float("-inf") else f", stop {wish.stop:g}"
    return f"{wish.label} · {wish.kind.value}, weight {weight}{away}{stop}"


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
        check_output(output, config.is_film)
    wanted = []
    for seed in range(config.seed, config.seed + count):
        named = output and output.with_name(f"{output.stem}-{seed}{output.suffix}")
        wanted.append(Wanted(replace(config, seed=seed), output if kept == 1 else named))
    return wanted


def check_output(path: Path, is_film: bool = False) -> None:
    """Refuse, before anything is painted, a file that couldn't be written in the end."""
    if is_film:
        from vqclip.video import check_encoder  # noqa: PLC0415

        return check_encoder(path)
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
    return None
