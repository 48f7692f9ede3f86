"""Say what is wrong with a command line in vqclip's own words."""

import re
from typing import Any

from vqclip.base.errors import shorten

# What pydantic, which typer converts values with, calls a fault: what vqclip says of it.
_FAULTS = {
    "int_parsing": "is no whole number; write one as in 7",
    "int_from_float": "is no whole number; write one as in 7",
    "int_parsing_size": "is out of range",
    "float_parsing": "is no number; write one as in 0.5",
    "finite_number": "is out of range",
    "greater_than_equal": "is too small; {ge:g} or more is allowed",
    "less_than_equal": "is too large; {le:g} at most is allowed",
    "path_type": "is no path",
}


def in_own_words(error: Any) -> str:
    """Return the message of a typer's usage error, without a full stop."""
    faults: list[Any] = getattr(error.__cause__, "errors", list)()
    parameter = getattr(error, "param", None)
    if not faults or parameter is None:
        message = str(error.format_message()).rstrip(".")
        if extra := re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message):
            return f'{extra[1]}: too many words; put what has spaces into quotes, as in "an owl"'
        return message
    name = parameter.metavar if parameter.param_type_name == "argument" else max(parameter.opts, key=len)
    fault = _FAULTS.get(faults[0]["type"], "is not allowed here")
    given = faults[0]["input"]
    shown = shorten(given).strip("'") if "than" in faults[0]["type"] else shorten(given)
    return f"{name}: {shown} {fault.format(**faults[0].get('ctx', {}))}"
