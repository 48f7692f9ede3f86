"""Where files lie: those that ship, beside the package in a clone or inside it in a wheel, and those of the user."""

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
    """The user's folder of models: VQCLIP_HOME, or vqclip/ where their desktop keeps data. It needn't exist.

    Raises WeightsError for a user without a home folder who named none.
    """
    if not has_home():
        raise WeightsError("there is no home folder to keep models in; set VQCLIP_HOME to a folder")
    return _home()


def has_home() -> bool:
    """Whether models that don't ship with vqclip can be kept anywhere."""
    return not str(_home()).startswith("~")


def _home() -> Path:
    if named := os.environ.get("VQCLIP_HOME"):
        return expand(named)
    return expand(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "vqclip"


def expand(name: str) -> Path:
    """A path as a user writes it; `~` stays where nobody knows the home folder that it means."""
    return Path(os.path.expanduser(name))


def offline() -> bool:
    """Whether the environment forbids the network."""
    return any(
        os.environ.get(name, "").lower() not in ("", "0", "false", "no", "off")
        for name in ("VQCLIP_OFFLINE", "HF_HUB_OFFLINE")
    )
