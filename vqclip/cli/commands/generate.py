"""`vqclip generate`: generate images from a prompt."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from vqclip.base.errors import UsageError
from vqclip.cli import completion, help_layout, options, video_options
from vqclip.cli.help_layout import OUTPUT
from vqclip.cli.inits import each_init
from vqclip.cli.outputs import plan_outputs
from vqclip.cli.painting_options import PaintingOptions, painting
from vqclip.config import prompt as prompts

if TYPE_CHECKING:
    from vqclip.config.schema import Config
    from vqclip.pipeline.progress_video import VideoSettings


class Command(help_layout.Command):
    """Lets `--video` stand without a file, and --init name several images."""

    helps: ClassVar[Mapping[str, str]] = {"init": "Start from this image: a file, a pattern, an address."}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        file = re.compile(r"[^-].*\.(mp4|gif|webp)|[^-]\S*\.\w+", re.IGNORECASE)
        spelled = video_options.spell_out(args, "--video", "", lambda word: bool(file.fullmatch(word)))
        return super().parse_args(ctx, spelled)


@painting
def generate(
    common: PaintingOptions,
    prompt: options.Prompt = None,
    tile: options.Tile = False,
    transparent: options.Transparent = False,
    count: options.Count = 1,
    output: options.Output = None,
    best: Annotated[
        int | None,
        typer.Option(
            "--best",
            min=1,
            help="Keep only the best K of --count images.",
            metavar="K",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            help="CLIP that ranks for --best.",
            metavar="NAME",
            rich_help_panel=OUTPUT,
            show_default="judge",
            autocompletion=completion.models,
        ),
    ] = None,
    video: video_options.Video = None,
    seconds: video_options.VideoSeconds = None,
    fps: video_options.VideoFps = None,
    hold: video_options.VideoHold = None,
    forth_and_back: video_options.ForthAndBack = False,
    batch_size: options.BatchSize = None,
    together: options.Together = None,
) -> None:
    """Generate an image of PROMPT, and print its path on stdout."""
    if prompt is not None:
        prompts.parse(prompt)  # another command makes stories
    presets = "+".join(["tile"] * tile + ["transparent"] * transparent)
    check_best(best, judge, count)
    for one, target in each_init(common, output):
        config = one.config(prompt, presets or None)
        settings = video_settings(
            config, video, seconds=seconds, fps=fps, hold=hold, forth_and_back=forth_and_back or None
        )
        outputs = plan_outputs(config, target, count, best or count, settings, force=one.force)
        one.run(outputs, keep=best, judge=judge, batch_size=batch_size or together)


def check_best(best: int | None, judge: str | None, count: int) -> None:
    """Refuse to choose where there is no choice."""
    if judge is not None and best is None:
        raise UsageError("--judge ranks for --best; say how many to keep, as in --count 8 --best 2")
    if best is not None and best > count:
        raise UsageError(
            f"--best {best} of --count {count} is impossible; make more, as in --count {4 * best}"
        )


def video_settings(config: "Config", video: str | None, **given: Any) -> "VideoSettings | None":
    """Read the settings of the video, if one is requested. Raises an error if it can't be made."""
    given = {name: value for name, value in given.items() if value is not None}
    if video is None:
        if given:
            raise UsageError("the video options need --video; add it, or --video FILE.mp4")
        return None
    if not config.steps:
        raise UsageError("--video shows an image's steps, and with --steps 0 there are none; leave it out")
    if config.transparent is not None:
        raise UsageError(
            "--video shows steps over random backgrounds with --transparent; leave one of them out"
        )
    if config.is_film:
        raise UsageError("--video shows how a still comes about, and this is a film; -o FILE.mp4 saves it")
    from vqclip.media import ffmpeg  # noqa: PLC0415
    from vqclip.media.video_writer import ENCODERS, check_encoder  # noqa: PLC0415
    from vqclip.pipeline.progress_video import VideoSettings  # noqa: PLC0415

    if not video:
        ffmpeg.check(ENCODERS[VideoSettings.kind])
        return VideoSettings(**given)
    check_encoder(Path(video))
    return VideoSettings(kind=Path(video).suffix.lower(), file=video, **given)
