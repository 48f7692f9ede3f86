"""Combine the lists of a batch file's `matrix` into jobs."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vqclip.base.errors import ConfigError, suggest
from vqclip.config import known_keys

MOST_COMBINATIONS = 100_000


def combine(matrix: Any) -> Iterator[dict[str, Any]]:
    """Yield every combination of the matrix's lists; `{name}` in a text is replaced by the value of that list.

    A list that a text names is no config key as well, unless the first configs had the key: files that are older than a
    key keep their meaning. Raises ConfigError.
    """
    if not isinstance(matrix, dict):
        raise ConfigError("`matrix` takes names with lists, as in style: [cubism, fauvism]")
    matrix = {str(name): value for name, value in matrix.items()}
    axes = {name: values for name, values in matrix.items() if isinstance(values, list)}
    texts = {name: value for name, value in matrix.items() if name not in axes}
    if unknown := _fields(texts.values()) - axes.keys():
        raise ConfigError(f"matrix: there is no list {min(unknown)!r}{suggest(min(unknown), axes)}")
    keys = {*known_keys.keys(), *known_keys.old_keys(), "prompt", "preset"}
    named = _fields([*texts.values(), *itertools.chain(*axes.values())])
    keys -= named & known_keys.added_keys()
    if unused := axes.keys() - named - keys:
        name = min(unused)
        raise ConfigError(f"matrix: {name!r} is no key of a config, and no text says {{{name}}}")
    if (count := math.prod(map(len, axes.values()))) > MOST_COMBINATIONS:
        raise ConfigError(
            f"matrix: {count:g} combinations are more than {MOST_COMBINATIONS}; make it smaller"
        )
    for values in itertools.product(*axes.values()) if matrix else ():
        chosen = dict(zip(axes, values, strict=True))
        filled = {name: _fill(value, chosen) for name, value in (texts | chosen).items()}
        yield {name: value for name, value in filled.items() if name in keys}


def _fill(value: Any, chosen: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    return re.sub(r"{(\w+)}", lambda name: _spell(chosen[name[1]]) if name[1] in chosen else name[0], value)


def _spell(value: Any) -> str:
    """Spell a value as a file does."""
    return {"None": "null", "True": "true", "False": "false"}.get(repr(value), str(value))


def _fields(values: Iterable[Any]) -> set[str]:
    """Find the names in braces in those values that are texts."""
    return {name for value in values if isinstance(value, str) for name in re.findall(r"{(\w+)}", value)}
