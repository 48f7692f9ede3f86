"""Read and write images. A written image carries the Config that made it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from vqclip.base.errors import ImageError, SaveError, cause
from vqclip.base.files import atomic
from vqclip.media import xmp
from vqclip.media.opening import load_rgba, open_image, over_white, quietly

CHUNK = "vqclip"  # keyword of the iTXt chunk
LARGEST_JPEG_PACKET = 65_502  # bytes of XMP in a segment of a JPEG


def to_pil(image: Tensor) -> Image.Image:
    """Convert an image (1 3 h w) in [0, 1] to 8-bit RGB."""
    pixels = (image[0].detach().float().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def load_image(path: Path) -> Tensor:
    """Read a file as an image (1 3 h w) in [0, 1], as `open_image` does. Raises ImageError."""
    return from_pil(open_image(path))


def load_mask(path: Path) -> Tensor:
    """Read a file as a mask (1 1 h w) in [0, 1]: 1 where it is white, or, if it has any transparency, transparent.

    Raises ImageError.
    """
    clear = load_transparency(path)
    return clear if clear.any() else load_image(path).mean(1, keepdim=True)


def load_transparency(path: Path) -> Tensor:
    """Read how transparent a file's pixels are (1 1 h w), in [0, 1]. Raises ImageError."""
    alpha = np.array(load_rgba(path).getchannel("A"))
    return 1 - torch.from_numpy(alpha)[None, None].float() / 255


def from_pil(image: Image.Image) -> Tensor:
    """Convert an image to a tensor (1 3 h w) in [0, 1], over white."""
    pixels = np.array(over_white(image))
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255


def save_png(image: Image.Image, path: Path, metadata: dict[str, Any]) -> None:
    """Write a PNG with metadata as JSON. Raises SaveError, and then leaves the old file."""
    info = PngInfo()
    info.add_text("Software", "vqclip")
    info.add_itxt(CHUNK, json.dumps(metadata, ensure_ascii=False))
    try:
        with atomic(path) as file:
            image.save(file, format="PNG", pnginfo=info)
    except OSError as error:
        raise SaveError(f"{path} can't be written: {cause(error)}") from None


def save_image(image: Image.Image, path: Path, metadata: dict[str, Any], title: str) -> None:
    """Write a PNG, JPEG or WebP, by its suffix, with metadata. Raises SaveError, and then leaves the old file."""
    kind = path.suffix.lower()
    if kind == ".png":
        return save_png(image, path, metadata)
    packet = xmp.encode(metadata, title)
    if kind != ".webp" and len(packet) > LARGEST_JPEG_PACKET:
        raise SaveError(f"{path}: the config is too long for a JPEG ({len(packet)} bytes); save it as .png")
    try:
        with atomic(path) as file:
            if kind == ".webp":
                image.save(file, format="WEBP", quality=95, method=6, xmp=packet)
            else:
                over_white(image).save(file, format="JPEG", quality=95, subsampling=0, xmp=packet)
    except OSError as error:
        raise SaveError(f"{path} can't be written: {cause(error)}") from None


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of an image that vqclip saved. Raises ImageError if there is none."""
    try:
        with quietly(), Image.open(path) as image:
            image.load()  # text may follow the pixels
            text = image.info.get(CHUNK) or _of_xmp(image.info.get("xmp"))
    except Exception as error:
        load_image(path)  # says what is wrong with it
        raise ImageError(f"{path} can't be read: {error}") from None
    if not isinstance(text, str):
        raise ImageError(f"{path} carries no config; only images that vqclip saved do")
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        raise ImageError(f"{path} carries a config that is damaged") from None


def _of_xmp(packet: Any) -> str | None:
    """Find the metadata in what a JPEG or a WebP carries."""
    return xmp.decode(packet) if isinstance(packet, bytes) else None
