"""`vqclip resume` delivers where the first command would have, and adds steps to a finished image."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Tiny, Vqclip
from PIL import Image

from vqclip.base.errors import RunError
from vqclip.config import resolve as configs
from vqclip.config.schedule import Schedule
from vqclip.media.image import read_metadata
from vqclip.runs import snapshot
from vqclip.runs.continuation import lengthened, pin
from vqclip.runs.delivery import DELIVERY, Delivery, remember, remembered

Small = tuple[str, str]


@pytest.fixture
def small(tiny: Tiny, tmp_path: Path) -> Small:
    """-c FILE of a tiny config, whose schedules don't hang on the number of steps."""
    given = {"optimizer": {"learning_rate": "0.2"}, "latent": {"stages": [{"scale": 1.0, "share": 1.0}]}}
    values = configs.to_dict(tiny(**given))
    del values["prompts"], values["seed"]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    return "-c", str(tmp_path / "tiny.yaml")


def interrupt_at(step: int) -> Any:
    def press(_: Any, event: Any) -> None:
        if event.done == step:
            os.kill(os.getpid(), signal.SIGINT)

    return press


class TestDelivery:
    @pytest.fixture
    def stopped(self, vqclip: Vqclip, small: Small, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A run that was stopped, whose image is to go to apple.png."""
        with monkeypatch.context() as patch:
            patch.setattr("vqclip.cli.display.report.PlainReport.step", interrupt_at(2))
            assert vqclip("generate", "a", *small, "--seed", "1", "-o", "apple.png").code == 130
        (run,) = Path("runs").absolute().iterdir()
        return run

    def test_goes_where_the_first_command_said_from_any_folder(self, vqclip: Vqclip, stopped: Path) -> None:
        file = Path("apple.png").absolute()
        Path("elsewhere").mkdir()
        os.chdir("elsewhere")
        assert vqclip("resume", stopped, "-q").lines == [str(file)]
        assert file.read_bytes() == (stopped / "image.png").read_bytes()
        file.write_bytes(b"mine")
        assert vqclip("resume", stopped, "-q").lines == [str(stopped / "image.png")]
        assert file.read_bytes() == b"mine", "what was delivered once is not replaced"

    def test_is_listed_with_the_step_that_it_goes_on_from(self, vqclip: Vqclip, stopped: Path) -> None:
        assert not (stopped / "steps.jsonl").exists(), "it has every tenth step"
        (line,) = vqclip("runs", "--json").lines
        facts = json.loads(line)
        assert (facts["state"], facts["step"]) == ("stopped", 2)

    def test_replaces_no_file_unless_told(self, vqclip: Vqclip, stopped: Path) -> None:
        Path("apple.png").write_bytes(b"mine")
        done = vqclip("resume", stopped)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "apple.png exists already; add --force" in done.err
        assert Path("apple.png").read_bytes() == b"mine"
        assert vqclip("resume", stopped, "-q", "--force").code == 0
        assert read_metadata(Path("apple.png"))["config"]["seed"] == 1

    def test_another_file_may_be_named(self, vqclip: Vqclip, stopped: Path) -> None:
        assert vqclip("resume", stopped, "-q", "-o", "pear.png").lines == ["pear.png"]
        assert not Path("apple.png").exists()

    def test_a_run_of_an_earlier_version_stays_in_its_folder(self, vqclip: Vqclip, stopped: Path) -> None:
        (stopped / DELIVERY).unlink()
        assert vqclip("resume", stopped, "-q").lines == [str(stopped / "image.png")]

    def test_reads_back_any_file_name(self, tmp_path: Path) -> None:
        for name in ("苹果.png", os.fsdecode(b"caf\xe9.png")):
            remember(tmp_path, tmp_path / name, force=True)
            assert remembered(tmp_path) == Delivery(tmp_path / name, force=True)
        (tmp_path / DELIVERY).write_text("{")
        with pytest.raises(RunError, match="is damaged; delete it"):
            remembered(tmp_path)


class TestMoreSteps:
    @pytest.mark.parametrize("optimizer", ["adam", "nadam", "sgd"])
    def test_have_the_pixels_of_a_run_of_so_many(self, vqclip: Vqclip, small: Small, optimizer: str) -> None:
        words = ["generate", "a", *small, "--seed", "1", "-q", "--set", f"optimizer.name={optimizer}"]
        whole, short = (Path(vqclip(*words, "--steps", n).lines[0]) for n in (9, 4))
        before = short.read_bytes()
        (line,) = vqclip("resume", short.parent, "--steps", 9, "-q").lines
        longer = Path(line)
        assert longer.parent not in (short.parent, whole.parent)
        with Image.open(longer) as one, Image.open(whole) as other:
            assert one.tobytes() == other.tobytes()
        assert read_metadata(longer)["config"] == read_metadata(whole)["config"]
        logs = [(made.parent / "steps.jsonl").read_text().splitlines() for made in (short, longer, whole)]
        assert logs[1] == logs[0] + logs[2]
        assert short.read_bytes() == before
        assert vqclip("resume", longer.parent, "--steps", 12, "-q").code == 0

    def test_keep_schedules_and_stages_in_place_and_say_so(self, vqclip: Vqclip, small: Small) -> None:
        """The config of the longer run makes the same pixels from the beginning."""
        hang = ["--set", "optimizer.learning_rate=0.4 -> 0.1", "--set", "losses.tv=0:0, 50%:1"]
        stages = ["--set", "latent.stages=[{scale: 0.5, share: 0.5}, {scale: 1.0, share: 0.5}]"]
        short = Path(vqclip("generate", "a", *small, "--steps", 4, "-q", *hang, *stages).lines[0])
        done = vqclip("resume", short.parent, "--steps", 11)
        assert (
            "note      optimizer.learning_rate and losses.tv.weight and latent.stages ran over 4" in done.err
        )
        longer = Path(done.lines[0])
        again = Path(vqclip("reproduce", longer, "-q").lines[0])
        with Image.open(longer) as one, Image.open(again) as other:
            assert one.tobytes() == other.tobytes()

    def test_are_refused_in_one_line_where_they_make_no_sense(
        self, vqclip: Vqclip, small: Small, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = Path(vqclip("generate", "a", *small, "-q").lines[0]).parent
        film = Path(vqclip("story", "a ^ b", *small, "-q", "--steps", 2, "--frame-steps", 1,
                           "--set", "story.frames=1").lines[0]).parent  # fmt: skip
        settled = Path(vqclip("generate", "a", *small, "-q", "--set", "plateau.patience=1", "--set",
                              "plateau.improvement=9").lines[0]).parent  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr("vqclip.cli.display.report.PlainReport.step", interrupt_at(2))
            vqclip("generate", "stopped", *small)
        (stopped,) = Path("runs").glob("*-stopped-*")
        old = Path(vqclip("generate", "old", *small, "-q").lines[0]).parent
        snapshot.forget(old)
        refusals = [
            (run, 6, "has 6 steps; --steps 6 must be more"), (film, 9, "is a film"), (settled, 9, "on a plateau"),
            (stopped, 9, "isn't finished"), (old, 9, "kept no snapshot"), (Path("nowhere"), 9, "is no run folder"),
        ]  # fmt: skip
        count = len(list(Path("runs").iterdir()))
        for folder, steps, why in refusals:
            done = vqclip("resume", folder, "--steps", steps, "-q")
            assert done.code in (2, 4)
            assert done.err.count("\n") == 1
            assert why in done.err
        assert len(list(Path("runs").iterdir())) == count

    def test_a_snapshot_that_cannot_be_kept_costs_no_image(
        self, vqclip: Vqclip, small: Small, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("vqclip.runs.snapshot._write", full)
        done = vqclip("generate", "a", *small)
        assert done.code == 0
        assert Path(done.lines[0]).is_file()
        assert "note      no steps can be added to this run later" in done.err


@pytest.mark.parametrize(
    "text", ["0.3", "0.4 -> 0.1", "0:0.3, 75%:0.3, 80%:0.1", "3:1, 5:2", "0:1e-7, 33%:1", "2:1, 50%:0"]
)
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_a_pinned_schedule_is_the_same_over_the_first_steps(text: str, steps: int) -> None:
    before, after = Schedule.parse(text), Schedule.parse(pin(text, steps))
    for step in range(steps):
        assert after.at(step, 10 * steps) == before.at(step, steps)


def test_a_lengthened_config_has_its_stages_where_they_were(tiny: Tiny) -> None:
    from vqclip.config.timeline import stages  # noqa: PLC0415

    config = tiny(steps=10)
    assert [stage.end for stage in stages(config)] == [3, 10]
    assert [stage.end for stage in stages(lengthened(config, 997))] == [3, 997]


@pytest.mark.parametrize(("given", "pinned"), [(None, None), ("0.4 -> 0.1", "0:0.4, 10:0.1")])
def test_a_lengthened_config_keeps_a_schedule_that_may_be_null(given: str | None, pinned: str | None) -> None:
    config = configs.resolve({"seed": 1, "steps": 11, "transparent": given})
    assert lengthened(config, 20).transparent == pinned
