"""Tables of text, as spreadsheets save them: any usual delimiter, quotes checked, every row with its line."""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from vqclip.base.errors import ConfigError, shorten

DELIMITERS = (",", ";", "\t", "|")
_NAMES_DELIMITER = re.compile(r"sep=(.)\n", re.IGNORECASE)  # as Excel writes it


class Row(NamedTuple):
    line: int  # where it begins; 1 is the first
    cells: list[str]


def read(text: str, known: Collection[str], needed: Collection[str]) -> tuple[list[str], Iterator[Row]]:
    """Columns of a table and the rows below them; the delimiter is the one that gives most of the known columns.

    A column's name is spelled as the known one is, whatever its case. Raises ConfigError if none of the needed columns
    is there, or a quote isn't closed.
    """
    named = _NAMES_DELIMITER.match(text)
    choices = [named[1]] if named else DELIMITERS
    start = named.end() if named else 0
    headers = {delimiter: _header(text, delimiter, start, known) for delimiter in choices}
    delimiter = max(
        choices, key=lambda choice: (sum(c in known for c in headers[choice]), len(headers[choice]))
    )
    columns = headers[delimiter]
    if not set(columns) & set(needed):
        found = f"its columns are {', '.join(map(shorten, columns[:5]))}" if columns else "it has no columns"
        raise ConfigError(f"{found}, and none is prompt; let the first line name them, as in prompt,seed")
    if twice := [name for name in columns if name and columns.count(name) > 1]:
        raise ConfigError(f"there are two columns {shorten(twice[0])}; name each once")
    rows = _rows(text, delimiter, start)
    next(rows)
    return columns, rows


def _header(text: str, delimiter: str, start: int, known: Collection[str]) -> list[str]:
    """Names in the first row, or none where a quote isn't closed by this delimiter's rules."""
    spelled = {name.casefold(): name for name in known}
    try:
        row = next(_rows(text, delimiter, start), Row(1, []))
    except ConfigError:
        return []
    return [spelled.get(cell.casefold(), cell) for cell in row.cells]


def _rows(text: str, delimiter: str, start: int) -> Iterator[Row]:
    """Rows that aren't empty. Lines end at newlines alone, and those in quotes belong to their cell."""
    sign = re.escape(delimiter)
    cell = re.compile(rf' *+(?:"((?:[^"]++|"")*+)" *+|(?!")([^{sign}\n]*+))({sign}|\n|\Z)')
    line, row = 1 + text.count("\n", 0, start), Row(1, [])
    while start < len(text):
        match = cell.match(text, start)
        if match is None:
            raise ConfigError(
                f"line {line}: a quote opens here, and isn't closed where its cell ends; close it, or double it"
            )
        if not row.cells:
            row = Row(line, [])
        quoted, plain, end = match.groups()
        row.cells.append(plain.strip() if quoted is None else quoted.replace('""', '"'))
        start, line = match.end(), line + text.count("\n", start, match.end())
        if end != delimiter or start == len(text):
            if any(row.cells):
                yield row
            row = Row(line, [])
