"""Which perceptor a name means."""

from typing import Any

from vqclip.config.schema import Config
from vqclip.guidance.perceptors.open_clip_config import OpenCLIPConfig


def perceptor_named(config: Config, name: str) -> Any:
    """The first of a Config's perceptors with this label, or else the CLIP of this name."""
    own = (entry for entry in config.perceptors if entry.label == name)
    return next(own, None) or OpenCLIPConfig(model=name)
