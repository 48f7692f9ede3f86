"""One contract, three launchers: the same jobs give the same pixels, and no job disturbs another."""

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Tiny

from vqclip.base.errors import UsageError
from vqclip.base.stop import StopToken
from vqclip.jobs.launcher import JobEvent, Launcher
from vqclip.jobs.placement import cores, worker_specs
from vqclip.jobs.processes import WorkerSpec, processes
from vqclip.jobs.ray import on_ray
from vqclip.jobs.serial import serial
from vqclip.jobs.worker import Worker
from vqclip.pipeline.events import Failed, Finished, Progressed, Started
from vqclip.runs.folder_layout import IMAGE, RECORD
from vqclip.runs.job import Job

Jobs = Callable[..., list[Job]]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes, on this machine."""
    pytest.importorskip("ray", reason="the extra vqclip[ray]")
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    with warnings.catch_warnings(action="ignore"):  # Ray's own are many
        try:
            nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
            nodes.add_node(num_cpus=1)
        except Exception as error:  # it gives itself 30 seconds, however busy the machine
            pytest.skip(f"Ray doesn't start here: {error}")
        yield nodes
        nodes.shutdown()


@pytest.fixture(params=["serial", "processes", "ray"])
def launcher(request: pytest.FixtureRequest) -> Launcher:
    if request.param == "serial":
        return serial(Worker("cpu", 1))
    if request.param == "processes":
        return two_processes()
    return on_ray(request.getfixturevalue("cluster").address)


def two_processes() -> Launcher:
    return processes([WorkerSpec("a", "cpu", 1), WorkerSpec("b", "cpu", 1)])


@pytest.fixture
def jobs(tiny: Tiny, tmp_path: Path) -> Jobs:
    def make(count: int, **given: object) -> list[Job]:
        configs = [tiny(seed=seed, **given) for seed in range(1, count + 1)]
        return [Job(config, tmp_path / "jobs" / str(config.seed)) for config in configs]

    return make


def launch(
    launcher: Launcher, jobs: Sequence[Job], then: Callable[[JobEvent], object] = lambda event: None
) -> list[JobEvent]:
    """Everything that is told, once `then` has been called with it."""
    heard = []
    for event in launcher(jobs, StopToken()):
        heard.append(event)
        then(event)
    return heard


def pixels(jobs: Sequence[Job]) -> list[bytes]:
    return [(job.folder / IMAGE).read_bytes() for job in jobs]


@pytest.mark.filterwarnings("default")  # Ray's own are many
def test_keeps_the_contract(launcher: Launcher, jobs: Jobs, tiny: Tiny, tmp_path: Path) -> None:
    """Every job starts and ends once, the impossible one alone fails, pixels are those of the serial launcher, and
    what is finished isn't painted again."""
    missing = Job(tiny(init="nowhere.png"), tmp_path / "jobs" / "missing")
    mine = [*jobs(3), missing]
    launch(serial(Worker("cpu", 1)), mine[:1])
    before = (mine[0].folder / IMAGE).stat().st_mtime_ns
    heard = launch(launcher, mine)
    assert sorted(event.job for event in heard if isinstance(event.event, Started)) == [0, 1, 2, 3]
    ends = {event.job: event.event for event in heard if event.is_end}
    assert [type(ends[index]) for index in range(4)] == [Finished] * 3 + [Failed]
    assert "there is no image nowhere.png" in ends[3].cause  # type: ignore[union-attr]
    assert not missing.folder.exists()
    assert all(event.event.steps == 6 for event in heard if isinstance(event.event, Progressed))

    alone = [Job(job.config, tmp_path / "alone" / job.folder.name) for job in mine[:3]]
    launch(serial(Worker("cpu", 1)), alone)
    assert pixels(mine[:3]) == pixels(alone)
    assert (mine[0].folder / IMAGE).stat().st_mtime_ns == before


