"""Convert pixray's losses, with the arguments that each of them reads."""

from collections.abc import Callable, Mapping
from typing import Any

from vqclip.base.errors import ConfigError, shorten
from vqclip.importing.pixray_values import colours
from vqclip.importing.table import Given, number, peeled, words

FORMS = {"default": "lengths", "clipped": "clipped", "log": "log"}  # of smoothness


def names(value: Any) -> list[str]:
    """List the losses of `name:weight->arguments, …`."""
    return [name for name, _, _ in _entries(value)]


def _entries(value: Any) -> list[tuple[str, float, str]]:
    """Parse losses into their names, weights and arguments."""
    found = []
    for part in words(value or "", ","):
        head, _, arguments = part.partition("->")
        name, numbers = peeled(head)
        found.append((name, (numbers or [1.0])[0], arguments.strip()))
    return found


def custom_loss(value: Any, given: Given) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, weight, arguments in _entries(value):
        if arguments:
            given.note(f"{name}: arguments after -> are read by no loss of pixray's own: {arguments}")
        if name not in LOSSES:
            given.note(f"there is no loss {shorten(name)}")
        else:
            values |= {f"losses.{key}": found for key, found in LOSSES[name](weight, given).items()}
    return values


def _palette(weight: float, given: Given) -> dict[str, Any]:
    if not given.get("palette"):
        given.note("palette needs colours; give some, as in palette: red;blue")
        return {}
    weight *= given.number("palette_weight", 1)
    return {"palette": {"weight": weight, "colours": colours(given.get("palette"))}}


def _saturation(weight: float, given: Given) -> dict[str, Any]:
    return {"saturation.weight": weight * given.number("saturation_weight", 1) / 10}


def _symmetry(weight: float, given: Given) -> dict[str, Any]:
    return {"symmetry": {"weight": weight * given.number("symmetry_weight", 1), "axis": "left-right"}}


def _smoothness(weight: float, given: Given) -> dict[str, Any]:
    form = FORMS.get(str(given.get("smoothness_type", "default")), "lengths")
    return {"tv": {"weight": weight * given.number("smoothness_weight", 1), "form": form}}


def _edge(weight: float, given: Given) -> dict[str, Any]:
    return {"edges.weight": weight * given.number("edge_color_weight", 0.1), "edges.margin": 0.05}


def _gaussian(weight: float, given: Given) -> dict[str, Any]:
    """Our size is in halves of the image's sides, pixray's in pixels of an image of about 288."""
    sides = [number(side, "gaussian_std") for side in words(given.get("gaussian_std", ""), " ")] or [40.0]
    levels = [number(level, "gaussian_color") for level in words(given.get("gaussian_color", [255] * 3), " ")]
    if len(levels) != 3:
        raise ConfigError(
            f"gaussian_color: {shorten(levels)} is no colour; write red, green and blue, as in [255, 0, 0]"
        )
    colour = "#" + "".join(f"{min(255, max(0, round(level))):02x}" for level in levels)
    size = round(sum(sides) / len(sides) / 144, 3)
    weight *= given.number("gaussian_weight", 1)
    return {"vignette": {"weight": weight, "colour": colour, "size": min(10, max(0.01, size))}}


def _style(weight: float, given: Given) -> dict[str, Any]:
    """pixray looks with a VGG; without its file, the perceptors' own features are compared."""
    if not (image := given.get("style_file", "")):
        given.note(f"style needs an image; add losses: {{style: {{weight: {weight:g}, image: IMAGE}}}}")
        return {}
    given.note(
        "style compares the perceptors' features, pixray's a VGG's; name one with losses.style.network: FILE"
    )
    return {"style": {"weight": weight, "image": str(image)}}


def _aesthetic(weight: float, given: Given) -> dict[str, Any]:
    given.note(
        "aesthetic needs the file of a linear head, which isn't part of vqclip; add "
        f"losses: {{head: {{file: FILE, target: {given.number('aesthetic_target', 10):g}}}}}"
    )
    return {}


def _resmem(weight: float, given: Given) -> dict[str, Any]:
    given.note("there is no network that predicts memorability")
    return {}


LOSSES: Mapping[str, Callable[[float, Given], dict[str, Any]]] = {
    "palette": _palette, "saturation": _saturation, "symmetry": _symmetry, "smoothness": _smoothness, "edge": _edge,
    "gaussian": _gaussian, "style": _style, "aesthetic": _aesthetic, "resmem": _resmem,
}  # fmt: skip


def edge_thickness(value: Any, given: Given) -> dict[str, Any]:
    return {"losses.edges.margin": min(0.5, number(value, "edge_thickness") / 100)}


def edge_margins(value: Any, given: Given) -> dict[str, Any]:
    shares = [min(0.5, number(side, "edge_margins") / 100) for side in words(value, " ")]
    sides = ("left", "right", "top", "bottom")
    return {f"losses.edges.{side}": share for side, share in zip(sides, shares, strict=False)}


def edge_colour(value: Any, given: Given) -> dict[str, Any]:
    return {"losses.edges.colour": str(value).removeprefix("mat:")}
