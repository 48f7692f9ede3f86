"""What the commands do once torch may be loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import typer

from vqclip.base import determinism
from vqclip.base import device as devices
from vqclip.base.errors import ImageError, UsageError
from vqclip.cli.deliver import deliver, make_video
from vqclip.cli.display.console import complain, say, stderr
from vqclip.cli.display.report import reporter
from vqclip.cli.options import LARGEST_BATCH
from vqclip.cli.outputs import OutputSpec, check_output
from vqclip.cli.provide import provide
from vqclip.config import resolve as configs
from vqclip.config.diff import changes
from vqclip.config.schema import Config
from vqclip.guidance.memory import batches
from vqclip.guidance.perceptor import Perceptor
from vqclip.jobs.worker import Worker
from vqclip.media.image import load_image, read_metadata
from vqclip.pipeline import progress_video
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.progress_video import Recorder
from vqclip.pipeline.render import Interrupted, Listener, Painting, RenderRequest, render, render_batch
from vqclip.pipeline.reranker import Reranker
from vqclip.requirements.needs import requirements
from vqclip.runs.job import Job
from vqclip.runs.provenance import digests, provenance
from vqclip.runs.run import Run, check_parent, read_config, read_provenance, return_to_origin

BATCH_SEEDS = "together"  # the provenance's word for the seeds of all pictures that were painted at once


@dataclass(frozen=True)
class BestOf:
    """How many of the pictures are kept, and which CLIP ranks them."""

    keep: int
    judge: str


def paint(
    outputs: Sequence[OutputSpec], device: str, runs: Path, best_of: BestOf | None = None,
    *, batch_size: int | None, as_json: bool, quiet: bool, pull: bool,
) -> None:  # fmt: skip
    """Load the models once and paint all pictures, as many at once as is best or as is said.

    With a contest, only the best are results.
    """
    torch_device = devices.pick(device)
    determinism.enter(torch_device)
    check_parent(runs)
    provide(
        requirements(outputs[0].config, best_of.judge if best_of else None),
        pull=pull,
        quiet=quiet,
        device=torch_device,
    )
    digests(outputs[0].config)  # while the models load
    if not quiet:
        arithmetic = devices.arithmetic(outputs[0].config.precision, torch_device)
        say("device", f"{devices.describe(torch_device)}, {arithmetic}")
    pipeline = Pipeline(outputs[0].config, torch_device, pull)
    metadata = provenance(outputs[0].config, torch_device)
    reranker = _reranker(best_of.judge, pipeline, pull) if best_of else None
    entrants: list[tuple[float, OutputSpec, Run, Painting]] = []
    for few in batches(outputs, batch_size or pipeline.batch_size):
        batch_seeds = {BATCH_SEEDS: [spec.config.seed for spec in few]} if len(few) > 1 else {}
        begun = [Run.create(runs, spec.config, metadata | batch_seeds) for spec in few]
        for spec, run in zip(few, begun, strict=True):
            if spec.video:  # in a contest, who gets a name is known in the end
                progress_video.request_video(run, replace(spec.video, file=None) if best_of else spec.video)
        for spec, run, painting in zip(few, begun, _paint(begun, pipeline, quiet), strict=True):
            if reranker is None:
                deliver(painting.record, run, spec.output, as_json)
            else:
                score = reranker.score(load_image(run.image), spec.config.parsed_prompts)
                entrants.append((score, spec, run, painting))
    if best_of:
        _award(best_of, entrants, as_json, quiet)


def _reranker(name: str, pipeline: Pipeline, pull: bool) -> Reranker:
    """A perceptor of its own, as the pipeline's have forgotten their texts."""
    dtype = devices.dtype_for(pipeline.config.precision, pipeline.device)
    return Reranker(Perceptor(name, pipeline.device, dtype, pull))


def _award(
    best_of: BestOf, entrants: Sequence[tuple[float, OutputSpec, Run, Painting]], as_json: bool, quiet: bool
) -> None:
    """Deliver the best, the very best first; the others stay in their run folders."""
    ranked = sorted(entrants, key=lambda entrant: -entrant[0])
    for rank, (score, spec, run, painting) in enumerate(ranked, 1):
        kept = rank <= best_of.keep
        if not quiet:
            say(
                "score",
                f"{score:.4f} by {best_of.judge}: seed {spec.config.seed}{'' if kept else ', not kept'}",
            )
        if kept:
            video = spec.video.file if spec.video else None
            deliver(painting.record | {"score": round(score, 4)}, run, spec.output, as_json, video)


