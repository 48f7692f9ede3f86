"""Launch jobs on a Ray cluster: a running one, or one that is started on this machine.

Lost nodes are Ray's to see and jobs' retries its to make; a job goes on from the snapshot in its folder, which
therefore has to be on storage that all nodes share.
"""

import contextlib
import functools
import logging
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vqclip.base import runtime
from vqclip.base.errors import RunError, UsageError
from vqclip.base.stop import StopToken
from vqclip.jobs.launcher import RETRIES, JobEvent, JobEvents, Launcher, run_job
from vqclip.jobs.weight_transfer import WeightBundle, pack, unpack
from vqclip.jobs.worker import Worker
from vqclip.pipeline.events import Failed
from vqclip.runs.job import Job

LOCAL = "local"
LISTEN_EVERY = 0.3  # seconds
GRACE = 60.0  # seconds for tasks to save a snapshot


@dataclass(frozen=True)
class Order:
    """Hold what a task needs besides its job."""

    origin: str  # where relative paths begin
    beacon: str  # a file that a node sees if it shares the storage of the run folders
    device: str
    threads: int
    pull: bool
    bundles: Mapping[str, WeightBundle]


def on_ray(address: str = LOCAL, cpus: int = 1, gpus: float = 0, pull: bool = False) -> Launcher:
    """Make a Launcher on the cluster at an address ("auto" finds one), each job with so many CPUs and GPUs of a node.

    Raises UsageError where Ray isn't installed.
    """
    ray = _import_ray()

    def launch(jobs: Sequence[Job], stop: StopToken) -> JobEvents:
        jobs = [replace(job, folder=job.folder.absolute()) for job in jobs]
        if not jobs:
            return
        with _cluster(ray, address), _beacon(jobs[0].folder.parent) as beacon:
            bundles = pack((job.config for job in jobs), ray.put)
            order = Order(os.getcwd(), beacon, "cuda" if gpus else "cpu", cpus, pull, bundles)
            needs = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": RETRIES}
            yield from _conduct(ray, jobs, stop, order, needs)

    return launch


def _conduct(
    ray: Any, jobs: Sequence[Job], stop: StopToken, order: Order, needs: dict[str, Any]
) -> JobEvents:
    """Submit every job, and yield their events until all have ended or `stop` is stopped."""
    inbox = _inbox(ray)
    task = ray.remote(_paint).options(**needs)
    open_: dict[Any, int] = {task.remote(index, job, order, inbox): index for index, job in enumerate(jobs)}
    try:
        while open_ and not stop.stopped:
            ended, _ = ray.wait(list(open_), timeout=LISTEN_EVERY)
            yield from [event for event in _news(ray, inbox) if event.job in open_.values()]
            for ref in ended:
                index = open_.pop(ref)
                yield _end(ray, ref, index, jobs[index])
    finally:
        for ref in open_:
            ray.cancel(ref)  # as Ctrl-C does: the task saves a snapshot
        ray.wait(list(open_), num_returns=len(open_), timeout=GRACE) if open_ else None


def _news(ray: Any, inbox: Any) -> list[JobEvent]:
    """Read the queued events; give none if the queue's node is lost, since no job's end depends on it."""
    try:
        return list(inbox.get_nowait_batch(inbox.qsize()))
    except ray.exceptions.RayError:
        return []


def _end(ray: Any, ref: Any, index: int, job: Job) -> JobEvent:
    """Give the event with which a task ended; Ray itself has retried dead tasks."""
    try:
        event: JobEvent = ray.get(ref)
    except ray.exceptions.RayError as error:
        last = (str(error).strip() or type(error).__name__).splitlines()[-1]
        return JobEvent(index, "ray", Failed(f"its node or worker was lost for good: {last}", job.folder))
    return event


def _paint(index: int, job: Job, order: Order, inbox: Any) -> JobEvent:
    """Run a job on a node: send its progress to `inbox`, and return its last event."""
    name = f"{socket.gethostname()}/{os.getpid()}"
    if not Path(order.beacon).is_file():
        where = Path(order.beacon).parent
        cause = f"the node {name} can't see {where}; share it, or name another with --runs"
        return JobEvent(index, name, Failed(cause, job.folder))
    import ray  # noqa: PLC0415  # every node has it

    locations, stop = unpack(order.bundles, ray.get), StopToken()
    worker = _worker(order.device, order.threads, order.pull, tuple(locations.items()), order.origin)
    end = JobEvent(index, name, Failed("it was cancelled", job.folder))
    with runtime.stopping_on_signals(stop):
        for event in run_job(index, job, worker, name, stop):
            if event.is_end:
                end = event
            else:
                with contextlib.suppress(Exception):  # the listener may be gone; the job goes on
                    inbox.put_nowait(event)
    return end


@functools.cache
def _worker(
    device: str, threads: int, pull: bool, locations: tuple[tuple[str, str], ...], origin: str
) -> Worker:
    """Give this process's Worker, which keeps its models for later tasks."""
    base = Path(origin) if Path(origin).is_dir() else Path()
    return Worker(device, threads, pull, dict(locations), owns_process=True, base=base)


def _inbox(ray: Any) -> Any:
    """Make a queue for progress on this node, so that it lives as long as the launcher."""
    from ray.util.queue import Queue  # noqa: PLC0415
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})


@contextlib.contextmanager
def _cluster(ray: Any, address: str) -> Iterator[None]:
    """Connect to a cluster for the length of a `with`; stop it at the end if it was started here."""
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        _knock(address)
        ray.init(address=address, **quiet, **({"include_dashboard": False} if address == LOCAL else {}))
    except Exception as error:  # Ray raises many kinds, even Exception itself
        first = " ".join(str(error).split())[:160]
        raise UsageError(
            f"--ray {address}: there is no cluster ({first}); `ray start --head` starts one"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Check that a server listens at HOST:PORT, as Ray would try for minutes; raises OSError."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


@contextlib.contextmanager
def _beacon(folder: Path) -> Iterator[str]:
    """Make a file by which a node recognises that it shares the storage."""
    path = folder / f".beacon-{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise RunError(f"{folder} can't be written: {error.strerror}; name another with --runs") from None
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415
    except ImportError:
        raise UsageError("--ray: Ray isn't installed; pip install 'vqclip[ray]'") from None
    return ray
