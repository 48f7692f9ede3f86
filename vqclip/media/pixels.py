"""Convert pixels of any kind to eight bits of sRGB."""

from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_BITS, _FORMAT = 258, 339  # tags of a TIFF
_USUAL = (1, 2**8 - 1, 2**16 - 1)  # the numbers that stand for white
_LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()  # Pillow's own conversion is none
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_eight_bits(image: Image.Image, tags: Mapping[int, Any] = MappingProxyType({})) -> Image.Image:
    """Scale grey of more bits, or of floating point, by its range. Pillow's own conversion clips at 255.

    A TIFF's tags say what the range is.
    """
    if image.mode == "F":
        shares = _of_floats(np.asarray(image, np.float64))
    elif image.mode.startswith("I;16"):
        shares = np.asarray(image) / _USUAL[2]
    elif image.mode == "I":
        shares = _of_integers(np.asarray(image), tags)
    else:
        return image
    grey = Image.fromarray((shares * 255).round().clip(0, 255).astype(np.uint8))
    grey.info = image.info
    return grey


def _of_floats(values: Any) -> Any:
    """Scale grey to [0, 1]: by the smallest usual white, or from the least to the greatest value if one is negative.

    NaN becomes black, and infinity the greatest finite number.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros_like(values)
    values = np.nan_to_num(values, nan=0.0, posinf=finite.max(), neginf=finite.min())
    least, most = min(0.0, values.min()), values.max()
    if least < 0:
        return (values - least) / max(most - least, np.finfo(np.float32).tiny)
    return values / next((white for white in _USUAL if most <= white), most)


def _of_integers(numbers: Any, tags: Mapping[int, Any]) -> Any:
    """Scale grey of 32 bits to [0, 1], by the range of its type, or by that of 8 or 16 bits if it needs no more."""
    bits, is_signed = int(tags.get(_BITS, (16,))[0]), tags.get(_FORMAT, (1,))[0] == 2
    values = (numbers if is_signed or bits < 32 else numbers.view(np.uint32)).astype(np.float64)
    if values.min() < 0:
        return _of_floats(values)
    white = 2 ** (bits - is_signed) - 1
    return values / next(
        (usual for usual in _USUAL[1:] if values.max() <= usual < white), max(white, values.max())
    )


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image to sRGB by its own colour profile. A profile that is broken or doesn't fit is ignored."""
    carried = _LAB if image.mode == "LAB" else image.info.get("icc_profile")
    if not carried:
        return image
    image = _unpalletised(image)
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    opaque = image.convert({"RGBA": "RGB", "LA": "L", "1": "L"}.get(image.mode, image.mode))
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(carried))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return image
        converted = ImageCms.profileToProfile(
            opaque,
            profile,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=_FLAGS,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    assert converted is not None
    if alpha:
        converted.putalpha(alpha)
    return converted


def _unpalletised(image: Image.Image) -> Image.Image:
    """Replace palette indices with colours. The transparent index becomes alpha."""
    if image.mode in ("P", "PA") or "transparency" in image.info:
        return image.convert("RGBA")
    return image
