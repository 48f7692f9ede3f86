"""What a Config may say: frozen dataclasses, their types, and the rules that their values keep.

The values themselves, with a sentence for each key, stand in configs/default.yaml.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any, ClassVar, get_args, get_origin

from vqclip.base.errors import ConfigError, shorten
from vqclip.config import first_form, neutral, prompt
from vqclip.config.conversion import fields
from vqclip.config.prompt import READ, Kind, Prompt
from vqclip.config.registry import DRAWERS, LOSSES, PERCEPTORS, STARTS
from vqclip.config.rules import among, check, key, schedule, within
from vqclip.config.sizes import Margins, parse_extend, parse_size
from vqclip.config.styles import joined

OPTIMIZERS = ("adam", "adamw", "adamax", "nadam", "radam", "adagrad", "rmsprop", "sgd")
TEMPLATES = ["a photo of a {}", "a painting of a {}", "a drawing of a {}", "a {}", "a close view of a {}"]
BORDERS = ("reflect", "smear", "wrap", "grey")  # of the picture, for crops
EDGES = ("reflect", "wrap", "black", "paint")  # of the last picture, for motion
UNITS = ("codebook", "latent")  # of learning rates
FILLS = ("start", "init")  # of what is rendered anew


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

    name: str


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """The name of what the image begins from; a start's own dataclass adds its keys."""

    name: str


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The keys that all terms of the loss beside the prompts have; a term's own dataclass adds others."""

    weight: str = schedule()


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

    def __post_init__(self) -> None:
        wrong = next((text for text in self.templates if "{}" not in text), None)
        if wrong is not None or not self.templates:
            raise ConfigError(
                f'texts.templates: {shorten(wrong)} has no {{}} for the label; write texts as in ["a photo of a {{}}"]'
            )


@dataclass(frozen=True, kw_only=True)
class PlateauConfig:
    patience: int = within(0)
    improvement: float = within(0)


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
    seed: int = within(0, 2**62)
    size: str
    aspect: str | None = key(neutral=None)
    steps: int = within(1, 1_000_000)
    init: str | None
    mask: MaskConfig
    extend: str | None = key(neutral=None)
    start: Any = key(choice=STARTS)  # a StartConfig
    drawer: Any = key(choice=DRAWERS)  # a DrawerConfig
    perceptors: list[PerceptorConfig] = key(items=PERCEPTORS)
    cutouts: CutoutsConfig
    optimizer: OptimizerConfig
    latent: LatentConfig
    losses: dict[str, LossConfig] = key(registry=LOSSES)
    plateau: PlateauConfig
    overlay: OverlayConfig
    tile: bool
    film: FilmConfig
    story: StoryConfig
    motion: MotionConfig
    source: SourceConfig
    precision: str = among("auto", "float32", "tf32", "bfloat16", "float16")

    def __post_init__(self) -> None:
        _check_settings(self, "")
        _ = self.parsed_prompts, self.width  # both are read here for the first time, and may be refused
        self._check_together()

    def _check_together(self) -> None:
        """The rules that hold between keys."""
        if not self.perceptors:
            raise ConfigError(
                "perceptors: nobody looks at the picture; name at least one, as in [{model: mini-clip}]"
            )
        self._check_texts()
        if self.cutouts.smallest > self.cutouts.largest:
            raise ConfigError(
                f"cutouts: smallest {self.cutouts.smallest} exceeds largest {self.cutouts.largest}"
            )
        scales = [stage.scale for stage in self.latent.stages]
        if not scales or scales[-1] != 1 or scales != sorted(scales):
            raise ConfigError(f"latent.stages: the scales {scales} must rise and end at 1, as in 0.5, 1")

        self._check_film()
        self._check_mask()

    def _check_mask(self) -> None:
        """The rules of what keeps a part of the init image."""
        if not self.is_masked:
            return
        name = "extend" if self.extend else "mask.file"
        if self.init is None:
            raise ConfigError(
                f"{name}: it keeps a part of the init image, and there is none; add --init IMAGE"
            )
        if self.is_film:
            raise ConfigError(f"{name}: a mask takes a still, and this is a film; leave it out")
        margins = self.margins
        inner = (
            self.width - margins.left - margins.right,
            self.height - margins.top - margins.bottom,
        )
        if min(inner) < 1:
            raise ConfigError(
                f"extend: {self.extend!r} leaves no room for the init image in {self.size}; write --size init, which "
                "grows"
            )

    def _check_texts(self) -> None:
        """Refuse a text where a perceptor embeds none."""
        text = next((prompt.body for prompt in self.parsed_prompts if prompt.kind in READ), None)
        blind = next((entry.label for entry in self.perceptors if not entry.reads_texts), None)
        if text is not None and blind is not None:
            raise ConfigError(
                f"prompts: the perceptor {blind} reads no texts, and {shorten(text)} is one; write an image, as in "
                "[file.png], or take another perceptor"
            )

    def _check_film(self) -> None:
        """The rules that hold between keys of a film."""
        numbers = sorted({len(line) for line in self.lines} - {1})
        if len(numbers) > 1:
            raise ConfigError(
                f"prompts: lines of {' and '.join(map(str, numbers))} scenes; all that tell a story need as many"
            )
        if self.film.window % 2 == 0:
            raise ConfigError(
                f"film.window: {self.film.window} frames have no middle one; write an odd number"
            )
        if self.source.end is not None and self.source.end <= self.source.begin:
            raise ConfigError(
                f"source: it would end at {self.source.end:g} s and begin at {self.source.begin:g} s"
            )

    @cached_property
    def lines(self) -> tuple[tuple[tuple[Prompt, ...], ...], ...]:
        """Every line's scenes, parsed; a line of one scene is wished for throughout.

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
        """Whether more than one picture is asked for."""
        return self.scenes > 1 or (self.film.frames or 1) > 1 or self.source.video is not None

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


def _check_settings(node: Any, prefix: str) -> None:
    """Refuse a value that breaks its key's rules, here or in a section below."""
    for name, is_section, rules in _leaves(node.__class__):
        value = getattr(node, name)
        if is_section and isinstance(value, list):
            for i, item in enumerate(value):
                _check_one(item, f"{prefix}{name}[{i}].")
        elif is_section and isinstance(value, dict):
            for term, item in value.items():
                _check_one(item, f"{prefix}{name}.{term}.")
        elif is_section:
            _check_one(value, f"{prefix}{name}.")
        elif rules:
            check(prefix + name, value, rules)


def _check_one(section: Any, prefix: str) -> None:
    (_check_section if _is_hashable(section.__class__) else _check_settings)(section, prefix)


# A batch has thousands of Configs, and most of their sections are equal: each is looked at once.
_check_section = lru_cache(maxsize=4096)(_check_settings)


@cache
def _leaves(schema: Any) -> tuple[tuple[str, bool, Mapping[str, Any]], ...]:
    """Name, whether it is a section or a list of sections, and rules of each field."""
    return tuple(
        (
            leaf.name,
            "choice" in leaf.metadata or any(map(dataclasses.is_dataclass, (hint, *get_args(hint)))),
            leaf.metadata,
        )
        for leaf, hint in fields(schema)
    )


@cache
def _is_hashable(schema: Any) -> bool:
    return not any(get_origin(hint) is list for _, hint in fields(schema))
