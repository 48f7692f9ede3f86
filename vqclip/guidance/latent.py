"""Hold the latent, the only tensor that is optimised, with its start and its running mean."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Resize = Callable[[Tensor, int, int], Tensor]  # to so many rows and columns


@dataclass
class Latent:
    """Hold a latent z (1 d y x), its value at the start, and the running mean of its values."""

    z: Tensor
    start: Tensor
    total: Tensor  # decaying sum of the past z
    weight: float = 0.0  # decaying sum of ones: the weights in `total`

    @classmethod
    def begin(cls, z: Tensor) -> "Latent":
        """Start at z, with an empty running mean."""
        return cls(z.detach().clone().requires_grad_(), z.detach().clone(), torch.zeros_like(z))

    @property
    def shape(self) -> tuple[int, int]:
        """Give the rows and columns (y x)."""
        return self.z.shape[2], self.z.shape[3]

    @property
    def mean(self) -> Tensor:
        """Give the running mean of z, corrected for its bias towards zero at the start, as Adam does."""
        return self.total / self.weight if self.weight > 0 else self.z.detach()

    def settle(self, project: Callable[[Tensor], None], decay: float) -> None:
        """Project z into its bounds after a step, and add it to the running mean."""
        self.project(project, decay)
        self.add_weight(decay)

    @torch.no_grad()
    def project(self, project: Callable[[Tensor], None], decay: float) -> None:
        """Do the part of `settle` that changes tensors; they change in place, so that a graph can replay it."""
        project(self.z)
        self.total.mul_(decay).add_(self.z)

    def add_weight(self, decay: float) -> None:
        """Do the part of `settle` that changes plain numbers: count z in the running mean's weight."""
        self.weight = self.weight * decay + 1

    def carried(self) -> "Latent":
        """Copy the latent for the next frame: z and the running mean go on, and z is the new start."""
        z = self.z.detach().clone()
        return Latent(z.requires_grad_(), z.detach().clone(), self.total, self.weight)

    @torch.no_grad()
    def resized(self, rows: int, columns: int, resize: Resize) -> "Latent":
        """Resample the latent to another shape, from its running mean, which has less noise than z."""
        z, start = (resize(x, rows, columns) for x in (self.mean, self.start))
        return Latent(z.requires_grad_(), start, torch.zeros_like(z))


def enlarge(x: Tensor, rows: int, columns: int) -> Tensor:
    """Resample latents or optimiser moments (1 d y x) bilinearly; unlike bicubic, this keeps signs."""
    if x.shape[2:] == (rows, columns):
        return x
    return F.interpolate(x, (rows, columns), mode="bilinear", align_corners=False)
