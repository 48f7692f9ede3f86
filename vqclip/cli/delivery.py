"""How what was made gets to where it was asked for, and onto stdout."""

from pathlib import Path
from typing import Any

import typer

from vqclip import device as devices
from vqclip import progress
from vqclip.canvas import Canvas
from vqclip.cli.console import complain, result, result_json, say
from vqclip.errors import SaveError, UsageError, reason
from vqclip.files import copy
from vqclip.progress import Recorder
from vqclip.projector import InBetween, project
from vqclip.run import Run, read_config, read_provenance, return_to_origin
from vqclip.shelf import Shelf
from vqclip.video import check_encoder


def deliver(
    record: dict[str, Any], run: Run, output: Path | None, as_json: bool, video: str | None = None
) -> None:
    """A finished picture's or film's line on stdout, once it lies where it was asked for, and its video does."""
    kind = "film" if run.config.is_film else "image"
    made = _put_film(run, output) if run.config.is_film else _put(run.image, output)
    places = {kind: str(made), "run": str(run.folder)}
    if wish := progress.read_wish(run.folder):
        file = video or wish.file
        places["video"] = str(_put(run.folder / wish.name, Path(file) if file else None))
    result_json(places | record) if as_json else result(str(made))


def make_video(recorder: Recorder, quiet: bool) -> None:
    """Make a finished run's video; leaves with the line that goes on, if it is interrupted."""
    try:
        video = recorder.finish()
    except KeyboardInterrupt:
        complain(f"stopped while the video was made; go on with: vqclip resume {recorder.run.folder}")
        raise typer.Exit(130) from None
    if not quiet:
        say("video", recorder.wish.file or str(video))


def project_again(
    folder: Path, output: Path | None, fps: float | None,
    *, between: int, hold: float, forth_and_back: bool, device: str,
) -> Path:  # fmt: skip
    """The video of a film's run folder, in its place or in another one."""
    config = read_config(folder)
    if not config.is_film:
        raise UsageError(f"{folder} is the run of a still; films are what story, zoom and restyle make")
    asked, place = output.absolute() if output else None, devices.pick(device)
    facts = {name: fact for name, fact in read_provenance(folder).items() if name != "folder"}
    run = Run(return_to_origin(folder), config, facts)
    check_encoder(asked or run.video)
    canvas = None
    if between > 1:
        vqgan = Shelf(place).vqgan(config.vqgan, devices.dtype_for(config.precision, place))
        canvas = Canvas(vqgan, config.width, config.height, config.tile)
    with run.held():
        smooth = InBetween(run, canvas, between) if canvas else None
        project(run, asked or run.video, fps, hold=hold, forth_and_back=forth_and_back, between=smooth)
    return output or folder / run.video.name


def _put_film(run: Run, output: Path | None) -> Path:
    """A copy of a run's film, or the same frames in another kind of video."""
    if output is None or output.suffix.lower() == run.video.suffix:
        return _put(run.video, output)
    project(run, output)
    return output


def _put(made: Path, output: Path | None) -> Path:
    """A copy of what was made in a run folder, where one was asked for."""
    try:
        if output:
            copy(made, output)
    except OSError as error:
        raise SaveError(f"{output} can't be written: {reason(error)}; it is in {made}") from None
    return output or made