class TestProcesses:
    @pytest.fixture(autouse=True)
    def forked(self, forks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fork workers from a process that has imported torch; test_keeps_the_contract starts them as vqclip does."""
        monkeypatch.setattr(multiprocessing, "get_context", lambda _: forks)

    def test_a_dead_workers_job_is_tried_again_and_given_up_after_two_retries(
        self, jobs: Jobs, tmp_path: Path
    ) -> None:
        mine, deaths = jobs(3, steps=100), {0: 1, 1: 9}
        mine[1] = jobs(2, steps=3000)[1]  # as late as the news of its start may come, it isn't finished

        def kill(event: JobEvent) -> None:
            if isinstance(event.event, Started) and deaths.get(event.job, 0):
                deaths[event.job] -= 1
                (process,) = [
                    p for p in multiprocessing.active_children() if p.name.endswith(f" {event.worker}")
                ]
                os.kill(process.pid or 0, signal.SIGKILL)

        heard = launch(two_processes(), mine, kill)
        ends = {event.job: event.event for event in heard if event.is_end}
        assert isinstance(ends[0], Finished)
        assert isinstance(ends[2], Finished)
        cause = "3 workers died of it, the last by SIGKILL (is there enough memory?)"
        assert ends[1] == Failed(cause, mine[1].folder)

    @pytest.mark.parametrize("closed", [True, False])
    def test_stopped_or_closed_it_keeps_the_work(self, jobs: Jobs, closed: bool) -> None:
        mine, stop = jobs(2, steps=3000), StopToken()
        events = two_processes()(mine, stop)
        for event in events:
            if isinstance(event.event, Progressed):
                events.close() if closed else stop.stop()
        assert multiprocessing.active_children() == []
        assert list(mine[0].folder.parent.glob("*/snapshot.safetensors")), "what was begun is kept"
        assert not list(mine[0].folder.parent.glob(f"*/{RECORD}"))


@pytest.mark.filterwarnings("default")
def test_a_ray_node_that_is_lost_in_the_middle_loses_nothing(
    cluster: Any, jobs: Jobs, tmp_path: Path
) -> None:
    """What was painted on it is painted on by another, and the pixels are those of one process."""
    import ray  # noqa: PLC0415

    cluster.add_node(num_cpus=1)
    workers, mine = set[str](), jobs(4, steps=150)

    def kill(event: JobEvent) -> None:
        if isinstance(event.event, Progressed) and event.worker not in workers:
            workers.add(event.worker)
            if len(workers) == 3:  # one on each node
                own = ray.get_runtime_context().get_node_id()
                lost = next(node for node in cluster.worker_nodes if node.node_id != own)
                cluster.remove_node(lost, allow_graceful=False)

    heard = launch(on_ray(cluster.address), mine, kill)
    assert len(workers) >= 3
    assert sum(isinstance(event.event, Finished) for event in heard) == len(mine), heard
    alone = [Job(job.config, tmp_path / "alone" / job.folder.name) for job in mine]
    launch(serial(Worker("cpu", 1)), alone)
    assert pixels(mine) == pixels(alone)


class TestRayRefuses:
    def test_to_work_without_ray(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ray", None)
        with pytest.raises(UsageError, match=r"pip install 'vqclip\[ray\]'"):
            on_ray()

    def test_an_address_where_nobody_listens(self, jobs: Jobs) -> None:
        pytest.importorskip("ray", reason="the extra vqclip[ray]")
        with pytest.raises(UsageError, match=r"--ray 127.0.0.1:9: there is no cluster .*`ray start --head`"):
            launch(on_ray("127.0.0.1:9"), jobs(1))


class TestSeats:
    def test_threads_follow_from_the_cores_and_never_from_the_jobs(self, tiny: Tiny) -> None:
        for count in (1, 2, 50):
            assert {spec.threads for spec in worker_specs([tiny()] * count, ["cpu"])} == {1}
        assert {spec.threads for spec in worker_specs([tiny()], ["cpu"], workers=1)} == {cores()}
        assert {spec.threads for spec in worker_specs([tiny()] * 9, ["cpu"], workers=cores(), threads=3)} == {
            3
        }

    def test_there_are_no_more_than_jobs_and_each_has_a_name(self, tiny: Tiny) -> None:
        assert len(worker_specs([tiny()], ["cpu"], workers=4)) == 1
        specs = worker_specs([tiny()] * 9, ["cpu"], workers=4)
        assert len({spec.name for spec in specs}) == len(specs) == 4
