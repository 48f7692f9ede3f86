"""What a Config may say: frozen dataclasses, their types, and the rules that their values keep.

The values themselves, with a sentence for each key, stand in configs/default.yaml.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from vqclip.config import first_form, neutral, prompt, together
from vqclip.config.palette import parse as parse_palette
from vqclip.config.prompt import Kind, Prompt
from vqclip.config.registry import DRAWERS, FILTERS, LOSSES, PERCEPTORS, STARTS
from vqclip.config.rules import among, key, schedule, within
from vqclip.config.schedule import Moment, Schedule
from vqclip.config.sections import MaskConfig, OverlayConfig, TextsConfig, UpscaleConfig
from vqclip.config.sizes import Margins, parse_extend, parse_size
from vqclip.config.styles import joined
from vqclip.config.validation import check_settings

OPTIMIZERS = ("adam", "adamw", "adamax", "nadam", "radam", "adagrad", "rmsprop", "sgd")
BORDERS = ("reflect", "smear", "wrap", "grey")  # of the image, for crops
EDGES = ("reflect", "wrap", "black", "paint")  # of the last image, for motion
UNITS = ("codebook", "latent")  # of learning rates
PRECISION_SPELLINGS = {
    "fp32": "float32", "single": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PerceptorConfig:
    """The keys that all perceptors have; a perceptor's own dataclass adds others."""

    reads_texts: ClassVar[bool] = True

    kind: str = key(default=PERCEPTORS.usual, neutral=PERCEPTORS.usual)
    weight: float = within(0, default=1.0)
    crops: int | None = within(1, default=None)

    @property
    def label(self) -> str:
        """What it is called among the losses and in a plan."""
        return self.kind


@dataclass(frozen=True, kw_only=True)
class CutoutsConfig:
    count: int = within(1, 4096)
    anchors: int = within(0, 4096)
    smallest: float = within(0.01, 4)
    largest: float = within(0.01, 4)
    power: float = within(0.01, 100)
    beyond: float = within(0, 2)
    aspect: str = among("keep", "squash")
    border: str = among(*BORDERS)
    flip: float = within(0, 1)
    warp: float = within(0, 1)
    rotate: float = within(0, 180)
    shear: float = within(0, 60)
    shift: float = within(0, 1)
    perspective: float = within(0, 0.9)
    jitter: float = within(0, 1)
    brightness: float = within(0, 1)
    contrast: float = within(0, 1)
    saturation: float = within(0, 1)
    hue: float = within(0, 0.5)
    noise: float = within(0, 1)
    erase: float = within(0, 1)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    name: str = among(*OPTIMIZERS)
    learning_rate: str = schedule(minimum=0)
    unit: str = among(*UNITS, neutral="codebook")
    restart: int = within(0, 1_000_000, neutral=0)
    drops: list[str] = key(neutral=[])
    drop_factor: float = within(0, 1, neutral=0.1)

    def __post_init__(self) -> None:
        for moment in self.drops:
            Moment.parse(moment, "optimizer.drops")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    scale: float = within(0.01, 1)
    share: float = within(0.001, 1)


@dataclass(frozen=True, kw_only=True)
class LatentConfig:
    stages: list[StageConfig]
    ema_decay: float = within(0, 0.9999)


@dataclass(frozen=True, kw_only=True)
class DrawerConfig:
    """The name of what draws the image; a drawer's own dataclass adds its keys."""

    recipe: ClassVar[str] = ""  # the preset that it works well with, if it has one

    name: str


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """The name of what the image begins from; a start's own dataclass adds its keys."""

    name: str


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The keys that all terms of the loss beside the prompts have; a term's own dataclass adds others."""

    keeps_given: ClassVar[bool] = False  # whether it compares with the image that the user gave

    weight: str = schedule()


def in_use(losses: Mapping[str, LossConfig]) -> dict[str, LossConfig]:
    """Select the terms whose weight isn't always zero."""
    return {name: term for name, term in losses.items() if not Schedule.parse(term.weight).is_zero}


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """The name of what changes the drawn image; a filter's own dataclass adds its keys."""

    kind: str


@dataclass(frozen=True, kw_only=True)
class PaletteConfig:
    colours: list[str] = key(neutral=[])
    lock: bool = key(neutral=True)

    def __post_init__(self) -> None:
        if self.colours:
            parse_palette(self.colours, "palette")


@dataclass(frozen=True, kw_only=True)
class PlateauConfig:
    patience: int = within(0)
    improvement: float = within(0)
    drops: int = within(0, 100, neutral=0)


