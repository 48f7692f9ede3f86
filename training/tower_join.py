"""Make a CLIP that open_clip loads of a trained image half and a CLIP's text half.

python -m training.tower_join --image DIR/image.safetensors --out FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training import parts
from training.tower import START
from training.towers.start import joined


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--image", type=Path, required=True, metavar="FILE", help="of training.tower, or its parts"
    )
    parser.add_argument(
        "--start", type=Path, default=START, metavar="DIR", help="the CLIP whose text half it gets"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder to write")
    given = parser.parse_args(arguments)
    if parts.found(given.image):
        parts.join(given.image)
    if not given.image.is_file():
        parser.error(f"there is no {given.image}")
    joined(given.start, given.image, given.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
