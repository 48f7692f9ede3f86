"""How what was made gets to where it was asked for, and onto stdout."""

from pathlib import Path
from typing import Any

import typer

from vqclip.base import device as devices
from vqclip.base.errors import SaveError, UsageError, cause
from vqclip.base.files import copy
from vqclip.cli.display.console import complain, result, result_json, say
from vqclip.media.video_writer import check_encoder
from vqclip.pipeline import progress_video
from vqclip.pipeline.film_video import InBetween, write_film
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.progress_video import Recorder
from vqclip.runs.run import Run, read_config, read_provenance, return_to_origin


def deliver(
    record: dict[str, Any], run: Run, output: Path | None, as_json: bool, video: str | None = None
) -> None:
    """A finished picture's or film's line on stdout, once it lies where it was asked for, and its video does."""
    kind = "film" if run.config.is_film else "image"
    made = _put_film(run, output) if run.config.is_film else _put(run.image, output)
    paths = {kind: str(made), "run": str(run.folder)}
    if settings := progress_video.read_settings(run.folder):
        file = video or settings.file
        paths["video"] = str(_put(run.folder / settings.name, Path(file) if file else None))
    result_json(paths | record) if as_json else result(str(made))


def make_video(recorder: Recorder, quiet: bool) -> None:
    """Make a finished run's video; leaves with the line that goes on, if it is interrupted."""
    try:
        video = recorder.finish()
    except KeyboardInterrupt:
        complain(f"stopped while the video was made; go on with: vqclip resume {recorder.run.folder}")
        raise typer.Exit(130) from None
    if not quiet:
        say("video", recorder.settings.file or str(video))


def remake_film(
    folder: Path, output: Path | None, fps: float | None,
    *, between: int, hold: float, forth_and_back: bool, device: str,
) -> Path:  # fmt: skip
    """The video of a film's run folder, in its place or in another one."""
    config = read_config(folder)
    if not config.is_film:
        raise UsageError(f"{folder} is the run of a still; films are what story, zoom and restyle make")
    target, torch_device = output.absolute() if output else None, devices.pick(device)
    metadata = {name: fact for name, fact in read_provenance(folder).items() if name != "folder"}
    run = Run(return_to_origin(folder), config, metadata)
    check_encoder(target or run.video)
    drawer = None
    if between > 1:
        dtype = devices.dtype_for(config.precision, torch_device)
        drawer = config.drawer.open(ModelCache(torch_device), dtype, config.width, config.height, config.tile)
    with run.held():
        smooth = InBetween(run, drawer, between) if drawer else None
        write_film(run, target or run.video, fps, hold=hold, forth_and_back=forth_and_back, between=smooth)
    return output or folder / run.video.name


def _put_film(run: Run, output: Path | None) -> Path:
    """A copy of a run's film, or the same frames in another kind of video."""
    if output is None or output.suffix.lower() == run.video.suffix:
        return _put(run.video, output)
    write_film(run, output)
    return output


def _put(made: Path, output: Path | None) -> Path:
    """A copy of what was made in a run folder, where one was asked for."""
    try:
        if output:
            copy(made, output)
    except OSError as error:
        raise SaveError(f"{output} can't be written: {cause(error)}; it is in {made}") from None
    return output or made
