"""Styles by name: the words, prompts and settings of each, from the library and the user's own file."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vqclip.base.errors import ConfigError, shorten, suggest
from vqclip.base.paths import CONFIGS, has_home, home
from vqclip.config import prompt as prompts
from vqclip.config import yaml12
from vqclip.config.prompt import Kind

FILE = "styles.yaml"
KEYS = {"prefix": str, "suffix": str, "prompts": list, "settings": Mapping}


def joined(prefix: str, text: str, suffix: str) -> str:
    """Put words before and after a text, with a space where no comma or full stop follows."""
    words = " ".join(part.strip() for part in (prefix, text, suffix) if part.strip())
    return re.sub(r" (?=[,;.])", "", words)


def applied(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config's values with its style, or several joined by +, worked into the prompts. Raises ConfigError."""
    names, lines = values.get("style"), values.get("prompts")
    if not isinstance(names, str):
        return dict(values)
    lines = [str(line) for line in (lines if isinstance(lines, list) else [lines])]
    for name in names.split("+"):
        style = _find(name.strip())
        lines = [_in_style(line, style) for line in lines] + list(style.get("prompts", []))
    return {**values, "prompts": lines, "style": None}


def settings(names: Any) -> list[Mapping[str, Any]]:
    """List the layers of config keys that styles bring, from the first name to the last. Raises ConfigError."""
    return (
        [_find(name.strip()).get("settings", {}) for name in names.split("+")]
        if isinstance(names, str)
        else []
    )


def _in_style(line: str, style: Mapping[str, Any]) -> str:
    """A line whose texts of positive weight have the style's words around them."""
    scenes = prompts.scenes(line)
    for scene in scenes:
        for i, prompt in enumerate(scene):
            if prompt.kind is Kind.TEXT and prompt.weight > 0:
                body = joined(style.get("prefix", ""), prompt.body, style.get("suffix", ""))
                scene[i] = replace(prompt, body=body)
    return " ^ ".join(" | ".join(map(prompts.format, scene)) for scene in scenes)


def _find(name: str) -> Mapping[str, Any]:
    known = library()
    if name not in known:
        raise ConfigError(
            f"style: there is no style {shorten(name)}, only {', '.join(known)}{suggest(name, known)}"
        )
    return known[name]


def library() -> dict[str, Mapping[str, Any]]:
    """The styles that ship, and those of the user's styles.yaml beside the models, which win. Raises ConfigError."""
    files = [CONFIGS / FILE, *([home() / FILE] if has_home() else [])]
    found: dict[str, Mapping[str, Any]] = {}
    for file in files:
        if file.is_file():
            styles = yaml12.read(file) or {}
            for name, style in styles.items() if isinstance(styles, Mapping) else [(FILE, styles)]:
                _check(style, f"{file}: {name}")
                found[name] = style
    return found


def _check(style: Any, place: str) -> None:
    """Refuse what is no style."""
    is_style = isinstance(style, Mapping) and style and set(style) <= set(KEYS)
    if not is_style or not all(isinstance(value, KEYS[key]) for key, value in style.items()):
        raise ConfigError(
            f'{place}: it is no style; write some of {", ".join(KEYS)}, as in {{suffix: ", in watercolour"}}'
        )
