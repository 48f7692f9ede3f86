"""What the commands do once torch may be loaded."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from vqclip import device as devices
from vqclip.cli.console import complain, result, result_json, say, stderr
from vqclip.cli.generate import Wanted
from vqclip.cli.report import reporter
from vqclip.errors import SaveError, reason
from vqclip.files import atomic
from vqclip.job import Job
from vqclip.painter import Painter
from vqclip.pipeline import Pipeline
from vqclip.provenance import provenance
from vqclip.render import Interrupted, render
from vqclip.run import Run, check_parent, read_config, return_to_origin


def paint(
    wanted: Sequence[Wanted], device: str, runs: Path, *, as_json: bool, quiet: bool, pull: bool
) -> None:
    """Load the models once and paint one picture after the other."""
    place = devices.pick(device)
    check_parent(runs)
    facts = provenance(wanted[0].config, place)
    if not quiet:
        say("device", f"{facts['device']}, {facts['precision']}")
    pipeline = Pipeline(wanted[0].config, place, pull)
    for picture in wanted:
        run = Run.create(runs, picture.config, facts)
        _paint_one(run, pipeline, picture.output, as_json, quiet)


def go_on(folder: Path, device: str, *, as_json: bool, quiet: bool, pull: bool) -> None:
    """Paint on in a run folder, from where relative paths began; what is finished is only named."""
    painter, folder = Painter(device, pull=pull), return_to_origin(folder)
    run = painter.open(Job(read_config(folder), folder))
    with run.held():
        if (record := run.record()) is None:
            pipeline = Pipeline(run.config, painter.device, pull)
            return _paint_one(run, pipeline, None, as_json, quiet)
    if not quiet:
        say("painted", f"already; to paint it again: vqclip reproduce {run.image}")
    return _report(record, run, run.image, as_json)


def _paint_one(run: Run, pipeline: Pipeline, output: Path | None, as_json: bool, quiet: bool) -> None:
    if not quiet:
        say("seed", str(run.config.seed))
        say("run", str(run.folder))
    try:
        with reporter(stderr, quiet) as report:
            painting = render(run.config, pipeline, run, [report])
    except Interrupted as stopped:
        done = stopped.painting
        complain(
            f"stopped at step {done.steps} of {run.config.steps}; go on with: vqclip resume {run.folder}"
        )
        raise typer.Exit(128 + stopped.number) from None
    path = _copy(run.image, output) if output else run.image
    if not quiet:
        say("painted", f"{painting.steps} steps in {painting.seconds:.1f} s")
    _report(painting.record, run, path, as_json)


def _report(record: dict[str, Any], run: Run, path: Path, as_json: bool) -> None:
    result_json({"image": str(path), "run": str(run.folder), **record}) if as_json else result(str(path))


def _copy(image: Path, output: Path) -> Path:
    try:
        with image.open("rb") as source, atomic(output) as target:
            shutil.copyfileobj(source, target)
    except OSError as error:
        raise SaveError(f"{output} can't be written: {reason(error)}; the picture is in {image}") from None
    return output
