"""Records: dataclasses, lists, tuples and dicts of tensors, and how one is sent to a device by a single copy."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from vqclip.base.device import strengths

Record = TypeVar("Record")

_ALIGNMENT = 16  # bytes: every type of number may begin there


def mapped(record: Record, change: Callable[[Tensor], Tensor]) -> Record:
    """The same record with `change` applied to each tensor; whatever is no tensor stays."""

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
    """All tensors of a record, in a fixed order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(record, note)
    return found


class DeviceRecord(Generic[Record]):
    """The copy on a device of a CPU record, in one buffer that later records of the same shapes overwrite."""

    def __init__(self, like: Record, device: torch.device):
        self._layout = _layout(like)
        self._places, self._bytes = _places(like)
        self._buffer = torch.empty(self._bytes, dtype=torch.uint8, device=device)
        self.record = mapped(like, self._viewer(self._buffer))

    def fits(self, record: Record) -> bool:
        """Whether a record has this one's shapes and types, and differs in its tensors alone."""
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
        """Views of a buffer in the order of the record's tensors."""
        places = iter(self._places)

        def view(like: Tensor) -> Tensor:
            begin = next(places)
            return buffer[begin : begin + like.nbytes].view(like.dtype).view(like.shape)

        return view


def sent(record: Record, device: torch.device) -> Record:
    """A CPU record on a device; on the CPU, the record itself."""
    return record if strengths(device).host else DeviceRecord(record, device).load(record)


def _layout(record: Any) -> Any:
    """The record with each tensor's shape and type in its place."""
    describe: Any = lambda tensor: (tensor.shape, tensor.dtype)  # noqa: E731
    return mapped(record, describe)


def _places(record: Any) -> tuple[list[int], int]:
    """Where each tensor's bytes begin in the buffer, and how many bytes there are in all."""
    places, end = [], 0
    for tensor in tensors(record):
        places.append(end)
        end += math.ceil(tensor.nbytes / _ALIGNMENT) * _ALIGNMENT
    return places, end
