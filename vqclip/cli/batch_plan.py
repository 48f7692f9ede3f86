"""`vqclip batch --plan`: what would be done with every job; torch isn't loaded for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from vqclip.base.errors import ConfigError
from vqclip.cli.display.console import complain, result, result_json, say
from vqclip.config.schema import Config
from vqclip.jobs.batch import Task
from vqclip.requirements.inputs import input_files
from vqclip.requirements.needs import requirements
from vqclip.runs.record import read_record


def explain(tasks: Sequence[Task], as_json: bool, quiet: bool = False) -> None:
    """Print what would be done with every task, and which models it takes; exit with 1 if no task can be done."""
    states = [_state(task) for task in tasks]
    for task, state in zip(tasks, states, strict=True):
        line: dict[str, Any] = {
            "index": task.index,
            "place": task.entry.position,
            "prompt": task.entry.title,
            **state,
        }
        about = line.get("error") or line.get("image")
        result_json(line) if as_json else result(f"{line['status']:<7} {line['place']:<15} {about}")
    jobs = [task.job for task, state in zip(tasks, states, strict=True) if task.job and "error" not in state]
    if not jobs:
        complain(f"none of the {len(tasks)} jobs can be done")
        raise typer.Exit(1)
    if not quiet:
        names = (need.name for job in jobs for need in requirements(job.config))
        say("models", ", ".join(dict.fromkeys(names)))


def _state(task: Task) -> dict[str, Any]:
    """Tell whether a task is done, begun or open, or why it can't be done."""
    if task.job is None:
        return {"status": "failed", "error": task.error or ""}
    if read_record(task.job.folder):
        status = "done"
    elif error := _missing(task.job.config):
        return {"status": "failed", "error": error}
    else:
        status = "begun" if task.job.folder.exists() else "open"
    seed, run = task.job.config.seed, str(task.job.folder)
    return {"status": status, "seed": seed, "image": task.name, "run": run}


def _missing(config: Config) -> str:
    """Name the first file that a Config names and that isn't there; "" if all are."""
    try:
        return next(
            (f"there is no file {file}" for file in input_files(config) if not Path(file).is_file()), ""
        )
    except ConfigError as error:
        return str(error)
