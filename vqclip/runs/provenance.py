"""Record what an image depends on besides its Config: versions, device, weights."""

import platform
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from vqclip import __version__
from vqclip.base import device
from vqclip.config.schema import Config
from vqclip.requirements import status
from vqclip.requirements.needs import distinct, requirements

_PACKAGES = ("torch", "open_clip_torch", "timm", "pillow")
_HERE: Mapping[str, str] = {}  # no locations: the weights lie where their names say


def provenance(config: Config, on: torch.device, locations: Mapping[str, str] = _HERE) -> dict[str, Any]:
    """Collect versions, device, arithmetic, CPU threads, and the digests of the weights.

    `locations` maps weights' names to files or folders other than those that the names mean.
    """
    return {
        "versions": {
            "vqclip": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "device": device.describe(on),
        "precision": device.arithmetic(config.precision, on),
        "threads": device.threads(on),
        "weights": digests(config, locations).result(),
    }


def digests(config: Config, locations: Mapping[str, str] = _HERE) -> Future[dict[str, str | None]]:
    """Compute the SHA-256 of all weights by name in a thread, or None for missing ones; ask early to wait less."""
    needs = distinct(requirements(config))
    reader = ThreadPoolExecutor(1, "digests")
    found = reader.submit(lambda: {need.name: status.digest(need.at(locations)) for need in needs})
    reader.shutdown(
        wait=False
    )  # the thread ends after its work, so that a later fork of the process loses no thread
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
