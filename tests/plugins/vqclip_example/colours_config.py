"""The keys of the perceptor `colours`."""

from dataclasses import dataclass
from typing import Any, ClassVar

from vqclip.config.rules import within
from vqclip.guidance.interfaces import Perceptor, PerceptorEntry


@dataclass(frozen=True, kw_only=True)
class ColoursConfig(PerceptorEntry):
    """The mean colours of a crop's quarters; `contrast` says how much they count beside a constant."""

    reads_texts: ClassVar[bool] = False

    contrast: float = within(0.1, 100, default=2.0)

    def open(self, models: Any, dtype: Any) -> Perceptor:
        from vqclip_example.colours import ColoursPerceptor  # noqa: PLC0415

        return ColoursPerceptor(self.contrast, models.device)

    def memory(self, crops: int, dtype: Any, device: Any) -> Any:
        return 0, 3 * 4 * 8 * 8 * crops
