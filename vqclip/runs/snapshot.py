"""Save and read snapshots of the State: the newest and the one before it, each checked by a checksum."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vqclip.base.errors import RunError
from vqclip.base.files import atomic
from vqclip.guidance.state import MakeOptimizer, State
from vqclip.runs.folder_layout import PREVIOUS, SNAPSHOT

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]


def write(folder: Path, state: State, digest: str) -> None:
    """Save a State as the newest snapshot for the Config of this digest; raises OSError."""
    tensors, strings = state.to_tensors()
    _write(
        folder,
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        strings,
        digest,
    )


def _write(folder: Path, tensors: Tensors, strings: Mapping[str, str], digest: str) -> None:
    content = save(tensors, metadata={**strings, "digest": digest, "checksum": _checksum(tensors)})
    with atomic(folder / SNAPSHOT, previous=folder / PREVIOUS) as file:
        file.write(content)


def read(folder: Path, digest: str, make_optimizer: MakeOptimizer, device: torch.device) -> State | None:
    """Read the State of the newest undamaged snapshot, or give None if there is no snapshot.

    Raises RunError if it belongs to another Config, or if all snapshots are damaged.
    """
    damage = None
    for path in (folder / SNAPSHOT, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            state = _read(path, digest, make_optimizer, device)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            damage = damage or f"{path} is damaged ({error})"
            continue
        if damage:
            log.warning("%s; going on from the snapshot before it, at step %d", damage, state.step)
        return state
    if damage:
        raise RunError(f"{damage}; delete it to begin this run again")
    return None


def hand_over(folder: Path, target: Path, digest: str, new_digest: str) -> None:
    """Copy the newest snapshot of a Config into the folder of another one; raises RunError or OSError."""
    path = folder / SNAPSHOT
    try:
        tensors, strings = _load(path, digest)
    except (SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); this run can't go on") from None
    _write(target, tensors, {"state": strings["state"]}, new_digest)


def forget(folder: Path, names: Iterable[str] = (SNAPSHOT, PREVIOUS)) -> None:
    """Delete snapshots; raises OSError."""
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _read(path: Path, digest: str, make_optimizer: MakeOptimizer, device: torch.device) -> State:
    tensors, strings = _load(path, digest)
    # Scalars, such as Adam's count of steps, live on the CPU.
    moved = {name: tensor.to(device) if tensor.ndim else tensor for name, tensor in tensors.items()}
    return State.from_tensors(moved, strings, make_optimizer)


def _load(path: Path, digest: str) -> tuple[Tensors, dict[str, str]]:
    """Read a file's tensors and strings onto the CPU, and check them."""
    with safe_open(path, "pt") as file:
        strings = file.metadata() or {}
        tensors: Tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if strings.get("digest") != digest:
        raise RunError(f"{path} belongs to another config; delete it to begin this run again")
    if strings.get("checksum") != _checksum(tensors):
        raise ValueError("its numbers are not those that were saved")
    return tensors, strings


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
