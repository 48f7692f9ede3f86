"""Generate the images of docs/wishes.md, and write the page: python -m docs.make.wishes [--page]

Each image is generated on the CPU by the command that stands beside it, at a small size. Images that are there already
are kept; --page writes the page alone. `tests/test_wishes.py` fails where the page differs from what this makes.
"""

import math
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

FILE = Path(__file__).parents[1] / "wishes.md"
FOLDER = FILE.with_suffix("")
SIDE = 160
QUALITY = 88  # of JPEG files
SHARED = ("--seed", "1", "--size", f"{SIDE}x{SIDE}", "--steps", "45")
MASK, WAVES = "mask.png", "waves.png"
HEAD = """# What the options do, in images

Each section has a command and its image, beside the same image without the option, or beside the init. All were
generated on a CPU, with the models that are part of vqclip and with `{shared}`. The guide explains
[drawers and losses](guide/drawers.md), [palettes and filters](guide/filters.md), [regions and styles](guide/prompts.md)
and [your own image](guide/starts.md).
"""


@dataclass(frozen=True)
class Example:
    """An image and the command that makes it; `beside` are the examples or files that it is shown beside."""

    name: str
    title: str
    text: str
    words: tuple[str, ...]
    beside: tuple[str, ...] = ()
    ending: str = "jpg"

    @property
    def file(self) -> str:
        return f"{self.name}.{self.ending}"


BUTTERFLY, SHIP = ("a red butterfly",), ("a ship on the sea",)
GLASS = ("a stained glass window", "--init", "butterfly.jpg", "--set", "losses.near_start=0",
         "--set", "optimizer.learning_rate=0.15")  # fmt: skip
BASES = (
    Example("butterfly", "", "", BUTTERFLY),
    Example("ship", "", "", SHIP),
    Example("both", "", "", ("a red apple | a blue butterfly",)),
    Example("glass", "", "", GLASS),
)
STYLE = ("--loss", "style:10", "--set", f"losses.style.image={WAVES}", "--set", "losses.near_start=0",
         "--set", "losses.tv=0", "--set", "optimizer.learning_rate=0.1 -> 0.03")  # fmt: skip
EXAMPLES = (
    Example("palette", "Palette", "The image has the four colours of a palette.",
            (*BUTTERFLY, "--palette", "gameboy"), ("butterfly",), "png"),
    Example("wallpaper", "Wallpaper", "The image has the symmetries of one of the 17 plane groups.",
            (*BUTTERFLY, "--filter", "wallpaper:p4m"), ("butterfly",)),
    Example("pixel", "Pixels", "The drawer `pixel` optimises the colours of a coarse grid.",
            (*BUTTERFLY, "--drawer", "pixel", "--set", "drawer.pixels=22x22"), ("butterfly",), "png"),
    Example("symmetry", "Symmetry", "The loss `symmetry` makes the left half the mirror image of the right half.",
            (*BUTTERFLY, "--drawer", "pixel", "--set", "drawer.pixels=22x22", "--loss", "symmetry:100"),
            ("pixel",), "png"),
    Example("masked", "Mask", "The image is rendered anew where the mask is white, and the rest is kept to the pixel.",
            ("a sunflower", "--init", "butterfly.jpg", "--mask", MASK, "--set", "mask.feather=6"), ("butterfly", MASK)),
    Example("extend", "Extend", "The image grows on both sides, and what was there is kept.",
            (*BUTTERFLY, "--init", "butterfly.jpg", "--extend", "left=48,right=48", "--set", "mask.fill=init",
             "--size", "init"), ("butterfly",)),
    Example("region", "Regions", "Each prompt holds for one half of the image, and is drawn there.",
            ("a red apple @ left | a blue butterfly @ right",), ("both",)),
    Example("woodcut", "Style by name", "A style brings words and settings; this one has two colours.",
            (*SHIP, "--style", "woodcut"), ("ship",), "png"),
    Example("style", "Style of an image", "The loss `style` gives the image the textures and colours of another one.",
            (*BUTTERFLY, *STYLE), ("butterfly", WAVES)),
    Example("structure", "Structure", "The loss `structure` keeps the edges of the init in a restyled image.",
            (*GLASS, "--loss", "structure:5"), ("butterfly", "glass")),
    Example("vignette", "Vignette", "The loss `vignette` makes the outer parts dark.",
            (*SHIP, "--loss", "vignette:6", "--set", "losses.vignette.size=0.9", "--set", "losses.near_start=0.1"),
            ("ship",)),
    Example("lines", "Lines", "The drawer `lines` draws strokes and filled curves, which are saved as SVG too. With "
            "the mini models they take the prompt's colours more than its shape.",
            (*BUTTERFLY, "--init", "butterfly.jpg", "--drawer", "lines"), ("butterfly",)),
    Example("pyramid", "Pyramid", "The drawer `pyramid` needs no VQGAN: it adds up images of many resolutions.",
            (*BUTTERFLY, "--drawer", "pyramid", "--steps", "70"), ("butterfly",)),
)  # fmt: skip


