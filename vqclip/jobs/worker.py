"""Run jobs on one device: load models, open run folders, and render into them."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from vqclip.base import determinism, runtime
from vqclip.base import device as devices
from vqclip.base.stop import StopToken
from vqclip.config.schema import Config
from vqclip.guidance.interfaces import Drawer
from vqclip.guidance.memory import SMALL
from vqclip.pipeline.enlarge import enlarging
from vqclip.pipeline.events import Event, Events, Finished, Result, VideoSaved
from vqclip.pipeline.film_video import Decode
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.progress_video import Recorder, VideoSettings, recorded, request_video
from vqclip.pipeline.render import RenderRequest, decode_image, render, render_batch
from vqclip.requirements import install
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import locations_from, missing
from vqclip.runs.folder_layout import CONFIG
from vqclip.runs.job import Job
from vqclip.runs.provenance import digests, provenance
from vqclip.runs.run import Run, origin

BATCH_SEEDS = "together"  # the provenance's key for the seeds of an image's batch

Videos = VideoSettings | Mapping[int, VideoSettings]


class Worker:
    """Render on one device; on the CPU with `threads` threads, or as many as torch uses at construction.

    With `keeps_models` models stay loaded for later calls. With `owns_process`, which only entry points set, it may
    tune this process's memory allocator. Relative paths of new runs begin at `base`, by default the working folder.
    """

    def __init__(
        self,
        device: str = "auto",
        threads: int | None = None,
        pull: bool = False,
        locations: Mapping[str, str] | None = None,
        *,
        keeps_models: bool = True,
        owns_process: bool = False,
        base: Path = Path(),
    ):
        self.device = devices.pick(device)
        determinism.enter(self.device)
        self.threads = threads or torch.get_num_threads()
        self.pull, self.locations, self.owns_process = pull, locations or {}, owns_process
        self.base = base
        self.cache = ModelCache(self.device, pull, locations) if keeps_models else None

    def pipeline(self, config: Config, base: Path | None = None, cache: ModelCache | None = None) -> Pipeline:
        """Load the models of a Config, unless they are in a cache; fetch missing ones first if `pull` allows it."""
        determinism.enter(self.device)  # an earlier image may have had to leave it
        base = self.base if base is None else base
        locations = self._locations(config, base)
        if self.pull:
            self._fetch(config, locations)
        if self.owns_process:
            small = config.width * config.height <= SMALL
            runtime.keep_pages(small and devices.strengths(self.device).keeps_pages)
        cache = cache or self.cache or ModelCache(self.device, self.pull, keeps_texts=False)
        return Pipeline(config, self.device, self.pull, cache.at(locations), base)

    def _locations(self, config: Config, base: Path) -> dict[str, str]:
        """Map weights' names to their locations where these differ from what the names mean."""
        return {**self.locations, **locations_from(base, requirements(config))}

    def decoder(self, config: Config, base: Path) -> Decode:
        """Make what decodes latents of a Config into its images; relative paths begin at `base`."""
        cache = (self.cache or ModelCache(self.device, self.pull)).at(self._locations(config, base))
        dtype = devices.dtype_for(config.precision, self.device)
        drawer: Drawer = config.drawer.open(cache, dtype, config.width, config.height, config.tile)
        enlarge = enlarging(config.upscale, cache)
        return lambda z: decode_image(drawer, z.to(drawer.device), enlarge)

    def paint(
        self,
        configs: Sequence[Config],
        runs: Path | None = None,
        videos: Videos | None = None,
        batch_size: int | None = None,
        stop: StopToken | None = None,
    ) -> Events:
        """Render Configs, each in a new folder under `runs`; neighbours that differ only in their seeds in batches.

        `batch_size` None means the fastest size. `videos` requests progress videos, for all or by seed; they need a
        folder. The events of a batch's images come mixed, and its videos come after its images.
        """
        return runtime.with_threads(self._paint(configs, runs, videos, batch_size, stop), self.threads)

    def _paint(
        self,
        configs: Sequence[Config],
        runs: Path | None,
        videos: Videos | None,
        batch_size: int | None,
        stop: StopToken | None,
    ) -> Events:
        if runs is not None:
            digests(configs[0], self._locations(configs[0], self.base))  # while the models load
        groups = [list(group) for _, group in groupby(configs, lambda config: replace(config, seed=0))]
        shared = self.cache or ModelCache(self.device, self.pull, keeps_texts=len(groups) > 1)
        for group in groups:
            yield from self._paint_group(
                group, self.pipeline(group[0], cache=shared), runs, videos, batch_size, stop
            )
            if stop and stop.stopped:
                return

    def _paint_group(
        self,
        configs: Sequence[Config],
        pipeline: Pipeline,
        runs: Path | None,
        videos: Videos | None,
        batch_size: int | None,
        stop: StopToken | None,
    ) -> Events:
        size = batch_size or (pipeline.batch_size if len(configs) > 1 else 1)
        for first in range(0, len(configs), size):
            few = configs[first : first + size]
            begun = self.create(few, runs)
            for run in filter(None, begun):
                if settings := videos.get(run.config.seed) if isinstance(videos, Mapping) else videos:
                    request_video(run, settings)
            requests = [RenderRequest(config, run) for config, run in zip(few, begun, strict=True)]
            yield from self.render(requests, pipeline, stop)
            if stop and stop.stopped:
                return

    def create(self, configs: Sequence[Config], runs: Path | None) -> Sequence[Run | None]:
        """Make run folders under `runs`, if that is given, for the Configs of one batch."""
        if runs is None:
            return [None] * len(configs)
        together = {BATCH_SEEDS: [config.seed for config in configs]} if len(configs) > 1 else {}
        metadata = self.provenance(configs[0]) | together
        return [Run.create(runs, config, metadata, self.base) for config in configs]

    def provenance(self, config: Config, base: Path | None = None) -> dict[str, Any]:
        """Collect the provenance of an image that is made of a Config now."""
        locations = self._locations(config, self.base if base is None else base)
        return provenance(config, self.device, locations)

    def render(
        self, requests: Sequence[RenderRequest], pipeline: Pipeline, stop: StopToken | None = None
    ) -> Events:
        """Render one image or a batch, and make the videos that the run folders request."""
        if len(requests) == 1:
            events = render(requests[0].config, pipeline, requests[0].run, stop)
        else:
            events = render_batch(requests, pipeline, stop)
        with closing(events):
            yield from recorded([request.run for request in requests if request.run], events)

    def open(self, job: Job) -> Run:
        """Open the job's run folder, or make it; raises RunError if it is another Config's."""
        with runtime.threads(self.threads):
            base = origin(job.folder) if (job.folder / CONFIG).is_file() else self.base
            return Run.open(job.folder, job.config, self.provenance(job.config, base), base)

    def go_on(self, job: Job, stop: StopToken | None = None, patience: float = 0.0) -> Events:
        """Render a job from the step that its folder has reached; if finished, yield Finished. Raises VqclipError.

        A run goes on with the number of threads that it was begun with, since sums depend on it.
        `patience` is how many seconds to wait for a folder that is in use.
        """
        # Load the models before the folder is made, so that a refused job leaves no folder.
        early = None
        if not job.folder.is_dir():
            with runtime.threads(self.threads):
                early = self.pipeline(job.config)
        run = self.open(job)
        yield from runtime.with_threads(self._go_on(run, early, stop, patience), run.threads or self.threads)

    def _go_on(self, run: Run, early: Pipeline | None, stop: StopToken | None, patience: float) -> Events:
        with run.held(patience):
            if record := run.record():
                yield Finished(Result.of_record(run.config, run.folder, record), is_new=False)
                if recorder := Recorder.of(run):
                    yield VideoSaved(recorder.finish())
            else:
                request = RenderRequest(run.config, run)
                yield from self.render([request], early or self.pipeline(run.config, run.base), stop)

    def again(
        self,
        config: Config,
        seeds: Sequence[int],
        runs: Path | None,
        threads: int | None,
        stop: StopToken | None,
    ) -> Events:
        """Render a still again in a batch with these seeds, as it was made, or alone if there are none.

        The pixels depend on the batch. The other images are neither saved nor reported.
        """
        events = self._again(config, seeds, runs, stop)
        return runtime.with_threads(events, threads or self.threads)

    def _again(
        self, config: Config, seeds: Sequence[int], runs: Path | None, stop: StopToken | None
    ) -> Events:
        pipeline = self.pipeline(config)
        (run,) = self.create([config], runs)
        others = [replace(config, seed=seed) for seed in seeds or [config.seed]]
        requests = [RenderRequest(other, run if other == config else None) for other in others]
        for event in self.render(requests, pipeline, stop):
            if seed_of(event) in (None, config.seed):
                yield event

    def _fetch(self, config: Config, locations: Mapping[str, str]) -> None:
        """Fetch a Config's missing weights; processes that fetch the same ones wait for each other."""
        for absent in missing(need.at(locations) for need in requirements(config)):
            if absent.fetchable:
                install.pull(absent.need.name)


def seed_of(event: Event) -> int | None:
    """Give the seed of an event's image, or None if the event has none."""
    for name in ("config", "step", "result"):
        if hasattr(event, name):
            seed: int | None = getattr(getattr(event, name), "seed", None)
            return seed
    return None
