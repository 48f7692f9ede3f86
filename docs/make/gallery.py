"""Paint every prompt of a file, seed 0, nothing chosen; let the judge rank the pictures; show them.

    .venv/bin/python -m docs.make.gallery [--preset NAME] [--seconds N] [--out docs/gallery]

Pictures that the same config has already painted are kept, so a stopped gallery goes on where it was.
"""

import argparse
import html
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from evaluation.judge import Judge
from evaluation.painting import paint, painted, sheet
from evaluation.ranking import WEIGHTS, Verdict, precision, rank, read_prompts
from vqclip.base import device
from vqclip.config import resolve as configs
from vqclip.pipeline.events import Stepped
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=Path, default=Path("docs/prompts.txt"), help="one a line")
    parser.add_argument("--preset", help="as of vqclip generate")
    parser.add_argument("--seconds", type=float, help="as many steps as the first picture makes in this time")
    parser.add_argument("--folder", type=Path, default=Path("runs/gallery"), help="where the PNGs go")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/gallery"), help="the sheet and page; an ending is left out"
    )
    options = parser.parse_args()
    options.out = options.out.with_suffix("")
    judge = Judge.open(WEIGHTS)  # before anything is painted: it may be missing
    prompts = read_prompts(options.prompts)
    options.folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {"seed": 0}
    if options.seconds:
        settings["steps"] = affordable(options.seconds, prompts[0], options.preset)
    paths, cache = [], ModelCache(device.pick("auto"))
    for i, prompt in enumerate(prompts):
        config = configs.resolve({"prompts": [prompt], **settings}, preset=options.preset)
        paths.append(options.folder / f"{i:02d}-{'-'.join(prompt.split())}.png")
        if not painted(paths[-1], config):
            print(f"{prompt}: {paint(config, paths[-1], cache):.1f} s", flush=True)
    verdicts = rank(paths, prompts, judge)
    sheet(verdicts).save(options.out.with_suffix(".png"), optimize=True)
    options.out.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".html").write_text(page(verdicts, options.out), encoding="utf-8")
    print(summary(verdicts))


def affordable(seconds: float, prompt: str, preset: str | None) -> int:
    """How many steps a picture may have to be done in the given time, measured on this machine."""
    config = configs.resolve({"prompts": [prompt], "seed": 0, "steps": 12}, preset=preset)
    events = render(config, Pipeline(config, device.pick("auto")))
    times = [time.monotonic() for event in events if isinstance(event, Stepped)]
    return max(1, int(seconds / ((times[-1] - times[2]) / (len(times) - 3))))


def summary(verdicts: Sequence[Verdict]) -> str:
    return f"{len(verdicts)} pictures: R@1 {precision(verdicts, 1):.0%}, R@5 {precision(verdicts, 5):.0%}"


def page(verdicts: Sequence[Verdict], folder: Path) -> str:
    """The same as HTML, with the prompt that the judge preferred; writes the pictures that it shows into `folder`."""
    figures = []
    for verdict in verdicts:
        name = verdict.picture.with_suffix(".webp").name
        with Image.open(verdict.picture) as image:
            image.save(folder / name, quality=85)
        beaten = "" if verdict.rank == 1 else f", after “{html.escape(verdict.first)}”"
        figures.append(
            f'<figure><img src="{folder.name}/{html.escape(name)}" alt="" width="256" height="256">'
            f"<figcaption>{html.escape(verdict.prompt)}<br><small>rank {verdict.rank}{beaten}</small>"
            "</figcaption></figure>"
        )
    style = (
        "body{font:15px sans-serif;margin:2em} "
        "figure{display:inline-block;margin:.5em;width:256px;vertical-align:top}"
    )
    return (
        f'<!doctype html><meta charset="utf-8"><title>vqclip: gallery</title><style>{style}</style>\n'
        "<h1>Seed 0, nothing chosen</h1>\n"
        f"<p>{summary(verdicts)} by the judge; docs/make/gallery.py makes this page again.</p>\n"
        + "\n".join(figures)
        + "\n"
    )


if __name__ == "__main__":
    main()
