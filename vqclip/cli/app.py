"""`vqclip`: its commands, and the way out for every error."""

import sys
import traceback
from typing import Annotated

import typer

from vqclip import __version__
from vqclip.cli import config, generate, resume, show
from vqclip.cli.console import complain, result
from vqclip.errors import VqclipError

app = typer.Typer(
    name="vqclip",
    help="Paints what a prompt says: a VQGAN's latent, nudged until CLIP is pleased.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("generate")(generate.generate)
app.command("resume")(resume.resume)
app.command("show")(show.show)
app.add_typer(config.app, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        result(f"vqclip {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    pass  # --debug is read by main, which outlives the parser


def main() -> None:
    """The console script. Errors become one line and an exit code; --debug shows where they come from."""
    try:
        app()
    except VqclipError as error:
        _leave(error, str(error), error.exit_code)
    except KeyboardInterrupt:
        _leave(None, "interrupted before anything was painted", 130)
    except Exception as error:
        _leave(
            error,
            f"unexpected {type(error).__name__}: {error} (please report it, with what `vqclip --debug …` prints)",
            1,
        )


def _leave(error: BaseException | None, message: str, code: int) -> None:
    if error is not None and "--debug" in sys.argv[1:2]:
        traceback.print_exception(error)
    complain(message)
    sys.exit(code)
