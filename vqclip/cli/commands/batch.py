"""`vqclip batch`: a file of jobs."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from vqclip.cli import options
from vqclip.cli.display.console import listen_to_library

BARE_RAY = "local"


class Command(TyperCommand):
    """Lets `--ray` stand without an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spelled = options.spell_out(args, "--ray", BARE_RAY, lambda word: not word.startswith("-"))
        return super().parse_args(ctx, spelled)


def batch(
    file: Annotated[
        Path, typer.Argument(help="Text (a prompt a line), .csv, .jsonl or .yaml.", metavar="FILE")
    ],
    names: Annotated[
        str | None,
        typer.Option("--names", help="How pictures are called.", metavar="'{index:04d}-{slug}-{seed}.png'"),
    ] = None,
    preset: options.Preset = None,
    config: options.File = None,
    settings: options.Settings = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="How many paint at once; by default what suits.", metavar="N"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of each worker.", metavar="N")
    ] = None,
    devices: Annotated[
        str, typer.Option("--devices", help="As in cuda:0,cuda:1; a worker on each.", metavar="NAMES")
    ] = "auto",
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", help="On a Ray cluster: its address, or none to start one.", metavar="[ADDRESS]"
        ),
    ] = None,
    runs: options.Runs = Path("runs"),
    plan: options.Plan = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    pull: options.Pull = False,
) -> None:
    """Paint every job of FILE that isn't painted yet.

    The pictures, a manifest and a contact sheet go to a folder in --runs that is called like FILE. A job that fails is
    named, and the others go on; the exit code is 1 if any failed. The same command again does what isn't done.
    """
    from vqclip.jobs import batch as batches  # noqa: PLC0415

    listen_to_library(quiet)
    tasks = batches.plan(
        file, runs, names=names or batches.NAMES, preset=preset, base=config, settings=settings or []
    )
    if plan:
        from vqclip.cli import batch_plan  # noqa: PLC0415

        return batch_plan.explain(tasks, as_json)
    from vqclip.cli import batch_calls  # noqa: PLC0415
    from vqclip.jobs.placement import Placement  # noqa: PLC0415

    placement = Placement(workers, threads, [] if devices == "auto" else devices.split(","), ray)
    folder = batches.folder_of(file, runs)
    return batch_calls.paint(tasks, folder, placement, pull=pull, as_json=as_json, quiet=quiet)
