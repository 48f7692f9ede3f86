"""How soon vqclip's pictures are as good as the plain loop's last ones, by the judge that took no part.

    nice scripts/bench_quality [--every 4] [--folder runs/quality]

The mini models paint docs/prompts.txt. The plain loop (32 crops, Adam at 0.1, random codes, 256 px) is looked at on its
way to its 150th step; vqclip's presets paint whole pictures of few and more steps, which start anew each time. What is
painted is kept, so that a stopped run goes on where it was; --report judges what is there. Seconds are those of
painting, with models loaded. The judge needs scripts/setup train.
"""

import argparse
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.quality import PLAIN, Marks, Point, complete, paint, picture, points, seconds_to
from evaluation.judge import Judge
from evaluation.ranking import WEIGHTS, rank, read_prompts
from vqclip.pipeline.model_cache import ModelCache

MARKS: Marks = {
    PLAIN: (10, 25, 50, 100, 150),
    "standard": (5, 20, 100),
    "draft": (5, 40),
    "free": (25, 75),  # begins as the plain loop does, without a sketch
}
SMOKE: Marks = dict.fromkeys(MARKS, (1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=Path, default=Path("docs/prompts.txt"), help="one a line")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth prompt")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/quality"), help="where pictures and times are kept"
    )
    parser.add_argument("--paint", action="store_true", help="don't judge")
    parser.add_argument("--report", action="store_true", help="don't paint")
    parser.add_argument(
        "--smoke", action="store_true", help="a prompt, a few steps and pixels, to see that all works"
    )
    options = parser.parse_args()
    marks, side = (SMOKE, 32) if options.smoke else (MARKS, None)
    texts = ["a red apple"] if options.smoke else read_prompts(options.prompts)
    prompts = list(enumerate(texts))[:: options.every]
    judge = None if options.paint else Judge.open(WEIGHTS)  # before anything is painted: it may be missing
    if not options.report:
        for done in paint(prompts, marks, side, options.folder, ModelCache(torch.device("cpu"))):
            print(done, file=sys.stderr, flush=True)
    if judge:
        report(judge, marks, complete(marks, prompts, options.folder), texts, options.folder)


def report(judge: Judge, marks: Marks, indices: list[int], texts: list[str], folder: Path) -> None:
    """Print every mark's figures, and how soon each preset is where the plain loop ends."""
    paths = [picture(folder, loop, index, k) for loop in marks for k in marks[loop] for index in indices]
    if not paths:
        raise SystemExit(f"{folder} holds no prompt that all loops have painted")
    verdicts = {verdict.picture: verdict for verdict in rank(paths, texts, judge)}
    found = points(marks, indices, folder, verdicts)
    Console().print(table(found, len(indices)))
    goal = [point for point in found if point.loop == PLAIN][-1]
    for preset in (loop for loop in marks if loop != PLAIN):
        curve = [point for point in found if point.loop == preset]
        seconds = seconds_to(goal.likeness, curve)
        if seconds is None:
            print(f"{preset}: never as good as the plain loop's last, {goal.likeness:.3f}")
        else:
            least = "at least " if seconds == curve[0].seconds else ""  # nothing shorter was painted
            ratio = f"{least}{goal.seconds / seconds:.1f} times as fast"
            print(f"{preset}: {goal.likeness:.3f} in {seconds:.1f} s, plain in {goal.seconds:.1f} s: {ratio}")


def table(found: list[Point], images: int) -> Table:
    shown = Table("loop", "steps", "seconds", "likeness", "R@1", "R@5", title=f"{images} prompts")
    for point in found:
        shown.add_row(
            point.loop, str(point.steps), f"{point.seconds:.1f}", f"{point.likeness:.3f}",
            f"{point.first:.0%}", f"{point.five:.0%}",
        )  # fmt: skip
    return shown


if __name__ == "__main__":
    main()
