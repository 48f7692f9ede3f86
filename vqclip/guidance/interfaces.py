"""Define the interfaces that extensions implement: drawers, starts and loss terms, each in a file of its own.

An implementation is a frozen dataclass: its fields are its keys in a config. Other packages add theirs by entry points.
Reading a config must not load torch: neither this module nor one with an implementation imports it at its top level.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vqclip.config.schema import DrawerConfig, FilterConfig, LossConfig, PerceptorConfig
from vqclip.guidance.start_interface import Completing, FirstImage, FirstLatent, Start, StartTools
from vqclip.weights.requirement import Requirement

__all__ = [
    "Apply", "Completing", "CropLossTerm", "CropMeasure", "Drawer", "DrawerEntry", "Filter", "FilterTools",
    "FirstImage", "FirstLatent", "LossTerm", "Measure", "Perceptor", "PerceptorEntry", "Scene", "Start", "StartTools",
]  # fmt: skip

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Generator, Tensor

    from vqclip.guidance.latent import Latent
    from vqclip.guidance.memory import MemoryBudget
    from vqclip.guidance.references import Reference


class Drawer(Protocol):
    """Decode latents (n d y x), which are optimised, into images (n 3 h w) in [0, 1].

    `unit` is the unit of learning rates and of distances between latents. `encodes` tells whether `encode` can turn an
    image into a latent.
    """

    width: int
    height: int

    @property
    def device(self) -> "torch.device": ...
    @property
    def unit(self) -> float: ...
    @property
    def encodes(self) -> bool: ...

    def latent_shape(self, scale: float = 1.0) -> tuple[int, int]:
        """Compute the rows and columns (y x) of the latent whose image covers the size at this scale."""

    def drawn_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Compute the height and width of the images that `decode` makes of latents of this shape."""

    def decode(self, z: "Tensor", shifts: "Tensor | None" = None, recompute: bool = False) -> "Tensor":
        """Decode latents, each rolled by its shift (n 2), differentiably; `recompute` saves memory and takes time."""

    def decode_full(self, z: "Tensor") -> "Tensor":
        """Decode a latent into its whole image, including what `decode` crops to reach the requested size."""

    def decode_output(self, z: "Tensor") -> "Tensor":
        """Decode a latent into the image that is saved; a tile has no seam."""

    def shifts(self, shape: tuple[int, int], seeds: Sequence[int]) -> "Tensor | None":
        """Draw by how many rows and columns (n 2) to roll latents in a step, or give None."""

    def encode(self, image: "Tensor", shape: tuple[int, int]) -> "Tensor":
        """Encode an image (1 3 h w) into a latent of this shape."""

    def random_latent(self, shape: tuple[int, int], generator: "Generator") -> "Tensor":
        """Draw a random latent."""

    def project(self, z: "Tensor") -> None:
        """Project a latent into its bounds, in place."""

    def resize(self, x: "Tensor", rows: int, columns: int) -> "Tensor":
        """Resample a latent, or an optimiser's moments of one, to another shape."""

    def moved(self, moments: "Tensor", grid: Callable[[tuple[int, int]], "Tensor"], border: str) -> "Tensor":
        """Move an optimiser's moments as the image moved; `grid` gives the sampling grid (see motion) for a shape."""


@dataclass(frozen=True, kw_only=True)
class DrawerEntry(DrawerConfig, ABC):
    """Configure a kind of drawer; a config names it under `drawer`."""

    def requirements(self) -> tuple[Requirement, ...]:
        """List the weights that it needs."""
        return ()

    @abstractmethod
    def open(self, models: Any, dtype: "torch.dtype", width: int, height: int, tile: bool) -> Drawer:
        """Make the drawer of images of a size; `models` keeps networks loaded. Raises WeightsError."""

    def cell(self) -> int:
        """Give the width of a latent's cell in pixels; raises WeightsError."""
        return 1

    def channels(self) -> int:
        """Give the number of its channels at full resolution; raises WeightsError."""
        return 3

    @abstractmethod
    def memory(
        self, width: int, height: int, images: int, dtype: "torch.dtype", budget: "MemoryBudget",
        device: "torch.device",
    ) -> tuple[int, int]:  # fmt: skip
        """Count the bytes of its weights, and of what it keeps for the backward pass."""


class Perceptor(ABC):
    """Embeds crops, and perhaps texts, as unit vectors of one space of d dimensions.

    It takes crops of `size` pixels a side and normalises them itself. `context` is how many tokens of a text it reads.
    `logit_scale` and `logit_bias` turn cosines into the logits of its training: None where it has none.
    """

    name: str
    size: int
    device: "torch.device"
    context: int = 0
    logit_scale: float | None = None
    logit_bias: float | None = None
    has_features: bool = False

    @abstractmethod
    def embed_crops(self, pixels: "Tensor", /) -> "Tensor":
        """Embed crops (n 3 s s) in [0, 1] as unit vectors (n d) in float32, differentiably."""

    def square(self, image: "Image", /) -> "Tensor":
        """Scale and cut a whole image to the crop (3 s s) in [0, 1] on the CPU that stands for it."""
        from vqclip.guidance.ops import cover  # noqa: PLC0415  # torch
        from vqclip.media.image import from_pil  # noqa: PLC0415

        return cover(from_pil(image), self.size, self.size)[0].clamp(0, 1)

    def features(self, pixels: "Tensor", /) -> list["Tensor"]:
        """Compute its image tower's feature maps (n d y x) of crops, from early to late, differentiably.

        A perceptor has them where `has_features` says so.
        """
        raise NotImplementedError(f"{self.name} has no feature maps")

    def embed_texts(self, texts: Sequence[str], /) -> "Tensor":
        """Embed texts as unit vectors (n d)."""
        raise NotImplementedError(f"{self.name} embeds no texts")

    def tokens(self, text: str, /) -> int:
        """Count the tokens of a text; those after `context` are not read."""
        return 0

    def foreign_words(self, text: str, /) -> list[str]:
        """List the words of a text in scripts that it was not trained to read."""
        return []

    def forget_texts(self) -> None:  # noqa: B027  # most have nothing to free
        """Free what only texts need."""


