"""Use vqclip as a library: a Session keeps models loaded, and yields events while it makes images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vqclip.base import device as devices
from vqclip.base.errors import UsageError
from vqclip.base.stop import StopToken
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.guidance.perceptors.chosen import perceptor_named
from vqclip.jobs import batch as batches
from vqclip.jobs.batch import Task
from vqclip.jobs.launcher import Launcher
from vqclip.jobs.placement import Placement
from vqclip.jobs.processes import WorkerSpec
from vqclip.jobs.reproduce import carried_config, reproduce, saved_metadata
from vqclip.jobs.run_batch import BatchEvents, run_batch
from vqclip.jobs.worker import Videos, Worker
from vqclip.pipeline.events import Events, Result, VideoSaved, result
from vqclip.pipeline.film_video import remake_film
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.reranker import Reranker, ranked
from vqclip.retrieval.retrieval import Retrieval
from vqclip.runs.job import Job
from vqclip.runs.run import read_config

PromptOrConfigs = str | Config | Sequence[Config]


class Session:
    """Makes images on one device, with models that stay loaded from call to call.

    Each method is a generator of events (`vqclip.events`): work is done while you iterate, and closing it early leaves
    no lock and no half-written file. Each takes a `stop` (StopToken), which any thread may stop. Nothing is written
    unless you name a folder: `runs` gets a run folder for each image. Errors are VqclipErrors. Iterate over one
    generator of a Session at a time; several Sessions may work in several threads.

    `device` is auto, cpu, cuda, cuda:1 or mps; `pull` lets it download models that are named but not here. `threads`
    is how many CPU threads torch uses while a generator works, by default as many as it uses now; between two events
    the process has its own number. On CUDA, a Session chooses torch's deterministic kernels
    for the whole process. `keeps_models=False` frees a call's models at its end, and texts' towers earlier.
    `owns_process` is for programs that do nothing else: it also tunes how the process keeps memory.

    >>> session = Session(device="cpu")  # doctest: +SKIP
    >>> for event in session.generate("a red apple", runs="runs"):  # doctest: +SKIP
    ...     print(event)
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        threads: int | None = None,
        pull: bool = False,
        keeps_models: bool = True,
        owns_process: bool = False,
    ):
        self._worker = Worker(device, threads, pull, keeps_models=keeps_models, owns_process=owns_process)

    def generate(
        self,
        prompt: PromptOrConfigs,
        *,
        count: int = 1,
        batch_size: int | None = None,
        preset: str | None = None,
        runs: str | Path | None = None,
        video: Videos | None = None,
        stop: StopToken | None = None,
        **settings: Any,
    ) -> Events:
        """Make `count` images of a prompt with consecutive seeds; yields Started, Stepped, …, Finished for each.

        `settings` are keys of a Config (seed=7, size="128x128", cutouts={"count": 8}). Instead of a text, `prompt` may
        be a Config, or several with seeds of their own; those that differ in nothing else are made in batches.
        `batch_size` is how many are made at once; None means the fastest number. A film (a prompt with "^", or
        film={"frames": 9}) needs `runs`, and so does a progress `video`, for all or by seed. Raises VqclipError.

        >>> [apple] = results(session.generate("a red apple", seed=7))  # doctest: +SKIP
        """
        requests = _configs(prompt, count, preset, settings)
        if video is not None and runs is None:
            raise UsageError("a progress video needs a run folder; name one, as in runs='runs'")
        return self._worker.paint(requests, _path(runs), video, batch_size, stop)

    def best_of(
        self,
        prompt: PromptOrConfigs,
        count: int = 8,
        *,
        keep: int = 1,
        judge: str | None = None,
        batch_size: int | None = None,
        preset: str | None = None,
        runs: str | Path | None = None,
        video: Videos | None = None,
        stop: StopToken | None = None,
        **settings: Any,
    ) -> Events:
        """Make `count` images, as `generate` does, then rank them: a Ranked for each, the best first.

        `judge` is the CLIP that ranks, by default the first perceptor; a CLIP that isn't a perceptor judges better.
        After a stop there is no ranking.

        >>> ranked = [e for e in session.best_of("a red apple", 4) if isinstance(e, Ranked)]  # doctest: +SKIP
        """
        requests = _configs(prompt, count, preset, settings)
        name = judge or requests[0].perceptors[0].label
        events = self.generate(requests, batch_size=batch_size, runs=runs, video=video, stop=stop)
        return ranked(events, self._reranker(name, requests[0]), keep, stop)

    def _reranker(self, name: str, config: Config) -> Callable[[], Reranker]:
        """Give a maker of the Reranker, which loads its own CLIP if the pipeline frees its text towers."""
        worker, entry = self._worker, perceptor_named(config, name)
        dtype = devices.dtype_for(config.precision, worker.device)
        return lambda: Reranker(
            (worker.cache or ModelCache(worker.device, worker.pull)).perceptor(entry, dtype)
        )

    @property
    def retrieval(self) -> Retrieval:
        """Classify, embed, search and rank files of images with this Session's perceptors."""
        worker = self._worker
        cache = worker.cache or ModelCache(worker.device, worker.pull)
        devices.allow_tf32("float32", worker.device)
        return Retrieval(lambda entry: cache.perceptor(entry, torch.float32), worker.threads)

    def resume(self, folder: str | Path, *, stop: StopToken | None = None) -> Events:
        """Go on in a run folder from its last snapshot; of a finished run, yield Finished only.

        On the CPU the pixels are those of a run that was never stopped. Raises RunError if the folder isn't a
        run folder or is in use.

        >>> result(session.resume("runs/20260101-120000-apple-0a1b2c3d")).image  # doctest: +SKIP
        """
        folder = Path(folder)
        return self._worker.go_on(Job(read_config(folder), folder), stop)

    def reproduce(
        self, image: str | Path, *, runs: str | Path | None = None, stop: StopToken | None = None
    ) -> Events:
        """Make a saved PNG again from its metadata; yields a Differs for each change since, and a Compared at the end.

        A film needs `runs`. Raises ImageError where the image carries no config.

        >>> *_, last = session.reproduce("apple.png")  # doctest: +SKIP
        >>> last.is_same  # doctest: +SKIP
        True
        """
        image = Path(image)
        metadata = saved_metadata(image)
        return reproduce(self._worker, image, carried_config(image, metadata), metadata, _path(runs), stop)

    def batch(
        self,
        file: str | Path,
        *,
        runs: str | Path,
        placement: Placement | None = None,
        preset: str | None = None,
        config: Path | None = None,
        settings: Sequence[str] = (),
        stop: StopToken | None = None,
    ) -> BatchEvents:
        """Run the unfinished jobs of a file (.txt, .csv, .jsonl, .yaml), in a folder of `runs` named after it.

        Yields a JobEvent, with the index of the job and its worker, for each event of a job; a TaskEnded when one is
        done or has failed; a BatchEnded. One job's failure doesn't affect the others. By default they run one after the
        other with this Session's models; a Placement says how many processes, which devices or which Ray cluster.
        `settings` (KEY=VALUE), the YAML file `config` and `preset` hold for all jobs. Raises UsageError for a bad file.

        >>> for event in session.batch("jobs.csv", runs="runs"):  # doctest: +SKIP
        ...     print(event)
        """
        tasks = batches.plan(Path(file), Path(runs), preset=preset, base=config, settings=settings)
        return self.run_tasks(tasks, batches.folder_of(Path(file), Path(runs), tasks), placement, stop, file)

    def run_tasks(
        self,
        tasks: Sequence[Task],
        folder: Path,
        placement: Placement | None,
        stop: StopToken | None,
        file: str | Path,
    ) -> BatchEvents:
        """Run the tasks of a batch that was planned from `file`."""
        placement = placement or Placement(1, self._worker.threads, [str(self._worker.device)])

        def launcher(jobs: Sequence[Job]) -> Launcher:
            return placement.launcher(jobs, self._worker.pull, self._of)

        return run_batch(tasks, folder, launcher, stop or StopToken(), Path(file))

    def _of(self, spec: WorkerSpec) -> Worker:
        """Give this Session's worker, or make one for another device or number of threads."""
        mine = self._worker
        if spec.device == str(mine.device) and spec.threads in (None, mine.threads):
            return mine
        return Worker(spec.device, spec.threads, mine.pull, owns_process=mine.owns_process)

    def film(
        self,
        folder: str | Path,
        output: str | Path | None = None,
        *,
        fps: float | None = None,
        between: int = 1,
        hold: float = 0.0,
        forth_and_back: bool = False,
        stop: StopToken | None = None,
    ) -> Events:
        """Make the video of a film's run folder again, from the frames that it has; yields VideoSaved.

        It goes to `output` (.mp4, .gif or .webp), or replaces the video in the folder. `fps` is images a second,
        `between` how many images are shown for each one, the others of interpolated latents; `hold` is for how many
        seconds the last one is shown. Raises RunError, UsageError for a still, and VideoError.

        >>> [saved] = session.film("runs/20260101-120000-sea-0a1b2c3d", "sea.gif", fps=12)  # doctest: +SKIP
        """
        if stop and stop.stopped:
            return
        made = remake_film(
            Path(folder), _path(output), self._worker.decoder, fps,
            between=between, hold=hold, forth_and_back=forth_and_back,
        )  # fmt: skip
        yield VideoSaved(made)


def generate(prompt: str, *, device: str = "auto", **options: Any) -> Result:
    """Make an image of a prompt and return its Result, which a notebook shows: the shortest use of a Session.

    `options` are those of `Session.generate`: keys of a Config (seed=7, size="128x128"), `preset`, `runs`, `stop`.
    Nothing is written unless `runs` names a folder for the run folder. Raises VqclipError.

    >>> vqclip.generate("a red apple", seed=7).image.save("apple.png")  # doctest: +SKIP
    """
    return result(Session(device, keeps_models=False).generate(prompt, **options))


def _configs(
    prompt: PromptOrConfigs, count: int, preset: str | None, settings: dict[str, Any]
) -> list[Config]:
    if isinstance(prompt, str):
        prompt = configs.resolve({"prompts": [prompt], **settings}, preset=preset)
        return [replace(prompt, seed=seed) for seed in range(prompt.seed, prompt.seed + count)]
    if settings or preset:
        raise UsageError("a Config has its settings; leave the others out, or give the prompt as a text")
    return [prompt] if isinstance(prompt, Config) else list(prompt)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
