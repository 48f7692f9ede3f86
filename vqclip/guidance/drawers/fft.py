"""The FFTDrawer: pixels in a Fourier basis whose frequencies and colours are decorrelated.

Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill, 2017, doi 10.23915/distill.00007), section
"Preconditioning and Parameterization". Letters in shapes: a latent (n 6 y x) has real and imaginary parts of three
colours, y rows and x = w / 2 + 1 columns of frequencies.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vqclip.base.errors import ConfigError
from vqclip.guidance.drawers.colours import COLOURS, from_image, to_image
from vqclip.guidance.ops import cover


class FFTDrawer:
    """Draw images (n 3 h w) of spectra. They repeat without a seam, so that a tile needs nothing more."""

    unit, encodes = 1.0, True

    def __init__(self, width: int, height: int, device: torch.device, tile: bool = False):
        self.width, self.height, self.device, self.tile = width, height, device, tile
        self.colours = COLOURS.to(device)
        if tile and width % 2:
            raise ConfigError(
                f"size: {width}x{height} is no tile; its width must be even, as in {width + 1}x{height}"
            )

    def latent_shape(self, scale: float = 1.0) -> tuple[int, int]:
        return max(1, round(self.height * scale)), max(2, -(-round(self.width * scale) // 2) + 1)

    def drawn_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        return min(self.height, shape[0]), min(self.width, 2 * (shape[1] - 1))

    def decode(self, z: Tensor, shifts: Tensor | None = None, recompute: bool = False) -> Tensor:
        height, width = self.drawn_size((z.shape[2], z.shape[3]))
        return self.decode_full(z)[..., :height, :width]

    def decode_full(self, z: Tensor) -> Tensor:
        spectrum = torch.complex(*z.chunk(2, 1)) * self._gain(z)
        pixels = torch.fft.irfft2(spectrum, (z.shape[2], 2 * (z.shape[3] - 1)), norm="forward")
        return to_image(pixels, self.colours)

    def decode_output(self, z: Tensor) -> Tensor:
        return self.decode(z)

    def shifts(self, shape: tuple[int, int], seeds: Sequence[int]) -> None:
        return None

    @torch.no_grad()
    def encode(self, image: Tensor, shape: tuple[int, int]) -> Tensor:
        pixels = from_image(cover(image, shape[0], 2 * (shape[1] - 1)), self.colours)
        spectrum = torch.fft.rfft2(pixels, norm="forward")
        spectrum = spectrum / self._gain(spectrum)
        return torch.cat([spectrum.real, spectrum.imag], 1)

    def random_latent(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        return (0.1 * torch.randn(1, 6, *shape, generator=generator)).to(self.colours)

    def project(self, z: Tensor) -> None:
        """Any spectrum is an image's."""

    def resize(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Keep the frequencies that both shapes have; others become zero."""
        if x.shape[2:] == (rows, columns):
            return x
        resized = x.new_zeros(*x.shape[:2], rows, columns)
        both, side = min(rows, x.shape[2]), min(columns, x.shape[3])
        resized[..., : (both + 1) // 2, :side] = x[..., : (both + 1) // 2, :side]
        if below := (both - 1) // 2:
            resized[..., -below:, :side] = x[..., -below:, :side]
        return resized

    def moved(self, moments: Tensor, grid: Callable[[tuple[int, int]], Tensor], border: str) -> Tensor:
        """Keep them: a frequency's gradients are as large as before, wherever its content went."""
        return moments

    def _gain(self, like: Tensor) -> Tensor:
        """What each frequency (y x) is multiplied by: one over its cycles along the longer side, as in photographs."""
        rows, columns = like.shape[2:]
        width = 2 * (columns - 1)
        y = torch.fft.fftfreq(rows, 1 / rows, device=like.device) * max(1.0, width / rows)
        x = torch.arange(columns, device=like.device) * max(1.0, rows / width)
        return 1 / torch.hypot(y[:, None], x[None]).clamp(min=1)
