"""Where files lie: those that ship, beside the package in a clone or inside it in a wheel, and those of the user."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


CONFIGS = _folder("configs")
CHECKPOINTS = _folder("checkpoints")


def home() -> Path:
    """The user's folder of models: VQCLIP_HOME, or vqclip/ where their desktop keeps data. It needn't exist."""
    if named := os.environ.get("VQCLIP_HOME"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "vqclip"


def offline() -> bool:
    """Whether the environment forbids the network."""
    return any(
        os.environ.get(name, "").lower() not in ("", "0", "false", "no", "off")
        for name in ("VQCLIP_OFFLINE", "HF_HUB_OFFLINE")
    )
