"""What may be added to vqclip, each in a file of its own; other packages add theirs by entry points.

An entry is a frozen dataclass: its fields are its keys in a config, its methods make what they describe. This imports
no torch, and neither does a module with an entry at its top level: a config is read without.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from vqclip.config.schema import DrawerConfig, LossConfig, PerceptorConfig, StartConfig
from vqclip.weights.requirement import Requirement

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor

    from vqclip.config.timeline import Frame
    from vqclip.guidance.latent import Latent
    from vqclip.guidance.memory import MemoryBudget


class Drawer(Protocol):
    """Makes images (n 3 h w) in [0, 1] of latents (n d y x), whose parameters learn.

    `unit` is what a learning rate and distances of latents are measured in. `encodes` says whether there is a way back
    from an image; `dtype` is that of the arithmetic.
    """

    width: int
    height: int

    @property
    def device(self) -> "torch.device": ...
    @property
    def unit(self) -> float: ...
    @property
    def dtype(self) -> "torch.dtype": ...
    @property
    def encodes(self) -> bool: ...

    def latent_shape(self, scale: float = 1.0) -> tuple[int, int]:
        """Rows and columns (y x) of the latent whose image covers the size at this scale."""

    def drawn_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the images that `decode` makes of latents of this shape."""

    def decode(self, z: "Tensor", shifts: "Tensor | None" = None, recompute: bool = False) -> "Tensor":
        """Draw the images of latents, differentiably, each turned by its shift (n 2); `recompute` spares memory."""

    def decode_full(self, z: "Tensor") -> "Tensor":
        """Draw a latent's whole image, what sticks out over the asked size included."""

    def decode_output(self, z: "Tensor") -> "Tensor":
        """Draw the image as it is shown; a tile's has no seam."""

    def shifts(self, shape: tuple[int, int], seeds: Sequence[int]) -> "Tensor | None":
        """Draw by how many rows and columns (n 2) latents are turned for a step, or None."""

    def encode(self, image: "Tensor", shape: tuple[int, int]) -> "Tensor":
        """Find the latent of an image (1 3 h w), of this shape."""

    def random_latent(self, shape: tuple[int, int], generator: "Generator") -> "Tensor":
        """Draw a latent by chance."""

    def project(self, z: "Tensor") -> None:
        """Put a latent back into its bounds, in place."""

    def resize(self, x: "Tensor", rows: int, columns: int) -> "Tensor":
        """Resample a latent, or an optimiser's moments of one, to another shape."""

    def moved(self, moments: "Tensor", grid: Callable[[tuple[int, int]], "Tensor"], border: str) -> "Tensor":
        """Move an optimiser's moments as the image moved; `grid` gives where content comes from, at a shape."""


@dataclass(frozen=True, kw_only=True)
class DrawerEntry(DrawerConfig, ABC):
    """A kind of drawer, as a config names it under `drawer`."""

    def requirements(self) -> tuple[Requirement, ...]:
        """List the weights that it needs."""
        return ()

    @abstractmethod
    def open(self, models: Any, dtype: "torch.dtype", width: int, height: int, tile: bool) -> Drawer:
        """Make the drawer of images of a size; `models` keeps networks loaded. Raises WeightsError."""

    @abstractmethod
    def cell(self) -> int:
        """Tell how many pixels wide a latent's cell is; raises WeightsError."""

    @abstractmethod
    def channels(self) -> int:
        """Tell how many channels it has at full resolution; raises WeightsError."""

    @abstractmethod
    def memory(
        self, width: int, height: int, images: int, dtype: "torch.dtype", budget: "MemoryBudget",
        device: "torch.device",
    ) -> tuple[int, int]:  # fmt: skip
        """Count the bytes of its weights, and of what it keeps for the backward pass."""


class Perceptor(ABC):
    """Embeds crops, and perhaps texts, as unit vectors of one space of d dimensions.

    It takes crops of `size` pixels a side and normalises them itself. `context` is how many tokens of a text it reads.
    """

    name: str
    size: int
    device: "torch.device"
    context: int = 0

    @abstractmethod
    def embed_crops(self, pixels: "Tensor", /) -> "Tensor":
        """Embed crops (n 3 s s) in [0, 1] as unit vectors (n d) in float32, differentiably."""

    def embed_texts(self, texts: Sequence[str], /) -> "Tensor":
        """Embed texts as unit vectors (n d)."""
        raise NotImplementedError(f"{self.name} embeds no texts")

    def tokens(self, text: str, /) -> int:
        """Count the tokens of a text; those after `context` are not read."""
        return 0

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


class StartTools(Protocol):
    """What a start may use while it is prepared."""

    base: Path  # where relative paths begin

    @property
    def models(self) -> Any: ...
    def embeddings(self, name: str) -> Any:
        """The PromptEmbeddings of a CLIP."""

    @property
    def source(self) -> Any:
        """The source video's images, or None."""


FirstImage = Callable[["Frame", "Generator"], "Tensor"]


@dataclass(frozen=True, kw_only=True)
class Start(StartConfig, ABC):
    """What a picture begins from, as a config names it under `start`."""

    given: ClassVar[bool] = False  # whether its image is the user's own, and so no scene's

    def requirements(self) -> tuple[Requirement, ...]:
        """List the weights that it needs."""
        return ()

    @abstractmethod
    def prepare(self, tools: StartTools) -> FirstImage:
        """Load what is needed; the result makes a frame's first image (1 3 h w) in [0, 1] with a generator."""

    def latent(self, drawer: Drawer, shape: tuple[int, int], generator: "Generator") -> "Tensor | None":
        """Draw a first latent that is no image's, or give None: then the first image is encoded."""
        return None

    @property
    def draws_latents(self) -> bool:
        """Whether it needs no drawer that encodes."""
        return type(self).latent is not Start.latent


@dataclass(frozen=True)
class Scene:
    """What a term may ask about a frame: the latent's unit, and the latent (1 d y x) of the source's frame, if any.

    `resize` resamples latents to so many rows and columns.
    """

    unit: float = 1.0
    source: "Tensor | None" = None
    resize: "Callable[[Tensor, int, int], Tensor] | None" = None


@dataclass(frozen=True, kw_only=True)
class LossTerm(LossConfig, ABC):
    """A term of the loss beside the prompts, as a config names it under `losses`."""

    @abstractmethod
    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        """Measure an image (1 3 h w) in [0, 1] and its latent: a number () that is to become small, unweighted."""
