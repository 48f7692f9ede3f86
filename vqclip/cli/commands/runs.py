"""`vqclip runs`: list runs, and delete them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqclip.base.errors import UsageError, VqclipError, visible
from vqclip.cli import completion, options
from vqclip.cli.default_command import ListsByDefault
from vqclip.cli.display.console import complain, result, result_json, say, stderr

if TYPE_CHECKING:
    from vqclip.runs.listing import Listed

app = typer.Typer(
    name="runs", help="List runs, or delete them; `vqclip runs` lists ./runs.", cls=ListsByDefault
)


@app.command("list")
def list_runs(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The folder that has the runs, or a run.", metavar="[DIR]", autocompletion=completion.runs
        ),
    ] = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """List the runs in DIR: folder, state, steps, date, size on the disk, and prompt; the newest last."""
    from vqclip.cli.display.table import WIDTH, cut  # noqa: PLC0415
    from vqclip.runs.listing import runs_in  # noqa: PLC0415

    found = sorted(runs_in(folder), key=lambda run: run.date)
    if not found:
        say("runs", f"none in {folder}")
    for run in found:
        if as_json:
            result_json(
                {"run": str(run.folder), "prompt": run.prompt, "state": run.state, "step": run.step,
                 "steps": run.steps, "date": run.date.isoformat(timespec="seconds"), "bytes": run.bytes}
            )  # fmt: skip
        else:
            result(str(run.folder))
            result(cut(visible(f"  {_facts(run)}  {run.prompt}"), WIDTH))


@app.command("remove")
def remove(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders.", metavar="RUN…", autocompletion=completion.runs)
    ],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete runs, after naming them and asking. What vqclip didn't write stays, and so does a run in use."""
    from vqclip.runs.listing import check_removable, describe  # noqa: PLC0415
    from vqclip.runs.listing import remove as delete  # noqa: PLC0415
    from vqclip.weights.catalog import human  # noqa: PLC0415

    runs = list(dict.fromkeys(runs))
    for run in runs:
        check_removable(run)
    found = [describe(run) for run in runs]
    for listed in found:
        say("delete", f"{listed.folder}: {_facts(listed)}  {listed.prompt}")
    if not yes and not _agreed(len(runs), human(sum(listed.bytes for listed in found))):
        raise UsageError("nothing was deleted")
    freed, failed = 0, False
    for run in runs:
        try:
            freed += delete(run)
            if run.exists():
                say("kept", f"{run}: it has files that vqclip didn't write")
        except (VqclipError, OSError) as error:
            failed = True
            complain(f"{run} isn't deleted: {error}")
    say("freed", human(freed))
    if failed:
        raise typer.Exit(1)


def _agreed(count: int, size: str) -> bool:
    """Ask on the terminal; raises UsageError where nobody can answer."""
    import sys  # noqa: PLC0415

    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError("nothing was deleted; add --yes to delete without being asked")
    stderr.print(f"delete {count} run{'s' if count > 1 else ''}, {size}? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _facts(run: "Listed") -> str:
    from vqclip.weights.catalog import human  # noqa: PLC0415

    of = "?" if run.steps is None else run.steps
    return f"{run.state:<8}  {f'{run.step}/{of}':>9}  {run.date:%Y-%m-%d %H:%M}  {human(run.bytes):>8}"
