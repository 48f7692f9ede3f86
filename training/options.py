"""What every training script can be told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.argument_types import number
from training.images.dataset import Dataset, build_smoke


@dataclass(frozen=True)
class Options:
    """Where everything lies, and for how long to train."""

    data: Dataset
    packages: Path
    minutes: float
    out: Path
    work: Path
    smoke: bool


def parser(description: str, name: str, minutes: float) -> argparse.ArgumentParser:
    """The options that all share; `name` is that of the model."""
    made = argparse.ArgumentParser(description=f"{description}; a killed run continues where it was.")
    made.add_argument(
        "--data", type=Path, default=Path("data"), help="folder of the data set (default: data)"
    )
    made.add_argument(
        "--minutes", type=number(), default=minutes, help=f"training time in all (default: {minutes:g})"
    )
    made.add_argument("--out", type=Path, default=Path("checkpoints") / name, help="where the weights go")
    made.add_argument("--work", type=Path, help=f"folder of snapshots and log (default: DATA/work/{name})")
    made.add_argument("--smoke", action="store_true", help="tiny, on plain shapes; no network, no data set")
    made.set_defaults(name=name)
    return made


def add_start(parser: argparse.ArgumentParser) -> None:
    """Of trainings that can begin with what another one has left."""
    parser.add_argument(
        "--from", type=Path, dest="start", metavar="FILE", help="weights to go on from, as exported"
    )


def read(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> tuple[Options, argparse.Namespace]:
    """The shared options, and all as they were typed."""
    given = parser.parse_args(arguments)
    start = getattr(given, "start", None)
    if start and not start.is_file():
        parser.error(
            f"--from {start} is no file; name exported weights, as checkpoints/{given.name}/model.safetensors"
        )
    if given.smoke and not (given.data / "sprites.jsonl").is_file():
        build_smoke(given.data)
    work = given.work or given.data / "work" / given.name
    data = Dataset.open(given.data)
    return Options(data, given.data / "packages", given.minutes, given.out, work, given.smoke), given
