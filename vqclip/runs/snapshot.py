"""Save and read snapshots of the State: the newest and the one before it, each checked by a checksum."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vqclip.base.errors import RunError
from vqclip.base.files import atomic
from vqclip.guidance.state import MakeOptimizer, State

log = logging.getLogger(__name__)

SNAPSHOT, PREVIOUS = "snapshot.safetensors", "snapshot.previous.safetensors"


def write(folder: Path, state: State, digest: str) -> None:
    """Save a State as the newest snapshot for the Config of this digest; raises OSError."""
    tensors, strings = state.to_tensors()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(tensors, metadata=strings | {"digest": digest, "checksum": _checksum(tensors)})
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


def forget(folder: Path) -> None:
    """Delete the snapshots; raises OSError."""
    for name in (SNAPSHOT, PREVIOUS):
        (folder / name).unlink(missing_ok=True)


def _read(path: Path, digest: str, make_optimizer: MakeOptimizer, device: torch.device) -> State:
    with safe_open(path, "pt") as file:
        strings = file.metadata() or {}
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if strings.get("digest") != digest:
        raise RunError(f"{path} belongs to another config; delete it to begin this run again")
    if strings.get("checksum") != _checksum(tensors):
        raise ValueError("its numbers are not those that were saved")
    # Scalars, such as Adam's count of steps, live on the CPU.
    moved = {name: tensor.to(device) if tensor.ndim else tensor for name, tensor in tensors.items()}
    return State.from_tensors(moved, strings, make_optimizer)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
