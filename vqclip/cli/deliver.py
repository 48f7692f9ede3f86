"""Copy results to the requested files, and print their paths on stdout."""

from pathlib import Path
from typing import Any

from vqclip.base.errors import SaveError, cause
from vqclip.base.files import copy
from vqclip.cli.display.console import result, result_json
from vqclip.pipeline import progress_video
from vqclip.pipeline.events import Result
from vqclip.pipeline.film_video import write_film
from vqclip.runs.run import Run, origin, read_provenance


def deliver(made: Result, output: Path | None, as_json: bool, video: str | None = None, **more: Any) -> None:
    """Copy a finished image or film, and its video, to the requested files; then print its line on stdout."""
    assert made.folder
    metadata = {name: value for name, value in read_provenance(made.folder).items() if name != "folder"}
    run, record = Run(made.folder, made.config, metadata, origin(made.folder)), made.record | more
    kind = "film" if run.config.is_film else "image"
    path = _put_film(run, output) if run.config.is_film else _put(run.image, output)
    paths = {kind: str(path), "run": str(run.folder)}
    if run.drawing.is_file():
        paths["svg"] = str(_put(run.drawing, output and output.with_suffix(run.drawing.suffix)))
    if settings := progress_video.read_settings(run.folder):
        file = video or settings.file
        paths["video"] = str(_put(run.folder / settings.name, run.base / file if file else None))
    result_json(paths | record) if as_json else result(str(path))


def _put_film(run: Run, output: Path | None) -> Path:
    """Copy a run's film, or write its frames in another video format; give the path."""
    if output is None or output.suffix.lower() == run.video.suffix:
        return _put(run.video, output)
    write_film(run, output)
    return output


def _put(made: Path, output: Path | None) -> Path:
    """Copy a file of a run folder to `output`, if that is given; give the path."""
    try:
        if output:
            copy(made, output)
    except OSError as error:
        raise SaveError(f"{output} can't be written: {cause(error)}; it is in {made}") from None
    return output or made
