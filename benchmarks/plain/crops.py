"""How the plain loop looks at a picture: pooled whole as often as there are crops, then changed.

kornia makes the changes as the peers have it. Where it is missing, batched functions of torch make the same kinds.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Crops(nn.Module):
    """A picture (1 3 h w) -> n views of it (n 3 size size): what the peers call their latest cut method."""

    def __init__(self, size: int, count: int, augmented: bool = True, noise: float = 0.1):
        super().__init__()
        self.size, self.count, self.augmented, self.noise = size, count, augmented, noise
        self.changes = changes() if augmented else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        views = torch.cat([self.pooled(image) for _ in range(self.count)])
        if not self.augmented:
            return views
        views = self.changes(views)
        strength = torch.empty(self.count, 1, 1, 1, device=image.device).uniform_(0, self.noise)
        return views + strength * torch.randn_like(views)

    def pooled(self, image: Tensor) -> Tensor:
        """The whole picture, whatever its shape, as a square: the mean of mean and maximum."""
        return (F.adaptive_avg_pool2d(image, self.size) + F.adaptive_max_pool2d(image, self.size)) / 2


def changes() -> nn.Module:
    """Affine maps, tilts, colours and erased rectangles, each by a chance of 0.7."""
    try:
        import kornia.augmentation as K  # noqa: PLC0415  # an extra
    except ImportError:
        return Changes()
    return nn.Sequential(
        K.RandomAffine(degrees=15, translate=(0.1, 0.1), shear=5, p=0.7, padding_mode="zeros"),
        K.RandomPerspective(0.7, p=0.7),
        K.ColorJitter(hue=0.1, saturation=0.1, brightness=0.1, contrast=0.1, p=0.7),
        K.RandomErasing((0.1, 0.4), (0.3, 1 / 0.3), p=0.7),
    )


class Changes(nn.Module):
    """The kinds of changes that kornia makes, by torch alone: an affine map, a tilt, a colour, an erased rectangle."""

    def forward(self, views: Tensor) -> Tensor:
        for change in (turned, tilted, coloured, erased):
            chosen = torch.rand(len(views), 1, 1, 1, device=views.device) < 0.7
            views = torch.where(chosen, change(views), views)
        return views


def chances(n: int, count: int, like: Tensor) -> Tensor:
    """Numbers (count n) in [-1, 1]."""
    return 2 * torch.rand(count, n, device=like.device) - 1


def turned(views: Tensor) -> Tensor:
    """Views turned by up to 15 degrees, sheared by up to 5 and moved by up to a tenth."""
    angle, shear, x, y = chances(len(views), 4, views)
    angle, shear = angle * math.radians(15), (shear * math.radians(5)).tan()
    rows = [[angle.cos(), shear - angle.sin(), 0.2 * x], [angle.sin(), angle.cos(), 0.2 * y]]
    maps = torch.stack([torch.stack(row, -1) for row in rows], 1)
    grid = F.affine_grid(maps, list(views.shape), align_corners=False)
    return F.grid_sample(views, grid, align_corners=False)


def tilted(views: Tensor) -> Tensor:
    """Views on a plane that leans: each point is divided by its depth."""
    a, b = 0.35 * chances(len(views), 2, views)[:, :, None, None, None]
    maps = torch.eye(2, 3, device=views.device).expand(len(views), 2, 3)
    grid = F.affine_grid(maps, list(views.shape), align_corners=False)
    depth = 1 + a * grid[..., :1] + b * grid[..., 1:]
    return F.grid_sample(views, grid / depth, align_corners=False)


def coloured(views: Tensor) -> Tensor:
    """Views with brightness, contrast and saturation changed by up to a tenth."""
    brightness, contrast, saturation = 1 + 0.1 * chances(len(views), 3, views)[:, :, None, None, None]
    views = views * brightness
    views = views.mean((1, 2, 3), keepdim=True).lerp(views, contrast)
    return views.mean(1, keepdim=True).lerp(views, saturation).clamp(0, 1)


def erased(views: Tensor) -> Tensor:
    """Views without a rectangle of a tenth to four tenths of them."""
    x, y, area, ratio = (chances(len(views), 4, views)[:, :, None, None, None] + 1) / 2
    area, ratio = 0.1 + 0.3 * area, 0.3 * 11**ratio
    height, width = ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))
    rows, columns = (torch.linspace(0, 1, side, device=views.device) for side in views.shape[2:])
    top, left = y * (1 - height), x * (1 - width)
    inside = ((rows[:, None] >= top) & (rows[:, None] <= top + height)) & (
        (columns >= left) & (columns <= left + width)
    )
    return views.masked_fill(inside, 0)
