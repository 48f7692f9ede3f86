"""Remember in a run folder to which file the finished image or film is copied, so that resuming copies it too."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from vqclip.base.errors import RunError
from vqclip.base.files import write_text

DELIVERY = "output.json"


@dataclass(frozen=True)
class Delivery:
    """Hold the absolute path of an output file, and whether a file that lies there is replaced."""

    file: Path
    force: bool = False


def remember(folder: Path, file: Path, force: bool = False) -> None:
    """Write into a run folder where its result goes; raises OSError."""
    write_text(folder / DELIVERY, json.dumps({"file": os.path.abspath(file), "force": force}) + "\n")


def remembered(folder: Path) -> Delivery | None:
    """Read where a run's result goes, or give None if it stays in its folder; raises RunError."""
    path = folder / DELIVERY
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Delivery(Path(values["file"]), bool(values["force"]))
    except (OSError, ValueError, TypeError, KeyError):
        raise RunError(f"{path} is damaged; delete it, and name the file with -o") from None
