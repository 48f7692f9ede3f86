"""The form that the first configs had: digests are over it, so that whatever was written keeps its digest."""

from collections.abc import Mapping
from typing import Any

from vqclip.config import renames
from vqclip.config.schedule import Schedule

FIRST_LOSSES = ("tv", "near_start", "saturation")  # every config wrote these down, zero or not


def of(counted: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of a Config as the first configs would have said it; keys that they hadn't come on top."""
    kept = {key: value for key, value in counted.items() if key not in ("drawer", "start")}
    first = kept | {"losses": _losses(counted.get("losses", {}))}
    return renames.with_first_names(first) | _drawer(counted["drawer"]) | _start(counted["start"])


def _drawer(drawer: Mapping[str, Any]) -> dict[str, Any]:
    """There was one, the VQGAN, and its name was a key."""
    if drawer["name"] != "vqgan":
        return {"drawer": dict(drawer)}
    added = {key: value for key, value in drawer.items() if key not in ("name", "model")}
    return {"vqgan": drawer["model"]} | ({"drawer": added} if added else {})


def _start(start: Mapping[str, Any]) -> dict[str, Any]:
    """A sketchbook was named whatever the start, and always this one where none was needed."""
    added = {key: value for key, value in start.items() if key not in ("name", "sketchbook")}
    whole = {"start": start["name"], "sketchbook": start.get("sketchbook", "mini-sketch")}
    return whole | ({"start keys": added} if added else {})


def _losses(losses: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The first three, and those others that ever weigh anything."""
    absent = {name: {"weight": "0"} for name in FIRST_LOSSES}
    weighing = {
        name: dict(term)
        for name, term in losses.items()
        if name in FIRST_LOSSES or not Schedule.parse(term["weight"]).is_zero
    }
    return absent | weighing
