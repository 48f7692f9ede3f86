"""Build the data set from ordinary packages: python -m training.dataset [--out DIR]"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

from training.images import education, games, icons, packages, sources
from training.images.dataset import Dataset, build, build_smoke
from training.images.sprite import Sprite
from training.images.words import read_things, read_vocabulary


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fetch packages and build the training pictures from them.")
    parser.add_argument(
        "--out", type=Path, default=Path("data"), help="folder for the caches (default: data)"
    )
    parser.add_argument("--smoke", action="store_true", help="a few plain shapes, no network")
    given = parser.parse_args(arguments)
    begin = time.monotonic()
    if given.smoke:
        build_smoke(given.out, 48)
    else:
        places = packages.fetch_all(given.out / "packages")
        found = first_sprites(places)
        found += added_sprites(places, {sprite.name for sprite in found})
        build(given.out, found, list(sources.wallpapers(places)))
    _report(Dataset.open(given.out), time.monotonic() - begin)
    return 0


def first_sprites(places: dict[str, Path]) -> list[Sprite]:
    """Find the sources that mini-clip-2 was trained and measured with."""
    return [
        *sources.emoji(places),
        *sources.stamps(places["tuxpaint-stamps-default"]),
        *sources.clip_art(places["openclipart-svg"], places["wordnet-base"]),
    ]


def added_sprites(places: dict[str, Path], known: set[str]) -> list[Sprite]:
    """Find the sources that came later; silhouettes only of things that neither these nor `known` names have."""
    wordnet = places["wordnet-base"]
    things, nouns = read_things(wordnet), read_vocabulary(wordnet)
    found = [
        *education.gcompris(packages.unpack_resources(places["gcompris-qt-data"])),
        *education.cartoons(places["pysiogame"]),
        *games.wesnoth(places["wesnoth-1.16-data"], nouns),
        *games.landscape_photos(places["endless-sky-data"]),
        *sources.emoji(places, packages.ADDED_EMOJI_SETS, added=True),
        *icons.emoji_3d(places["@lobehub/fluent-emoji-3d"], places["cldr-annotations-full"]),
        *icons.coloured(places, things),
    ]
    return [*found, *icons.silhouettes(places, things, known | {sprite.name for sprite in found})]


def _report(data: Dataset, seconds: float) -> None:
    print(f"{len(data.index)} cut-outs, {len(data.wallpaper_index)} wallpapers in {seconds:.0f} s")
    for key in ("style", "split"):
        print(f"  by {key}:", dict(Counter(row[key] for row in data.index)))


if __name__ == "__main__":
    raise SystemExit(main())
