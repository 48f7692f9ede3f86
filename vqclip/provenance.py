"""What a picture depends on besides its Config: versions, device, weights."""

import platform
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from vqclip import __version__, device
from vqclip.errors import WeightsError
from vqclip.models import store
from vqclip.models.clip import weights_file
from vqclip.models.loading import find_vqgan
from vqclip.schema import Config

_PACKAGES = ("torch", "open_clip_torch", "timm", "pillow")
_READING = threading.Lock()  # what is asked for twice is read once


def provenance(config: Config, on: torch.device) -> dict[str, Any]:
    """Versions, device, arithmetic, threads on the CPU, and the digests of the weights."""
    return {
        "versions": {
            "vqclip": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "device": device.describe(on),
        "precision": device.arithmetic(config.precision, on),
        "threads": device.threads(on),
        "weights": digests(config).result() | _sketchbook(config),
    }


def digests(config: Config) -> Future[dict[str, str | None]]:
    """The SHA-256 of the weights by name, None where they aren't here; read aside, so who asks early waits less."""
    names = [
        (config.vqgan, find_vqgan),
        *((perceptor.model, weights_file) for perceptor in config.perceptors),
    ]
    reader = ThreadPoolExecutor(1, "digests")
    found = reader.submit(lambda: {name: _digest(name, find) for name, find in names})
    reader.shutdown(wait=False)  # its thread ends with its work: a process that forks later has none to miss
    return found


def _digest(name: str, find: Callable[[str], Path]) -> str | None:
    """SHA-256 of the weights that a name means, or None where they aren't here."""
    if known := store.digest_of(name):
        return known
    try:
        path = find(name)
        with _READING:
            return _digest_once(path, path.stat().st_mtime_ns)
    except (WeightsError, OSError):
        return None


def _sketchbook(config: Config) -> dict[str, str | None]:
    """The digest of the sketchbook, where one is used."""
    used = config.start == "sketch" and not config.init
    return {config.sketchbook: store.digest_of(config.sketchbook)} if used else {}


@cache
def _digest_once(path: Path, changed: int) -> str:
    """Large files are read once, unless they have changed."""
    return store.digest(path)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
