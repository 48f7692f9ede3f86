"""Read Qt's binary resource files (.rcc): a tree of names, and contents that may be compressed by zlib."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import unpack_from

COMPRESSED, FOLDER, BY_ZSTD = 1, 2, 4  # flags of an entry


def read_resources(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file in a resource file: its path within, and its content.

    The layout is that of Qt's qresource.cpp: a header with three offsets (of the tree, the contents and the names), and
    entries of 14 bytes, or 22 from version 2 on. Raises ValueError for a file that isn't of this kind, and for contents
    that are compressed by zstd.
    """
    content = path.read_bytes()
    if content[:4] != b"qres":
        raise ValueError(f"{path} is no Qt resource file")
    version, tree, contents, names = unpack_from(">4i", content, 4)
    size = 22 if version >= 2 else 14

    def walk(number: int, folder: str) -> Iterator[tuple[str, bytes]]:
        entry = tree + size * number
        name, flags = unpack_from(">iH", content, entry)
        inside = f"{folder}/{_name(content, names + name)}" if number else ""
        if flags & FOLDER:
            count, first = unpack_from(">ii", content, entry + 6)
            for child in range(first, first + count):
                yield from walk(child, inside)
        elif flags & BY_ZSTD:
            raise ValueError(f"{inside} in {path} is compressed by zstd, which is not read")
        else:
            begin = contents + unpack_from(">i", content, entry + 10)[0]
            length = unpack_from(">i", content, begin)[0]
            found = content[begin + 4 : begin + 4 + length]
            yield inside.lstrip("/"), zlib.decompress(found[4:]) if flags & COMPRESSED else found

    yield from walk(0, "")


def _name(content: bytes, begin: int) -> str:
    length = unpack_from(">H", content, begin)[0]
    return content[begin + 6 : begin + 6 + 2 * length].decode("utf-16-be")
