"""Lay out the help of commands: options in panels of one order, flags without a type."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from typer.core import TyperCommand, TyperGroup

WHAT, HOW, OUTPUT, RUN = PANELS = ("What", "How", "Output", "Run")
FIRST = ("size", "count", "seed", "preset", "output", "device")  # of their panels


class Command(TyperCommand):
    """A command whose options lie in panels."""

    defaults: ClassVar[Mapping[str, str]] = {}  # of shared options, where its own preset sets others
    helps: ClassVar[Mapping[str, str]] = {}  # of shared options that do more here than elsewhere

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.help = unwrapped(self.help or "")

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = list(super().get_params(ctx))
        for parameter in parameters:
            parameter.help = self.helps.get(parameter.name, getattr(parameter, "help", None))
            if parameter.show_default and parameter.name in self.defaults:
                parameter.show_default = self.defaults[parameter.name]
        return laid_out(parameters)


class Group(TyperGroup):
    """A group of commands whose own options say no type either."""

    def get_params(self, ctx: Any) -> list[Any]:
        return laid_out(super().get_params(ctx))


def unwrapped(text: str) -> str:
    """Join the lines of each paragraph, so that a terminal of any width wraps them."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


def laid_out(parameters: list[Any]) -> list[Any]:
    """Sort parameters by their panels, and leave out types of arguments and flags; --help goes to the last one."""
    panels = {getattr(parameter, "rich_help_panel", None) for parameter in parameters}
    for parameter in parameters:
        if parameter.param_type_name == "argument" or parameter.is_flag:
            parameter.display_type_rich = lambda ctx: ""
        if isinstance(parameter.show_default, str):
            # Like the other defaults, which a typer of its own would put into round brackets.
            parameter.help += rf" [dim]\[default: {parameter.show_default}][/dim]"
            parameter.show_default = False
        if parameter.name == "help" and RUN in panels:
            parameter.rich_help_panel = RUN
    return sorted(parameters, key=_rank)


def _rank(parameter: Any) -> tuple[int, int]:
    """The place of a parameter: its panel's, then its own where it comes first."""
    panel = getattr(parameter, "rich_help_panel", None)
    return (
        PANELS.index(panel) if panel in PANELS else -1,
        FIRST.index(parameter.name) if parameter.name in FIRST else len(FIRST),
    )
