"""A drawer whose images pass through filters."""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor

from vqclip.config.schema import Config
from vqclip.guidance.filters.lookup import Lookup
from vqclip.guidance.interfaces import Apply, Drawer, FilterTools


class FilteredDrawer:
    """Draw as another drawer does, and change its images by filters, in their order.

    `decode_full`, from which the next frame begins, stays as it is: a filter is not applied twice.
    """

    def __init__(self, drawer: Drawer, filters: Sequence[Apply]):
        self._drawer, self._filters = drawer, filters

    def __getattr__(self, name: str) -> Any:
        return getattr(self._drawer, name)

    def decode(self, z: Tensor, shifts: Tensor | None = None, recompute: bool = False) -> Tensor:
        return self._filtered(self._drawer.decode(z, shifts, recompute))

    def decode_output(self, z: Tensor) -> Tensor:
        return self._filtered(self._drawer.decode_output(z))

    def _filtered(self, images: Tensor) -> Tensor:
        for apply in self._filters:
            images = apply(images)
        return images


def open_filters(config: Config, tools: FilterTools) -> list[Apply]:
    """Open a Config's filters; a locked palette is the last. Raises VqclipError."""
    entries: list[Any] = list(config.filters)
    lock = open_lock(config, tools)
    return [entry.open(tools) for entry in entries] + ([lock] if lock else [])


def open_lock(config: Config, tools: FilterTools) -> Apply | None:
    """Open the filter of a locked palette, if a Config has one."""
    palette = config.palette
    return Lookup(colours=palette.colours).open(tools) if palette.colours and palette.lock else None


def filtered(drawer: Drawer, filters: Sequence[Apply]) -> Drawer:
    """Make a drawer whose images pass through filters, or give the drawer itself where there are none."""
    return cast(Drawer, FilteredDrawer(drawer, filters)) if filters else drawer
