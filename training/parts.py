"""Large files in parts that pass where only small ones do: FILE.part1, FILE.part2 …

python -m training.parts FILE joins FILE.part1, FILE.part2 … again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

LARGEST = 15_000_000  # bytes of a part


def split(file: Path, largest: int = LARGEST) -> list[Path]:
    """Cut a file that is too large into parts, which take its place; return what there is now."""
    for old in found(file):
        old.unlink()
    content = file.read_bytes()
    if len(content) <= largest:
        return [file]
    parts = []
    for number, begin in enumerate(range(0, len(content), largest), 1):
        parts.append(file.with_name(f"{file.name}.part{number}"))
        parts[-1].write_bytes(content[begin : begin + largest])
    file.unlink()
    return parts


def join(file: Path) -> None:
    """Put a file together from its parts, which stay; ends the program if there are none."""
    parts = found(file)
    if not parts:
        raise SystemExit(f"there is no {file}.part1")
    temporary = file.with_name(f"{file.name}.joined")
    temporary.write_bytes(b"".join(part.read_bytes() for part in parts))
    os.replace(temporary, file)


def found(file: Path) -> list[Path]:
    """A file's parts, in their order."""
    parts = file.parent.glob(f"{file.name}.part[0-9]*")
    return sorted(parts, key=lambda part: int(part.name.rpartition("part")[2]))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="the file, whose parts lie beside it")
    join(parser.parse_args(arguments).file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
