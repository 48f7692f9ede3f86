"""Plan a command's outputs: Configs, and the files of images, films and videos."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vqclip.base.errors import UsageError
from vqclip.base.files import check_target

if TYPE_CHECKING:
    from vqclip.config.schema import Config
    from vqclip.pipeline.progress_video import VideoSettings


@dataclass(frozen=True)
class OutputSpec:
    """Hold an image's Config, the file that it is copied to from its run folder, and its video's settings."""

    config: "Config"
    output: Path | None
    video: "VideoSettings | None" = None


def plan_outputs(
    config: "Config", output: Path | None, count: int = 1, kept: int = 1, video: "VideoSettings | None" = None
) -> list[OutputSpec]:
    """Plan `count` images with consecutive seeds; if several are kept, put the seeds into the files' names."""
    if output is not None:
        check_output(output, config.is_film)

    def named(path: Path, seed: int) -> Path:
        return path if kept == 1 else path.with_name(f"{path.stem}-{seed}{path.suffix}")

    outputs = []
    for seed in range(config.seed, config.seed + count):
        settings = video and replace(video, file=video.file and str(named(Path(video.file), seed)))
        outputs.append(OutputSpec(replace(config, seed=seed), output and named(output, seed), settings))
    return outputs


def check_output(path: Path, is_film: bool = False) -> None:
    """Check, before any work, that an output file can be written; raises UsageError."""
    if is_film:
        from vqclip.media.video_writer import check_encoder  # noqa: PLC0415

        check_encoder(path)
        return
    if path.suffix.lower() != ".png":
        raise UsageError(
            f"-o {path}: images are saved as PNG, which carries their config; name it {path.stem or 'image'}.png"
        )
    check_target(path, "image.png")
