"""Complete the part of an image that a mask marks, from the part that is kept."""

from torch import Generator, Tensor

from vqclip.config.timeline import Frame
from vqclip.guidance.interfaces import Completing, Drawer
from vqclip.guidance.masking import Canvas, composite


class CompletedImage:
    """Make a frame's first image or latent: a canvas's kept part, and what a start makes of the rest."""

    def __init__(self, completing: Completing, canvas: Canvas):
        self._completing, self._canvas, self._known = completing, canvas, 1 - canvas.mask

    def __call__(self, frame: Frame, generator: Generator) -> Tensor:
        """Make a frame's first image (1 3 h w) in [0, 1]; the kept pixels are the canvas's own."""
        image = self._completing.complete(self._canvas.image, self._known, frame, generator)
        return composite(image.cpu(), self._canvas.image, self._canvas.mask)

    def latent(
        self, frame: Frame, drawer: Drawer, shape: tuple[int, int], generator: Generator
    ) -> Tensor | None:
        """Make the first latent (1 d y x), or give None: then the drawer encodes the image."""
        return self._completing.complete_latent(
            self._canvas.image, self._known, frame, drawer, shape, generator
        )
