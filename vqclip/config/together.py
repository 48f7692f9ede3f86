"""The rules that hold between the keys of a Config."""

from typing import TYPE_CHECKING

from vqclip.base.errors import ConfigError, shorten
from vqclip.config.prompt import READ
from vqclip.config.schedule import Schedule
from vqclip.config.sizes import LARGEST_SIDE

_SMOOTHING = ("tv", "near_start")  # losses that say how an image is, and not what it shows

if TYPE_CHECKING:
    from vqclip.config.schema import Config


def check(config: "Config") -> None:
    """Refuse values that don't go together; raises ConfigError."""
    if not config.perceptors:
        raise ConfigError(
            "perceptors: there is none to score the image; name at least one, as in [{model: mini-clip-2}]"
        )
    _check_texts(config)
    if config.cutouts.smallest > config.cutouts.largest:
        raise ConfigError(
            f"cutouts: smallest {config.cutouts.smallest} exceeds largest {config.cutouts.largest}"
        )
    scales = [stage.scale for stage in config.latent.stages]
    if not scales or scales[-1] != 1 or scales != sorted(scales):
        raise ConfigError(f"latent.stages: the scales {scales} must rise and end at 1, as in 0.5, 1")

    _check_film(config)
    _check_story_at(config)
    _check_mask(config)
    _check_upscale(config)
    _check_transparent(config)
    _check_losses(config)


def _check_losses(config: "Config") -> None:
    """Refuse a loss that compares with the user's image where there is none."""
    if config.init is not None or config.source.video is not None:
        return
    for name, term in config.losses.items():
        if term.keeps_given and not Schedule.parse(term.weight).is_zero:
            raise ConfigError(
                f"losses.{name} keeps the edges of a given image; add --init FILE, or restyle a video"
            )


def _check_mask(config: "Config") -> None:
    """The rules of what keeps a part of the init image."""
    if not config.is_masked:
        return
    name = "extend" if config.extend else "mask.file"
    if config.init is None:
        raise ConfigError(f"{name}: it keeps a part of the init image, and there is none; add --init IMAGE")
    if config.is_film:
        raise ConfigError(f"{name}: a mask takes a still, and this is a film; leave it out")
    if config.strength:
        raise ConfigError(
            f"strength: it mixes all of the init image, and {name} keeps a part; leave one of them out"
        )
    margins = config.margins
    inner = (
        config.width - margins.left - margins.right,
        config.height - margins.top - margins.bottom,
    )
    if min(inner) < 1:
        raise ConfigError(
            f"extend: {config.extend!r} leaves no room for the init image in {config.size}; write --size init, which "
            "grows"
        )


def _check_texts(config: "Config") -> None:
    """Refuse a text where a perceptor embeds none."""
    text = next((prompt.body for prompt in config.parsed_prompts if prompt.kind in READ), None)
    blind = next((entry.label for entry in config.perceptors if not entry.reads_texts), None)
    if text is not None and blind is not None:
        raise ConfigError(
            f"prompts: the perceptor {blind} reads no texts, and {shorten(text)} is one; write an image, as in "
            "[file.png], or take another perceptor"
        )


def check_direction(config: "Config") -> None:
    """Refuse a new config whose prompts all weigh nothing, where no loss and no image gives a direction either.

    A Config that was rendered once is still read.
    """
    prompts, losses = config.parsed_prompts, config.losses
    is_led = any(
        name not in _SMOOTHING and not Schedule.parse(term.weight).is_zero for name, term in losses.items()
    )
    if is_led or config.init or config.source.video or not config.steps or not prompts:
        return
    if all(prompt.weight == 0 and prompt.course is None for prompt in prompts):
        raise ConfigError(
            f"prompts: {shorten(prompts[0].body)} weighs 0, so there is nothing to optimise towards; leave :0 out, or "
            "add a prompt that weighs something"
        )


def _check_film(config: "Config") -> None:
    """The rules that hold between keys of a film."""
    numbers = sorted({len(line) for line in config.lines} - {1})
    if len(numbers) > 1:
        raise ConfigError(
            f"prompts: lines of {' and '.join(map(str, numbers))} scenes; all that tell a story need as many"
        )
    if config.film.window % 2 == 0:
        raise ConfigError(f"film.window: {config.film.window} frames have no middle one; write an odd number")
    if config.source.end is not None and config.source.end <= config.source.begin:
        raise ConfigError(
            f"source: it would end at {config.source.end:g} s and begin at {config.source.begin:g} s"
        )


def _check_story_at(config: "Config") -> None:
    """The rules of a still of a story."""
    at = config.story.at
    if at is None:
        return
    last = config.scenes - 1
    if at > last:
        raise ConfigError(
            f"story.at: {at:g} lies behind the last of {config.scenes} scenes; it takes 0 to {last}"
        )
    if (config.film.frames or 1) > 1 or config.source.video is not None:
        raise ConfigError("story.at: it asks for a still, and film or source for a film; leave one out")


def _check_upscale(config: "Config") -> None:
    """The rules of an enlarged image."""
    factor = config.upscale.factor
    if max(config.width, config.height) * factor > LARGEST_SIDE:
        raise ConfigError(
            f"upscale.factor: {factor} times {config.size} exceeds {LARGEST_SIDE} pixels a side; give a smaller one"
        )


def _check_transparent(config: "Config") -> None:
    """Refuse alpha where something else decides what is shown."""
    if config.transparent is None:
        return
    others = {"a film": config.is_film, "filters": config.filters, "a mask": config.is_masked}
    others["an overlay"] = config.overlay.file is not None
    other = next((name for name, used in others.items() if used), None)
    if other:
        raise ConfigError(f"transparent: {other} can't have an alpha channel; leave one of them out")
