"""CLUT: a Hald image, which image editors write, says by which colour to replace each colour."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.base.errors import ImageError
from vqclip.guidance.interfaces import Apply, Filter, FilterTools

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Clut(Filter):
    """Replace colours by those of a Hald CLUT image of level n, which is n^3 x n^3 pixels; between them linearly."""

    kind: str = "clut"
    file: str

    def images(self) -> tuple[str, ...]:
        return (self.file,)

    def open(self, tools: FilterTools) -> Apply:
        from vqclip.media.image import load_image  # noqa: PLC0415  # torch

        cube = read_hald(load_image(tools.base / self.file), self.file)
        cubes: dict[torch.device, Tensor] = {}

        def apply(images: "Tensor") -> "Tensor":
            if images.device not in cubes:
                cubes[images.device] = cube.to(images.device)
            return look_up(images, cubes[images.device])

        return apply


def read_hald(image: "Tensor", name: str) -> "Tensor":
    """Give the cube (b g r 3) of colours in a Hald image (1 3 s s); raises ImageError if it is none.

    Red changes fastest and blue slowest, row by row of the image.
    """
    side = image.shape[3]
    level = round(side ** (1 / 3))
    if image.shape[2] != side or level**3 != side or level < 2:
        height = image.shape[2]
        raise ImageError(
            f"{name} is no Hald CLUT: its sides must be n x n x n pixels, as 64x64 or 512x512; it is {side}x{height}"
        )
    return image[0].flatten(1).T.reshape(level**2, level**2, level**2, 3)


def look_up(images: "Tensor", cube: "Tensor") -> "Tensor":
    """Interpolate a cube (b g r 3) linearly at the pixels of images (n 3 h w), differentiably."""
    side = len(cube)
    place = images.clamp(0, 1) * (side - 1)
    low = place.detach().floor().clamp(max=side - 2).long()
    share = place - low
    mixed = images * 0
    for corner in range(8):
        steps = [corner >> c & 1 for c in range(3)]
        r, g, b = (low[:, c] + steps[c] for c in range(3))
        red, green, blue = (share[:, c] if steps[c] else 1 - share[:, c] for c in range(3))
        weight = red * green * blue
        mixed = mixed + cube[b, g, r].movedim(-1, 1) * weight.unsqueeze(1)
    return mixed
