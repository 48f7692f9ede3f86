"""How often `vqclip classify` gives pictures that mini-clip-2 never saw their own names: python -m evaluation.zero_shot

Five label sets: things to eat, nature and travel in a style that was held out; things of names that were held out, in
nine styles; photo stamps whose names were held out. training/images/sprite.py says by which rule. The pictures are
drawn on white. The packages are downloaded, and SVGs are drawn by resvg-py (the extra `train`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from training.images import packages, sources
from training.images.dataset import render
from training.images.sprite import HELD_OUT_STYLE, Sprite
from training.towers.retrieval import PROMPTS
from vqclip.base.errors import VqclipError
from vqclip.retrieval.records import Classified
from vqclip.retrieval.retrieval import Retrieval
from vqclip.retrieval.zero_shot import TEMPLATES
from vqclip.session import Session

STAMPS = "tuxpaint-stamps-default"
CATEGORIES = {"food": "Food", "nature": "Nature", "travel": "Travel"}  # of the held-out style's package


@dataclass(frozen=True)
class LabelSet:
    """Pictures, each with its name; the labels are all their names."""

    title: str
    pictures: list[tuple[Path, str]]

    @property
    def labels(self) -> list[str]:
        return sorted({name for _, name in self.pictures})


def accuracy(
    retrieval: Retrieval, given: LabelSet, templates: Sequence[str], model: str
) -> tuple[float, float]:
    """Compute how often the own name comes first, and how often it is among the first five."""
    paths = [path for path, _ in given.pictures]
    found = retrieval.classify(paths, given.labels, templates=templates, models=[model])
    ranks = []
    for (_, name), one in zip(given.pictures, found, strict=True):
        if not isinstance(one, Classified):
            raise VqclipError(one.cause)
        ranks.append([label for label, _ in one.labels].index(name))
    return tuple(sum(rank < within for rank in ranks) / len(ranks) for within in (1, 5))  # type: ignore[return-value]


def held_out(folder: Path, out: Path) -> Iterator[LabelSet]:
    """Fetch the packages into a folder, and draw the held-out pictures into another."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {name: packages.fetch_npm(name, folder) / "package" for name in packages.NPM_PACKAGES}
    emoji = list(sources.emoji(places))
    style = [sprite for sprite in emoji if sprite.split == "style"]
    for title, category in CATEGORIES.items():
        names = of_category(places[f"@iconify-json/{HELD_OUT_STYLE}"], category)
        yield drawn(f"{title}, new style", [one for one in style if one.name in names], out)
    yield drawn("new names, nine styles", [one for one in emoji if one.split == "names"], out)
    stamps = sources.stamps(packages.fetch_debian(STAMPS, folder))
    yield drawn("new photo stamps", [one for one in stamps if one.split == "photos"], out)


def of_category(package: Path, category: str) -> set[str]:
    """Read the names of a category of icons, with blanks in place of hyphens."""
    categories = json.loads((package / "metadata.json").read_text(encoding="utf-8"))["categories"]
    return {key.replace("-", " ") for key in categories[category]}


def drawn(title: str, sprites: Sequence[Sprite], out: Path) -> LabelSet:
    """Draw cut-outs on white as PNGs."""
    pictures = []
    for i, sprite in enumerate(sprites):
        pixels = render(sprite)
        if pixels is not None:
            path = out / f"{title}-{i:04d}.png"
            cut = Image.fromarray(pixels, "RGBA")
            Image.alpha_composite(Image.new("RGBA", cut.size, "white"), cut).convert("RGB").save(path)
            pictures.append((path, sprite.name))
    return LabelSet(title, pictures)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packages", type=Path, default=Path("data/packages"), help="where they are kept")
    parser.add_argument("--model", default="mini-clip-2", help="a CLIP")
    given = parser.parse_args(arguments)
    retrieval = Session("cpu").retrieval
    print(
        "| label set | pictures | labels | chance | one template | first five | three templates | first five |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as out:
        for one in held_out(given.packages, Path(out)):
            shares = [
                share
                for templates in (TEMPLATES, PROMPTS)
                for share in accuracy(retrieval, one, templates, given.model)
            ]
            cells = [one.title, str(len(one.pictures)), str(len(one.labels)), f"{1 / len(one.labels):.1%}"]
            print(f"| {' | '.join([*cells, *(f'{share:.0%}' for share in shares)])} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
