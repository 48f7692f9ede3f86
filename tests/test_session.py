"""The library: one Session for many calls, stopped from any thread, and no file but where it is told to write."""

import contextlib
import io
import os
import runpy
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import DEVICE, Tiny, paint
from PIL import Image
from rich.console import Console

import vqclip
from vqclip.base.errors import RunError, UsageError
from vqclip.base.stop import StopToken
from vqclip.config import resolve as configs
from vqclip.gallery.entry import read_entry
from vqclip.jobs.run_batch import BatchEnded, TaskEnded
from vqclip.media.video_reader import VideoReader
from vqclip.models import vqgan_loading
from vqclip.pipeline.events import Compared, Finished, Ranked, Stepped, Stopped, VideoSaved, result, results
from vqclip.runs.folder_layout import RECORD
from vqclip.runs.record import read_record
from vqclip.session import Session

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def session() -> Session:
    return Session(str(DEVICE))


def settings(tiny: Tiny, **given: Any) -> dict[str, Any]:
    """Keys of a tiny Config, without its prompts and seed."""
    return {k: v for k, v in configs.to_dict(tiny(**given)).items() if k not in ("prompts", "seed")}


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


class TestGenerate:
    def test_paints_as_the_config_says_and_writes_nothing(self, session: Session, tiny: Tiny) -> None:
        made = result(session.generate("a red apple", seed=1, **settings(tiny)))
        assert made.image.tobytes() == paint(tiny()).image.tobytes()
        assert made._repr_png_().startswith(b"\x89PNG")
        assert made.folder is None
        assert files(Path.cwd()) == set()

    def test_count_gives_seeds_that_follow(self, session: Session, tiny: Tiny, tmp_path: Path) -> None:
        made = list(
            results(session.generate("a", count=3, batch_size=2, seed=5, runs=tmp_path, **settings(tiny)))
        )
        assert [one.seed for one in made] == [5, 6, 7]
        assert len({one.folder for one in made}) == 3

    def test_models_are_loaded_once(
        self, session: Session, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded, load = [], vqgan_loading.load_vqgan
        monkeypatch.setattr(vqgan_loading, "load_vqgan", lambda *given: loaded.append(given) or load(*given))
        for prompt in ("a", "b", "a"):
            result(session.generate(prompt, **settings(tiny, steps=1)))
        assert len(loaded) == 1

    def test_threads_are_changed_only_while_it_works(self, tiny: Tiny) -> None:
        before, seen = torch.get_num_threads(), []
        session = Session("cpu", threads=before + 1)
        for event in session.generate(tiny(steps=2)):
            seen.append(torch.get_num_threads())
            if isinstance(event, Finished):
                assert event.result.steps == 2
        assert set(seen) == {before} == {torch.get_num_threads()}

    def test_a_closed_generator_leaves_a_run_that_goes_on(
        self, session: Session, tiny: Tiny, tmp_path: Path
    ) -> None:
        events = session.generate(tiny(), runs=tmp_path)
        next(event for event in events if isinstance(event, Stepped))
        events.close()
        (folder,) = tmp_path.iterdir()
        assert {path.name for path in folder.iterdir()} == {"config.yaml", "provenance.json"}
        assert result(session.resume(folder)).image.tobytes() == paint(tiny()).image.tobytes()

    def test_refuses_a_config_with_more_settings(self, session: Session, tiny: Tiny) -> None:
        with pytest.raises(UsageError, match="a Config has its settings"):
            session.generate(tiny(), steps=3)


def test_two_sessions_at_once_paint_what_each_paints_alone(tiny: Tiny, tmp_path: Path) -> None:
    made: dict[int, Any] = {}

    def work(seed: int) -> None:
        made[seed] = result(Session(str(DEVICE)).generate(tiny(seed=seed), runs=tmp_path))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (1, 2):
        assert made[seed].image.tobytes() == paint(tiny(seed=seed)).image.tobytes()


class TestResume:
    def test_goes_on_after_a_stop_from_another_thread(
        self, session: Session, tiny: Tiny, tmp_path: Path
    ) -> None:
        stop, config = StopToken(), tiny(steps=3000)
        timer = threading.Timer(0.3, stop.stop)
        timer.start()
        *_, last = session.generate(config, runs=tmp_path, stop=stop)
        timer.join()
        assert isinstance(last, Stopped)
        assert last.result.folder
        again = StopToken()
        for event in session.resume(last.result.folder, stop=again):
            if isinstance(event, Stepped):
                assert event.step.index > last.result.steps
                again.stop()
        assert isinstance(event, Stopped)
        assert event.result.steps == last.result.steps + 1

    def test_of_what_is_finished_only_tells(self, session: Session, tiny: Tiny, tmp_path: Path) -> None:
        made = result(session.generate(tiny(), runs=tmp_path))
        (event,) = session.resume(made.folder or "")
        assert isinstance(event, Finished)
        assert not event.is_new
        assert event.result.record == made.record
        assert event.result.image.tobytes() == made.image.tobytes()

    def test_refuses_a_folder_that_is_in_use(self, session: Session, tiny: Tiny, tmp_path: Path) -> None:
        events = session.generate(tiny(), runs=tmp_path)
        next(event for event in events if isinstance(event, Stepped))
        (folder,) = tmp_path.iterdir()
        with pytest.raises(RunError, match="is in use"):
            list(session.resume(folder))
        events.close()


@pytest.mark.parametrize("count", [1, 2])
def test_reproduce_compares(session: Session, tiny: Tiny, tmp_path: Path, count: int) -> None:
    made = list(
        results(session.generate("a", count=count, batch_size=2, seed=3, runs=tmp_path, **settings(tiny)))
    )
    before = files(tmp_path)
    *_, last = session.reproduce((made[-1].folder or tmp_path) / "image.png")
    assert isinstance(last, Compared)
    assert last.is_same
    assert (last.result.seed, files(tmp_path)) == (2 + count, before)


def test_best_of_ranks_all_and_keeps_the_best(session: Session, tiny: Tiny) -> None:
    events = list(session.best_of("a", 3, keep=2, seed=1, **settings(tiny, steps=1)))
    ranked = [event for event in events if isinstance(event, Ranked)]
    assert [event.rank for event in ranked] == [1, 2, 3]
    assert [event.is_kept for event in ranked] == [True, True, False]
    assert sorted((event.score for event in ranked), reverse=True) == [event.score for event in ranked]
    assert {event.result.seed for event in ranked} == {1, 2, 3}


def test_best_of_keeps_scores_in_the_run_folders(session: Session, tiny: Tiny, tmp_path: Path) -> None:
    """Each run's record keeps its score, also of those that aren't kept, and the run counts as finished."""
    events = list(session.best_of("a", 2, keep=1, seed=1, runs=tmp_path, **settings(tiny, steps=1)))
    for event in (event for event in events if isinstance(event, Ranked)):
        folder = event.result.folder
        assert folder
        record = read_record(folder)
        assert record == event.result.record | {"score": round(event.score, 4), "judge": record["judge"]}
        assert read_entry(folder).to_dict()["score"] == record["score"]
    *_, last = session.resume(folder)
    assert isinstance(last, Finished)


def test_batch_does_each_job_once_and_names_what_fails(session: Session, tiny: Tiny, tmp_path: Path) -> None:
    base = tmp_path / "tiny.yaml"
    base.write_text(configs.dump(tiny(steps=2)))
    (tmp_path / "jobs.txt").write_text("a -- --seed 1\nb -- --stpes 3\nc -- --seed 2\n")

    def run() -> tuple[list[TaskEnded], BatchEnded]:
        events = list(session.batch(tmp_path / "jobs.txt", runs=tmp_path / "runs", config=base))
        assert isinstance(events[-1], BatchEnded)
        return [event for event in events if isinstance(event, TaskEnded)], events[-1]

    ended, last = run()
    assert (last.tasks, last.done, last.failed) == (3, 2, 1)
    assert [bool(event.error) for event in ended].count(True) == 1
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob(RECORD)}
    assert run()[1].done == 2
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob(RECORD)}


