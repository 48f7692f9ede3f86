"""Open files of images, as Pillow's images. This imports no torch."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from vqclip.base.errors import ImageError, cause, is_url, spelled
from vqclip.media.pixels import to_eight_bits, to_srgb

MOST_SLENDER = 32


def open_image(path: Path) -> Image.Image:
    """Read a file as an image in 8-bit RGB: upright, in sRGB, over white. Raises ImageError.

    The image is turned as its EXIF says, and its colour profile is applied. Broken ones of these are ignored.
    """
    return over_white(load_rgba(path))


def over_white(image: Image.Image) -> Image.Image:
    """Lay an image over white, if it is transparent in part, and convert it to RGB."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def load_rgba(path: Path) -> Image.Image:
    """Read a file as RGBA, upright and in sRGB. Raises ImageError."""
    try:
        with quietly(), Image.open(path) as image:
            image.load()
            return to_srgb(to_eight_bits(_upright(image), getattr(image, "tag_v2", {}))).convert("RGBA")
    except UnidentifiedImageError:
        raise ImageError(
            f"{path} is not an image that vqclip can read; PNG, JPEG, WebP, GIF, BMP and TIFF can"
        ) from None
    except FileNotFoundError:
        if is_url(path):
            raise ImageError(f"{spelled(path)} is a URL; download the image, and name its file") from None
        raise ImageError(f"there is no image {path}") from None
    except OSError as error:
        raise ImageError(f"{path} can't be read: {cause(error)}") from None
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them stumble over
        raise ImageError(f"{path} can't be read: {error}") from None


def without_excess(image: Image.Image) -> Image.Image:
    """Cut the ends of an image that is more than MOST_SLENDER times as long as wide.

    Scaled until its short side fits, such a strip would take all memory; what is cut is far from its centre.
    """
    longest = MOST_SLENDER * min(image.size)
    width, height = (min(side, longest) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image if (width, height) == image.size else image.crop((left, top, left + width, top + height))


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Suppress Pillow's warnings about large images and odd files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # see load_rgba; the pixels are whole
        return image
