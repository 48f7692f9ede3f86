"""`vqclip batch` finishes what can be finished, names what can't, and never does anything twice."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Tiny
from PIL import Image

from vqclip.base import lock
from vqclip.cli.app import main
from vqclip.config import resolve as configs
from vqclip.jobs.batch_folder import MANIFEST, folder_for
from vqclip.jobs.manifest import SHEET, copy_numbered
from vqclip.pipeline.events import Progressed

Vqclip = Callable[..., tuple[int, list[str], str]]
FOLDER = Path("runs/jobs")


@pytest.fixture
def batch(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Vqclip:
    """`vqclip batch` on tiny models, in this process: exit code, lines of stdout, stderr."""
    values = configs.to_dict(tiny(steps=2))
    del values["prompts"], values["seed"]
    Path("tiny.yaml").write_text(yaml.safe_dump(values))

    def run(*words: str) -> tuple[int, list[str], str]:
        small = ("-c", "tiny.yaml", "--devices", "cpu", "--workers", "1", "--threads", "1")
        monkeypatch.setattr(sys, "argv", ["vqclip", "batch", *words, *small])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        return int(left.value.code or 0), out.splitlines(), err

    return run


def write_jobs(count: int) -> Path:
    """A file of so many jobs, three of which can't be done."""
    lines = [f"picture {number} -- --seed {number}" for number in range(1, count + 1)]
    lines[4], lines[9], lines[14] = "a pear -- --stpes 3", "[nowhere.png]", "an owl -- --size 0x0"
    Path("jobs.txt").write_text("\n".join(lines))
    return Path("jobs.txt")


def painted() -> dict[str, int]:
    """When each run's picture was written."""
    return {str(path): path.stat().st_mtime_ns for path in FOLDER.glob("jobs/*/image.png")}


def test_24_jobs_of_which_three_fail(batch: Vqclip) -> None:
    """21 pictures, three named failures, exit code 1; again, and nothing is painted twice."""
    file = str(write_jobs(24))
    code, lines, err = batch(file)
    assert code == 1
    assert len(lines) == len(set(lines)) == 21
    assert lines[0] == "runs/jobs/0001-picture-1-1.png"
    assert all(Path(line).is_file() for line in lines)
    failures = re.findall(r"^vqclip: (line \d+): (.+)$", err, re.MULTILINE)
    assert [place for place, _ in sorted(failures)] == ["line 10", "line 15", "line 5"]
    for reason in ("did you mean --steps", "there is no image nowhere.png", "'0x0' is impossible"):
        assert any(reason in why for _, why in failures)
    assert "batch     21 of 24 done" in err
    manifest = [json.loads(line) for line in (FOLDER / MANIFEST).read_text().splitlines()]
    assert [entry["index"] for entry in manifest] == list(range(1, 25))
    assert [entry["status"] for entry in manifest].count("done") == 21
    assert {entry["place"] for entry in manifest if entry["status"] == "failed"} == {
        "line 5",
        "line 10",
        "line 15",
    }
    with Image.open(FOLDER / SHEET) as sheet:
        assert sheet.size == (5 * 16 + 4 * 4, 5 * 16 + 4 * 4)

    before = painted()
    again, lines_again, _ = batch(file, "-q")
    assert (again, sorted(lines_again)) == (1, sorted(lines))
    assert painted() == before
    assert len(before) == 21


