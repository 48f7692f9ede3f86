"""`vqclip config`: print a config, or begin one."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.base.errors import ConfigError, cause
from vqclip.cli import options
from vqclip.cli.display.console import listen_to_library, result, say
from vqclip.config.overrides import overrides

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
    for line in overrides(preset, file):
        say("config", line)
    result(configs.dump(configs.resolve(preset=preset, file=file, settings=settings or [])).rstrip())


@app.command("init")
def init(file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")]) -> None:
    """Write the default config to FILE, with a comment for every key."""
    from vqclip.base.files import write_text  # noqa: PLC0415
    from vqclip.base.paths import CONFIGS  # noqa: PLC0415

    if file.exists():
        raise ConfigError(f"{file} exists already; name a new file")
    try:
        write_text(file, (CONFIGS / "default.yaml").read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} can't be written: {cause(error)}") from None
    say(
        "config",
        f'edit it, then: vqclip generate "a red apple" -c {file}; its keys win over those of a --preset',
    )
    result(str(file))
