"""The Latent: the only tensor that learns."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Resize = Callable[[Tensor, int, int], Tensor]  # to so many rows and columns


@dataclass
class Latent:
    """A latent z (1 d y x) with where it began and the running mean of where it has been."""

    z: Tensor
    start: Tensor
    total: Tensor  # decaying sum of the past z
    weight: float = 0.0  # the same sum of ones

    @classmethod
    def begin(cls, z: Tensor) -> "Latent":
        return cls(z.detach().clone().requires_grad_(), z.detach().clone(), torch.zeros_like(z))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.z.shape[2], self.z.shape[3]

    @property
    def mean(self) -> Tensor:
        """The running mean, without the bias towards zero of its beginning (Adam's correction)."""
        return self.total / self.weight if self.weight > 0 else self.z.detach()

    def settle(self, project: Callable[[Tensor], None], decay: float) -> None:
        """After a step: put z back into its bounds, and let the mean follow."""
        self.pull_in(project, decay)
        self.weigh(decay)

    @torch.no_grad()
    def pull_in(self, project: Callable[[Tensor], None], decay: float) -> None:
        """What of `settle` concerns tensors, which stay the same ones."""
        project(self.z)
        self.total.mul_(decay).add_(self.z)

    def weigh(self, decay: float) -> None:
        """What of `settle` concerns plain numbers."""
        self.weight = self.weight * decay + 1

    def carried(self) -> "Latent":
        """The same latent at the beginning of another frame: it goes on, its mean too, and begins here."""
        z = self.z.detach().clone()
        return Latent(z.requires_grad_(), z.detach().clone(), self.total, self.weight)

    @torch.no_grad()
    def resized(self, rows: int, columns: int, resize: Resize) -> "Latent":
        """The same latent of another shape; it goes on from its mean, which carries less noise than z."""
        z, start = (resize(x, rows, columns) for x in (self.mean, self.start))
        return Latent(z.requires_grad_(), start, torch.zeros_like(z))


def enlarge(x: Tensor, rows: int, columns: int) -> Tensor:
    """Bilinear resampling of latents or optimiser moments (1 d y x); keeps signs, unlike bicubic."""
    if x.shape[2:] == (rows, columns):
        return x
    return F.interpolate(x, (rows, columns), mode="bilinear", align_corners=False)
