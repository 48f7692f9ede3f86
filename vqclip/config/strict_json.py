"""Read JSON strictly: equal keys are refused, and so are NaN and infinity, which no JSON has."""

import json
from typing import Any, NoReturn

from vqclip.base.errors import ConfigError
from vqclip.config.yaml12 import Fraction, Whole


def parse(text: str) -> Any:
    """The data in a text of JSON; raises ConfigError."""
    try:
        return json.loads(
            text, parse_int=Whole, parse_float=Fraction, parse_constant=_refuse, object_pairs_hook=_object
        )
    except RecursionError:
        raise ConfigError("this is nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"this is not JSON ({error})") from None


def _refuse(word: str) -> NoReturn:
    raise ConfigError(f"this is not JSON ({word} is none of its numbers)")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigError(f"the key {twice!r} stands here twice")
    return values
