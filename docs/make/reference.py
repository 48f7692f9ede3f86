"""Write docs/reference.md: every command with its options, and every config key.

    python -m docs.make.reference [FILE]

Commands come from the typer app, types and ranges from the config's dataclasses, and the sentence of each key from
the comments in configs/default.yaml. `tests/test_reference.py` fails where the file differs from what this makes.
"""

import dataclasses
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import typer
import yaml
from typer.models import ArgumentInfo, OptionInfo

from vqclip.base.paths import CONFIGS
from vqclip.cli.app import COMMANDS, app
from vqclip.cli.painting_options import PaintingOptions
from vqclip.config.conversion import fields
from vqclip.config.registry import Registry
from vqclip.config.schema import Config

FILE = Path(__file__).parents[1] / "reference.md"
SHARED = set(inspect.signature(PaintingOptions).parameters)
HEAD = """# Reference

`python -m docs.make.reference` writes this file from the program itself.

- [Commands](#commands): {commands}
- [Config keys](#config-keys): {sections}
"""
EXIT_CODES = """
## Exit codes

| code | meaning |
| ---: | --- |
| 0 | The command did its work. |
| 1 | The work failed. |
| 2 | The command line or the config is wrong. |
| 3 | Weights are missing or damaged. |
| 4 | The run folder can't be used. |
| 130, 143 | The command was interrupted. The run can be resumed. |
"""
KEYS = """
## Config keys

Set a key with `--set KEY=VALUE`, in a YAML file (`-c FILE`), in a column of a batch's CSV, or in `vqclip.generate(…)`.
A *schedule* is a number (`0.3`), a ramp (`0.3 -> 0.05`) or keyframes (`0:0.3, 75%:0.3, 80%:0.1`).
The guide explains [prompts](guide/prompts.md), [starts](guide/starts.md), [cutouts](guide/cutouts.md) and
[films](guide/films.md).
"""


def reference() -> str:
    """Return the whole text."""
    commands = list(find_commands(app))
    names = dict.fromkeys(name.split(maxsplit=1)[0] for name, _ in commands)
    comments, defaults = read_default()
    sections = [field.name for field, hint in fields(Config) if section_of(hint) or registry_of(field)]
    parts = [
        HEAD.format(commands=", ".join(map(code, names)), sections=links(sections)),
        "\n## Commands\n",
        *(command(name, function) for name, function in commands),
        shared_options(),
        EXIT_CODES,
        KEYS,
        *keys(Config, "", comments, defaults),
    ]
    return "".join(parts)


