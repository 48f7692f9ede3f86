"""`vqclip batch`: run the jobs of a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vqclip.cli import help_layout, options, video_options
from vqclip.cli.display.console import listen_to_library, obey, say
from vqclip.cli.help_layout import OUTPUT, RUN

BARE_RAY = "local"


class Command(help_layout.Command):
    """Lets `--ray` stand without an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spelled = video_options.spell_out(args, "--ray", BARE_RAY, lambda word: not word.startswith("-"))
        return super().parse_args(ctx, spelled)


def batch(
    file: Annotated[
        Path, typer.Argument(help="Text (one prompt per line), .csv, .jsonl or .yaml.", metavar="FILE")
    ],
    preset: options.Preset = None,
    config: options.File = None,
    settings: options.Settings = None,
    pull: options.Pull = False,
    offline: options.Offline = False,
    names: Annotated[
        str | None,
        typer.Option(
            "--names",
            help="Names of the images.",
            metavar="TEMPLATE",
            rich_help_panel=OUTPUT,
            show_default="{index:04d}-{slug}-{seed}.png",
        ),
    ] = None,
    runs: options.Runs = Path("runs"),
    as_json: options.Json = False,
    devices: Annotated[
        str,
        typer.Option(
            "-d",
            "--devices",
            "--device",
            help="Devices, as in cuda:0,cuda:1; one worker on each.",
            metavar="NAMES",
            rich_help_panel=RUN,
        ),
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Number of workers.",
            metavar="N",
            rich_help_panel=RUN,
            show_default="one per GPU or CPU core",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, help="CPU threads of each worker.", metavar="N", rich_help_panel=RUN
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            help="Use the Ray cluster at ADDRESS, or start one.",
            metavar="[ADDRESS]",
            rich_help_panel=RUN,
        ),
    ] = None,
    plan: options.Plan = False,
    quiet: options.Quiet = False,
) -> None:
    """Run every job of FILE that isn't done yet.

    Images, a manifest and a contact sheet go to a folder in --runs that is named after FILE. If a job fails, vqclip
    prints its error and goes on with the others; the exit code is then 1. The same command again runs what is left.
    """
    from vqclip.jobs import batch as batches  # noqa: PLC0415

    obey(offline)
    listen_to_library(quiet)
    from vqclip.config.overrides import overrides  # noqa: PLC0415

    for line in () if quiet else overrides(preset, config):
        say("config", line)
    tasks = batches.plan(
        file, runs, names=names or batches.NAMES, preset=preset, base=config, settings=settings or []
    )
    if plan:
        from vqclip.cli import batch_plan  # noqa: PLC0415

        return batch_plan.explain(tasks, as_json, quiet)
    from vqclip.cli import batch_calls  # noqa: PLC0415
    from vqclip.jobs.placement import Placement  # noqa: PLC0415

    placement = Placement(workers, threads, [] if devices == "auto" else devices.split(","), ray)
    folder = batches.folder_of(file, runs, tasks)
    return batch_calls.paint(tasks, folder, placement, file, pull=pull, as_json=as_json, quiet=quiet)
