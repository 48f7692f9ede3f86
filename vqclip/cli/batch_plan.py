"""`vqclip batch --plan`: what would be done with every job; torch isn't loaded for it."""

from collections.abc import Sequence

import typer

from vqclip.cli.display.console import complain, result, result_json, say
from vqclip.jobs.batch import Task
from vqclip.requirements.needs import requirements
from vqclip.runs.record import read_record


def explain(tasks: Sequence[Task], as_json: bool, quiet: bool = False) -> None:
    """Print what would be done with every task, and which models it takes; exit with 1 if no task can be done."""
    for task in tasks:
        line = {"index": task.index, "place": task.entry.position, "prompt": task.entry.title}
        if task.job is None:
            line |= {"status": "failed", "error": task.error or ""}
        else:
            status = (
                "done" if read_record(task.job.folder) else "begun" if task.job.folder.exists() else "open"
            )
            line |= {
                "status": status,
                "seed": task.job.config.seed,
                "image": task.name,
                "run": str(task.job.folder),
            }
        about = line.get("error") or line.get("image")
        result_json(line) if as_json else result(f"{line['status']:<7} {line['place']:<15} {about}")
    jobs = [task.job for task in tasks if task.job]
    if not jobs:
        complain(f"none of the {len(tasks)} jobs can be done")
        raise typer.Exit(1)
    if not quiet:
        names = (need.name for job in jobs for need in requirements(job.config))
        say("models", ", ".join(dict.fromkeys(names)))
