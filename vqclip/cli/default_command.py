"""Let a group of commands do one of them when none is named: `vqclip runs` is `vqclip runs list`."""

from typing import Any

from vqclip.cli.help_layout import Group


class ListsByDefault(Group):
    """Insert `list` where the first word names no command of the group."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_command = bool(args) and (args[0] in self.commands or args[0] in ("--help", "-h"))
        return super().parse_args(ctx, args if is_command else ["list", *args])
