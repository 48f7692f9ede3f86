"""Define the interface of starts, which make the image or latent that an optimisation starts from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from vqclip.base.stop import StopToken
from vqclip.config.schema import Config, StartConfig
from vqclip.weights.requirement import Requirement

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor

    from vqclip.config.timeline import Frame
    from vqclip.guidance.interfaces import Drawer


class StartTools(Protocol):
    """Give a start what it may use while it is prepared."""

    base: Path  # where relative paths begin
    stop: StopToken  # an image that was optimised when it is stopped isn't whole, and is used no further

    @property
    def config(self) -> Config: ...
    @property
    def models(self) -> Any: ...
    @property
    def dtype(self) -> "torch.dtype":
        """Give the type of the networks' arithmetic."""

    def embeddings(self, name: str) -> Any:
        """Give the PromptEmbeddings of a CLIP."""

    def draws(self, config: Config) -> Callable[["Frame", int], "Tensor"]:
        """Give a function of a frame and a seed that optimises an image (1 3 h w) under another Config.

        It ends early when `stop` is stopped.
        """

    def score(self, image: "Tensor", frame: "Frame") -> "Tensor":
        """Score () how near an image (1 3 h w) in [0, 1] is to a frame's prompts, by all perceptors."""

    @property
    def source(self) -> Any:
        """Give the source video's images, or None."""

    @property
    def canvas(self) -> Any:
        """Give the init image with its mask (see masking), or None."""


FirstImage = Callable[["Frame", "Generator"], "Tensor"]


@runtime_checkable
class FirstLatent(Protocol):
    """Make a frame's first image, and its latent where that is known exactly."""

    def __call__(self, frame: "Frame", generator: "Generator") -> "Tensor": ...

    def latent(
        self, frame: "Frame", drawer: "Drawer", shape: tuple[int, int], generator: "Generator"
    ) -> "Tensor | None":
        """Make the latent (1 d y x), or give None: then the drawer encodes the image."""


@runtime_checkable
class Completing(FirstLatent, Protocol):
    """Make a frame's first image, or complete an image; the latter's latent too, where that is known exactly."""

    def complete(self, image: "Tensor", known: "Tensor", frame: "Frame", generator: "Generator") -> "Tensor":
        """Complete an image (1 3 h w) in [0, 1] whose pixels are known where a mask (1 1 h w) is 1; the same size."""

    def complete_latent(
        self, image: "Tensor", known: "Tensor", frame: "Frame", drawer: "Drawer", shape: tuple[int, int],
        generator: "Generator",
    ) -> "Tensor | None":  # fmt: skip
        """Make the latent (1 d y x) of the completed image, or give None: then the drawer encodes the image."""


@dataclass(frozen=True, kw_only=True)
class Start(StartConfig, ABC):
    """Make the first image or latent of a frame; a config names the kind under `start`."""

    given: ClassVar[bool] = False  # whether the user gives the image, so that a new scene doesn't draw one

    def requirements(self) -> tuple[Requirement, ...]:
        """List the weights that it needs."""
        return ()

    @abstractmethod
    def prepare(self, tools: StartTools) -> FirstImage:
        """Load what it needs, and give a function that makes a frame's first image (1 3 h w) in [0, 1]."""

    def latent(self, drawer: "Drawer", shape: tuple[int, int], generator: "Generator") -> "Tensor | None":
        """Draw the first latent directly, or give None: then the drawer encodes the first image."""
        return None

    def memory(self, dtype: "torch.dtype") -> int:
        """Count the bytes that it keeps beside the models of the optimisation; raises WeightsError."""
        return 0

    def outlook(self, device: "torch.device", dtype: "torch.dtype") -> str:
        """Describe in one line what it computes, if that takes long or much memory; raises WeightsError."""
        return ""

    @property
    def draws_latents(self) -> bool:
        """Tell whether it works with a drawer that can't encode."""
        return type(self).latent is not Start.latent
