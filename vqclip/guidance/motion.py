"""Move the last image's content before the next frame is optimised from it: zoom, turn, shift and optical flow.

Letters in shapes: h w pixels of an image; y x cells, or pixels, of what is sampled.
A sampling grid (1 y x 2) gives, for each output position, the point in [-1, 1]^2 of the last image that it shows.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.base.errors import UsageError
from vqclip.config.timeline import Move

_SEAM = 2  # pixels that bicubic sampling reads on each side of a point


def moving(move: Move, size: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Compute the sampling grid (1 y x 2) of a Move for an image of `size` (h, w), at the resolution `shape` (y, x).

    A position p of the moved image shows what was at R^-1 (p - shift) / zoom, in pixels from the middle.
    """
    height, width = size
    angle, zoom = math.radians(move.turn), move.zoom
    back = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) / zoom
    half = torch.tensor([width / 2, height / 2])
    shift = torch.tensor([float(move.right), float(move.down)])
    theta = torch.cat([back * half / half[:, None], ((-back @ shift) / half)[:, None]], 1)
    return F.affine_grid(theta[None], [1, 1, *shape], align_corners=False)


def drifting(flow: Tensor) -> Tensor:
    """Turn a flow (1 2 h w) into a sampling grid (1 h w 2); the flow leads back, in pixels right and down."""
    height, width = flow.shape[2:]
    still = F.affine_grid(torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False)
    return still + flow.permute(0, 2, 3, 1) * 2 / torch.tensor([width, height])


def through(grid: Tensor, other: Tensor) -> Tensor:
    """Compose two sampling grids: look up `grid` first, then `other` at the point that it gives."""
    led = F.grid_sample(other.permute(0, 3, 1, 2), grid, padding_mode="border", align_corners=False)
    return led.permute(0, 2, 3, 1)


def sample(x: Tensor, grid: Tensor, border: str, mode: str = "bicubic") -> Tensor:
    """Sample x (1 c h w) at a grid (1 y x 2); the border `black` gives zeros outside x, `wrap` repeats x."""
    if border == "wrap":
        sides = torch.tensor([x.shape[3], x.shape[2]])
        seams = sides.clamp(max=_SEAM)
        grid = ((grid + 1) % 2 - 1) * (sides / (sides + 2 * seams))
        x = F.pad(x, seams.repeat_interleave(2).tolist(), "circular")
    padding = "zeros" if border == "black" else "reflection"
    return F.grid_sample(x, grid.to(x), mode=mode, padding_mode=padding, align_corners=False)


def uncovered(grid: Tensor) -> Tensor:
    """Make a mask (1 1 y x): 1 where a grid points outside the last image."""
    return (grid.abs().amax(-1) > 1).float()[:, None]


def check_flow() -> None:
    """Check that OpenCV, which measures flow, is installed; raises UsageError."""
    try:
        import cv2  # noqa: F401, PLC0415  # an extra
    except ImportError:
        raise UsageError("source.flow needs OpenCV; type: pip install 'vqclip[flow]'") from None


def flow_between(before: Tensor, after: Tensor) -> Tensor:
    """Measure the optical flow (1 2 h w) that leads back from the image `after` (1 3 h w) to `before`.

    Dense inverse search (Kroeger et al., 2016, arXiv 1603.03590), as OpenCV does it.
    """
    import cv2  # noqa: PLC0415  # an extra

    now, then = (
        cv2.cvtColor((x[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy(), cv2.COLOR_RGB2GRAY)
        for x in (after, before)
    )
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = search.calc(now, then, None)
    return torch.from_numpy(flow).permute(2, 0, 1)[None]
