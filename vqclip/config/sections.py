"""The sections of a Config about what is kept, stamped and enlarged, and how texts are read."""

from dataclasses import dataclass

from vqclip.base.errors import ConfigError, shorten
from vqclip.config.rules import among, key, within

FILLS = ("start", "init")  # of what is rendered anew
TEMPLATES = ["a photo of a {}", "a painting of a {}", "a drawing of a {}", "a {}", "a close view of a {}"]


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    file: str | None = key(neutral=None)
    feather: int = within(0, 1024, neutral=0)
    invert: bool = key(neutral=False)
    fill: str = among(*FILLS, neutral="start")


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    file: str | None = key(neutral=None)
    every: int = within(1, 1_000_000, neutral=10)
    offset: int = within(0, 1_000_000, neutral=0)
    until: int | None = within(0, neutral=None)
    alpha: float = within(0, 1, neutral=1.0)


@dataclass(frozen=True, kw_only=True)
class TextsConfig:
    templates: list[str] = key(neutral=TEMPLATES)
    split: bool = key(neutral=False)
    image_prior: str = key(neutral="")

    def __post_init__(self) -> None:
        wrong = next((text for text in self.templates if "{}" not in text), None)
        if wrong is not None or not self.templates:
            raise ConfigError(
                f'texts.templates: {shorten(wrong)} has no {{}} for the label; write texts as in ["a photo of a {{}}"]'
            )


@dataclass(frozen=True, kw_only=True)
class UpscaleConfig:
    factor: int = within(1, 8, neutral=1)
    model: str | None = key(neutral=None)
