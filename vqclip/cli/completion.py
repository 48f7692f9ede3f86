"""Complete values on the command line, for shells that ask; nothing here imports torch."""

import os
from collections.abc import Iterable
from pathlib import Path


def presets(incomplete: str) -> list[str]:
    """Complete a preset's name, the last one of those joined by +."""
    from vqclip.config import resolve  # noqa: PLC0415

    done, plus, last = incomplete.rpartition("+")
    return [f"{done}{plus}{name}" for name in _beginning(resolve.presets(), last)]


def settings(incomplete: str) -> list[str]:
    """Complete the key of a KEY=VALUE."""
    from vqclip.config import known_keys  # noqa: PLC0415

    return [f"{key}=" for key in _beginning(known_keys.keys(), incomplete) if "[" not in key]


def drawers(incomplete: str) -> list[str]:
    from vqclip.config.registry import DRAWERS  # noqa: PLC0415

    return _beginning(DRAWERS.names(), incomplete)


def starts(incomplete: str) -> list[str]:
    from vqclip.config.registry import STARTS  # noqa: PLC0415

    return _beginning(STARTS.names(), incomplete)


def models(incomplete: str) -> list[str]:
    """Complete a model's name."""
    from vqclip.weights import store  # noqa: PLC0415

    return _beginning(sorted(store.cards()), incomplete)


def devices(incomplete: str) -> list[str]:
    return _beginning(["auto", "cpu", "cuda", "cuda:0", "mps"], incomplete)


def losses(incomplete: str) -> list[str]:
    """Complete the name in a NAME:WEIGHT."""
    from vqclip.config.registry import LOSSES  # noqa: PLC0415

    return [f"{name}:" for name in _beginning(LOSSES.names(), incomplete)]


def filters(incomplete: str) -> list[str]:
    """Complete the name in a NAME:VALUE."""
    from vqclip.config.registry import FILTERS  # noqa: PLC0415

    return [f"{name}:" for name in _beginning(FILTERS.names(), incomplete)]


def preset_names(incomplete: str) -> list[str]:
    from vqclip.config import resolve  # noqa: PLC0415

    return _beginning(resolve.presets(), incomplete)


def runs(incomplete: str) -> list[str]:
    """Complete the path of a run folder, or its name in runs/, or that of a folder on the way."""
    typed = Path(incomplete)
    parent = typed if incomplete.endswith("/") else typed.parent if "/" in incomplete else Path("runs")
    try:
        found = sorted(str(config.parent) for config in parent.glob("*/config.yaml"))
    except OSError:
        return []
    named = [run for run in found if Path(run).name.startswith(incomplete)]
    return _beginning(found, incomplete) or named or _entries(incomplete, is_folder=True)


def images(incomplete: str) -> list[str]:
    """Complete the path of a file, or that of the image of a run in runs/."""
    made = [f"{run}/image.png" for run in runs(incomplete) if Path(run, "image.png").is_file()]
    return made + [path for path in _entries(incomplete) if path not in made]


def _entries(incomplete: str, *, is_folder: bool = False) -> list[str]:
    """List what is in the folder that was typed and begins as typed; folders end with a stroke."""
    folder, stroke, name = incomplete.rpartition("/")
    try:
        entries = sorted(os.scandir(folder + stroke or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    shown = (entry for entry in entries if name or not entry.name.startswith("."))
    paths = [
        f"{folder}{stroke}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in shown
        if entry.name.startswith(name)
    ]
    return [path for path in paths if path.endswith("/") or not is_folder]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
