"""Complete values on the command line, for shells that ask; nothing here imports torch."""

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


def models(incomplete: str) -> list[str]:
    """Complete a model's name."""
    from vqclip.weights import store  # noqa: PLC0415

    return _beginning(sorted(store.cards()), incomplete)


def devices(incomplete: str) -> list[str]:
    return _beginning(["auto", "cpu", "cuda", "cuda:0", "mps"], incomplete)


def runs(incomplete: str) -> list[str]:
    """Complete the path of a run folder, in the folder that was typed or in runs/."""
    typed = Path(incomplete)
    parent = typed if incomplete.endswith("/") else typed.parent if "/" in incomplete else Path("runs")
    try:
        found = sorted(str(config.parent) for config in parent.glob("*/config.yaml"))
    except OSError:
        return []
    return _beginning(found, incomplete) or [path for path in found if Path(path).name.startswith(incomplete)]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
