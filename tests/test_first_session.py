"""docs/first-session.md is what its commands print."""

from pathlib import Path

import pytest

from docs.make.session import FILE, SESSION, Typed, block

TEXT = FILE.read_text(encoding="utf-8")


def test_the_lines_are_those_of_the_script() -> None:
    assert [line[2:] for line in TEXT.splitlines() if line.startswith("$ ")] == [
        typed.line for typed in SESSION
    ]
    assert "unexpected" not in TEXT
    assert "Traceback" not in TEXT


@pytest.mark.parametrize(
    "typed", [typed for typed in SESSION if typed.quick], ids=lambda typed: typed.line[:24]
)
def test_what_makes_no_image_prints_the_same_today(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "apple.png").write_bytes(b"an image")
    assert block(typed, tmp_path) in TEXT, "python -m docs.make.session writes the file anew"
