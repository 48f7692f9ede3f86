"""Write a page with the images that a search found: one file, without scripts or network."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from vqclip.base.errors import ImageError, SaveError, cause
from vqclip.base.files import write_text
from vqclip.media.opening import open_image
from vqclip.retrieval.records import Match

THUMB = 320  # pixels: the longer side
STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 80rem; }
h1 { font-size: 1.25rem; overflow-wrap: anywhere; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(12rem, 44%), 1fr)); gap: 1rem; list-style: none; padding: 0; }
li { min-width: 0; }
img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #8882; border-radius: 4px; }
a { color: inherit; overflow-wrap: anywhere; font-size: 0.875rem; }
span { opacity: 0.75; font-variant-numeric: tabular-nums; font-size: 0.875rem; }
"""  # noqa: E501


def write_page(path: Path, query: str, found: Sequence[Match]) -> None:
    """Write the page, with thumbnails in it and links to the files. Raises SaveError."""
    items = "\n".join(filter(None, map(_item, found)))
    title = _text(query)
    page = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n<h1>{title}</h1>\n<p>{len(found)} images, the best first.</p>\n"
        f"<ol>\n{items}\n</ol>\n</html>\n"
    )
    try:
        write_text(path, page)
    except OSError as error:
        raise SaveError(f"{path} can't be written: {cause(error)}") from None


def _item(one: Match) -> str:
    """Write an image's item; an empty one for a file that vanished after it was found."""
    try:
        image = open_image(one.path)
    except ImageError:
        return ""
    image.thumbnail((THUMB, THUMB))
    data = io.BytesIO()
    image.save(data, format="JPEG", quality=85)
    picture = base64.b64encode(data.getvalue()).decode()
    address = "file://" + quote(str(one.path.absolute()), errors="surrogateescape")
    name = _text(one.path.name)
    return (
        f'<li><a href="{address}"><img src="data:image/jpeg;base64,{picture}" alt="{name}" loading="lazy">'
        f"{name}</a><br><span>{one.rank} · {one.score:.4f}</span></li>"
    )


def _text(text: str) -> str:
    return html.escape(text.encode(errors="backslashreplace").decode())
