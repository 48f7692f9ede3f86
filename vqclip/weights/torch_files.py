"""Read tensors of the files that torch.save and torch.jit.save write, mapped from the disk.

torch.load isn't used. The pickle is read as data, and a tensor in it is a claim: so many numbers of this type, in this
shape, at that place of the file. The claim is checked before the tensor is made.
"""

import io
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.weights.archives import LARGEST_PICKLE, check_torch_archive
from vqclip.weights.inert_pickle import Inert, Name, Persistent, read_pickle

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # what torch.save's format without zip begins with
LARGEST_SIDE = 2**40  # of a tensor's shape
MOST_NAMES, LONGEST_NAME = 50_000, 1000  # of tensors: shared containers could spell names without end

_STORAGES = {
    "HalfStorage": torch.float16, "FloatStorage": torch.float32, "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8, "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.qint8, "QUInt8Storage": torch.quint8, "QInt32Storage": torch.qint32,
}  # fmt: skip
_TYPES = {str(dtype).removeprefix("torch."): dtype for dtype in _STORAGES.values()}

Place = tuple[int, int]  # where numbers begin in the file, and how many bytes they are


@dataclass
class TorchFile:
    """The content of a file's pickle, and where its numbers are."""

    path: Path
    content: Any
    places: Mapping[str, Place]
    _made: dict[int, Tensor | None] = field(default_factory=dict)

    def tensor(self, value: Any) -> Tensor | None:
        """Return the tensor that a value of the content stands for, or None; raises WeightsError."""
        if not isinstance(value, Inert) or not isinstance(value.maker, Name):
            return None
        if id(value) not in self._made:
            self._made[id(value)] = self._rebuild(value)
        return self._made[id(value)]

    def _rebuild(self, value: Inert) -> Tensor | None:
        match str(value.maker), value.arguments:
            case ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2", (numbers, *view)):
                return self._view(numbers, *view[:3])
            case "torch._utils._rebuild_tensor_v3", (numbers, offset, size, stride, _, _, Name() as kind, *_):
                return self._view(numbers, offset, size, stride, _TYPES.get(kind.name))
            case (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                (inner, *_),
            ):
                return self.tensor(inner)
            case "torch._tensor._rebuild_from_type_v2", (maker, _, arguments, *_):
                return self._rebuild(Inert(maker, arguments))
        return None

    def _view(
        self, numbers: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype | None = None
    ) -> Tensor | None:
        if not isinstance(numbers, Persistent) or numbers_of(numbers) is None:
            return None
        key, kind, view = numbers_of(numbers) or ("", torch.uint8, None)
        kind = dtype or kind
        stored = self._storage(key, kind, view)
        _check_shape(key, stored.nbytes() // kind.itemsize, offset, size, stride)
        return torch.empty(0, dtype=kind).set_(stored, offset, size, stride)

    def _storage(self, key: str, kind: torch.dtype, view: Any) -> torch.UntypedStorage:
        if key not in self.places:
            raise WeightsError(f"{self.path} has no numbers for the storage {' '.join(key.split())[:40]!r}")
        start, size = self.places[key]
        if view is not None:  # files of before 2017
            _, begin, count = view
            if not 0 <= begin * kind.itemsize <= (begin + count) * kind.itemsize <= size:
                raise WeightsError(f"{self.path} has too few numbers for a part of a storage")
            start, size = start + begin * kind.itemsize, count * kind.itemsize
        stored = self._mapped[start : start + size] if size else torch.UntypedStorage(0)  # type: ignore[no-untyped-call]
        return stored.clone() if start % kind.itemsize else stored

    @cached_property
    def _mapped(self) -> torch.UntypedStorage:
        whole = torch.UntypedStorage.from_file(str(self.path), False, self.path.stat().st_size)
        return cast(torch.UntypedStorage, whole)

    def named(self, value: Any) -> dict[str, Tensor]:
        """Return the tensors in a state dict, a module or nested dicts, with dotted names; raises WeightsError."""
        found: dict[str, Tensor] = {}
        for visited, (name, inner) in enumerate(_leaves(value, "")):
            if visited >= MOST_NAMES or len(name) > LONGEST_NAME:
                raise WeightsError(f"{self.path} is refused: its tensors have too many or too long names")
            tensor = self.tensor(inner)
            if tensor is not None:
                found[name] = tensor
        return found


def numbers_of(storage: Persistent) -> tuple[str, torch.dtype, Any] | None:
    """Return key, type and part of the storage that a pickle refers to; None if it is no storage of a known type."""
    match storage.key:
        case "storage", Name(name=kind), str() as key, _, int(), *rest if kind in _STORAGES:
            return key, _STORAGES[kind], rest[0] if rest else None
    return None


def _check_shape(key: str, count: int, offset: Any, size: Any, stride: Any) -> None:
    """Refuse a view of more numbers than a storage has: strides of 0 would make gigabytes out of one."""
    whole = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= 64
    if not whole or not all(type(n) is int and 0 <= n <= LARGEST_SIDE for n in (offset, *size, *stride)):
        raise WeightsError(f"the tensor over the storage {key[:40]!r} has a shape that can't be")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if prod(size) and (last >= count or prod(size) > count):
        raise WeightsError(f"a tensor claims the shape {size[:8]}, for which the file has no numbers")


def entries(value: Any) -> dict[Any, Any] | None:
    """Return the entries of a dict, of an object that is one, or of a module's state; None for anything else."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, Inert):
        return None
    if value.entries is not None:
        return value.entries
    match value:
        case Inert(state=dict() as state):
            return state
        case Inert(arguments=(dict() as only,)):  # collections.Counter
            return only
    return None


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    inside = entries(value)
    if inside is None or _is_tensor(value):
        yield prefix.removesuffix("."), value
        return
    if isinstance(inside.get("_modules"), dict | Inert):  # a pickled torch.nn.Module
        parts = [inside.get(part) for part in ("_parameters", "_buffers", "_modules")]
        inside = {key: inner for part in parts for key, inner in (entries(part) or {}).items()}
    yield prefix, None  # so that containers count, too
    for key, inner in inside.items():
        if isinstance(key, str):
            yield from _leaves(inner, f"{prefix}{key}."[: LONGEST_NAME + 2])


def _is_tensor(value: Any) -> bool:
    """Tell whether a value is a tensor that carries attributes of its own."""
    return (
        isinstance(value, Inert)
        and isinstance(value.maker, Name)
        and value.maker.name.startswith("_rebuild_")
    )


def open_torch_file(path: Path) -> TorchFile:
    """Read the pickle of a file that torch wrote, in any of its formats; raises WeightsError and PickleError."""
    if not zipfile.is_zipfile(path):
        return _open_old(path)
    folder = check_torch_archive(path)
    with zipfile.ZipFile(path) as archive:
        content, _ = read_pickle(io.BytesIO(archive.read(folder + "data.pkl")))
        if archive.NameToInfo.get(folder + "byteorder") and archive.read(folder + "byteorder") != b"little":
            raise WeightsError(_BIG_ENDIAN.format(path))
        prefix = folder + "data/"
        members = [member for member in archive.infolist() if member.filename.startswith(prefix)]
    with path.open("rb") as file:
        places = {m.filename.removeprefix(prefix): _place(file, m) for m in members}
    return TorchFile(path, content, places)


_BIG_ENDIAN = "{} was written by a machine of another byte order; save it anew on this kind of machine"


def _place(file: io.BufferedReader, member: zipfile.ZipInfo) -> Place:
    """Return where a stored member's bytes lie; the length of its own header stands in that header."""
    file.seek(member.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    start = member.header_offset + 30 + name + extra
    if start + member.file_size > file.seek(0, io.SEEK_END):
        raise WeightsError(f"{member.filename!r} reaches beyond the end of the file; fetch it again")
    return start, member.file_size


def _open_old(path: Path) -> TorchFile:
    """Read torch.save's format without zip: five pickles, then the numbers of one storage after the other."""
    with path.open("rb") as file:
        begin = file.read(LARGEST_PICKLE)
    head = io.BytesIO(begin)
    magic, _ = read_pickle(head) if begin.startswith(b"\x80") else (None, [])
    if magic != MAGIC:
        what = "a pickle, but not of torch.save's" if magic is not None else "no checkpoint"
        raise WeightsError(
            f"{path} is {what}: vqclip reads safetensors and what torch.save or torch.jit.save wrote"
        )
    version, _ = read_pickle(head)
    system, _ = read_pickle(head)
    if version != VERSION or not isinstance(system, dict):
        raise WeightsError(f"{path} is of a version of torch.save that vqclip doesn't know")
    if not system.get("little_endian", True) or sys.byteorder != "little":
        raise WeightsError(_BIG_ENDIAN.format(path))
    content, persistent = read_pickle(head)
    keys, _ = read_pickle(head)
    return TorchFile(path, content, dict(_old_places(path, head.tell(), keys, persistent)))


def _old_places(
    path: Path, offset: int, keys: Any, persistent: list[Persistent]
) -> Iterator[tuple[str, Place]]:
    kinds = {found[0]: found[1] for one in persistent if (found := numbers_of(one)) is not None}
    size = path.stat().st_size
    with path.open("rb") as file:
        for key in keys:
            if key not in kinds:
                raise WeightsError(f"{path} has numbers of a kind that vqclip doesn't read")
            file.seek(offset)
            (count,) = struct.unpack("<q", file.read(8))
            start, length = offset + 8, count * kinds[key].itemsize
            if count < 0 or start + length > size:
                raise WeightsError(f"{path} ends before its numbers do; fetch it again")
            yield key, (start, length)
            offset = start + length
