"""Where the files that ship with the program lie: beside the package in a clone, inside it in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


CONFIGS = _folder("configs")
CHECKPOINTS = _folder("checkpoints")
