"""Compare what images begin from: python -m evaluation.starts --out FOLDER

Each column makes the forty prompts of docs/prompts.txt, and sixty others of which twenty have names that no training
picture of the mini models has. The judge ranks each image among its forty or sixty prompts. Images that the same config
has already made are kept, so that a stopped comparison goes on where it was. A sheet of each column lies in FOLDER.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from evaluation.judge import Judge
from evaluation.painting import paint, painted, sheet
from evaluation.ranking import WEIGHTS, Verdict, precision, rank, read_prompts
from vqclip.base import device
from vqclip.config import resolve as configs
from vqclip.pipeline.model_cache import ModelCache

ROOT = Path(__file__).resolve().parents[1]
FORTY, OTHERS, HELD_OUT = (
    ROOT / file for file in ("docs/prompts.txt", "evaluation/prompts.txt", "evaluation/held_out.txt")
)
SIZE, STEPS, SEED = "128x128", 30, 1


@dataclass(frozen=True)
class Column:
    """A start, whether the loop goes on from it, and the preset that suits it."""

    start: str
    loop: bool
    preset: str = "standard"


COLUMNS = {
    "noise-loop": Column("noise", True, "free"),
    "sketch": Column("sketch", False),
    "sketch-loop": Column("sketch", True),
    "prior": Column("prior", False),
    "prior-loop": Column("prior", True),
}


class Comparison:
    """Makes the images of columns in a folder, ranks them, and draws their sheets."""

    def __init__(self, folder: Path, size: str, steps: int, settings: Sequence[str]):
        self._folder, self._size, self._steps, self._settings = folder, size, steps, list(settings)
        self._judge = Judge.open(WEIGHTS)  # before anything is made: it may be missing
        self._cache = ModelCache(device.pick("auto"))
        others, held_out = read_prompts(OTHERS), read_prompts(HELD_OUT)
        self._forty, self._sixty, self._known = read_prompts(FORTY), [*others, *held_out], len(others)

    def row(self, name: str) -> str:
        """A line of the table: the shares of forty prompts, of the others, and of those with held-out names."""
        forty = self._ranked(name, self._forty)
        sixty = self._ranked(name, self._sixty)
        sheet([*forty, *sixty], columns=10, side=112).save(self._folder / f"{name}.png")
        groups = forty, sixty[: self._known], sixty[self._known :]
        shares = [f"{precision(group, within):.0%}" for group in groups for within in (1, 5)]
        return f"| {name} | {' | '.join(shares)} |"

    def _ranked(self, name: str, prompts: list[str]) -> list[Verdict]:
        return rank([self._made(name, prompt) for prompt in prompts], prompts, self._judge)

    def _made(self, name: str, prompt: str) -> Path:
        """The image of a prompt, made unless it is there."""
        column = COLUMNS[name]
        given = {"prompts": [prompt], "size": self._size, "seed": SEED, "steps": self._steps * column.loop}
        settings = [f"start={column.start}", *self._settings]
        config = configs.resolve(given, preset=column.preset, settings=settings)
        path = self._folder / name / f"{re.sub('[^a-z]+', '-', prompt)}.png"
        if not painted(path, config):
            path.parent.mkdir(parents=True, exist_ok=True)
            paint(config, path, self._cache)
        return path


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    comparison = Comparison(given.out, given.size, given.steps, given.set)
    print("| column | forty: R@1 | R@5 | others: R@1 | R@5 | held-out names: R@1 | R@5 |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for name in given.columns:
        print(comparison.row(name), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the images go")
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=list(COLUMNS), metavar="COLUMN")
    parser.add_argument("--size", default=SIZE, help=f"of the images (default: {SIZE})")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of the loops (default: {STEPS})")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all columns")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
