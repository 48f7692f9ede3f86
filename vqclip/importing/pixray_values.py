"""Convert the values of pixray's arguments."""

import re
from collections.abc import Mapping
from typing import Any

from vqclip.base.errors import ConfigError, shorten
from vqclip.config import dotted, resolve
from vqclip.config.schema import OPTIMIZERS
from vqclip.importing.models import VQGANS, clip_name
from vqclip.importing.table import Convert, Given, number, pair, truth, whole, words

QUALITIES = ("draft", "normal", "better", "best", "supreme")
SCALES = {"small": 1, "medium": 2, "large": 4}
ASPECTS = {"square": (144, 144), "portrait": (128, 160), "widescreen": (192, 108)}
# pixray's drawers and ours. Each of the others has rates of its own there, and a recipe here.
DRAWERS = {
    "vqgan": "vqgan", "pixel": "pixel", "fast_pixel": "pixel", "fft": "fft", "line_sketch": "lines",
    "clipdraw": "lines",
}  # fmt: skip
STROKES = {"line_sketch": 24, "clipdraw": 1024}
SHAPES = {"rect": "square", "hex": "hex", "tri": "triangle"}
STARTS = {"pixels": "noise", "snow": "noise", "gradient": "gradient", "none": "codes"}
WIDE = 0.4  # the share of pixray's crops that show nearly the whole image


def ground(given: Given) -> dict[str, Any]:
    """The values of a quality's preset, without what only a VQGAN needs where another drawer is chosen."""
    quality = str(given.get("quality", "normal")).strip().lower()
    if quality not in QUALITIES:
        raise ConfigError(f"quality: {shorten(quality)} is none of {', '.join(QUALITIES)}")
    values = dotted.copied(resolve.read_preset(f"recipes/pixray-{quality}"))
    name = DRAWERS.get(drawer_of(given.settings), "vqgan")
    values["size"] = "{}x{}".format(*size(given, QUALITIES.index(quality) + 1))
    crops = _crops(given, values["cutouts"])
    values["cutouts"] = {**values["cutouts"], "count": crops, "anchors": round(WIDE * crops)}
    if name == "vqgan":
        values["drawer"] = {"name": name, "model": VQGANS["imagenet_f16_16384"]}
        values["optimizer"] = {"name": "adam", "learning_rate": "0.2", "unit": "latent", "drops": ["75%"]}
        return values
    kept = {key: values[key] for key in ("size", "steps", "perceptors", "cutouts")}
    return {**kept, "drawer": {"name": name, **_drawer_keys(given, values["size"])}}


def _crops(given: Given, cutouts: Mapping[str, Any]) -> int:
    """All crops of a step: pixray's are those of a batch, in several batches."""
    if given.get("num_cuts") is None and given.get("batches") is None:
        return int(cutouts["count"])
    quality = QUALITIES.index(str(given.get("quality", "normal")).lower())
    batch, batches = ((24, 1), (30, 1), (36, 1), (12, 2), (8, 4))[quality]
    return whole(given.get("num_cuts", batch), "num_cuts") * whole(given.get("batches", batches), "batches")


def size(given: Given, scale: float) -> tuple[int, int]:
    """Width and height in pixels, as pixray derives them from size, scale or ezsize, and aspect."""
    if exact := given.get("size"):
        return pair(exact, "size")
    if named := given.get("ezsize"):
        scale = SCALES.get(str(named), scale)
    scale = given.number("scale", scale)
    aspect = str(given.get("aspect", "widescreen"))
    if aspect not in ASPECTS:
        given.argument = "aspect"
        given.note(
            f"{shorten(aspect)} takes the init's shape; the size is a square, and --size init takes the init's"
        )
    width, height = ASPECTS.get(aspect, ASPECTS["square"])
    return int(scale * width), int(scale * height)


def drawer_of(settings: Mapping[str, Any]) -> str:
    return str(settings.get("drawer") or "vqgan").strip()


def drawer(value: Any, given: Given) -> dict[str, Any]:
    """Say where there is no such drawer; `ground` has put in ours."""
    if drawer_of(given.settings) not in DRAWERS:
        given.note(f"there is no drawer {shorten(value)}; the VQGAN draws instead")
    return {}


