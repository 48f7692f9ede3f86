"""Read YAML 1.2: words stay words, 010 is ten, 12:30 is text, and equal keys are refused.

PyYAML reads YAML 1.1, where `no` is false, 010 is eight and 12:30 is 750. Its parser serves both; what a plain word
means is decided here, by the core schema of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3).
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from vqclip.base.errors import ConfigError, cause, spelled
from vqclip.base.files import is_image

_PARSER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # safe either way; the one in C is ten times as fast
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),  # no part of 1.2, but people write it
}
# To YAML 1.1 these three end a line, to YAML 1.2 they don't: they pass the parser in a disguise of private use.
_DISGUISE = {0x85: 0x10FFF0, 0x2028: 0x10FFF1, 0x2029: 0x10FFF2}
_UNDISGUISE = {disguise: letter for letter, disguise in _DISGUISE.items()}


def read(path: Path) -> Any:
    """The data in a YAML file; raises ConfigError."""
    try:
        return parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{spelled(path)} can't be read: {cause(error)}") from None
    except UnicodeDecodeError:
        what = "an image" if is_image(path) else "no text in UTF-8"
        raise ConfigError(f"{path} is {what}; name a file of YAML, as `vqclip config init` writes") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse(text: str) -> Any:
    """The data in a text of YAML; raises ConfigError, which says in which line it fails."""
    try:
        return yaml.load(text.translate(_DISGUISE), _Loader)
    except _Twice as error:
        raise ConfigError(str(error)) from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{line}this is not YAML: {error.problem or error.context}") from None
    except RecursionError:
        raise ConfigError("this is not YAML: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise ConfigError(f"this is not YAML: {' '.join(str(error).split())[:200]}") from None


def dump(values: Any) -> str:
    """Data as YAML that readers of 1.1 and of 1.2 take for the same."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """Spells out what ends a line to YAML 1.1 alone."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(ord(letter) in _DISGUISE for letter in text) else None
    return dumper.represent_scalar(_PREFIX + "str", text, style)


_Dumper.add_representer(str, _represent_text)


class Whole(int):
    """A whole number that is written as it was, where a text is wanted: a prompt 007 has three digits."""

    def __new__(cls, text: str) -> "Whole":
        number = super().__new__(cls, text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        number.text = text  # type: ignore[attr-defined]
        return number

    def __repr__(self) -> str:
        return str(self.text)  # type: ignore[attr-defined]


class Fraction(float):
    """A number with a fraction that is written as it was, where a text is wanted."""

    def __new__(cls, text: str) -> "Fraction":
        number = super().__new__(cls, re.sub(r"\.(?=inf|nan)", "", text.lower()))
        number.text = text  # type: ignore[attr-defined]
        return number

    def __repr__(self) -> str:
        return str(self.text)  # type: ignore[attr-defined]


class _Twice(Exception):  # noqa: N818  # what stands twice is no error of YAML's
    """A key that one mapping has two values for."""


class _Loader(_PARSER):  # type: ignore[misc]
    """Nothing but plain data: no dates, no sets, no bytes, no objects."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse equal keys, of which the last would win in silence."""
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            spelled, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if spelled in lines and isinstance(key, yaml.ScalarNode) and not key.tag.endswith("merge"):
                raise _Twice(f"line {line}: the key {key.value!r} stands in line {lines[spelled]} already")
            lines[spelled] = line
        return super().construct_mapping(node, deep)

    def construct_text(self, node: Any) -> str:
        return str(self.construct_scalar(node)).translate(_UNDISGUISE)

    def construct_whole(self, node: Any) -> int:
        return Whole(self.construct_scalar(node))

    def construct_fraction(self, node: Any) -> float:
        return Fraction(self.construct_scalar(node))


for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_PREFIX + _tag, re.compile(f"(?:{_pattern})\\Z"), _first)
for _tag in ("null", "bool", "seq", "map"):
    _Loader.add_constructor(_PREFIX + _tag, _PARSER.yaml_constructors[_PREFIX + _tag])
_Loader.add_constructor(_PREFIX + "str", _Loader.construct_text)
_Loader.add_constructor(_PREFIX + "int", _Loader.construct_whole)
_Loader.add_constructor(None, _PARSER.yaml_constructors[None])
_Loader.add_constructor(_PREFIX + "float", _Loader.construct_fraction)
