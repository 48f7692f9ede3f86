"""What the commands do once torch may be loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import typer

from vqclip import config as configs
from vqclip import determinism, progress
from vqclip import device as devices
from vqclip.cli.console import complain, say, stderr
from vqclip.cli.delivery import deliver, make_video
from vqclip.cli.options import MOST_TOGETHER
from vqclip.cli.provide import provide
from vqclip.cli.report import reporter
from vqclip.cli.wanted import Wanted, check_output
from vqclip.compare import changes
from vqclip.economy import batches
from vqclip.errors import ImageError, UsageError
from vqclip.job import Job
from vqclip.judge import Judge
from vqclip.media import load_picture, read_facts
from vqclip.painter import Painter
from vqclip.perceptor import Perceptor
from vqclip.pipeline import Pipeline
from vqclip.progress import Recorder
from vqclip.provenance import digests, provenance
from vqclip.render import Easel, Interrupted, Listener, Painting, render, render_together
from vqclip.requirements.needs import requirements
from vqclip.run import Run, check_parent, read_config, read_provenance, return_to_origin
from vqclip.schema import Config

TOGETHER = "together"  # the provenance's word for the seeds of all pictures that were painted at once


@dataclass(frozen=True)
class Contest:
    """How many of the pictures are kept, and which CLIP ranks them."""

    keep: int
    judge: str


def paint(
    wanted: Sequence[Wanted], device: str, runs: Path, contest: Contest | None = None,
    *, together: int | None, as_json: bool, quiet: bool, pull: bool,
) -> None:  # fmt: skip
    """Load the models once and paint all pictures, as many at once as is best or as is said.

    With a contest, only the best are results.
    """
    place = devices.pick(device)
    determinism.enter(place)
    check_parent(runs)
    provide(requirements(wanted[0].config, contest.judge if contest else None), pull=pull, quiet=quiet)
    digests(wanted[0].config)  # while the models load
    if not quiet:
        arithmetic = devices.arithmetic(wanted[0].config.precision, place)
        say("device", f"{devices.describe(place)}, {arithmetic}")
    pipeline = Pipeline(wanted[0].config, place, pull)
    facts = provenance(wanted[0].config, place)
    judge = _judge(contest.judge, pipeline, pull) if contest else None
    entrants: list[tuple[float, Wanted, Run, Painting]] = []
    for few in batches(wanted, together or pipeline.together):
        company = {TOGETHER: [picture.config.seed for picture in few]} if len(few) > 1 else {}
        begun = [Run.create(runs, picture.config, facts | company) for picture in few]
        for picture, run in zip(few, begun, strict=True):
            if picture.video:  # in a contest, who gets a name is known in the end
                progress.ask(run, replace(picture.video, file=None) if contest else picture.video)
        for picture, run, painting in zip(few, begun, _paint(begun, pipeline, quiet), strict=True):
            if judge is None:
                deliver(painting.record, run, picture.output, as_json)
            else:
                score = judge.score(load_picture(run.image), picture.config.wishes)
                entrants.append((score, picture, run, painting))
    if contest:
        _award(contest, entrants, as_json, quiet)


def _judge(name: str, pipeline: Pipeline, pull: bool) -> Judge:
    """A perceptor of its own, as the pipeline's have forgotten their texts."""
    dtype = devices.dtype_for(pipeline.config.precision, pipeline.device)
    return Judge(Perceptor(name, pipeline.device, dtype, pull))


def _award(
    contest: Contest, entrants: Sequence[tuple[float, Wanted, Run, Painting]], as_json: bool, quiet: bool
) -> None:
    """Deliver the best, the very best first; the others stay in their run folders."""
    ranked = sorted(entrants, key=lambda entrant: -entrant[0])
    for place, (score, picture, run, painting) in enumerate(ranked, 1):
        kept = place <= contest.keep
        if not quiet:
            say(
                "score",
                f"{score:.4f} by {contest.judge}: seed {picture.config.seed}{'' if kept else ', not kept'}",
            )
        if kept:
            video = picture.video.file if picture.video else None
            deliver(painting.record | {"score": round(score, 4)}, run, picture.output, as_json, video)