def _drawer_keys(given: Given, sides: str) -> dict[str, Any]:
    name = drawer_of(given.settings)
    if DRAWERS[name] == "pixel":
        return {"pixels": _pixels(given, *map(int, sides.split("x")))}
    return {"strokes": STROKES[name], "fills": 0} if name in STROKES else {}


def _pixels(given: Given, width: int, height: int) -> str:
    """The grid, as pixray derives it from the image's shape and that of the pixels; never finer than the image."""
    wide, square = (80, 45), (40, 40)
    columns, rows = square if width == height else wide if width > height else (40, 50)
    kind = str(given.get("pixel_type", "rect"))
    if exact := given.get("pixel_size"):
        columns, rows = pair(exact, "pixel_size")
    elif truth(given.get("pixel_iso_check", True)):
        columns = int(1.414 * columns) if kind == "tri" else columns
        rows = int({"hex": 1.414, "diamond": 2}.get(kind, 1) * rows)
    scale = given.number("pixel_scale", 1) or 1
    return f"{max(1, min(width, int(columns / scale)))}x{max(1, min(height, int(rows / scale)))}"


def in_steps(value: Any, given: Given, unit: str = "i") -> int:
    """Read `20i`, `20 iterations`, `75%` or `75p` as a number of steps; without a unit it has the given one."""
    match = re.fullmatch(r"(\d*\.?\d+)\s*(i|iter|iterations|p|%|percent)?", str(value).strip().lower())
    if not match:
        raise ConfigError(f"{given.argument}: {shorten(value)} is no moment; write one as in 20i or 75%")
    amount, is_share = number(match[1], given.argument), (match[2] or unit)[0] in "p%"
    return int(amount * 0.01 * _steps(given)) if is_share else int(amount)


def _steps(given: Given) -> int:
    quality = QUALITIES.index(str(given.get("quality", "normal")).lower())
    return whole(given.get("iterations", (200, 250, 300, 350, 400)[quality]), "iterations")


def save_every(value: Any, given: Given) -> dict[str, Any]:
    kept = truth(given.get("save_intermediates", True))
    return {"save_every": in_steps(value, given)} if kept else {}


def overlay_steps(key: str) -> Convert:
    return lambda value, given: {f"overlay.{key}": in_steps(value, given)} if _stamps(given) else {}


def overlay_alpha(value: Any, given: Given) -> dict[str, Any]:
    return {"overlay.alpha": round(number(value, "overlay_alpha") / 255, 3)} if _stamps(given) else {}


def _stamps(given: Given) -> bool:
    """Tell whether there is an overlay: without a file of its own, pixray stamps the init image."""
    return bool(given.get("overlay_image"))


def init_noise(value: Any, given: Given) -> dict[str, Any]:
    name = STARTS.get(str(value).lower())
    if name is None:
        given.note(f"there is no start {shorten(value)}; noise stands in for it")
    return {"start": {"name": name or "noise"}}


def target_images(value: Any, given: Given) -> dict[str, Any]:
    return {"losses.near_images": {"weight": 1, "targets": words(value)}}


def near_start(value: Any, given: Given) -> dict[str, Any]:
    names = ("init_weight", "init_weight_dist", "init_weight_cos")
    return {"losses.near_start.weight": sum(given.number(name, 0) for name in names)}


def near_init(value: Any, given: Given) -> dict[str, Any]:
    if not given.get("init_image"):
        given.note("there is no init_image to be near to")
        return {}
    weight = number(value, "init_weight_pix")
    return {"losses.near_init": {"weight": weight, "norm": "l1"}} if weight else {}


def perceptors(value: Any, given: Given) -> dict[str, Any]:
    if value != "clip":
        given.note(
            f"{shorten(value)} needs SLIP, which vqclip doesn't load; the quality's CLIPs score instead"
        )
    return {}


def clip_models(value: Any, given: Given) -> dict[str, Any]:
    """Replace the quality's CLIPs."""
    found = {name: clip_name(name) for name in words(value, ",")}
    for name in [name for name, ours in found.items() if ours is None]:
        given.note(f"there is no CLIP {shorten(name)}")
    models = [{"model": name} for name in found.values() if name]
    return {"perceptors": tuple(models)} if models else {}


def learning_rate(value: Any, given: Given) -> dict[str, Any]:
    if drawer_of(given.settings) in DRAWERS and drawer_of(given.settings) != "vqgan":
        given.note("the drawer's own recipe has the rates, as pixray's drawer has")
        return {}
    return {"optimizer.learning_rate": str(number(value, "learning_rate")), "film.learning_rate": str(value)}


