"""Reads tensors out of files without running anything that the files say."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from vqclip.errors import WeightsError, reason
from vqclip.models.archives import check_torch_archive

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".msgpack")


class _Refused(pickle.UnpicklingError):
    pass


def _stand_in(module: str, name: str, call: Callable[..., Any] | None = None) -> type:
    """A class that stands for a name of a pickle: it passes calls on, or refuses them, and refuses to be changed."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise _Refused(f"{module}.{name}")

    new = refuse if call is None else lambda _, *arguments: call(*arguments)
    return type(name, (), {"__new__": new, "__reduce__": refuse, "__setstate__": refuse})


def _allow(function: Callable[..., Any]) -> type:
    return _stand_in(function.__module__, function.__name__, function)


# What a checkpoint needs in order to say "here is a tensor". Lightning wraps its hyper-parameters in a dict of its own.
_PLAIN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor_v2"): _allow(torch._utils._rebuild_tensor_v2),
    ("torch._utils", "_rebuild_parameter"): _allow(torch._utils._rebuild_parameter),
    ("pytorch_lightning.utilities.parsing", "AttributeDict"): dict,
    ("lightning_fabric.utilities.data", "AttributeDict"): dict,
}


class _Unpickler(pickle.Unpickler):
    """Knows tensors and plain containers. Any other name may be mentioned, as Lightning does, but not called."""

    def find_class(self, module: str, name: str) -> Any:
        known = _PLAIN.get((module, name))
        if known is None and module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            known = getattr(torch, name)
        return known or _stand_in(module, name)


_SAFE_PICKLE = SimpleNamespace(
    __name__="vqclip.models.checkpoint",
    Unpickler=_Unpickler,
    load=lambda file, **options: _Unpickler(file, **options).load(),
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file, a torch checkpoint or Flax's msgpack, by name; raises WeightsError.

    Those of the first two stay on the disk until they are looked at.
    """
    with _one_line(path):
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".msgpack":
            return dict(_flat(_unpack_flax(path.read_bytes())))
        folder = check_torch_archive(path)
        with zipfile.ZipFile(path) as archive:
            if folder + "constants.pkl" in archive.namelist():
                return dict(_flat(_read_script(archive, folder)))
        content = torch.load(
            path, map_location="cpu", pickle_module=_SAFE_PICKLE, weights_only=False, mmap=True
        )
        return dict(_named_tensors(content))


def read_notes(path: Path) -> dict[str, str]:
    """What a .safetensors file says about itself; empty for any other kind of file."""
    if path.suffix != ".safetensors":
        return {}
    with _one_line(path), safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn whatever a file's content makes the readers raise into a WeightsError."""
    try:
        yield
    except _Refused as error:
        raise WeightsError(
            f"{path} is refused: it wants to call {error}; only tensors and plain containers are read"
        ) from None
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {reason(error)}") from None
    except Exception as error:  # a damaged pickle may raise anything
        raise WeightsError(
            f"{path} is no readable checkpoint ({' '.join(str(error).split())[:120]}); fetch it again"
        ) from None


def _named_tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """The state dict in what torch.load returns: Lightning keeps it under `state_dict`, LlamaGen under `model`."""
    state = content
    if isinstance(content, Mapping):
        inner = content.get("model") if isinstance(content.get("model"), Mapping) else content
        state = content.get("state_dict", inner)
    if not isinstance(state, Mapping):
        raise WeightsError(
            f"the checkpoint holds a {type(state).__name__} where a dict of tensors was expected"
        )
    for name, value in state.items():
        if isinstance(value, Tensor):
            yield name, _honest(str(name), value)


def _honest(name: str, tensor: Tensor) -> Tensor:
    """A tensor that is as large as it says: strides of 0 would make gigabytes out of one number."""
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(
            f"{name} claims the shape {tuple(tensor.shape)}, for which the file has no numbers"
        )
    return tensor


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested dicts, with dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, Tensor):
            yield f"{prefix}{name}", _honest(f"{prefix}{name}", value)


def _unpack_flax(content: bytes) -> Any:
    """Flax's own serialisation: nested maps, arrays as extension 1 around (shape, name of the type, bytes)."""

    def array(code: int, data: bytes) -> Any:
        if code != 1:
            return None
        shape, kind, numbers = msgpack.unpackb(data)
        if kind == "bfloat16":
            return torch.frombuffer(bytearray(numbers), dtype=torch.bfloat16).view(*shape)
        return torch.from_numpy(np.frombuffer(bytearray(numbers), dtype=np.dtype(str(kind))).reshape(shape))

    return msgpack.unpackb(content, ext_hook=array)


class _Module:
    """A module of a TorchScript archive: its attributes, and nothing that could run."""

    state: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, Mapping) else {}


class _ScriptUnpickler(_Unpickler):
    """Reads the attributes of TorchScript modules (OpenAI publishes its CLIPs so); their code stays unread."""

    def __init__(self, archive: zipfile.ZipFile, folder: str):
        super().__init__(archive.open(folder + "data.pkl"))
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return type(name, (_Module,), {})
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, _, count = pid
        dtype = _STORAGES[kind.__name__]
        numbers = bytearray(self.archive.read(f"{self.folder}data/{key}"))
        if len(numbers) < count * dtype.itemsize:
            raise WeightsError(f"{self.archive.filename} has too few numbers in data/{key}")
        return torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
            wrap_storage=torch.frombuffer(numbers, dtype=dtype).untyped_storage(), dtype=dtype, _internal=True
        )


_STORAGES = {
    "HalfStorage": torch.float16, "FloatStorage": torch.float32, "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
}  # fmt: skip


def _read_script(archive: zipfile.ZipFile, folder: str) -> Mapping[str, Any]:
    root = _ScriptUnpickler(archive, folder).load()
    if not isinstance(root, _Module):
        raise WeightsError(f"{archive.filename} is a TorchScript program without a module")
    return _attributes(root)


def _attributes(module: _Module) -> dict[str, Any]:
    return {
        name: _attributes(value) if isinstance(value, _Module) else value
        for name, value in module.state.items()
    }
