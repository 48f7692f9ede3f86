"""The form that the first configs had: digests are over it, so that whatever was written keeps its digest."""

from collections.abc import Mapping
from typing import Any

from vqclip.config import renames
from vqclip.config.schedule import Schedule

FIRST_LOSSES = ("tv", "near_start", "saturation")  # every config wrote these down, zero or not


def of(counted: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of a Config as the first configs would have said it; keys that they hadn't come on top."""
    first = dict(counted) | {"losses": _losses(counted.get("losses", {}))}
    return renames.with_first_names(first)


def _losses(losses: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The first three, and those others that ever weigh anything."""
    absent = {name: {"weight": "0"} for name in FIRST_LOSSES}
    weighing = {
        name: dict(term)
        for name, term in losses.items()
        if name in FIRST_LOSSES or not Schedule.parse(term["weight"]).is_zero
    }
    return absent | weighing
