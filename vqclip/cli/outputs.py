"""Plan a command's outputs: Configs, and the files of images, films and videos."""

import os
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vqclip.base.errors import UsageError, suggest
from vqclip.base.files import check_target
from vqclip.runs.job import slug

if TYPE_CHECKING:
    from vqclip.config.schema import Config
    from vqclip.pipeline.progress_video import VideoSettings

IMAGES = (".png", ".jpg", ".jpeg", ".webp")
JPEG = (".jpg", ".jpeg")
LARGEST_CONFIG = 60_000  # bytes of a config in a JPEG, beside which versions and digests have room
FIELDS = ("seed", "slug")


@dataclass(frozen=True)
class OutputSpec:
    """Hold an image's Config, the file that it is copied to from its run folder, and its video's settings."""

    config: "Config"
    output: Path | None
    video: "VideoSettings | None" = None
    force: bool = False  # replaces files that exist


def plan_outputs(
    config: "Config",
    output: str | None,
    count: int = 1,
    kept: int = 1,
    video: "VideoSettings | None" = None,
    *,
    force: bool = False,
) -> list[OutputSpec]:
    """Plan `count` images with consecutive seeds; if several are kept, put the seeds into the files' names.

    Raises UsageError for a file that can't be written, or that exists unless `force` replaces it.
    """
    configs = [replace(config, seed=seed) for seed in range(config.seed, config.seed + count)]
    return plan_configs(configs, output, kept, video, force=force)


def plan_configs(
    configs: Sequence["Config"],
    output: str | None,
    kept: int = 1,
    video: "VideoSettings | None" = None,
    *,
    force: bool = False,
) -> list[OutputSpec]:
    """Plan an image of each Config, all with seeds of their own; raises UsageError as `plan_outputs` does."""
    image = output and template(output, kept)
    video_file = video and video.file and template(video.file, kept)
    outputs = []
    for one in configs:
        target = Path(filled(image, one)) if image else None
        settings = video and replace(video, file=filled(video_file, one) if video_file else None)
        outputs.append(OutputSpec(one, target, settings, force))
        if target:
            check_result(target, one, force=force)
        if settings and settings.file:
            check_output(Path(settings.file), is_film=True, force=force)
    return outputs


def check_result(path: Path, config: "Config", *, force: bool = False) -> None:
    """Check, before any work, that a Config's image or film can be written to a file; raises UsageError."""
    check_output(path, config.is_film, force=force)
    if path.suffix.lower() in JPEG:
        _check_jpeg(path, config)


def _check_jpeg(path: Path, config: "Config") -> None:
    """Refuse what a JPEG can't hold: transparency, and a config that is too long; raises UsageError."""
    advice = f"name it {path.stem}.png or {path.stem}.webp"
    if config.transparent is not None:
        raise UsageError(f"-o {path}: a JPEG can't be transparent; {advice}")
    from vqclip.config.resolve import to_dict  # noqa: PLC0415
    from vqclip.media.xmp import encode  # noqa: PLC0415

    size = len(encode({"config": to_dict(config)}, " | ".join(config.prompts)))
    if size > LARGEST_CONFIG:
        raise UsageError(f"-o {path}: the config is too long for a JPEG ({size} bytes); {advice}")


def template(path: str, kept: int = 1) -> str:
    """Return a file's name with a place for the seed if several are kept; raises UsageError for an unknown field."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(path) if name is not None]
    except ValueError as error:
        raise UsageError(f"-o {path}: {error}; write for instance {{slug}}-{{seed}}.png") from None
    if unknown := next((name for name in fields if name not in FIELDS), None):
        raise UsageError(f"-o {path}: {{{unknown}}} is none of {', '.join(FIELDS)}{suggest(unknown, FIELDS)}")
    if kept == 1 or "seed" in fields:
        return path
    stem, suffix = os.path.splitext(path)
    return f"{stem}-{{seed}}{suffix}"


def filled(path: str, config: "Config") -> str:
    """Return a file's name with the seed and the words of a Config."""
    return path.format(seed=config.seed, slug=slug(config))


def check_output(path: Path, is_film: bool = False, *, force: bool = False) -> None:
    """Check, before any work, that an output file can be written; raises UsageError."""
    if is_film:
        from vqclip.media.video_writer import check_encoder  # noqa: PLC0415

        check_encoder(path)
    elif path.suffix.lower() not in IMAGES:
        stem = path.stem or "image"
        raise UsageError(f"-o {path}: images are saved as .png, .jpg or .webp; name it {stem}.png")
    else:
        check_target(path, "image.png")
    check_free(path, force)


def check_free(path: Path, force: bool) -> None:
    """Refuse a file that exists, unless it may be replaced."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists already; add --force to replace it, or name another file")
