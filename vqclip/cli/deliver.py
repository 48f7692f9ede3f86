"""Copy results to the requested files, and print their paths on stdout."""

from pathlib import Path
from typing import Any

from PIL import Image

from vqclip.base.errors import SaveError, cause
from vqclip.base.files import copy, make_folder
from vqclip.cli.display.console import result, result_json
from vqclip.media.image import save_image
from vqclip.pipeline import progress_video
from vqclip.pipeline.events import Result
from vqclip.pipeline.film_video import write_film
from vqclip.runs.run import Run, image_metadata, origin, read_provenance


def deliver(
    made: Result,
    output: Path | None,
    as_json: bool,
    video: str | None = None,
    *,
    force: bool = True,
    **more: Any,
) -> None:
    """Copy a finished image or film, and its video, to the requested files; then print its line on stdout.

    Without `force`, a file that has appeared meanwhile is not replaced.
    """
    assert made.folder
    metadata = {name: value for name, value in read_provenance(made.folder).items() if name != "folder"}
    run, record = Run(made.folder, made.config, metadata, origin(made.folder)), made.record | more
    kind = "film" if run.config.is_film else "image"
    if output is not None:
        _clear_way(output, force, run.video if run.config.is_film else run.image)
    path = _put_film(run, output) if run.config.is_film else _put_image(run, output)
    paths = {kind: str(path), "run": str(run.folder)}
    if run.drawing.is_file():
        drawing = output and output.with_suffix(run.drawing.suffix)
        if drawing:
            _clear_way(drawing, force, run.drawing)
        paths["svg"] = str(_put(run.drawing, drawing))
    if settings := progress_video.read_settings(run.folder):
        file, there = video or settings.file, run.folder / settings.name
        if file:
            _clear_way(run.base / file, force, there)
        paths["video"] = str(_put(there, run.base / file if file else None))
    result_json(paths | record) if as_json else result(str(path))


def _clear_way(output: Path, force: bool, made: Path) -> None:
    """Make an output file's folder; raises SaveError, which says where the result is."""
    try:
        if output.exists() and not force:
            raise SaveError(f"{output} exists by now, and stays; the result is in {made}")
        make_folder(output)
    except OSError as error:
        raise SaveError(f"{output} can't be written: {cause(error)}; it is in {made}") from None


def _put_image(run: Run, output: Path | None) -> Path:
    """Copy a run's image, or write it in another format; give the path."""
    if output is None or output.suffix.lower() == run.image.suffix:
        return _put(run.image, output)
    with Image.open(run.image) as image:
        metadata = image_metadata(run.config, run.metadata)
        try:
            save_image(image, output, metadata, " | ".join(run.config.prompts))
        except SaveError as error:
            raise SaveError(f"{error}; it is in {run.image}") from None
    return output


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
