"""`vqclip presets`: list presets, and print one."""

from typing import TYPE_CHECKING, Annotated

import typer

from vqclip.base.errors import ConfigError, suggest
from vqclip.cli import completion, options
from vqclip.cli.default_command import ListsByDefault
from vqclip.cli.display.console import listen_to_library, result, result_json, say

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(name="presets", help="List presets, or print one.", cls=ListsByDefault)


@app.command("list")
def list_presets(as_json: options.Json = False) -> None:
    """List the presets that --preset takes: those that ship, and your own, with a line about each.

    Your own are YAML files of config keys in presets/ of the folder that `vqclip models where` prints.
    """
    from vqclip.cli.display.table import print_table  # noqa: PLC0415
    from vqclip.config import presets  # noqa: PLC0415

    own = presets.own()
    rows = [(name, "yours" if name in own else "ships", presets.about(path), path)
            for name, path in {**presets.shipped(), **own}.items()]  # fmt: skip
    if as_json:
        for name, origin, about, path in rows:
            result_json({"name": name, "origin": origin, "about": about, "file": str(path)})
        return
    print_table(("PRESET", "FROM", "WHAT IT IS"), [row[:3] for row in rows])
    if (folder := presets.own_folder()) and not own:
        say("presets", f"put your own into {folder}, as NAME.yaml")


@app.command("show")
def show(
    name: Annotated[
        str, typer.Argument(help="The preset's name.", metavar="NAME", autocompletion=completion.preset_names)
    ],
) -> None:
    """Print the YAML file of a preset, with its comments; `vqclip config show --preset NAME` prints all keys."""
    from vqclip.base.errors import cause  # noqa: PLC0415

    listen_to_library(quiet=False)
    path = _find(name)
    try:
        result(path.read_text(encoding="utf-8-sig", errors="replace").rstrip())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {cause(error)}") from None


def _find(name: str) -> "Path":
    from vqclip.config import presets  # noqa: PLC0415

    files = {**presets.shipped(), **presets.own()}
    if name not in files:
        hint = suggest(name, files) or "; `vqclip presets` lists them"
        raise ConfigError(f"there is no preset {name!r}{hint}")
    return files[name]
