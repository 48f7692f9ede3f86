"""The Latent: the only tensor that learns."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.guidance import ops


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

    def like_this(self, other: Tensor) -> Tensor:
        """Another latent (1 d y x), resampled to as many cells as this one has."""
        return enlarge(other, *self.shape)

    @property
    def mean(self) -> Tensor:
        """The running mean, without the bias towards zero of its beginning (Adam's correction)."""
        return self.total / self.weight if self.weight > 0 else self.z.detach()

    def settle(self, low: Tensor, high: Tensor, decay: float) -> None:
        """After a step: keep z within the codebook's bounds (1 d 1 1), and let the mean follow."""
        self.pull_in(low, high, decay)
        self.weigh(decay)

    @torch.no_grad()
    def pull_in(self, low: Tensor, high: Tensor, decay: float) -> None:
        """What of `settle` concerns tensors, which stay the same ones."""
        self.z.clamp_(low, high)
        self.total.mul_(decay).add_(self.z)

    def weigh(self, decay: float) -> None:
        """What of `settle` concerns plain numbers."""
        self.weight = self.weight * decay + 1

    def carried(self) -> "Latent":
        """The same latent at the beginning of another frame: it goes on, its mean too, and begins here."""
        z = self.z.detach().clone()
        return Latent(z.requires_grad_(), z.detach().clone(), self.total, self.weight)

    @torch.no_grad()
    def resized(self, rows: int, columns: int) -> "Latent":
        """The same latent with other cells; it goes on from its mean, which carries less noise than z."""
        z, start = (enlarge(x, rows, columns) for x in (self.mean, self.start))
        return Latent(z.requires_grad_(), start, torch.zeros_like(z))


def enlarge(x: Tensor, rows: int, columns: int) -> Tensor:
    """Bilinear resampling of latents or optimiser moments (1 d y x); keeps signs, unlike bicubic."""
    if x.shape[2:] == (rows, columns):
        return x
    return F.interpolate(x, (rows, columns), mode="bilinear", align_corners=False)


def starting_image(start: str, height: int, width: int, generator: torch.Generator) -> Tensor:
    """A picture (1 3 h w) in [0, 1] to encode as a beginning."""
    match start:
        case "noise":
            return ops.fractal_noise(height, width, generator)
        case "gradient":
            return ops.gradient_image(height, width, generator)
        case "grey":
            return torch.full((1, 3, height, width), 0.5)
    raise ValueError(f"{start!r} is no picture")
