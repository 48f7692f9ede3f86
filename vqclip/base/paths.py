"""Name the folders that vqclip uses: those that ship, beside the package or inside a wheel, and the user's."""

import os
from pathlib import Path

from vqclip.base.errors import WeightsError

_PACKAGE = Path(__file__).resolve().parents[1]


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


CONFIGS = _folder("configs")
CHECKPOINTS = _folder("checkpoints")


def home() -> Path:
    """Return the user's folder of models: VQCLIP_HOME, or vqclip/ in the desktop's data folder. It needn't exist.

    Raises WeightsError if there is no home folder and VQCLIP_HOME isn't set.
    """
    if not has_home():
        raise WeightsError("there is no home folder to keep models in; set VQCLIP_HOME to a folder")
    return _home()


def has_home() -> bool:
    """Tell whether there is a folder for models that don't ship with vqclip."""
    return not str(_home()).startswith("~")


def _home() -> Path:
    if named := os.environ.get("VQCLIP_HOME"):
        return expand(named)
    return expand(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "vqclip"


def cache() -> Path:
    """Return the user's folder of files that can be made again: vqclip/ in the desktop's cache. It needn't exist."""
    return expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "vqclip"


def expand(name: str) -> Path:
    """Return a path with `~` expanded. `~` stays if its home folder isn't known."""
    return Path(os.path.expanduser(name))


def offline() -> bool:
    """Tell whether the environment forbids the network."""
    return any(
        os.environ.get(name, "").lower() not in ("", "0", "false", "no", "off")
        for name in ("VQCLIP_OFFLINE", "HF_HUB_OFFLINE")
    )
