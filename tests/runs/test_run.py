"""A run folder holds all that one Config made, and takes back no other's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Tiny
from PIL import Image
from safetensors.torch import save_file

from vqclip.base.errors import RunError, VqclipError
from vqclip.base.lock import LOCK
from vqclip.config import resolve as configs
from vqclip.guidance.state import State
from vqclip.media.image import read_metadata
from vqclip.runs import snapshot
from vqclip.runs.folder_layout import CONFIG, IMAGE, PREVIOUS, PROVENANCE, RECORD, SNAPSHOT, STEPS
from vqclip.runs.run import Run, check_parent, folder_name, read_config

CPU = torch.device("cpu")
FACTS = {"versions": {"vqclip": "0"}, "weights": {}}


def make(z: torch.Tensor) -> torch.optim.Optimizer:
    return torch.optim.Adam([z])


def some_state() -> State:
    return State.begin(torch.randn(1, 2, 3, 3), make, 5)


@pytest.fixture
def run(tiny: Tiny, tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs", tiny(prompts=["été|b:-1:0.1"]), FACTS)


def files(run: Run) -> set[str]:
    return {path.name for path in run.folder.iterdir()}


def test_a_new_folder_holds_its_config_and_provenance(run: Run) -> None:
    assert files(run) == {CONFIG, PROVENANCE}
    assert read_config(run.folder) == run.config
    assert json.loads((run.folder / PROVENANCE).read_text()) == {**FACTS, "folder": str(Path.cwd())}


def test_two_runs_of_one_second_and_config_have_folders_of_their_own(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    folders = {Run.create(run.folder.parent, run.config, FACTS).folder for _ in range(3)}
    assert len(folders) == 3
    assert all(path.name.startswith("20260101-000000-été-b-") for path in folders)


@pytest.mark.parametrize(
    "prompt",
    ["../../etc/passwd", "a/b\\c", "\n\t!?", ".", "日本" * 100, "[../x.png]", "noise" * 90, "con: <>|x"],
)
def test_a_folders_name_is_one_part_of_a_path_that_file_systems_take(tiny: Tiny, prompt: str) -> None:
    name = folder_name(tiny(prompts=[prompt]))
    assert not set(name) & set('/\\:*?"<>|\n\t ')
    assert len(name.encode()) < 200
    assert name.endswith(tiny(prompts=[prompt]).digest)


def test_the_log_gains_a_line_a_step(run: Run) -> None:
    run.log(0, 10, {"mini: été": 0.12345678})
    run.log(0, 20, {"mini: été": -1.0})
    lines = [json.loads(line) for line in (run.folder / STEPS).read_text(encoding="utf-8").splitlines()]
    assert lines == [
        {"frame": 0, "step": 10, "losses": {"mini: été": 0.123457}},
        {"frame": 0, "step": 20, "losses": {"mini: été": -1.0}},
    ]


def test_the_picture_carries_what_paints_it_again(run: Run) -> None:
    path = run.save_image(Image.new("RGB", (4, 3)))
    assert path == run.folder / IMAGE
    metadata = read_metadata(path)
    assert configs.from_dict(metadata.pop("config")) == run.config
    assert metadata == FACTS


class TestSnapshot:
    def test_comes_back(self, run: Run) -> None:
        state = some_state()
        state.step = 7
        run.snapshot(state)
        restored = run.restore(make, CPU)
        assert restored is not None
        assert restored.step == 7
        assert torch.equal(restored.latent.z, state.latent.z)
        assert files(run) == {CONFIG, PROVENANCE, SNAPSHOT}

    def test_none_is_none(self, run: Run) -> None:
        assert run.restore(make, CPU) is None

    def test_is_forgotten_once_the_painting_is_finished(self, run: Run) -> None:
        run.snapshot(some_state())
        run.snapshot(some_state())
        assert files(run) == {CONFIG, PROVENANCE, SNAPSHOT, PREVIOUS}
        assert run.record() is None
        run.finish({"steps": 6})
        assert files(run) == {CONFIG, PROVENANCE, RECORD}
        assert run.record() is None, "a record without its picture is no finished painting"
        run.save_image(Image.new("RGB", (2, 2)))
        assert run.record() == {"steps": 6}

    def test_of_a_finished_picture_is_one(self, run: Run) -> None:
        """A kill may have left the one before it."""
        run.save_image(Image.new("RGB", (2, 2)))
        run.snapshot(some_state())
        run.finish({"steps": 6}, some_state())
        assert files(run) == {CONFIG, PROVENANCE, RECORD, IMAGE, SNAPSHOT}
        run.snapshot(some_state())
        assert PREVIOUS in files(run)
        with run.held():
            pass
        assert files(run) == {CONFIG, PROVENANCE, RECORD, IMAGE, SNAPSHOT}

    def test_of_another_config_is_refused(self, run: Run, tiny: Tiny) -> None:
        Run(run.folder, tiny(seed=2), FACTS).snapshot(some_state())
        with pytest.raises(RunError, match="belongs to another config; delete it"):
            run.restore(make, CPU)

    @pytest.mark.parametrize("keep", [0, 5, 100, -7])
    def test_that_is_damaged_is_refused_in_one_line(self, run: Run, keep: int) -> None:
        run.snapshot(some_state())
        path = run.folder / SNAPSHOT
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(RunError, match="is damaged") as caught:
            run.restore(make, CPU)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("strings", [{}, {"state": "{"}, {"state": '{"step": 1}'}, {"state": "3"}])
    def test_that_lacks_parts_is_refused_in_one_line(self, run: Run, strings: dict[str, str]) -> None:
        tensors = {"latent.z": torch.zeros(1)}
        metadata = strings | {"digest": run.config.digest, "checksum": snapshot._checksum(tensors)}
        save_file(tensors, run.folder / SNAPSHOT, metadata=metadata)
        with pytest.raises(RunError, match="is damaged") as caught:
            run.restore(make, CPU)
        assert "\n" not in str(caught.value)

    def test_that_is_damaged_yields_to_the_one_before(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Cut short, or as long as it should be and with other numbers in it."""
        older, path = some_state(), run.folder / SNAPSHOT
        older.step = 3
        for damage in (
            lambda content: content[:-7],
            lambda content: content[:-8] + b"        ",
            lambda _: b"",
        ):
            run.snapshot(older)
            run.snapshot(some_state())
            path.write_bytes(damage(path.read_bytes()))
            restored = run.restore(make, CPU)
            assert restored is not None
            assert torch.equal(restored.latent.z, older.latent.z)
            assert "going on from the snapshot before it, at step 3" in caplog.records[-1].getMessage()

    def test_cuts_the_log_to_its_step(self, run: Run) -> None:
        """What comes after is logged again; a line that was cut short is none."""
        state = some_state()
        for step in (10, 20, 30):
            run.log(0, step, {})
        with (run.folder / STEPS).open("a") as file:
            file.write('{"frame": 0, "st')
        state.step = 20
        run.snapshot(state)
        run.restore(make, CPU)
        lines = (run.folder / STEPS).read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [10, 20]

    def test_that_fails_midway_leaves_the_one_before(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        state = some_state()
        run.snapshot(state)

        def fail(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", fail)
        with pytest.raises(RunError, match="no space left on device"):
            run.snapshot(some_state())
        restored = run.restore(make, CPU)
        assert restored is not None
        assert torch.equal(restored.latent.z, state.latent.z)
        assert files(run) == {CONFIG, PROVENANCE, SNAPSHOT}


class TestLock:
    def test_keeps_a_second_process_out_and_says_who_is_in(self, run: Run) -> None:
        folder = f"__import__('pathlib').Path({str(run.folder)!r})"
        code = f"from vqclip.base import lock; held = lock.held({folder}); held.__enter__()"
        with run.held(), run.held():
            second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"is in use by process {os.getpid()} on " in second.stderr.splitlines()[-1]
        assert LOCK not in files(run)
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_of_a_dead_process_is_taken_over_with_what_it_left_unfinished_swept(self, run: Run) -> None:
        code = f"""
import os, pathlib, signal
from vqclip.base import files, lock
folder = pathlib.Path({str(run.folder)!r})
with lock.held(folder), files.atomic(folder / "image.png") as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
        subprocess.run([sys.executable, "-c", code], check=False)
        assert len(files(run)) == 4, "the dead one's lock, and half a picture"
        with run.held():
            assert files(run) == {CONFIG, PROVENANCE, LOCK}
        assert files(run) == {CONFIG, PROVENANCE}


def test_kills_at_any_moment_change_nothing(tiny: Tiny, tmp_path: Path) -> None:
    """A few of the kills that tests/stress/soak.py does by the hundred."""
    (tmp_path / "tiny.yaml").write_text(configs.dump(tiny(steps=12)))
    soak = Path(__file__).parents[1] / "stress" / "soak.py"
    words = [sys.executable, str(soak), "--kills", "4", "-c", str(tmp_path / "tiny.yaml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kills, all as if they had never been" in done.stdout


def test_a_folder_is_opened_again_by_its_config_and_by_no_other(run: Run, tiny: Tiny) -> None:
    assert Run.open(run.folder, run.config, {}).folder == run.folder
    with pytest.raises(RunError, match=rf"is the run of another config \({run.config.digest}, not "):
        Run.open(run.folder, tiny(seed=99), {})


class TestRefuses:
    def test_a_parent_that_is_a_file(self, tiny: Tiny, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for parent in (tmp_path / "file", tmp_path / "file" / "deeper"):
            with pytest.raises(RunError, match="is a file; name a folder"):
                check_parent(parent)
            with pytest.raises(RunError, match="can't be written"):
                Run.create(parent, tiny(), FACTS)

    def test_a_parent_that_may_not_be_written_to(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
        with pytest.raises(RunError, match="can't be written to; name another folder"):
            check_parent(tmp_path / "a" / "b")

    def test_no_parent_in_which_folders_can_be_made(self, tmp_path: Path) -> None:
        check_parent(tmp_path / "a" / "b")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("content", [None, "", "steps: 3", "- a", "a: [", "steps: many"])
    def test_a_folder_without_a_whole_config(self, tmp_path: Path, content: str | None) -> None:
        if content is not None:
            (tmp_path / CONFIG).write_text(content)
        with pytest.raises(RunError) as caught:
            read_config(tmp_path)
        assert "\n" not in str(caught.value)

    def test_to_save_where_the_folder_is_gone(self, run: Run) -> None:
        for path in run.folder.iterdir():
            path.unlink()
        run.folder.rmdir()
        for write in (
            lambda: run.save_image(Image.new("RGB", (2, 2))),
            lambda: run.log(0, 1, {}),
            lambda: run.snapshot(some_state()),
        ):
            with pytest.raises(VqclipError, match="can't be written: no such file"):
                write()
