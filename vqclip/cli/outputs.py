"""What a command is to make: Configs, and the files that pictures, films and videos go to."""

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
    """One picture: its Config, the file that it is saved to besides its run folder, and its video."""

    config: "Config"
    output: Path | None
    video: "VideoSettings | None" = None


def plan_outputs(
    config: "Config", output: Path | None, count: int = 1, kept: int = 1, video: "VideoSettings | None" = None
) -> list[OutputSpec]:
    """`count` configs with seeds that follow; where several are kept, their files are named after the seeds."""
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
    """Refuse, before anything is painted, a file that couldn't be written in the end."""
    if is_film:
        from vqclip.media.video_writer import check_encoder  # noqa: PLC0415

        check_encoder(path)
        return
    if path.suffix.lower() != ".png":
        raise UsageError(
            f"-o {path}: pictures are saved as PNG, which carries their config; name it {path.stem or 'picture'}.png"
        )
    check_target(path, "picture.png")
