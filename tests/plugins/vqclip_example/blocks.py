"""The drawer `blocks`: a latent (n 3 y x) of colours, each shown as a square."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.config.timeline import latent_shape
from vqclip.guidance import motion, ops


class BlocksDrawer:
    unit, encodes = 1.0, True

    def __init__(self, side: int, width: int, height: int, device: torch.device):
        self.side, self.width, self.height, self.device = side, width, height, device

    def latent_shape(self, scale: float = 1.0) -> tuple[int, int]:
        return latent_shape(self.width, self.height, self.side, scale)

    def drawn_size(self, shape):
        return min(self.height, shape[0] * self.side), min(self.width, shape[1] * self.side)

    def decode_full(self, z: Tensor) -> Tensor:
        return ops.clamp_with_grad(F.interpolate(z, scale_factor=self.side, mode="nearest"))

    def decode(self, z: Tensor, shifts=None, recompute=False) -> Tensor:
        height, width = self.drawn_size(z.shape[2:])
        return self.decode_full(z)[..., :height, :width]

    decode_output = decode

    def shifts(self, shape, seeds):
        return None

    def encode(self, image: Tensor, shape) -> Tensor:
        return ops.cover(image, *shape).to(self.device).clamp(0, 1)

    def random_latent(self, shape, generator) -> Tensor:
        return torch.rand(1, 3, *shape, generator=generator).to(self.device)

    def project(self, z: Tensor) -> None:
        z.clamp_(0, 1)

    def resize(self, x: Tensor, rows: int, columns: int) -> Tensor:
        return F.interpolate(x, (rows, columns), mode="bilinear")

    def moved(self, moments: Tensor, grid, border: str) -> Tensor:
        return motion.sample(moments, grid(self.latent_shape()), border, "bilinear")
