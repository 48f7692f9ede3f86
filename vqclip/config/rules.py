"""Rules that a key's value keeps, written into the metadata of a dataclass's field, and how they are checked."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from vqclip.base.errors import ConfigError, suggest
from vqclip.config.schedule import Schedule

_NONE = dataclasses.MISSING


def key(default: Any = _NONE, neutral: Any = _NONE, **rules: Any) -> Any:
    """A key with rules for its value.

    Every key that is added to those of the first configs says its neutral value, which means "as before the key
    existed". Items of lists and keys of registered entries have defaults: default.yaml doesn't reach into them.
    """
    return field(default=default, metadata=rules if neutral is _NONE else rules | {"neutral": neutral})


def among(
    *choices: str, default: Any = _NONE, neutral: Any = _NONE, spellings: Mapping[str, str] | None = None
) -> Any:
    """A text's choices, and other spellings of them, which a Config doesn't keep."""
    return key(default, neutral, choices=choices, **({"spellings": spellings} if spellings else {}))


def within(minimum: float, maximum: float = math.inf, default: Any = _NONE, neutral: Any = _NONE) -> Any:
    """A number's range."""
    return key(default, neutral, minimum=minimum, maximum=maximum)


def schedule(minimum: float = -math.inf, default: Any = _NONE, neutral: Any = _NONE) -> Any:
    """The least value that a schedule may come to."""
    return key(default, neutral, schedule=True, minimum=minimum)


def check(name: str, value: Any, rules: Mapping[str, Any]) -> None:
    """Refuse a value that breaks its key's rules; raises ConfigError."""
    if value is None:
        return
    choices, minimum = rules.get("choices"), rules.get("minimum", -math.inf)
    if choices and value not in choices:
        raise ConfigError(f"{name}: {value!r} is none of {', '.join(choices)}{suggest(value, choices)}")
    if rules.get("schedule"):
        smallest = Schedule.parse(value, name).smallest
        if smallest < minimum:
            raise ConfigError(f"{name}: {value!r} goes down to {smallest}; at least {minimum} is allowed")
    elif "minimum" in rules and not minimum <= value <= rules["maximum"]:
        bound = f" to {rules['maximum']}" if rules["maximum"] < math.inf else " or more"
        raise ConfigError(f"{name}: {value} is out of range; it takes {minimum}{bound}")
