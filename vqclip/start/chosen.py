"""Choose the start of a Config: its init image, its source, or the start that it names."""

from vqclip.base.errors import WeightsError
from vqclip.config.schema import Config
from vqclip.guidance.interfaces import Drawer, Start
from vqclip.start.init import InitStart, MaskedStart, MixedStart
from vqclip.start.source import SourceStart


def chosen_start(config: Config) -> Start:
    """Choose the first of init, source and start that a Config gives."""
    if config.init and config.is_masked:
        return MaskedStart(name="init", fill=config.start if config.mask.fill == "start" else None)
    if config.init and config.strength:
        return MixedStart(name="init", file=config.init, other=config.start, strength=config.strength)
    if config.init:
        return InitStart(name="init", file=config.init)
    if config.source.video is not None:
        return SourceStart(name="source")
    start: Start = config.start
    return start


def check_start(config: Config, start: Start, drawer: Drawer) -> None:
    """Refuse a start from an image with a drawer that has no encoder; raises WeightsError."""
    if drawer.encodes or start.draws_latents:
        return
    given = "init" if config.init else "source"
    cure = f"leave {given} out" if start.given else f"start {start.name!r} is one"
    model = " ".join(need.name for need in config.drawer.requirements()) or config.drawer.name
    raise WeightsError(f"{model} is a decoder alone and begins from no image: {cure}; add --set start=codes")
