"""Which perceptor a name means."""

from typing import Any

from vqclip.config.schema import Config
from vqclip.guidance.perceptors import judge_config
from vqclip.guidance.perceptors.open_clip_config import OpenCLIPConfig


def perceptor_named(config: Config, name: str) -> Any:
    """The first of a Config's perceptors with this label, or else the judge, or the CLIP of this name."""
    own = next((entry for entry in config.perceptors if entry.label == name), None)
    if own is not None:
        return own
    return judge_config.JudgeConfig() if name == judge_config.NAME else OpenCLIPConfig(model=name)


def usual_judge(config: Config) -> str:
    """The judge that ranks a Config's images: one that didn't guide them where it is here, else the first perceptor."""
    return judge_config.NAME if judge_config.is_here() else str(config.perceptors[0].label)
