"""What a picture depends on besides its Config: versions, device, weights."""

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
_HERE: Mapping[str, str] = {}  # names say where the weights lie


def provenance(config: Config, on: torch.device, places: Mapping[str, str] = _HERE) -> dict[str, Any]:
    """Versions, device, arithmetic, threads on the CPU, and the digests of the weights.

    `places` says where weights lie that aren't where their names say.
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
        "weights": digests(config, places).result(),
    }


def digests(config: Config, places: Mapping[str, str] = _HERE) -> Future[dict[str, str | None]]:
    """The SHA-256 of all weights by name, None where they aren't here; read aside, so who asks early waits less."""
    needs = distinct(requirements(config))
    reader = ThreadPoolExecutor(1, "digests")
    found = reader.submit(lambda: {need.name: status.digest(need.at(places)) for need in needs})
    reader.shutdown(wait=False)  # its thread ends with its work: a process that forks later has none to miss
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
