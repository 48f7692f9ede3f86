"""The keys of the drawer `lines`: how many curves there are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vqclip.base.errors import ConfigError
from vqclip.config.rules import within
from vqclip.guidance.interfaces import Drawer, DrawerEntry

if TYPE_CHECKING:
    import torch

    from vqclip.guidance.memory import MemoryBudget

CHUNK = 30 * 4 * 2**19  # bytes while a chunk of curves is computed: its numbers, in fp32


@dataclass(frozen=True, kw_only=True)
class LinesConfig(DrawerEntry):
    """Strokes and filled shapes are drawn one over the other, and saved as SVG too; no network is needed."""

    recipe: ClassVar[str] = "recipes/lines"

    strokes: int = within(0, 5000, default=200)
    fills: int = within(0, 5000, default=60)

    def __post_init__(self) -> None:
        if self.strokes + self.fills == 0:
            raise ConfigError(
                "drawer: lines has neither strokes nor fills; write some, as in drawer.strokes=200"
            )

    def open(self, models: Any, dtype: "torch.dtype", width: int, height: int, tile: bool) -> Drawer:
        from vqclip.guidance.drawers.lines import LinesDrawer  # noqa: PLC0415  # torch

        if tile:
            raise ConfigError(
                "tile: curves end at the border, so that lines make no tile; take --drawer pyramid"
            )
        return LinesDrawer(width, height, models.device, self.strokes, self.fills)

    def memory(
        self, width: int, height: int, images: int, dtype: "torch.dtype", budget: "MemoryBudget",
        device: "torch.device",
    ) -> tuple[int, int]:  # fmt: skip
        from vqclip.guidance.drawers.lines import AT_ONCE, small_size  # noqa: PLC0415  # torch

        rows, columns = small_size(width, height)
        chunks = 2 + (self.strokes + self.fills) // max(1, AT_ONCE // (rows * columns))
        return 0, CHUNK + images * chunks * 4 * 3 * rows * columns
