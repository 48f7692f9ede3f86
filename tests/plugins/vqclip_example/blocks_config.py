"""The keys of the drawer `blocks`."""

from dataclasses import dataclass
from typing import Any

from vqclip.config.rules import within
from vqclip.guidance.interfaces import Drawer, DrawerEntry


@dataclass(frozen=True, kw_only=True)
class BlocksConfig(DrawerEntry):
    """Square blocks of one colour each, `side` pixels wide."""

    side: int = within(1, 64, default=4)

    def open(self, models: Any, dtype: Any, width: int, height: int, tile: bool) -> Drawer:
        from vqclip_example.blocks import BlocksDrawer  # noqa: PLC0415

        return BlocksDrawer(self.side, width, height, models.device)

    def cell(self) -> int:
        return self.side

    def channels(self) -> int:
        return 3

    def memory(self, width: int, height: int, images: int, dtype: Any, budget: Any, device: Any) -> Any:
        return 0, 3 * 4 * images * width * height
