"""Define the keys of the start `transformer`, and the weights that it needs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.base.errors import ConfigError, WeightsError
from vqclip.config.rules import among, key, within
from vqclip.guidance.interfaces import FirstImage, Start, StartTools
from vqclip.weights.requirement import Requirement

if TYPE_CHECKING:
    import torch

    from vqclip.models.transformer.architecture import TransformerArchitecture


@dataclass(frozen=True, kw_only=True)
class TransformerStart(Start):
    """Start from an image whose codes a transformer samples; of several, the perceptors choose."""

    model: str = key(default="")
    temperature: float = within(0, 100, default=1.0)
    top_k: int = within(0, default=256)
    top_p: float = within(0, 1, default=1.0)
    guidance: float | None = within(0, 1000, default=None)
    text: str = key(default="")
    candidates: int = within(1, 256, default=1)
    enlarge: str = among("resize", "windows", default="resize")

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError(
                "start.model: name a transformer of the store or a file, as in --set start.model=faces-transformer; "
                "`vqclip models import FILE` makes one"
            )

    @property
    def draws_latents(self) -> bool:
        """Tell that a drawer without an encoder will do: the codes are its own."""
        return True

    def requirements(self) -> tuple[Requirement, ...]:
        """List the transformer and, once it is here, the VQGAN and the CLIP that its description names."""
        need = Requirement("transformer", self.model, "transformer")
        try:
            note = self.architecture()
        except WeightsError:
            return (need,)
        vqgan = Requirement("transformer's vqgan", note.vqgan, "vqgan")
        clip = (Requirement("text reader", note.clip, "clip"),) if note.clip else ()
        return need, vqgan, *clip

    def architecture(self) -> "TransformerArchitecture":
        """Read the description in the transformer's file; raises WeightsError."""
        from vqclip.models.transformer.finding import architecture_of  # noqa: PLC0415  # only where it is used

        return architecture_of(self.model)

    def memory(self, dtype: "torch.dtype") -> int:
        from vqclip.start.transformer_memory import bytes_of  # noqa: PLC0415  # torch

        return sum(bytes_of(self.architecture(), self.candidates, dtype))

    def outlook(self, device: "torch.device", dtype: "torch.dtype") -> str:
        from vqclip.start.transformer_memory import outlook  # noqa: PLC0415  # torch

        return outlook(self.architecture(), self.candidates, device, dtype)

    def prepare(self, tools: StartTools) -> FirstImage:
        from vqclip.start.transformer import CodeSampler  # noqa: PLC0415  # torch

        return CodeSampler(self, tools)
