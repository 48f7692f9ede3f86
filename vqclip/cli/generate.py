"""`vqclip generate`: from a prompt to a picture."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from vqclip import prompt as prompts
from vqclip.cli import options
from vqclip.cli.console import listen_to_library, obey, say
from vqclip.errors import UsageError
from vqclip.files import check_place

if TYPE_CHECKING:
    from vqclip.progress import VideoWish
    from vqclip.schema import Config


@dataclass(frozen=True)
class Wanted:
    """One picture: its Config, the file that it is saved to besides its run folder, and its video."""

    config: "Config"
    output: Path | None
    video: "VideoWish | None" = None


class GenerateCommand(TyperCommand):
    """Lets `--video` stand without a file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        file = re.compile(r"[^-].*\.(mp4|gif|webp)|[^-]\S*\.\w+", re.IGNORECASE)
        spelled = options.spell_out(args, "--video", "", lambda word: bool(file.fullmatch(word)))
        return super().parse_args(ctx, spelled)


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
    video: options.Video = None,
    seconds: options.VideoSeconds = None,
    fps: options.VideoFps = None,
    hold: options.VideoHold = None,
    forth_and_back: options.ForthAndBack = False,
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
    clip = wish_for(config, video, seconds=seconds, fps=fps, hold=hold, forth_and_back=forth_and_back or None)
    wanted = want(config, output, count, best or count, clip)
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


def wish_for(config: "Config", video: str | None, **given: Any) -> "VideoWish | None":
    """What video is asked for, if any; refused, before anything is painted, if it couldn't be made."""
    given = {name: value for name, value in given.items() if value is not None}
    if video is None:
        if given:
            raise UsageError("no video is asked for that would be so; add --video, or --video FILE.mp4")
        return None
    if config.is_film:
        raise UsageError("--video shows how a still comes about, and this is a film; -o FILE.mp4 saves it")
    from vqclip import ffmpeg  # noqa: PLC0415
    from vqclip.progress import VideoWish  # noqa: PLC0415
    from vqclip.video import ENCODERS, check_encoder  # noqa: PLC0415

    if not video:
        ffmpeg.check(ENCODERS[VideoWish.kind])
        return VideoWish(**given)
    check_encoder(Path(video))
    return VideoWish(kind=Path(video).suffix.lower(), file=video, **given)


def want(
    config: "Config", output: Path | None, count: int = 1, kept: int = 1, video: "VideoWish | None" = None
) -> list[Wanted]:
    """`count` configs with seeds that follow; where several are kept, their files are named after the seeds."""
    if output is not None:
        check_output(output, config.is_film)

    def named(path: Path, seed: int) -> Path:
        return path if kept == 1 else path.with_name(f"{path.stem}-{seed}{path.suffix}")

    wanted = []
    for seed in range(config.seed, config.seed + count):
        clip = video and replace(video, file=video.file and str(named(Path(video.file), seed)))
        wanted.append(Wanted(replace(config, seed=seed), output and named(output, seed), clip))
    return wanted


def check_output(path: Path, is_film: bool = False) -> None:
    """Refuse, before anything is painted, a file that couldn't be written in the end."""
    if is_film:
        from vqclip.video import check_encoder  # noqa: PLC0415

        check_encoder(path)
        return
    if path.suffix.lower() != ".png":
        raise UsageError(
            f"-o {path}: pictures are saved as PNG, which carries their config; name it {path.stem or 'picture'}.png"
        )
    check_place(path, "picture.png")
