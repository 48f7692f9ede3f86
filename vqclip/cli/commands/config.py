"""`vqclip config`: print a config, or begin one."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.base.errors import ConfigError, cause
from vqclip.cli import options
from vqclip.cli.display.console import listen_to_library, result, say

app = typer.Typer(name="config", help="Print a config, or write one to edit.", no_args_is_help=True)


@app.command("show")
def show(
    preset: options.Preset = None,
    file: options.File = None,
    settings: options.Settings = None,
) -> None:
    """Print the whole config that these options resolve to, as YAML."""
    from vqclip.config import resolve as configs  # noqa: PLC0415

    listen_to_library(quiet=False)
    from vqclip.config.overrides import overrides  # noqa: PLC0415

    for line in overrides(preset, file):
        say("config", line)
    result(configs.dump(configs.resolve(preset=preset, file=file, settings=settings or [])).rstrip())


@app.command("init")
def init(file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")]) -> None:
    """Write the default config to FILE, with a comment for every key."""
    from vqclip.base.paths import CONFIGS  # noqa: PLC0415

    if file.exists():
        raise ConfigError(f"{file} exists already; name a new file")
    _write(file, (CONFIGS / "default.yaml").read_text(encoding="utf-8"))
    say(
        "config",
        f'edit it, then: vqclip generate "a red apple" -c {file}; its keys win over those of a --preset',
    )
    result(str(file))


@app.command("import")
def convert(
    source: Annotated[
        str, typer.Argument(help="A file of settings, or a command line in quotes.", metavar="FILE")
    ],
    program: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Whose it is: pixray, nerdyrodent or pytti.",
            metavar="NAME",
            show_default="detected",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The config to write.", metavar="FILE", show_default="stdout"),
    ] = None,
) -> None:
    """Convert another program's settings into a config.

    They are pixray's settings, nerdyrodent's command line, or pytti's settings. What has no counterpart is named, with
    the reason.
    """
    from vqclip.importing import importing  # noqa: PLC0415

    if program is not None and program not in importing.PROGRAMS:
        raise ConfigError(f"--from {program} is none of {', '.join(importing.PROGRAMS)}")
    if output is not None and output.exists():
        raise ConfigError(f"{output} exists already; name a new file")
    imported = importing.read(source, program)
    for line in imported.notes:
        say("without", line)
    if output is None:
        return result(imported.text.rstrip())
    _write(output, imported.text)
    say("config", f"these are {imported.program}'s settings; type: vqclip generate -c {output}")
    return result(str(output))


def _write(file: Path, text: str) -> None:
    from vqclip.base.files import write_text  # noqa: PLC0415

    try:
        write_text(file, text)
    except OSError as error:
        raise ConfigError(f"{file} can't be written: {cause(error)}") from None
