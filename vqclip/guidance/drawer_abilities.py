"""Define what some drawers can do besides what all do."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class MovesLatents(Protocol):
    """What a Drawer does too that moves a film's latents itself: others move the image, and encode it anew."""

    def move(self, z: "Tensor", grid: "Tensor") -> "Tensor":
        """Move a latent as a sampling grid (1 y x 2; see motion) moves an image."""


@runtime_checkable
class WritesSVG(Protocol):
    """What a Drawer of vectors does too: its file lies beside the image."""

    def svg(self, z: "Tensor") -> str:
        """Write a latent's image as the text of an SVG file."""
