"""Choose the start of a Config: its init image, its source, or the start that it names."""

from vqclip.config.schema import Config
from vqclip.guidance.interfaces import Start
from vqclip.start.init import InitStart, MixedStart
from vqclip.start.source import SourceStart


def chosen_start(config: Config) -> Start:
    """Choose the first of init, source and start that a Config gives."""
    if config.init and config.strength:
        return MixedStart(name="init", file=config.init, other=config.start, strength=config.strength)
    if config.init:
        return InitStart(name="init", file=config.init)
    if config.source.video is not None:
        return SourceStart(name="source")
    start: Start = config.start
    return start