def reproduce(
    image: Path, output: Path | None, device: str, runs: Path, *, as_json: bool, quiet: bool, pull: bool
) -> None:
    """Paint what a picture says of itself, and compare."""
    metadata, torch_device = read_metadata(image), devices.pick(device)
    determinism.enter(torch_device)
    config = _carried_config(image, metadata)
    check_parent(runs)
    if output is not None:
        check_output(output, config.is_film)
    if devices.threads(torch_device) and isinstance(metadata.get("threads"), int):
        torch.set_num_threads(max(1, metadata["threads"]))  # sums depend on it
    provide(requirements(config), pull=pull, quiet=quiet)
    now = provenance(config, torch_device)
    for key, then, today in changes({key: metadata.get(key) for key in now}, now):
        if not quiet:
            say("differs", f"{key}: {then} then, {today} now")
    pipeline = Pipeline(config, torch_device, pull)
    run = Run.create(runs, config, now)
    (painting,) = _paint([run], pipeline, quiet, _batch_configs(metadata, config))
    again = run.frames.images[int(metadata["frame"])] if "frame" in metadata else run.image
    off = (load_image(image) - load_image(again)).abs()
    if not quiet:
        share = float((off.amax(1) > 0).float().mean())
        say(
            "pixels",
            "the same"
            if share == 0
            else f"{share:.1%} differ, by {255 * float(off.max()):.0f} of 255 at most",
        )
    deliver(painting.record | {"same": not bool(off.any())}, run, output, as_json)


def _batch_configs(metadata: dict[str, Any], config: Config) -> list[Config]:
    """All pictures that were painted together with one, itself among them, as its file says; none if it doesn't."""
    seeds = metadata.get(BATCH_SEEDS)
    if config.is_film or not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        return []
    is_one = config.seed in seeds and len(set(seeds)) == len(seeds) <= LARGEST_BATCH
    return [replace(config, seed=seed) for seed in seeds] if is_one else []


def _carried_config(image: Path, metadata: dict[str, Any]) -> Config:
    try:
        return configs.from_dict(metadata.get("config") or {})
    except UsageError as error:
        raise ImageError(f"{image} carries a config that this version can't paint: {error}") from None


def resume(folder: Path, device: str, *, as_json: bool, quiet: bool, pull: bool) -> None:
    """Paint on in a run folder, from where relative paths began; what is finished is only named."""
    worker, folder = Worker(device, pull=pull), return_to_origin(folder)
    provide(requirements(read_config(folder)), pull=pull, quiet=quiet)
    run = worker.open(Job(read_config(folder), folder))
    with run.held():
        if (record := run.record()) is None:
            if not quiet and read_provenance(folder).get(BATCH_SEEDS):
                say("differs", "begun together with others, goes on alone: sums are rounded otherwise")
            (painting,) = _paint([run], Pipeline(run.config, worker.device, pull), quiet)
            record = painting.record
        else:
            if not quiet:
                say("painted", f"already; to paint it again: vqclip reproduce {run.image}")
            if recorder := Recorder.of(run):
                make_video(recorder, quiet)
    deliver(record, run, None, as_json)


def _paint(
    runs: Sequence[Run], pipeline: Pipeline, quiet: bool, batch: Sequence[Config] = ()
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
            requests = [
                RenderRequest(run.config, run, listeners) for run, listeners in zip(runs, heard, strict=True)
            ]
            paintings = _render(requests, pipeline, batch)
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


def _render(requests: Sequence[RenderRequest], pipeline: Pipeline, batch: Sequence[Config]) -> list[Painting]:
    """The easels' paintings; those of a company but for one are painted for nothing but its sake."""
    ours = {request.config.seed: request for request in requests}
    if len(requests) == 1 and not batch:
        (request,) = requests
        return [render(request.config, pipeline, request.run, request.listeners)]
    whole = [ours.get(config.seed) or RenderRequest(config) for config in batch] or requests
    return [painting for painting in render_batch(whole, pipeline) if painting.seed in ours]
