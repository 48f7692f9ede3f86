"""What the commands do once torch may be loaded."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from vqclip import device as devices
from vqclip.cli.console import complain, result, result_json, say, stderr
from vqclip.cli.generate import Job
from vqclip.cli.models import fetch
from vqclip.cli.report import reporter
from vqclip.errors import SaveError, WeightsError, reason
from vqclip.files import atomic
from vqclip.models import install, store
from vqclip.pipeline import Pipeline
from vqclip.provenance import provenance
from vqclip.render import Interrupted, Painting, render
from vqclip.run import Run, check_parent, read_config
from vqclip.schema import Config


def paint(jobs: Sequence[Job], device: str, runs: Path, *, as_json: bool, quiet: bool, pull: bool) -> None:
    """Load the models once and paint one job after the other."""
    place = devices.pick(device)
    check_parent(runs)
    provide(jobs[0].config, pull=pull, quiet=quiet)
    facts = provenance(jobs[0].config, place)
    if not quiet:
        say("device", f"{facts['device']}, {facts['precision']}")
    pipeline = Pipeline(jobs[0].config, place, pull)
    for job in jobs:
        run = Run.create(runs, job.config, facts)
        _paint_one(run, pipeline, job.output, as_json, quiet)


def go_on(folder: Path, device: str, *, as_json: bool, quiet: bool, pull: bool) -> None:
    """Paint on in a run folder."""
    place = devices.pick(device)
    config = read_config(folder)
    provide(config, pull=pull, quiet=quiet)
    run = Run(folder, config, provenance(config, place))
    _paint_one(run, Pipeline(config, place, pull), None, as_json, quiet)


def provide(config: Config, *, pull: bool, quiet: bool) -> None:
    """See that the models are here, or fetch them if that was asked for; raises WeightsError with the line to type."""
    names = list(dict.fromkeys([config.vqgan, *(perceptor.model for perceptor in config.perceptors)]))
    missing = [name for name in names if install.is_missing(name)]
    if missing and not pull:
        verb = "isn't" if len(missing) == 1 else "aren't"
        line = f"vqclip models pull {' '.join(missing)}"
        raise WeightsError(f"{' and '.join(missing)} {verb} on this machine; add --pull, or type: {line}")
    for name in missing:
        fetch(name, quiet)
    if not quiet:
        known = store.cards()
        small = all(name in known and known[name].ships for name in names)
        more = "; for larger ones see --preset pairs/classic and vqclip models list" if small else ""
        say("models", ", ".join(names) + more)


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
    result_json(_record(painting, path)) if as_json else result(str(path))


def _copy(image: Path, output: Path) -> Path:
    try:
        with image.open("rb") as source, atomic(output) as target:
            shutil.copyfileobj(source, target)
    except OSError as error:
        raise SaveError(f"{output} can't be written: {reason(error)}; the picture is in {image}") from None
    return output


def _record(painting: Painting, path: Path) -> dict[str, Any]:
    return {
        "image": str(path),
        "run": str(painting.folder),
        "seed": painting.config.seed,
        "prompt": " | ".join(painting.config.prompts),
        "steps": painting.steps,
        "seconds": round(painting.seconds, 2),
        "losses": {name: round(loss, 4) for name, loss in painting.losses.items()},
    }