def test_a_film_is_made_again(session: Session, tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(prompts=["a ^ b"], story={"frames": 2}, film={"steps": 1}, steps=2)
    made = result(session.generate(config, runs=tmp_path / "runs"))
    (saved,) = session.film(made.folder or "", tmp_path / "film.mp4", between=3)
    assert saved == VideoSaved(tmp_path / "film.mp4")
    assert VideoReader(tmp_path / "film.mp4").count == 10


@contextlib.contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """Home, working folder and temporary folder, which mustn't change."""
    temp = folder / "temp"
    temp.mkdir()
    monkeypatch.setenv("TMPDIR", str(temp))
    monkeypatch.setattr(tempfile, "tempdir", None)
    places = [Path.cwd(), Path(os.environ["HOME"]), temp]
    before = [files(place) for place in places]
    yield
    assert [files(place) for place in places] == before


def test_the_example_writes_only_where_it_is_told(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = runpy.run_path(str(Path(vqclip.__file__).parents[1] / "docs/examples/session.py"))
    cwd = Path.cwd()
    with watched(monkeypatch, tmp_path):
        script["main"](tmp_path / "runs", tmp_path / "sea.gif", **settings(tiny, film={"steps": 1}))
    assert Path.cwd() == cwd
    assert len(list((tmp_path / "runs").glob("*/image.png"))) == 4
    with Image.open(tmp_path / "sea.gif") as film:
        assert film.n_frames == 4  # type: ignore[attr-defined]


def test_a_run_finds_its_relative_files_from_any_folder(
    session: Session, tiny: Tiny, tiny_vqgan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures, videos and weights lie where they were when it was begun; the working folder stays as it is."""
    shutil.copytree(tiny_vqgan.parent, "weights")
    Image.effect_noise((20, 9), 60).save("init.png")
    config, stop = tiny(vqgan="weights/model.safetensors", init="init.png"), StopToken()
    whole = paint(config)
    for event in session.generate(config, runs="runs", stop=stop):
        if isinstance(event, Stepped):
            stop.stop()
    assert isinstance(event, Stopped)
    folder = (event.result.folder or Path()).absolute()
    monkeypatch.chdir(tmp_path)
    assert result(Session(str(DEVICE)).resume(folder)).image.tobytes() == whole.image.tobytes()
    assert Path.cwd() == tmp_path


def test_show_reports_and_returns_the_result(session: Session, tiny: Tiny) -> None:
    screen = Console(file=io.StringIO(), width=100)
    made = vqclip.show(session.generate(tiny()), screen)
    assert made.steps == 6
    assert "6/6" in screen.file.getvalue()  # type: ignore[attr-defined]