def test_a_stopped_batch_is_completed_by_the_same_command(
    batch: Vqclip, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("jobs.txt").write_text("a\nb\nc\n")
    with monkeypatch.context() as patch:
        patch.setattr("vqclip.cli.display.batch_progress.BatchProgress.on_event", interrupt_at_job(1))
        code, lines, err = batch("jobs.txt")
    assert (code, len(lines)) == (130, 1)
    assert "stopped with 1 of 3 done; the same command goes on" in err
    (done,) = (
        entry
        for entry in map(json.loads, (FOLDER / MANIFEST).read_text().splitlines())
        if entry["status"] == "done"
    )
    first = painted()[f"{done['run']}/image.png"]
    code, lines, _ = batch("jobs.txt", "--json")
    assert code == 0
    assert [json.loads(line)["status"] for line in lines] == ["done"] * 3
    assert first in painted().values()


def interrupt_at_job(job: int) -> Any:
    def on_event(_: Any, event: Any) -> None:
        if isinstance(event.event, Progressed) and event.job == job:
            os.kill(os.getpid(), signal.SIGINT)

    return on_event


def test_plan_paints_nothing(batch: Vqclip) -> None:
    code, lines, _ = batch(str(write_jobs(15)), "--plan")
    assert code == 0
    assert [line.split()[0] for line in lines].count("failed") == 3
    assert lines[0].endswith("0001-picture-1-1.png")
    assert not Path("runs").exists()


def test_two_commands_do_not_work_in_one_folder(batch: Vqclip) -> None:
    Path("jobs.txt").write_text("a\n")
    FOLDER.mkdir(parents=True)
    with lock.held(FOLDER):
        code, lines, err = batch("jobs.txt")
    assert (code, lines) == (4, [])
    assert f"runs/jobs is in use by process {os.getpid()}" in err


def test_a_picture_is_never_overwritten() -> None:
    for name, colour in (("a.png", "red"), ("b.png", "blue"), ("c.png", "red")):
        Image.new("RGB", (2, 2), colour).save(name)
    assert copy_numbered(Path("b.png"), Path("a.png")) == Path("a-2.png")
    assert copy_numbered(Path("b.png"), Path("a.png")) == Path("a-2.png"), "it lies there already"
    assert copy_numbered(Path("c.png"), Path("a.png")) == Path("a.png")
    assert Path("a-2.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "fragment"),
    [
        (["nowhere.txt"], 2, "nowhere.txt can't be read: no such file"),
        (["jobs.txt", "--names", "{seeed}.png"], 2, "did you mean seed"),
        (["jobs.txt", "--set", "stpes=3"], 2, "did you mean steps"),
        (["jobs.txt", "--runs", "jobs.txt"], 4, "jobs.txt is a file; name a folder"),
    ],
)
def test_is_refused_in_one_line(batch: Vqclip, words: list[str], code: int, fragment: str) -> None:
    Path("jobs.txt").write_text("a\n")
    found, lines, err = batch(*words)
    assert (found, lines) == (code, [])
    assert fragment in err
    assert err.count("\n") == 1


def test_a_film_is_delivered_beside_its_last_picture(batch: Vqclip) -> None:
    Path("jobs.txt").write_text("an owl -- --seed 1\n")
    code, lines, _ = batch("jobs.txt", "--set", "film.frames=2", "--set", "film.steps=1")
    assert code == 0
    (film,) = map(Path, lines)
    assert film.suffix == ".mp4"
    assert film.is_file()
    assert film.with_suffix(".png").is_file()


class TestFolder:
    """Of files whose names differ only in their kind or their place, each has one that it finds again."""

    def test_each_file_has_its_own(self, batch: Vqclip) -> None:
        Path("jobs.txt").write_text("a pear -- --seed 1\n")
        Path("jobs.csv").write_text("prompt,seed\nan owl,2\n")
        Path("more").mkdir()
        Path("more/jobs.csv").write_text("prompt,seed\na fox,3\n")
        files = {"jobs.txt": "jobs", "jobs.csv": "jobs-csv", "more/jobs.csv": "jobs-csv-2"}
        for _ in range(2):
            for file, folder in files.items():
                _, [line], _ = batch(file)
                assert Path(line).parent == Path("runs") / folder
        manifests = [Path("runs", folder, MANIFEST).read_text() for folder in files.values()]
        assert [json.loads(manifest)["prompt"] for manifest in manifests] == ["a pear", "an owl", "a fox"]

    def test_a_batch_of_an_earlier_version_goes_on(self) -> None:
        FOLDER.mkdir(parents=True)
        (FOLDER / MANIFEST).write_text('{"index": 1, "digest": "abc", "status": "done"}\n')
        assert folder_for(Path("jobs.csv"), Path("runs"), {"abc", "def"}) == FOLDER
        assert folder_for(Path("jobs.csv"), Path("runs"), {"def"}) == Path("runs/jobs-csv")

    def test_a_moved_file_and_a_changed_file_go_on(self) -> None:
        FOLDER.mkdir(parents=True)
        line = {"digest": "abc", "file": os.path.abspath("jobs.csv")}
        (FOLDER / MANIFEST).write_text(json.dumps(line) + "\n")
        assert folder_for(Path("jobs.csv"), Path("runs"), {"other"}) == FOLDER
        assert folder_for(Path("elsewhere/jobs.csv"), Path("runs"), {"abc"}) == FOLDER
        assert folder_for(Path("jobs.yaml"), Path("runs"), {"abc"}) == Path("runs/jobs-yaml")

    def test_a_refused_launcher_leaves_none(self, batch: Vqclip, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ray", None)
        Path("jobs.txt").write_text("a pear\n")
        code, _, err = batch("jobs.txt", "--ray", "10.255.255.1:1")
        assert (code, err.count("vqclip: ")) == (2, 1)
        assert not FOLDER.exists()
        batch("jobs.txt")
        whole = (FOLDER / MANIFEST).read_text()
        Path("jobs.txt").write_text("a pear\nan owl\n")
        assert batch("jobs.txt", "--ray", "10.255.255.1:1")[0] == 2
        assert (FOLDER / MANIFEST).read_text() == whole
