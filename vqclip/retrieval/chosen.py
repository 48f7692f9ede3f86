"""Which perceptors the names of a command mean. This imports no torch."""

from collections.abc import Sequence

from vqclip.config import resolve as configs
from vqclip.guidance.interfaces import PerceptorEntry
from vqclip.guidance.perceptors.chosen import perceptor_named


def chosen_perceptors(names: Sequence[str] = ()) -> list[PerceptorEntry]:
    """Give the perceptors of these names, each once, or those of the default config."""
    config = configs.resolve({})
    names = names or [entry.label for entry in config.perceptors]
    return [perceptor_named(config, name) for name in dict.fromkeys(names)]
