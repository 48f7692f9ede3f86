"""Write the second half of docs/peers.md: pixray's arguments, from the table that `vqclip config import` reads them by.

    python -m docs.make.peers

`tests/test_peers.py` fails where the file differs from what this makes.
"""

from pathlib import Path

from docs.make.reference import code, table
from vqclip.importing.pixray import CORE, DRAWERS, FILTERS, LOSSES
from vqclip.importing.table import Argument

FILE = Path(__file__).parents[1] / "peers.md"
HEADING = "## pixray's arguments"
HEAD = f"""{HEADING}

`vqclip config import` reads pixray's settings by this table. `python -m docs.make.peers` writes it from that table.

"""


def arguments() -> str:
    """Return the section on pixray's arguments."""
    rows = [(code(each.name), each.part, counterpart(each)) for each in (*CORE, *DRAWERS, *LOSSES, *FILTERS)]
    return HEAD + table(("argument", "of", "in vqclip"), rows)


def counterpart(argument: Argument) -> str:
    """Say what vqclip has for an argument, or why it has nothing."""
    keys = code(argument.keys) if argument.keys and " " not in argument.keys else argument.keys
    if not argument.convert and not keys:
        return f"none: {argument.reason}"
    return f"{keys}; {argument.reason}" if argument.reason else keys


def page() -> str:
    """Return the whole document: its first half as it stands, and the section."""
    return FILE.read_text(encoding="utf-8").partition(HEADING)[0] + arguments()


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
