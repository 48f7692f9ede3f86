"""Short forms of a config's values, and the long ones that they stand for.

`losses: {tv: 1}` is `losses: {tv: {weight: 1}}`.
"""

from collections.abc import Mapping
from typing import Any


def spelled_out(layer: Mapping[str, Any]) -> dict[str, Any]:
    """The same layer without short forms. Values of a wrong type stay, to be refused with their key."""
    long = dict(layer)
    if isinstance(losses := layer.get("losses"), Mapping):
        long["losses"] = {name: _weighted(settings) for name, settings in losses.items()}
    return long


def _weighted(settings: Any) -> Any:
    is_weight = settings is None or isinstance(settings, str | int | float)
    return {"weight": settings} if is_weight else settings