@dataclass(frozen=True, kw_only=True)
class FilmConfig:
    frames: int | None = within(1, 1_000_000)
    steps: int = within(1, 1_000_000)
    learning_rate: str = schedule(minimum=0)
    fps: float | None = within(0.1, 240)
    window: int = within(1, 99)
    falloff: float = within(0, 1)
    loop: bool
    overlap: int = within(1, 10_000)


@dataclass(frozen=True, kw_only=True)
class StoryConfig:
    frames: int = within(1, 1_000_000)
    fade: float = within(0, 1)
    fresh: float = within(0, 1)
    after: str = among("stay", "repeat")
    prefix: str = key(neutral="")
    suffix: str = key(neutral="")
    at: float | None = within(0, neutral=None)


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    zoom: str = schedule(minimum=0.1)
    turn: str = schedule()
    right: str = schedule()
    down: str = schedule()
    border: str = among(*EDGES)


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    video: str | None
    begin: float = within(0)
    end: float | None = within(0)
    every: int = within(1, 10_000)
    pull: str = schedule(minimum=0)
    flow: bool


@dataclass(frozen=True, kw_only=True)
class Config:
    prompts: list[str]
    style: str | None = key(neutral=None)
    texts: TextsConfig
    seed: int = key(minimum=0, maximum=2**62, words=True)
    size: str
    aspect: str | None = key(neutral=None)
    steps: int = within(0, 1_000_000)
    init: str | None
    strength: float = within(0, 1, neutral=0.0)
    mask: MaskConfig
    extend: str | None = key(neutral=None)
    start: Any = key(choice=STARTS)  # a StartConfig
    drawer: Any = key(choice=DRAWERS)  # a DrawerConfig
    perceptors: list[PerceptorConfig] = key(items=PERCEPTORS)
    cutouts: CutoutsConfig
    optimizer: OptimizerConfig
    latent: LatentConfig
    losses: dict[str, LossConfig] = key(registry=LOSSES)
    palette: PaletteConfig
    filters: list[FilterConfig] = key(items=FILTERS, neutral=[])
    plateau: PlateauConfig
    overlay: OverlayConfig
    save_every: int = within(0, 1_000_000, neutral=0)
    upscale: UpscaleConfig
    transparent: str | None = schedule(minimum=0, neutral=None)
    tile: bool
    film: FilmConfig
    story: StoryConfig
    motion: MotionConfig
    source: SourceConfig
    precision: str = among("auto", "float32", "tf32", "bfloat16", "float16", spellings=PRECISION_SPELLINGS)

    def __post_init__(self) -> None:
        check_settings(self)
        _ = self.parsed_prompts, self.width  # both are read here for the first time, and may be refused
        together.check(self)

    @cached_property
    def lines(self) -> tuple[tuple[tuple[Prompt, ...], ...], ...]:
        """Every line's scenes, parsed; a line of one scene holds throughout.

        The texts of lines of several have the story's prefix and suffix.
        """
        parsed = [prompt.scenes(line) for line in self.prompts]
        return tuple(
            tuple(tuple(self._framed(each, len(scenes)) for each in scene) for scene in scenes)
            for scenes in parsed
        )

    def _framed(self, given: Prompt, scenes: int) -> Prompt:
        """A prompt of a line of so many scenes, with what its text has before and after it."""
        if scenes == 1 or given.kind is not Kind.TEXT or not (self.story.prefix or self.story.suffix):
            return given
        return dataclasses.replace(given, body=joined(self.story.prefix, given.body, self.story.suffix))

    @property
    def parsed_prompts(self) -> tuple[Prompt, ...]:
        """Every prompt of every scene."""
        return tuple(prompt for line in self.lines for scene in line for prompt in scene)

    @property
    def scenes(self) -> int:
        """How many scenes the story has; without one, everything is a single scene."""
        return max((len(line) for line in self.lines), default=1)

    @property
    def is_film(self) -> bool:
        """Whether more than one image is asked for."""
        tells = self.scenes > 1 and self.story.at is None
        return tells or (self.film.frames or 1) > 1 or self.source.video is not None

    @property
    def is_masked(self) -> bool:
        """Whether a part of the init image is kept as it is."""
        return self.mask.file is not None or self.extend is not None

    @property
    def margins(self) -> Margins:
        """By how much the init image grows."""
        return parse_extend(self.extend) if self.extend is not None else Margins()

    @property
    def width(self) -> int:
        return parse_size(self.size)[0]

    @property
    def height(self) -> int:
        return parse_size(self.size)[1]

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name this Config and no other.

        They stay when keys are added, as neutral values don't count, and when keys are renamed, as first names do.
        """
        counted = first_form.of(neutral.counted(self))
        return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:12]
