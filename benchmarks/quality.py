"""How soon vqclip's pictures are as good as the plain loop's last ones: painting with a clock, and reading it."""

import itertools
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.plain.loop import Loop
from evaluation.ranking import Verdict, precision
from vqclip.base.files import write_text
from vqclip.config import resolve as configs
from vqclip.media.image import save_png
from vqclip.pipeline.events import result
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render

PLAIN = "plain"
Marks = Mapping[str, Sequence[int]]  # by loop or preset: after how many steps there is a picture


@dataclass(frozen=True)
class Point:
    """What a loop's pictures are worth after so many steps: means over the prompts."""

    loop: str
    steps: int
    seconds: float
    likeness: float
    first: float  # share of the pictures whose own prompt the judge ranks first
    five: float  # among the first five


def paint(
    prompts: Sequence[tuple[int, str]], marks: Marks, side: int | None, folder: Path, cache: ModelCache
) -> Iterator[str]:
    """Paint whatever isn't there yet, prompt by prompt, so that the loops take turns; yields what was done."""
    for (index, prompt), loop in itertools.product(prompts, marks):
        begun = folder / loop / f"{index:02d}.json"
        if begun.is_file():
            continue
        images = (
            plainly(prompt, marks[loop], side or 256)
            if loop == PLAIN
            else finished(prompt, marks[loop], loop, side, cache)
        )
        times: dict[int, float] = {}
        for steps, seconds, image in images:
            begun.parent.mkdir(parents=True, exist_ok=True)
            save_png(image, picture(folder, loop, index, steps), {"config": {"prompts": [prompt]}})
            times[steps] = seconds
        write_text(begun, json.dumps(times) + "\n")  # last: it says that all pictures are there
        yield f"{loop}: {prompt}: {', '.join(f'{k} steps in {t:.1f} s' for k, t in times.items())}"


def picture(folder: Path, loop: str, index: int, steps: int) -> Path:
    return folder / loop / f"{index:02d}-{steps:03d}.png"


def plainly(prompt: str, marks: Sequence[int], side: int) -> Iterator[tuple[int, float, Image.Image]]:
    """The plain loop's picture as it stands at each mark, and the seconds of the steps until then."""
    loop, seconds = Loop("mini-vqgan", ["mini-clip-2"], prompt, (side, side)), 0.0
    steps = loop.steps()
    for k in range(1, max(marks) + 1):
        began = time.monotonic()
        next(steps)
        seconds += time.monotonic() - began
        if k in marks:
            yield k, seconds, loop.image()


def finished(
    prompt: str, marks: Sequence[int], preset: str, side: int | None, cache: ModelCache
) -> Iterator[tuple[int, float, Image.Image]]:
    """vqclip's whole paintings of so many steps, each from its beginning, and their seconds: models are loaded."""
    for steps in marks:
        size = {"size": f"{side}x{side}"} if side else {}
        config = configs.resolve({"prompts": [prompt], "seed": 0, "steps": steps, **size}, preset=preset)
        painting = result(render(config, Pipeline(config, cache.device, cache=cache)))
        yield steps, painting.seconds, painting.image


def points(
    marks: Marks, indices: Sequence[int], folder: Path, verdicts: Mapping[Path, Verdict]
) -> list[Point]:
    """Every loop's pictures at every mark, over the given prompts."""
    found = []
    for loop, steps in ((name, count) for name, counts in marks.items() for count in counts):
        judged = [verdicts[picture(folder, loop, index, steps)] for index in indices]
        clocks = [
            json.loads((folder / loop / f"{index:02d}.json").read_text())[str(steps)] for index in indices
        ]
        likeness = statistics.mean(verdict.likeness for verdict in judged)
        found.append(
            Point(loop, steps, statistics.mean(clocks), likeness, precision(judged, 1), precision(judged, 5))
        )
    return found


def complete(marks: Marks, prompts: Sequence[tuple[int, str]], folder: Path) -> list[int]:
    """The prompts that every loop has painted."""
    return [
        index
        for index, _ in prompts
        if all((folder / loop / f"{index:02d}.json").is_file() for loop in marks)
    ]


def seconds_to(likeness: float, curve: Sequence[Point]) -> float | None:
    """When a curve reaches a likeness, between the points that enclose it; None if it doesn't.

    Where the first point is above it already, that point's time: nothing shorter was painted.
    """
    if curve[0].likeness >= likeness:
        return curve[0].seconds
    for before, after in itertools.pairwise(curve):
        if before.likeness < likeness <= after.likeness:
            share = (likeness - before.likeness) / (after.likeness - before.likeness)
            return before.seconds + share * (after.seconds - before.seconds)
    return None