def paint_again(
    picture: Path, output: Path | None, device: str, runs: Path, *, as_json: bool, quiet: bool, pull: bool
) -> None:
    """Paint what a picture says of itself, and compare."""
    facts, place = read_facts(picture), devices.pick(device)
    determinism.enter(place)
    config = _carried_config(picture, facts)
    check_parent(runs)
    if output is not None:
        check_output(output, config.is_film)
    if devices.threads(place) and isinstance(facts.get("threads"), int):
        torch.set_num_threads(max(1, facts["threads"]))  # sums depend on it
    provide(requirements(config), pull=pull, quiet=quiet)
    now = provenance(config, place)
    for key, then, today in changes({key: facts.get(key) for key in now}, now):
        if not quiet:
            say("differs", f"{key}: {then} then, {today} now")
    pipeline = Pipeline(config, place, pull)
    run = Run.create(runs, config, now)
    (painting,) = _paint([run], pipeline, quiet, _company(facts, config))
    again = run.reel.pictures[int(facts["frame"])] if "frame" in facts else run.image
    off = (load_picture(picture) - load_picture(again)).abs()
    if not quiet:
        share = float((off.amax(1) > 0).float().mean())
        say(
            "pixels",
            "the same"
            if share == 0
            else f"{share:.1%} differ, by {255 * float(off.max()):.0f} of 255 at most",
        )
    deliver(painting.record | {"same": not bool(off.any())}, run, output, as_json)


def _company(facts: dict[str, Any], config: Config) -> list[Config]:
    """All pictures that were painted together with one, itself among them, as its file says; none if it doesn't."""
    seeds = facts.get(TOGETHER)
    if config.is_film or not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        return []
    is_one = config.seed in seeds and len(set(seeds)) == len(seeds) <= MOST_TOGETHER
    return [replace(config, seed=seed) for seed in seeds] if is_one else []


def _carried_config(picture: Path, facts: dict[str, Any]) -> Config:
    try:
        return configs.from_dict(facts.get("config") or {})
    except UsageError as error:
        raise ImageError(f"{picture} carries a config that this version can't paint: {error}") from None


def go_on(folder: Path, device: str, *, as_json: bool, quiet: bool, pull: bool) -> None:
    """Paint on in a run folder, from where relative paths began; what is finished is only named."""
    painter, folder = Painter(device, pull=pull), return_to_origin(folder)
    provide(requirements(read_config(folder)), pull=pull, quiet=quiet)
    run = painter.open(Job(read_config(folder), folder))
    with run.held():
        if (record := run.record()) is None:
            if not quiet and read_provenance(folder).get(TOGETHER):
                say("differs", "begun together with others, goes on alone: sums are rounded otherwise")
            (painting,) = _paint([run], Pipeline(run.config, painter.device, pull), quiet)
            record = painting.record
        else:
            if not quiet:
                say("painted", f"already; to paint it again: vqclip reproduce {run.image}")
            if recorder := Recorder.of(run):
                make_video(recorder, quiet)
    deliver(record, run, None, as_json)


def _paint(
    runs: Sequence[Run], pipeline: Pipeline, quiet: bool, company: Sequence[Config] = ()
) -> list[Painting]:
    """Paint in run folders with a report; leaves with the line that goes on, if it is interrupted.

    Several are painted at once, and one in a company, of which the others are lost, as it was in that.
    """
    if not quiet:
        for run in runs:
            say("seed", str(run.config.seed))
            say("run", str(run.folder))
    recorders = [Recorder.of(run) for run in runs]
    try:
        with reporter(stderr, quiet, pipeline.film) as report:
            heard: list[list[Listener]] = [[recorder] if recorder else [] for recorder in recorders]
            heard[0].append(report)
            easels = [Easel(run.config, run, listeners) for run, listeners in zip(runs, heard, strict=True)]
            paintings = _render(easels, pipeline, company)
    except Interrupted as stopped:
        for done in stopped.paintings:
            if done.folder:
                complain(
                    f"stopped at step {done.steps} of {pipeline.film.steps}; go on with: vqclip resume {done.folder}"
                )
        raise typer.Exit(128 + stopped.number) from None
    if not quiet:
        each = f", {len(runs)} pictures" if len(runs) > 1 else ""
        say("painted", f"{paintings[0].steps} steps in {paintings[0].seconds:.1f} s{each}")
    for recorder in filter(None, recorders):
        make_video(recorder, quiet)
    return paintings


def _render(easels: Sequence[Easel], pipeline: Pipeline, company: Sequence[Config]) -> list[Painting]:
    """The easels' paintings; those of a company but for one are painted for nothing but its sake."""
    ours = {easel.config.seed: easel for easel in easels}
    if len(easels) == 1 and not company:
        (easel,) = easels
        return [render(easel.config, pipeline, easel.run, easel.listeners)]
    whole = [ours.get(config.seed) or Easel(config) for config in company] or easels
    return [painting for painting in render_together(whole, pipeline) if painting.seed in ours]