def find_commands(group: typer.Typer, prefix: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield each command's name and function, in the order of `vqclip --help`, those of groups included."""
    found = {
        str(info.name): [(f"{prefix}{info.name}", info.callback)]
        for info in group.registered_commands
        if info.callback
    }
    for info in group.registered_groups:
        if info.typer_instance:
            found[str(info.name)] = list(find_commands(info.typer_instance, f"{prefix}{info.name} "))
    for name in COMMANDS if group is app else list(found):
        yield from found[name]


def command(name: str, function: Callable[..., Any]) -> str:
    """Return a command's heading, usage, help, and a table of its arguments and options."""
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    given = [(p, *get_args(hints[p.name])) for p in signature.parameters.values()]
    given = [(p, hint, info) for p, hint, info in given if not info.hidden]
    arguments = [(p, info) for p, _, info in given if isinstance(info, ArgumentInfo)]
    options = [(p, hint, info) for p, hint, info in given if isinstance(info, OptionInfo) and not info.hidden]
    usage = " ".join(
        ["vqclip", name, *(str(info.metavar) for _, info in arguments), *["[OPTIONS]"][: len(options)]]
    )
    text = "\n\n".join(" ".join(part.split()) for part in str(inspect.getdoc(function)).split("\n\n"))
    shares = set(signature.parameters) >= SHARED
    rows = [(code(str(info.metavar)), str(info.help), "") for _, info in arguments]
    rows += [option(p, hint, info) for p, hint, info in options if not (shares and p.name in SHARED)]
    more = "\nThe [shared options](#shared-options) hold as well.\n" if shares else ""
    return f"\n### vqclip {name}\n\n`{usage}`\n\n{text}\n{options_table(rows)}{more}"


def shared_options() -> str:
    """Return a table of the options that all commands that generate images have."""
    hints = get_type_hints(PaintingOptions, include_extras=True)
    rows = [
        option(p, *get_args(hints[p.name])) for p in inspect.signature(PaintingOptions).parameters.values()
    ]
    text = "`generate`, `story`, `zoom` and `restyle` have these options, besides their own."
    return f"\n### Shared options\n\n{text}\n{options_table(rows)}"


def options_table(rows: Sequence[Sequence[str]]) -> str:
    return "\n" + table(("option", "meaning", "default"), rows) if rows else ""


def option(parameter: inspect.Parameter, hint: Any, info: OptionInfo) -> tuple[str, str, str]:
    """Return an option's row."""
    return spelling(info, hint), str(info.help), default_of(parameter, info)


def spelling(info: OptionInfo, hint: Any) -> str:
    """Return an option's names with its value's placeholder, as in `-o FILE`."""
    value = "" if hint is bool else f" {info.metavar or 'X'}"
    names = (
        info.default,
        *(info.param_decls or ()),
    )  # typer.Option("--name") calls its first name the default
    return ", ".join(code(f"{name}{value}") for name in names)


def default_of(parameter: inspect.Parameter, info: OptionInfo) -> str:
    """Return an option's default and its range."""
    stated = info.show_default if isinstance(info.show_default, str) else parameter.default
    plain = "" if stated in (None, False, "") else code(str(stated))
    return ", ".join(filter(None, [plain, limits(info.min, info.max)]))


def limits(minimum: float | None, maximum: float | None) -> str:
    """Describe a range; nothing is said of what isn't bounded."""
    low = minimum is not None and minimum > -math.inf
    high = maximum is not None and maximum < math.inf
    if low and high:
        return f"{minimum} to {maximum}"
    return f"at least {minimum}" if low else f"at most {maximum}" if high else ""


def read_default() -> tuple[dict[str, str], Any]:
    """Return the comment of each key in default.yaml, by its dotted name, and the file's values."""
    text = (CONFIGS / "default.yaml").read_text(encoding="utf-8")
    comments, above = (
        dict[str, str](),
        dict[int, str](),
    )  # the names on the way to a key, by their indentation
    for line in text.splitlines():
        if found := re.match(r"( *)(\w+):.*?(?:\s#\s+(.*))?$", line):
            indent, name, comment = found.groups()
            above = {depth: section for depth, section in above.items() if depth < len(indent)} | {
                len(indent): name
            }
            comments[".".join(above.values())] = comment or ""
    return comments, yaml.safe_load(text)


def keys(schema: Any, prefix: str, comments: Mapping[str, str], defaults: Any) -> Iterator[str]:
    """Yield a table of a dataclass's own keys, then one for each of its sections."""
    plain = [pair for pair in fields(schema) if not section_of(pair[1]) and not registry_of(pair[0])]
    rows = [
        (
            code(prefix + field.name),
            comments.get(prefix + field.name, ""),
            allowed(field, hint),
            value(defaults, field),
        )
        for field, hint in plain
    ]
    if rows:
        yield "\n" + table(("key", "meaning", "value", "default"), rows)
    for field, hint in fields(schema):
        registry = registry_of(field)
        if registry is None and section_of(hint) is None:
            continue
        yield f"\n### {prefix}{field.name}\n"
        if comment := comments.get(prefix + field.name):
            yield f"\n{sentence(comment)}\n"
        inner = section_of(hint)
        if registry:
            yield entries(registry)
        elif get_origin(hint) is list:
            names = ", ".join(f"{code(item.name)}: {allowed(item, of)}" for item, of in fields(inner))
            yield f"\nA list of items with the keys {names}. Default: {value(defaults, field)}\n"
        else:
            yield from keys(inner, f"{prefix}{field.name}.", comments, defaults[field.name])


def registry_of(field: dataclasses.Field[Any]) -> Registry | None:
    """Return the registry whose entries a key names, if it names any."""
    found: Registry | None = (
        field.metadata.get("registry") or field.metadata.get("choice") or field.metadata.get("items")
    )
    return found


def entries(registry: Registry) -> str:
    """Return a table of the entries that ship with vqclip, each with its keys."""
    rows = []
    for name in registry.shipped():
        schema = registry.load(name)
        own = [(field, hint) for field, hint in fields(schema) if field.name != "name"]
        described = [f"{code(field.name)}: {allowed(field, hint)}" for field, hint in own]
        rows.append((code(name), str(inspect.getdoc(schema)).splitlines()[0], "; ".join(described)))
    return "\n" + table((registry.kind, "meaning", "keys"), rows)


def section_of(hint: Any) -> Any:
    """Return the dataclass of a section or of a list's items, or None for a plain key."""
    return next((part for part in (hint, *get_args(hint)) if dataclasses.is_dataclass(part)), None)


def allowed(field: dataclasses.Field[Any], hint: Any) -> str:
    """Describe a key's type, choices and range."""
    rules = field.metadata
    if choices := rules.get("choices"):
        return ", ".join(map(code, choices))
    first, *others = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = "schedule" if rules.get("schedule") else kind_name(first)
    kind = "words or a whole number" if rules.get("words") else kind
    described = filter(None, [kind, limits(rules.get("minimum"), rules.get("maximum"))])
    return " or ".join([", ".join(described), *map(kind_name, others)])


def kind_name(kind: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "null"}
    return f"list of {kind_name(get_args(kind)[0])}s" if get_origin(kind) is list else names[kind]


def value(defaults: Mapping[str, Any], field: dataclasses.Field[Any]) -> str:
    """Return a key's default as it stands in YAML."""
    found = defaults.get(field.name)
    return code(found if isinstance(found, str) else json.dumps(found))


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def links(names: Sequence[str]) -> str:
    return ", ".join(f"[`{name}`](#{name})" for name in names)


def code(text: str) -> str:
    return f"`{text}`"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    cells = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in cells)


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else FILE).write_text(reference(), encoding="utf-8")
