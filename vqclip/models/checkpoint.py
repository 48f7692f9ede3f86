"""Reads tensors out of files without running anything that the files say."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from vqclip.errors import WeightsError, reason


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
    """All tensors of a .safetensors file or of a torch checkpoint, by name; raises WeightsError."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(_named_tensors(_unpickle(path)))
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


def _unpickle(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        raise WeightsError(
            f"{path} is no checkpoint: neither safetensors nor the zip archive that torch.save writes"
        )
    with zipfile.ZipFile(path) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise WeightsError(f"{path} is a TorchScript program, not a checkpoint; only tensors are read")
    return torch.load(path, map_location="cpu", pickle_module=_SAFE_PICKLE, weights_only=False, mmap=True)


def _named_tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping):
        raise WeightsError(
            f"the checkpoint holds a {type(state).__name__} where a dict of tensors was expected"
        )
    yield from ((name, value) for name, value in state.items() if isinstance(value, Tensor))
