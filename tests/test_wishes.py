"""docs/wishes.md agrees with the script that makes it, and its images are there and small."""

from PIL import Image

from docs.make import wishes


def test_the_page_is_current() -> None:
    """It fails after a change of the script; `python -m docs.make.wishes --page` writes the page again."""
    assert wishes.FILE.read_text(encoding="utf-8") == wishes.page()


def test_every_image_is_there_and_no_other() -> None:
    shown = {example.file for example in (*wishes.BASES, *wishes.EXAMPLES)}
    assert {path.name for path in wishes.FOLDER.iterdir()} == shown | {wishes.MASK, wishes.WAVES}


def test_the_page_is_small() -> None:
    files = [wishes.FILE, *wishes.FOLDER.iterdir()]
    assert sum(file.stat().st_size for file in files) <= 600_000


def test_the_palette_has_four_colours() -> None:
    with Image.open(wishes.FOLDER / "palette.png") as image:
        assert len(image.convert("RGB").getcolors() or []) == 4
