"""Turn what the page sends into Configs and files. A wrong request raises a VqclipError of one line."""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from vqclip.base.errors import ImageError, UsageError, in_words, shorten
from vqclip.base.files import atomic
from vqclip.config import prompt as prompts
from vqclip.config.prompt import Kind, Prompt
from vqclip.config.resolve import resolve
from vqclip.config.schema import Config
from vqclip.media.image import load_image, to_pil

UPLOADS = "uploads"  # the folder of uploaded images, in the folder of the runs
LARGEST_UPLOAD = 32 * 2**20  # bytes
LARGEST_IMAGE = 64 * 10**6  # pixels
_KEYS = {"prompts", "preset", "size", "steps", "seed", "init"}


def config_of(body: bytes, runs: Path) -> Config:
    """Make the Config that a request asks for: `prompts` with texts and weights, and perhaps other keys."""
    given = _mapping(body)
    if unknown := set(given) - _KEYS:
        raise UsageError(f"there is no {shorten(min(unknown))} in a request, only {', '.join(sorted(_KEYS))}")
    values: dict[str, Any] = {"prompts": _prompts(given.get("prompts"))}
    values |= {key: given[key] for key in ("size", "steps", "seed") if given.get(key) not in (None, "")}
    if given.get("init"):
        values["init"] = str(upload_named(given["init"], runs))
    return resolve(values, preset=str(given["preset"]) if given.get("preset") else None)


def upload_named(name: Any, runs: Path) -> Path:
    """Give the path of an uploaded image; raises ImageError if there is none of that name."""
    path = runs / UPLOADS / f"{name}.png"
    if not re.fullmatch(r"[0-9a-f]{16}", str(name)) or not path.is_file():
        raise ImageError(f"there is no uploaded image {shorten(name)}; choose the image again")
    return path


def save_upload(data: bytes, runs: Path) -> str:
    """Save an uploaded image as a PNG, and give the name by which a request calls it. Raises ImageError."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except Exception:  # Pillow's readers raise whatever a damaged file makes them stumble over
        raise ImageError("the file is not an image; PNG, JPEG, WebP, GIF, BMP and TIFF are") from None
    if width * height > LARGEST_IMAGE:
        raise ImageError(
            f"the image has {width}x{height} pixels; at most {LARGEST_IMAGE // 10**6} million are read"
        )
    name, folder = hashlib.sha256(data).hexdigest()[:16], runs / UPLOADS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    if not path.is_file():
        _convert(data, path)
    return name


def _convert(data: bytes, path: Path) -> None:
    raw = path.with_suffix(".raw")
    try:
        with atomic(raw) as file:
            file.write(data)
        image = to_pil(load_image(raw))
    except ImageError as error:
        raise ImageError(str(error).replace(str(raw), "the image")) from None
    finally:
        raw.unlink(missing_ok=True)
    with atomic(path) as file:
        image.save(file, format="PNG")


def _mapping(body: bytes) -> Mapping[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("the request is not JSON") from None
    if not isinstance(given, dict):
        raise UsageError(f"the request is {in_words(given)}; it must be a JSON object")
    return given


def _prompts(given: Any) -> list[str]:
    """Spell prompts with weights as a Config has them. A weight of 1 leaves the text's own grammar to itself."""
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise UsageError('prompts: write a list, as in [{"text": "an owl", "weight": 1}]')
    if odd := [one["text"] for one in given if not isinstance(one.get("text", ""), str)]:
        raise UsageError(f"prompts: {shorten(odd[0])} is no text; write one, as in: a lighthouse in a storm")
    lines = [_line(one.get("text", "").strip(), one.get("weight", 1)) for one in given]
    if not any(lines):
        raise UsageError("prompts: write what the image shows, as in: a lighthouse in a storm")
    return [line for line in lines if line]


def _line(text: str, weight: Any) -> str:
    if not text or weight == 1:
        return text
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise UsageError(f"prompts: the weight {shorten(weight)} is no number; write one, as in 0.5")
    return prompts.format(Prompt(Kind.TEXT, text, float(weight)))
