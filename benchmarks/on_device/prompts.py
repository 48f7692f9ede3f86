"""What the prompts look like that a device paints, how long it takes, and how many a judge finds again."""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.on_device.pixels import ROOT, config
from benchmarks.on_device.table import Check, Row
from vqclip.media.contact_sheet import contact_sheet, thumbnails
from vqclip.media.image import save_png
from vqclip.pipeline.events import result
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.runs.provenance import provenance
from vqclip.runs.run import image_metadata

PROMPTS = ROOT / "docs/prompts.txt"
SECONDS = 240  # for the forty prompts
ON_CPU = 0.72  # R@1 of the forty as a CPU paints them: docs/gallery.html
POINTS = 0.08  # by which rounding alone moves it


def prompts(check: Check) -> Iterator[Row]:
    """The prompts of docs/prompts.txt, each a picture with its config inside; stops when the time is over."""
    from evaluation.ranking import read_prompts  # noqa: PLC0415  # imports what trains

    asked, began = read_prompts(PROMPTS), time.monotonic()
    asked = asked[:2] if check.smoke else asked
    paths = list(_painted(check, asked))
    seconds, done = time.monotonic() - began, len(paths)
    if paths:
        contact_sheet(thumbnails(paths)).save(check.out / "sheet.png")
    value = f"{done} of {len(asked)} in {seconds:.0f} s, {check.out}/sheet.png"
    is_cut_off = done < len(asked) and seconds <= SECONDS  # by what came before
    word = "not run" if is_cut_off else check.verdict(done == len(asked) and seconds <= SECONDS)
    yield Row("prompts painted", f"≤ {SECONDS} s", value, word)
    yield ranked(check, paths)


def ranked(check: Check, paths: list[Path]) -> Row:
    """R@1 among all prompts, where the judge and what reads sentences are here."""
    from evaluation.judge import Judge  # noqa: PLC0415
    from evaluation.ranking import WEIGHTS, precision, rank, read_prompts  # noqa: PLC0415

    name, target = "R@1", f"≥ {ON_CPU - POINTS:.0%} (on a CPU {ON_CPU:.0%})"
    advice = "type where it is: scripts/judge docs/prompts.txt FOLDER"
    try:
        judge = Judge.open(WEIGHTS)
    except (SystemExit, ImportError, OSError) as error:
        return Row(name, target, f"no judge here ({error}); {advice}", "not run")
    everyone = read_prompts(PROMPTS)
    verdicts = rank(paths, everyone, judge)
    if not verdicts:
        return Row(name, target, "no pictures", "not run")
    found = precision(verdicts, 1)
    word = check.verdict(found >= ON_CPU - POINTS) if len(verdicts) == len(everyone) else "–"
    return Row(name, target, f"{found:.0%} of {len(verdicts)} pictures", word)


def _painted(check: Check, asked: list[str]) -> Iterator[Path]:
    """Paint prompts while there is time, and give each picture's file."""
    for i, prompt in enumerate(asked):
        if check.left <= 0:
            return
        chosen = config(check, prompt)
        image = result(render(chosen, Pipeline(chosen, check.device, cache=check.models))).image
        path = check.out / f"{i:02d}-{'-'.join(prompt.split())}.png"
        save_png(image, path, image_metadata(chosen, provenance(chosen, check.device)))
        yield path
