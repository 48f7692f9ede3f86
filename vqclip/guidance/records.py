"""Send records (dataclasses, lists, tuples and dicts of tensors) to a device in a single copy."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from vqclip.base.device import strengths

Record = TypeVar("Record")

_ALIGNMENT = 16  # bytes; an offset that suits every number type


def mapped(record: Record, change: Callable[[Tensor], Tensor]) -> Record:
    """Apply `change` to each tensor of a record; everything else stays."""

    def walk(node: Any) -> Any:
        if isinstance(node, Tensor):
            return change(node)
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return type(node)(map(walk, node))
        if dataclasses.is_dataclass(node) and not isinstance(node, type):
            fields = dataclasses.fields(node)
            return dataclasses.replace(node, **{f.name: walk(getattr(node, f.name)) for f in fields})
        return node

    return walk(record)


def tensors(record: Any) -> list[Tensor]:
    """List all tensors of a record, in a fixed order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(record, note)
    return found


class DeviceRecord(Generic[Record]):
    """Hold a device's copy of a CPU record in one buffer, which later records of the same shapes overwrite."""

    def __init__(self, like: Record, device: torch.device):
        self._layout = _layout(like)
        self._offsets, self._bytes = _offsets(like)
        self._buffer = torch.empty(self._bytes, dtype=torch.uint8, device=device)
        self.record = mapped(like, self._viewer(self._buffer))

    def fits(self, record: Record) -> bool:
        """Tell whether a record has the same shapes, types and other values, so that only its tensors differ."""
        return _layout(record) == self._layout

    def load(self, record: Record) -> Record:
        """Send a record by one copy, asynchronous on CUDA, and return the device's own.

        The host's buffer is a new one each time: torch's allocator of pinned memory hands a block out again only when
        the copy out of it is done.
        """
        host = torch.empty(self._bytes, dtype=torch.uint8, pin_memory=strengths(self._buffer.device).pinned)
        view = self._viewer(host)
        for tensor in tensors(record):
            view(tensor).copy_(tensor)
        self._buffer.copy_(host, non_blocking=True)
        return self.record

    def _viewer(self, buffer: Tensor) -> Callable[[Tensor], Tensor]:
        """Give a function that views the buffer's parts in the order of the record's tensors."""
        offsets = iter(self._offsets)

        def view(like: Tensor) -> Tensor:
            begin = next(offsets)
            return buffer[begin : begin + like.nbytes].view(like.dtype).view(like.shape)

        return view


def sent(record: Record, device: torch.device) -> Record:
    """Copy a CPU record to a device; for the CPU, give the record itself."""
    return record if strengths(device).host else DeviceRecord(record, device).load(record)


def _layout(record: Any) -> Any:
    """Replace each tensor of a record by its shape and type."""
    describe: Any = lambda tensor: (tensor.shape, tensor.dtype)  # noqa: E731
    return mapped(record, describe)


def _offsets(record: Any) -> tuple[list[int], int]:
    """Compute the offset of each tensor's bytes in the buffer, and the buffer's size."""
    offsets, end = [], 0
    for tensor in tensors(record):
        offsets.append(end)
        end += math.ceil(tensor.nbytes / _ALIGNMENT) * _ALIGNMENT
    return offsets, end