def drops(value: Any, given: Given) -> dict[str, Any]:
    if DRAWERS.get(drawer_of(given.settings), "vqgan") != "vqgan":
        return {}
    found = [_moment(item, given) for item in words(value, " ")]
    return {"optimizer.drops": tuple(found)}


def _moment(value: Any, given: Given) -> str:
    in_steps(value, given, "%")
    text = str(value).lower().replace(" ", "")
    return text if re.search(r"[a-z%]$", text) else f"{text}%"


def auto_stop(value: Any, given: Given) -> dict[str, Any]:
    """pixray drops the rate when twelve steps brought nothing, as often as there are drops, and then ends."""
    if not truth(value):
        return {}
    count = len(words(given.get("learning_rate_drops", ["75"]), " "))
    return {"plateau": {"patience": 12, "improvement": 0, "drops": count}}


def optimizer(value: Any, given: Given) -> dict[str, Any]:
    name = str(value).lower()
    if name not in OPTIMIZERS:
        given.note(f"there is no optimiser {value}; adam stands in for it")
    return {"optimizer.name": name if name in OPTIMIZERS else "adam"}


def palette(value: Any, given: Given) -> dict[str, Any]:
    """Lock the image to the palette, unless only the loss `palette` uses it."""
    only_loss = _asks_for(given, "palette") and "lookup" not in filter_names(given.get("filters"))
    return {} if only_loss else {"palette": {"colours": colours(value), "lock": True}}


def _asks_for(given: Given, loss: str) -> bool:
    return any(part.strip().startswith(loss) for part in str(given.get("custom_loss", "")).split(","))


def colours(value: Any) -> list[str]:
    """Spell a palette as ours: one colour alone is a range from black, and a file stands in brackets."""
    return [_colours(part) for part in str(value).split(";") if part.strip()]


def _colours(text: str) -> str:
    body, _, count = text.strip().partition("\\")
    body = body.strip()
    if not body:
        raise ConfigError(f"palette: {shorten(text)} has no colour; write one, as in red")
    if body.startswith("@"):
        body = f"[{body[1:]}]"
    elif body[0] not in "[(" and "->" not in body:
        body = f"black->{body.removeprefix('mat:')}" if not body.startswith("pixel_") else body
    return f"{body}\\{count}" if count else body


def transparent(value: Any, given: Given) -> dict[str, Any]:
    if value and given.get("drawer") in ("line_sketch", "clipdraw"):
        given.note("the drawer lines has no alpha channel")
        return {}
    return {"transparent": "0.3"} if value else {}


def filters(value: Any, given: Given) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in filter_names(value):
        if name in ("wallpaper", "tiler"):
            found["tile"] = True
        elif name != "lookup":
            given.note(f"there is no filter {shorten(name)}")
        elif not given.get("palette"):
            given.note("lookup uses a palette of pixray's own; name one, as in palette: pico8")
    return found


def filter_names(value: Any) -> list[str]:
    return [part.partition(":")[0].strip() for part in words(value or "", ",")]


def wallpaper_type(value: Any, given: Given) -> dict[str, Any]:
    if value != "none":
        given.note(
            f"{shorten(value)} isn't there; tile repeats the image in both directions, in rows that aren't shifted"
        )
    return {"tile": True}


def vqgan_model(value: Any, given: Given) -> dict[str, Any]:
    if str(value) not in VQGANS:
        given.note(f"there is no VQGAN {shorten(value)}; {VQGANS['imagenet_f16_16384']} stands in for it")
        return {}
    return {"drawer.model": VQGANS[str(value)]}


def pixel_type(value: Any, given: Given) -> dict[str, Any]:
    if str(value) not in SHAPES:
        given.note(f"there is no shape {shorten(value)}; squares stand in for it")
    return {"drawer.shape": SHAPES.get(str(value), "square")}


def strokes(value: Any, given: Given) -> dict[str, Any]:
    return {"drawer.strokes": whole(value, "strokes")}


def fft_use(value: Any, given: Given) -> dict[str, Any]:
    if value != "fft":
        given.note(f"there is no {shorten(value)} here; the Fourier basis draws instead")
    return {}
