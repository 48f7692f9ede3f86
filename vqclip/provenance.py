"""What a picture depends on besides its Config: versions, device, weights."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from vqclip import __version__, device
from vqclip.models import store
from vqclip.schema import Config

_PACKAGES = ("torch", "open_clip_torch", "timm", "pillow")


def provenance(config: Config, on: torch.device) -> dict[str, Any]:
    """Versions, device, arithmetic, and the digests of weights that the catalogue knows."""
    names = [config.vqgan, *(perceptor.model for perceptor in config.perceptors)]
    return {
        "versions": {
            "vqclip": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "device": device.describe(on),
        "precision": str(device.dtype_for(config.precision, on)).removeprefix("torch."),
        "weights": {name: digest for name in names if (digest := store.digest_of(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
