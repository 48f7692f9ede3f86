"""Read tensors from files without running anything that is in them."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from vqclip.base.errors import WeightsError, cause
from vqclip.weights.inert_pickle import PickleError
from vqclip.weights.torch_files import TorchFile, entries, open_torch_file

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".msgpack")
# Where training scripts keep the network's tensors, and their own settings. Lightning: state_dict, LlamaGen: model.
_STATES = ("state_dict", "model", "model_state_dict", "module", "generator", "vqgan", "ema", "model_ema")
_SETTINGS = ("args", "hyper_parameters", "config", "cfg", "opt", "hparams")
MOST_SETTINGS = 10_000  # values that are looked through for one


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file by name, and the settings of the script that trained them, as plain nested dicts."""

    tensors: dict[str, Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def setting(self, name: str) -> Any:
        """Return the first value of this name among the settings, however deep, or None."""
        waiting = deque(self.settings.values())
        for _ in range(MOST_SETTINGS):
            if not waiting:
                break
            inside = _plain_entries(waiting.popleft())
            if inside is not None and name in inside:
                return _plain(inside[name])
            waiting.extend(islice((inside or {}).values(), MOST_SETTINGS - len(waiting)))
        return None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a .safetensors file, a torch checkpoint or Flax's msgpack, by name. Raises WeightsError."""
    return read_checkpoint(path).tensors


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a .safetensors file, a torch checkpoint or Flax's msgpack; raises WeightsError.

    The tensors of the first two stay on the disk until they are looked at.
    """
    with _one_line(path):
        if path.suffix == ".safetensors":
            return Checkpoint(load_file(path))
        if path.suffix == ".msgpack":
            return Checkpoint(dict(_flat(_unpack_flax(path.read_bytes()))))
        return _of_torch(open_torch_file(path))


def read_header(path: Path) -> dict[str, str]:
    """Read the header of a .safetensors file. It is empty for any other kind of file."""
    if path.suffix != ".safetensors":
        return {}
    with _one_line(path), safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn all errors that a file's content causes into a WeightsError."""
    try:
        yield
    except PickleError as error:
        raise WeightsError(f"{path} is refused: {error}; only tensors and plain data are read") from None
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {cause(error)}") from None
    except Exception as error:  # a damaged pickle may raise anything
        raise WeightsError(
            f"{path} is no readable checkpoint ({' '.join(str(error).split())[:120]}); fetch it again"
        ) from None


def _of_torch(file: TorchFile) -> Checkpoint:
    outer = entries(file.content)
    if outer is None:
        what = type(file.content).__name__ if file.tensor(file.content) is None else "Tensor"
        raise WeightsError(f"the checkpoint holds a {what} where a dict of tensors was expected")
    settings = {key: outer[key] for key in _SETTINGS if key in outer}
    return Checkpoint(file.named(_state(outer)), settings)


def _state(content: Mapping[Any, Any]) -> Any:
    """Return the state dict in a checkpoint, which may lie in a dict in a dict."""
    for key in _STATES:
        inside = entries(content.get(key))
        if inside:
            return _state(inside)
        if key == "state_dict" and key in content and inside is None:
            raise WeightsError(
                f"the checkpoint holds a {type(content[key]).__name__} where a dict of tensors was expected"
            )
    return content


def _plain_entries(value: Any) -> dict[Any, Any] | None:
    """Return what lies in a dict, in a Namespace's state, or in OmegaConf's containers."""
    inside = entries(value)
    content = (inside or {}).get("_content")
    return content if isinstance(content, dict) else inside


def _plain(value: Any) -> Any:
    """Return a setting, out of the node in which OmegaConf keeps it."""
    inside = entries(value)
    return inside.get("_val") if inside and "_val" in inside else value


def _honest(name: str, tensor: Tensor) -> Tensor:
    """Check that the file has all of a tensor's numbers: strides of 0 would make gigabytes out of one number."""
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(
            f"{name} claims the shape {tuple(tensor.shape)}, for which the file has no numbers"
        )
    return tensor


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Return the tensors of nested dicts, with dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, Tensor):
            yield f"{prefix}{name}", _honest(f"{prefix}{name}", value)


def _unpack_flax(content: bytes) -> Any:
    """Read Flax's serialisation: nested maps, and arrays as extension 1 around (shape, name of the type, bytes)."""

    import msgpack  # noqa: PLC0415  # Flax's files alone are written so

    def array(code: int, data: bytes) -> Any:
        if code != 1:
            return None
        shape, kind, numbers = msgpack.unpackb(data)
        if kind == "bfloat16":
            return torch.frombuffer(bytearray(numbers), dtype=torch.bfloat16).view(*shape)
        return torch.from_numpy(np.frombuffer(bytearray(numbers), dtype=np.dtype(str(kind))).reshape(shape))

    return msgpack.unpackb(content, ext_hook=array)
