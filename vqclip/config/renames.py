"""Keys of a config that had other names before: old names are still read, and digests still spell them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqclip.base.errors import ConfigError
from vqclip.config import dotted


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Rename:
    """A dotted key's old name and today's, in the same section or in another, and how its values are converted."""

    old: str
    new: str
    to_new: Callable[[Any], Any] = _same
    to_old: Callable[[Any], Any] = _same  # its inverse


# `new` is always today's name. Of a key that was renamed more than once, the oldest name stands first.
RENAMES: Sequence[Rename] = (
    Rename("optimizer.rate", "optimizer.learning_rate"),
    Rename("latent.average", "latent.ema_decay"),
    Rename("penalties.smooth", "losses.tv.weight"),
    Rename("penalties.tv", "losses.tv.weight"),
    Rename("penalties.near_start", "losses.near_start.weight"),
    Rename("penalties.vivid", "losses.saturation.weight"),
    Rename("penalties.saturation", "losses.saturation.weight"),
    Rename("film.rate", "film.learning_rate"),
)


def used(layers: Iterable[Mapping[str, Any]], renames: Sequence[Rename] = RENAMES) -> list[Rename]:
    """The renames whose old names some layers of one place use; raises ConfigError where a key has two names there."""
    layers = list(layers)

    def is_given(key: str) -> bool:
        return any(dotted.has(layer, key) for layer in layers)

    found = [rename for rename in renames if is_given(rename.old)]
    for rename in found:
        names = [*(other.old for other in renames if other.new == rename.new), rename.new]
        if len(given := [name for name in names if is_given(name)]) > 1:
            raise ConfigError(f"{' and '.join(given)} are names of one key; give only {rename.new}")
    return found


def with_new_names(values: Mapping[str, Any], renames: Sequence[Rename] = RENAMES) -> dict[str, Any]:
    """The same values under today's names; raises ConfigError where a key is there under two names."""
    renamed: dict[str, Any] = dotted.copied(values)
    for rename in used([values], renames):
        value = rename.to_new(dotted.take(renamed, rename.old))
        dotted.put(renamed, rename.new, value)
    return renamed


def with_first_names(values: Mapping[str, Any], renames: Sequence[Rename] = RENAMES) -> dict[str, Any]:
    """The same values under the names that their keys had first."""
    renamed: dict[str, Any] = dotted.copied(values)
    for rename in renames:
        if dotted.has(renamed, rename.new):
            value = rename.to_old(dotted.take(renamed, rename.new))
            dotted.put(renamed, rename.old, value)
    return renamed
