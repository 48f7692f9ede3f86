"""How the plain loop looks at a picture: pooled whole as often as there are crops, then changed by kornia."""

import kornia.augmentation as K
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Crops(nn.Module):
    """A picture (1 3 h w) -> n views of it (n 3 size size): what the peers call their latest cut method."""

    def __init__(self, size: int, count: int, augmented: bool = True, noise: float = 0.1):
        super().__init__()
        self.size, self.count, self.augmented, self.noise = size, count, augmented, noise
        self.changes = nn.Sequential(
            K.RandomAffine(degrees=15, translate=(0.1, 0.1), shear=5, p=0.7, padding_mode="zeros"),
            K.RandomPerspective(0.7, p=0.7),
            K.ColorJitter(hue=0.1, saturation=0.1, brightness=0.1, contrast=0.1, p=0.7),
            K.RandomErasing((0.1, 0.4), (0.3, 1 / 0.3), p=0.7),
        )

    def forward(self, image: Tensor) -> Tensor:
        views = torch.cat([self.pooled(image) for _ in range(self.count)])
        if not self.augmented:
            return views
        views = self.changes(views)
        strength = torch.empty(self.count, 1, 1, 1).uniform_(0, self.noise)
        return views + strength * torch.randn_like(views)

    def pooled(self, image: Tensor) -> Tensor:
        """The whole picture, whatever its shape, as a square: the mean of mean and maximum."""
        return (F.adaptive_avg_pool2d(image, self.size) + F.adaptive_max_pool2d(image, self.size)) / 2
