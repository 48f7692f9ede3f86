"""Rotate: the image is turned a little, and mirrored where it ends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import within
from vqclip.guidance.interfaces import Apply, Filter, FilterTools

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rotate(Filter):
    """Turn the image clockwise about its middle."""

    kind: str = "rotate"
    degrees: float = within(-180, 180, default=3.0)

    def open(self, tools: FilterTools) -> Apply:
        return self._apply

    def _apply(self, images: "Tensor") -> "Tensor":
        from math import cos, radians, sin  # noqa: PLC0415

        import torch  # noqa: PLC0415
        import torch.nn.functional as F  # noqa: PLC0415

        from vqclip.base.device import strengths  # noqa: PLC0415  # torch

        height, width = images.shape[2:]
        y, x = (
            (torch.arange(side, device=images.device, dtype=images.dtype) * 2 + 1 - side) / 2
            for side in (height, width)
        )
        turn = radians(self.degrees)
        right = cos(turn) * x[None, :] + sin(turn) * y[:, None]
        down = cos(turn) * y[:, None] - sin(turn) * x[None, :]
        grid = torch.stack([right * 2 / width, down * 2 / height], -1)[None]
        if not strengths(images.device).ordered_gradients:
            return _sample_in_order(images, grid)
        grid = grid.expand(len(images), -1, -1, -1)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _sample_in_order(images: "Tensor", grid: "Tensor") -> "Tensor":
    """Sample images (k 3 h w) at a grid (1 h w 2), mirrored beyond [-1, 1], with gradients that repeat on a GPU."""
    import torch  # noqa: PLC0415

    from vqclip.guidance.crop_sampling import GridSample  # noqa: PLC0415  # torch

    mirrored = 1 - ((grid + 1) % 4 - 2).abs()
    # Beyond the middle of the outermost pixel its colour goes on.
    x, y = (
        mirrored[..., k].clamp(1 / side - 1, 1 - 1 / side)
        for k, side in ((0, images.shape[3]), (1, images.shape[2]))
    )
    inside = torch.stack([x, y], -1)
    return torch.cat([GridSample.apply(image, inside) for image in torch.split(images, 1)])