@dataclass(frozen=True, kw_only=True)
class PerceptorEntry(PerceptorConfig, ABC):
    """A kind of perceptor, as an item of a config's `perceptors` names it by `kind`."""

    def requirements(self) -> tuple[Requirement, ...]:
        """List the weights that it needs."""
        return ()

    def at(self, places: Mapping[str, str]) -> "PerceptorEntry":
        """The same where its weights lie on this machine; `places` maps names to paths."""
        return self

    @abstractmethod
    def open(self, models: Any, dtype: "torch.dtype") -> Perceptor:
        """Load the perceptor onto `models.device`; only with `models.pull` by a download. Raises WeightsError."""

    @abstractmethod
    def memory(self, crops: int, dtype: "torch.dtype", device: "torch.device") -> tuple[int, int]:
        """Count the bytes of its weights, and of what it keeps of so many crops for the backward pass."""


@dataclass(frozen=True)
class Scene:
    """Give a loss term what it may ask about a frame: its latent's unit, and the source's latent (1 d y x).

    `resize` resamples latents to so many rows and columns. `given` gives the image (1 3 h w) that the user gave: the
    source's frame, or the init. Relative paths begin at `base`, and `models` keeps networks loaded. `references` are
    the images that terms ask for, by file, of which `init` is one; `embed` embeds the whole of an image (1 3 h w) by
    each perceptor, and `perceptors` are these themselves.
    """

    unit: float = 1.0
    source: "Tensor | None" = None
    resize: "Callable[[Tensor, int, int], Tensor] | None" = None
    given: "Callable[[], Tensor] | None" = None
    base: Path = Path()
    models: Any = None
    init: str | None = None
    references: "Mapping[str, Reference]" = field(default_factory=dict)
    embed: "Callable[[Tensor], Sequence[Tensor]] | None" = None
    perceptors: Sequence[Perceptor] = ()


# An image (1 3 h w) and its latent to the unweighted loss ().
Measure = Callable[["Tensor", "Latent"], "Tensor"]


@dataclass(frozen=True, kw_only=True)
class LossTerm(LossConfig, ABC):
    """Compute a term of the loss beside the prompts; a config names it under `losses`."""

    def requirements(self) -> tuple[Requirement, ...]:
        """List the weights that it needs."""
        return ()

    def files(self, init: str | None) -> tuple[str, ...]:
        """List the image files that `value` finds in the scene's references; raises ConfigError."""
        return ()

    def images(self) -> tuple[str, ...]:
        """List the image files that its keys name."""
        return ()

    def prepare(self, scene: Scene) -> Measure:
        """Load what it needs for a frame's steps, and give the function that measures; raises VqclipError."""
        return partial(self.value, scene=scene)

    @abstractmethod
    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        """Compute the unweighted loss () of an image (1 3 h w) in [0, 1] and its latent."""


# Images (n 3 h w) in [0, 1] to images of the same shape, differentiably.
Apply = Callable[["Tensor"], "Tensor"]


class FilterTools(Protocol):
    """Give a filter what it may use while it is opened."""

    base: Path  # where relative paths begin


@dataclass(frozen=True, kw_only=True)
class Filter(FilterConfig, ABC):
    """Change each image after it is drawn, before crops are cut and before it is saved; an item of `filters`."""

    def images(self) -> tuple[str, ...]:
        """List the image files that its keys name."""
        return ()

    @abstractmethod
    def open(self, tools: FilterTools) -> Apply:
        """Load what it needs, and give the function that changes images; raises VqclipError."""


# Crops of k images (k n 3 s s) in [0, 1] and one perceptor's embeddings of them, unit vectors (k n d), to the
# unweighted loss of each crop (k n), differentiably.
CropMeasure = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True, kw_only=True)
class CropLossTerm(LossConfig, ABC):
    """Compute a term of the loss from the crops that a perceptor embeds; a config names it under `losses`.

    The loss of an image is the mean over each perceptor's crops, summed over the perceptors.
    """

    def requirements(self) -> tuple[Requirement, ...]:
        """List the weights that it needs."""
        return ()

    def images(self) -> tuple[str, ...]:
        """List the image files that its keys name."""
        return ()

    @abstractmethod
    def prepare(self, perceptor: Perceptor, scene: Scene) -> CropMeasure | None:
        """Load what a frame's steps need, and give the function that measures a perceptor's crops, or None for none.

        The function gets as many crops at a time as memory allows, so that a crop's loss may not depend on others.
        Raises VqclipError.
        """
