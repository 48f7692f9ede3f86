"""Assemble the page: one HTML file with its style, its program and its data inside."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqclip.gallery.data import as_json

PAGE = Path(__file__).with_name("page")
_HTML, _STYLE = PAGE / "gallery.html", PAGE / "gallery.css"
_PROGRAMS = [PAGE / f"{name}.js" for name in ("elements", "grid", "chart", "view", "keys")]  # in their order


def build(data: Any, *, panel: str = "", styles: Sequence[Path] = (), programs: Sequence[Path] = ()) -> str:
    """Give the page's HTML. `panel` is HTML above the images; styles and programs are added to the page's own.

    Its content security policy allows this style and these programs, by their digests, and files beside the page.
    """
    style = "\n".join(map(_read, (_STYLE, *styles)))
    program = "\n".join(map(_read, (*_PROGRAMS, *programs)))
    parts = {
        "POLICY": policy(style, program),
        "STYLE": style,
        "PANEL": panel,
        "DATA": as_json(data),
        "PROGRAM": program,
    }
    head, *rest = _read(_HTML).split("{{")
    pieces = [piece.split("}}", 1) for piece in rest]
    return head + "".join(parts[name] + text for name, text in pieces)


def policy(style: str, program: str) -> str:
    """Give the content security policy for a page with this style and program."""
    return (
        f"default-src 'none'; script-src {_digest(program)}; style-src {_digest(style)}; "
        "img-src 'self' file: blob: data:; media-src 'self' file:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