def command(words: Sequence[str]) -> str:
    return shlex.join(["vqclip", "generate", *words]).replace("'", '"')


def page() -> str:
    """Return the whole document."""
    return HEAD.format(shared=shlex.join(SHARED)) + "".join(
        section for each in EXAMPLES for section in _section(each)
    )


def _section(example: Example) -> Iterator[str]:
    yield f"\n## {example.title}\n\n{example.text}\n\n```sh\n{command(example.words)}\n```\n\n"
    named = {each.name: each for each in (*BASES, *EXAMPLES)}
    shown = [(Path(name).stem, named[name].file if name in named else name) for name in example.beside]
    shown.append((example.name, example.file))
    yield f"| {' | '.join(title for title, _ in shown)} |\n|{' --- |' * len(shown)}\n"
    yield f"| {' | '.join(f'![{title}](wishes/{file})' for title, file in shown)} |\n"


def draw_mask(path: Path) -> None:
    """Draw a white disc in the upper right part."""
    mask = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(mask).ellipse((SIDE * 0.5, 4, SIDE - 4, SIDE * 0.5), fill=255)
    mask.save(path)


def draw_waves(path: Path) -> None:
    """Draw stripes of yellow and blue that wind."""
    waves = Image.new("RGB", (SIDE, SIDE), (20, 50, 120))
    for y in range(SIDE):
        for x in range(SIDE):
            if math.sin((x + 10 * math.sin(y / 9)) / 5) > 0:
                waves.putpixel((x, y), (250, 200, 60))
    waves.quantize(2).save(path, optimize=True)


def _in_order() -> Iterator[Example]:
    """Yield each example after those that it is shown beside."""
    bases = {each.name: each for each in BASES}
    for example in EXAMPLES:
        yield from (bases[name] for name in example.beside if name in bases)
        yield example


def generate(example: Example, runs: Path) -> None:
    """Generate an example's image, and store it in few bytes."""
    words = [_in_folder(word) for word in example.words]
    pairs = zip(SHARED[::2], SHARED[1::2], strict=True)
    shared = [word for pair in pairs if pair[0] not in words for word in pair]
    made = runs / f"{example.name}.png"
    given = ["generate", *words[:1], *shared, *words[1:], "--device", "cpu", "-o", made, "--runs", runs]
    subprocess.run([sys.executable, "-m", "vqclip", *map(str, given)], check=True)
    with Image.open(made) as image:
        if example.ending == "png":
            image.quantize(64).save(FOLDER / example.file, optimize=True)
        else:
            image.convert("RGB").save(FOLDER / example.file, quality=QUALITY, optimize=True)


def _in_folder(word: str) -> str:
    """Return a word with the whole path of the page's image that it, or what stands behind its =, names."""
    key, equals, name = word.rpartition("=")
    return f"{key}{equals}{FOLDER / name}" if (FOLDER / name).is_file() else word


def main(words: Sequence[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    if "--page" not in words:
        draw_mask(FOLDER / MASK)
        draw_waves(FOLDER / WAVES)
        with tempfile.TemporaryDirectory() as runs:
            for example in _in_order():
                if not (FOLDER / example.file).exists():
                    generate(example, Path(runs))
    FILE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
