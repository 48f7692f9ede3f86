"""Run the command line: find the commands, and turn every error into one line and an exit code."""

import gc
import os
import sys
import traceback
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from vqclip import __version__
from vqclip.base.errors import UsageError, VqclipError, cause
from vqclip.base.runtime import spin_briefly, use_large_pages
from vqclip.cli.display.console import complain, result, spell_any_letter
from vqclip.cli.help_layout import Command, Group
from vqclip.cli.usage_errors import in_own_words

app = typer.Typer(
    name="vqclip",
    help="Generate images from text by optimising a VQGAN latent against CLIP.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order in which help lists them. Each is a file in commands/ with a function of its name, or with an `app`.
PANELS = {
    "Generate": ("generate", "story", "zoom", "restyle", "vary", "batch"),
    "Go on": ("resume", "film", "reproduce", "runs"),
    "Look": ("show", "diff", "gallery", "ui", "sheet"),
    "Ask a CLIP": ("classify", "search", "rank", "embed"),
    "Set up": ("presets", "config", "models", "doctor"),
}
COMMANDS = [name for names in PANELS.values() for name in names]


def _add_commands() -> None:
    for panel, names in PANELS.items():
        for name in names:
            module = import_module(f"vqclip.cli.commands.{name}")
            if isinstance(group := getattr(module, "app", None), typer.Typer):
                for info in group.registered_commands:
                    info.cls = Command if info.cls in (None, TyperCommand) else info.cls
                cls = group.info.cls if isinstance(group.info.cls, type) else Group
                app.add_typer(group, name=name, cls=cls, rich_help_panel=panel)
            else:
                command = getattr(module, "Command", Command)
                app.command(name, cls=command, rich_help_panel=panel)(getattr(module, name))


_add_commands()


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
    """Refuse a working folder that is gone; --debug is read by main, which outlives the parser."""
    try:
        os.getcwd()
    except OSError:
        if not {"-h", "--help"} & set(sys.argv):
            raise UsageError("the working folder no longer exists; go to another one with cd") from None


# typer carries a click of its own or uses the installed one, by version; either way this is its usage error.
_UsageError: Any = typer.BadParameter.__mro__[1]


def main() -> None:
    """The console script. Errors become one line and an exit code; --debug shows where they come from."""
    use_large_pages()
    spin_briefly()
    # Importing torch and open_clip makes millions of objects that all stay; looking through them as often as Python
    # does by default takes a fifth of the start.
    gc.set_threshold(100_000, 20, 100)
    spell_any_letter()
    try:
        code = app(standalone_mode=False)
    except VqclipError as error:
        _leave(error, str(error), error.exit_code)
    except _UsageError as error:
        _leave_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        _leave(None, "interrupted before any image was generated", 130)
    except OSError as error:
        _leave(error, f"{error.filename or 'the operating system says'}: {cause(error)}", 1)
    except Exception as error:
        advice = "please report it, with what `vqclip --debug …` prints"
        _leave(error, f"unexpected {type(error).__name__}: {error} ({advice})", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _leave_usage(error: Any) -> NoReturn:
    """A command line that doesn't parse: one line, and where the help is. A bare group has asked for its help."""
    context = error.ctx
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(2)
    message = in_own_words(error)
    link = "" if message.endswith("?") else ";"
    name = context.command_path if context else "vqclip"
    _leave(error, f"{message}{link} `{name} --help` says what is allowed", 2)


def _leave(error: BaseException | None, message: str, code: int) -> NoReturn:
    if error is not None and "--debug" in sys.argv[1:2]:
        traceback.print_exception(error)
    complain(message)
    sys.exit(code)
